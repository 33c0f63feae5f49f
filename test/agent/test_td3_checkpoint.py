# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: nothing lost, nothing run, nothing half done."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import SMALL, fill, same

from td3_driver.agent import AgentConfig, CheckpointError, Replay, TD3Agent, snapshot
from td3_driver.checkpoints import checkpoint

CONFIG: dict[str, Any] = {**SMALL, "exploration": "ou", "n_step": 3, "random_shift": 2}


def state_of(agent: TD3Agent) -> dict[str, Any]:
    payload = agent.checkpoint_payload()
    del payload["provenance"]  # the time of the snapshot
    return payload


def trained(replay: Replay, updates: int = 5, seed: int = 0) -> TD3Agent:
    agent = TD3Agent(21, config=CONFIG, seed=seed)
    for _ in range(updates):
        agent.train(replay, 8)
        agent.select_action(observation(), explore=True)
    agent.env_steps, agent.episodes = 40, 3
    return agent


def observation() -> dict[str, np.ndarray]:
    return {"image": np.zeros((4, 36, 36), np.uint8), "vector": np.ones(5, np.float32)}


# The seed's own test, section 6.3, unchanged but for where TD3Agent comes from.
def checkpoint_cycle_of_the_seed() -> None:
    # Create agent
    agent = TD3Agent(state_dim=535, action_dim=2, max_action=1.0)

    # Train for a few steps
    for _ in range(100):
        agent.total_it += 1
        # ... training code ...

    # Get CNN weights before save
    if agent.use_dict_buffer:
        actor_cnn_before = agent.actor_cnn.state_dict()["conv1.weight"].clone()
        critic_cnn_before = agent.critic_cnn.state_dict()["conv1.weight"].clone()

    # Save checkpoint
    agent.save_checkpoint("test_checkpoint.pth")

    # Create new agent and load
    agent2 = TD3Agent(state_dim=535, action_dim=2, max_action=1.0)
    agent2.load_checkpoint("test_checkpoint.pth")

    # Verify CNNs match
    if agent.use_dict_buffer:
        actor_cnn_after = agent2.actor_cnn.state_dict()["conv1.weight"]
        critic_cnn_after = agent2.critic_cnn.state_dict()["conv1.weight"]

        assert torch.allclose(actor_cnn_before, actor_cnn_after), "Actor CNN NOT restored!"
        assert torch.allclose(critic_cnn_before, critic_cnn_after), "Critic CNN NOT restored!"
        print("✅ CNN state preserved correctly!")


def test_checkpoint_cycle_of_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    checkpoint_cycle_of_the_seed()
    assert "preserved" in capsys.readouterr().out


def test_trained_weights_and_moments_are_in_the_file(tmp_path: Path) -> None:
    """Step 4 of the seed's validation plan."""
    agent = trained(fill())
    agent.save_checkpoint(tmp_path / "made/for/it/td3_5.pth")
    fresh = TD3Agent(21, config=CONFIG, seed=9)
    before = fresh.actor_cnn.state_dict()["conv1.weight"].clone()
    fresh.load_checkpoint(tmp_path / "made/for/it/td3_5.pth")
    assert not torch.equal(before, fresh.actor_cnn.state_dict()["conv1.weight"])
    moments = fresh.actor_cnn_optimizer.state_dict()["state"][0]
    assert float(moments["exp_avg"].abs().max()) > 0.0


def test_a_round_trip_changes_no_bit(tmp_path: Path) -> None:
    agent = trained(fill())
    lag = agent.critic_cnn_target.fc.weight - agent.critic_cnn.fc.weight
    assert lag.detach().abs().max() > 0.0, "nothing to lose"
    agent.save_checkpoint(tmp_path / "one.pth", run={"clock": 2.5, "map": "Town01"})
    other = TD3Agent(21, config=CONFIG, seed=7)
    other.load_checkpoint(tmp_path / "one.pth")
    assert same(state_of(agent), {**state_of(other), "run": {}})
    assert checkpoint.read(tmp_path / "one.pth")["run"] == {"clock": 2.5, "map": "Town01"}


def test_the_file_has_the_promised_keys(tmp_path: Path) -> None:
    trained(fill()).save_checkpoint(tmp_path / "one.pth")
    payload = torch.load(tmp_path / "one.pth", weights_only=True)
    parts = ("", "_optimizer", "_target")
    expected = {f"{name}{part}_state_dict" for name in snapshot.NETWORKS for part in parts}
    expected |= {"total_it", "config", "use_dict_buffer", "discount", "tau", "policy_freq"}
    expected |= {"policy_noise", "noise_clip", "max_action", "state_dim", "action_dim"}
    expected |= {"env_steps", "episodes", "rng_state", "format_version", "provenance", "run"}
    expected |= {"replay"}
    components = map(snapshot.key_of, TD3Agent.components)
    assert payload.keys() == expected == {"format_version", *components, *snapshot.KEYS}
    assert payload["env_steps"] == 40
    assert payload["episodes"] == 3
    json.dumps(payload["config"])
    assert AgentConfig.from_mapping(payload["config"]) == AgentConfig.from_mapping(CONFIG)


def test_a_payload_is_a_copy() -> None:
    replay = fill()
    agent = trained(replay)
    payload = agent.checkpoint_payload()
    kept = pickle.dumps(payload)
    twin = TD3Agent(21, config=CONFIG)
    twin.restore(payload)
    agent.train(replay, 8)
    twin.train(replay, 8)
    assert same(pickle.loads(kept), payload)


def _continue(source: Path, result: Path) -> None:
    torch.set_num_threads(1)
    agent = TD3Agent.from_checkpoint(source)
    replay = fill()
    for _ in range(7):
        agent.train(replay, 8)
        agent.select_action(observation(), explore=True)
    agent.save_checkpoint(result)


def test_training_continues_bit_for_bit_in_a_new_process(tmp_path: Path) -> None:
    replay = fill()
    agent = trained(replay, updates=5)  # between two actor updates
    agent.save_checkpoint(tmp_path / "five.pth")
    child = multiprocessing.get_context("spawn").Process(
        target=_continue, args=(tmp_path / "five.pth", tmp_path / "twelve.pth")
    )
    child.start()
    for _ in range(7):
        agent.train(replay, 8)
        agent.select_action(observation(), explore=True)
    child.join(240)
    assert child.exitcode == 0
    resumed = checkpoint.read(tmp_path / "twelve.pth")
    del resumed["provenance"]
    assert same(state_of(agent), resumed)


def test_learning_settings_come_from_the_file() -> None:
    agent = TD3Agent(21, config={**CONFIG, "learning_rate": 1e-5, "gradient_clip": 3.0})
    agent.discount = 0.9
    other = TD3Agent(21, config=CONFIG)
    other.restore(agent.checkpoint_payload())
    assert other.discount == 0.9
    assert other.config.gradient_clip == 3.0
    assert other.actor_optimizer.param_groups[0]["lr"] == 1e-5


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    payload = TD3Agent(21, config=CONFIG).checkpoint_payload()
    change(payload)
    return payload


def poison(payload: dict[str, Any]) -> None:
    payload["critic_state_dict"]["q1.0.bias"][0] = float("nan")


REFUSED: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a CNN is missing": (
        lambda p: p.pop("critic_cnn_state_dict"),
        "critic_cnn_state_dict is missing",
    ),
    "a layer is missing": (
        lambda p: p["critic_cnn_target_state_dict"].pop("fc.bias"),
        "critic_cnn_target_state_dict: fc.bias is missing",
    ),
    "a shape differs": (
        lambda p: p["actor_state_dict"].update({"layers.0.bias": torch.zeros(3)}),
        r"actor_state_dict: layers.0.bias has shape \(3,\), the agent's is \(24,\)",
    ),
    "a weight is nan": (poison, "critic_state_dict: q1.0.bias holds values that are not finite"),
    "another state": (lambda p: p.update(state_dim=22), "state_dim is 22, the agent's is 21"),
    "another scale": (
        lambda p: p["config"].update(vector_scale=[2.0] * 5),
        "config vector_scale is",
    ),
    "a bad setting": (lambda p: p["config"].update(tau=2.0), "config: tau: 2.0 is not a number"),
    "a bad rng": (lambda p: p["rng_state"].update(torch=torch.zeros(3)), "rng_state: "),
    "a bad sampler": (lambda p: p["rng_state"].update(sampler={}), "rng_state: "),
    "a bad counter": (lambda p: p.update(total_it=-1), "total_it is -1"),
    "half an optimizer": (
        lambda p: p["critic_optimizer_state_dict"]["param_groups"][0].pop("lr"),
        "critic_optimizer_state_dict: lr is missing",
    ),
    "another optimizer": (
        lambda p: p["actor_optimizer_state_dict"]["param_groups"][0].update(params=[0]),
        "actor_optimizer_state_dict: is not the state of 6 parameters",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_checkpoint_leaves_the_agent_as_it_was(name: str) -> None:
    change, reason = REFUSED[name]
    agent = trained(fill())
    before = state_of(agent)
    with pytest.raises(CheckpointError, match=reason) as caught:
        agent.restore(broken(change))
    assert "\n" not in str(caught.value)
    assert same(before, state_of(agent))


def test_an_agent_without_images_refuses_one_with_images() -> None:
    with pytest.raises(CheckpointError, match="use_dict_buffer is True"):
        TD3Agent(21, config=CONFIG, use_dict_buffer=False).restore(broken(lambda p: None))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nothing\.pth"):
        TD3Agent(21, config=CONFIG).load_checkpoint(tmp_path / "nothing.pth")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    trained(fill()).save_checkpoint(path)
    whole = path.read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"cut\.pth: is damaged"):
            checkpoint.read(path)


class Intruder:
    """Creates a file when unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("kind", ["pickle", "legacy", "zip", "inside"])
def test_code_in_a_file_is_never_run(tmp_path: Path, kind: str) -> None:
    path, mark = tmp_path / "foreign.pth", tmp_path / "mark"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Intruder(mark)))
    elif kind == "inside":
        torch.save(broken(lambda p: p.update(run=Intruder(mark))), path)
    else:
        torch.save(Intruder(mark), path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(CheckpointError, match=r"foreign\.pth") as caught:
        TD3Agent(21, config=CONFIG).load_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [([1, 2], "no checkpoint"), ({"weights": 1}, "has no actor")],
)
def test_other_torch_files_are_refused(tmp_path: Path, content: Any, reason: str) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=reason):
        checkpoint.read(tmp_path / "other.pth")


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "td3_1.pth"
    TD3Agent(21, config=CONFIG).save_checkpoint(path)
    old = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match="No space left"):
        TD3Agent(21, config=CONFIG, seed=1).save_checkpoint(path)
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["td3_1.pth"]


def test_what_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"run\.odometer\[1\]: .* cannot hold a float64"):
        TD3Agent(21, config=CONFIG).save_checkpoint(
            tmp_path / "one.pth", run={"odometer": [1.0, np.float64(2.0)]}
        )
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        TD3Agent(21, config=CONFIG).save_checkpoint(tmp_path / "file" / "td3_1.pth")


@pytest.mark.parametrize("links", [True, False])
def test_latest_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    if not links:

        def refuse(*_: object) -> None:
            raise PermissionError(1, "no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    for step in (1, 2):
        path = tmp_path / f"td3_{step}.pth"
        TD3Agent(21, config=CONFIG, seed=step).save_checkpoint(path)
        for _ in range(2):  # publishing again is harmless
            assert checkpoint.publish_latest(path) == tmp_path / "latest.pth"
        assert (tmp_path / "latest.pth").read_bytes() == path.read_bytes()
    assert len([*tmp_path.iterdir()]) == 3


def test_the_newest_valid_file_is_found(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path) is None
    agent = TD3Agent(21, config=CONFIG)
    for agent.env_steps in (5, 40, 300):
        agent.save_checkpoint(tmp_path / f"td3_{agent.env_steps}.pth")
    checkpoint.publish_latest(tmp_path / "td3_300.pth")
    assert checkpoint.newest(tmp_path) == tmp_path / "td3_300.pth"
    (tmp_path / "td3_300.pth").unlink()
    assert checkpoint.newest(tmp_path) == tmp_path / "latest.pth"
    (tmp_path / "latest.pth").write_bytes(b"cut")
    assert checkpoint.newest(tmp_path) == tmp_path / "td3_40.pth"


def test_each_component_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "td3_driver.agent")
    agent = TD3Agent(21, config=CONFIG)
    agent.save_checkpoint(tmp_path / "one.pth")
    agent.load_checkpoint(tmp_path / "one.pth")
    for name in snapshot.NETWORKS:
        for part in (name, f"{name}_target", f"{name}_optimizer"):
            assert f"{part}_state_dict saved" in caplog.text
            assert f"{part}_state_dict restored" in caplog.text


def test_the_file_builds_its_agent_from_its_keys(tmp_path: Path) -> None:
    agent = trained(fill())
    agent.save_checkpoint(tmp_path / "one.pth")
    ck = torch.load(tmp_path / "one.pth", weights_only=True)
    again = TD3Agent(
        state_dim=ck["state_dim"],
        action_dim=ck["action_dim"],
        max_action=ck["max_action"],
        use_dict_buffer=ck["use_dict_buffer"],
        config=ck["config"],
    )
    again.load_checkpoint(tmp_path / "one.pth")
    assert np.array_equal(again.select_action(observation()), agent.select_action(observation()))
