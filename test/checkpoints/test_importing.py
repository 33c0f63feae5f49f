# SPDX-License-Identifier: Apache-2.0
"""Other programs' checkpoints compute here what they computed there; what they lack is said."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peers import Origin, write_four_files

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.agent.networks import joined_state
from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.importing.conversion import convert
from td3_driver.interchange.importing.source import Source
from td3_driver.interchange.inspection import missing, verify


def imported(source: Path, folder: Path, name: str | None = None) -> tuple[TD3Agent, Source]:
    destination = folder / "made" / "td3_imported.pth"
    found = convert(source, destination, name)
    assert verify(destination) == "no replay"
    provenance = checkpoint.read(destination)["provenance"]
    assert provenance["imported_from"] == found.origin
    assert provenance["import_notes"] == found.notes
    assert f"import: {found.notes[0]}" in missing(checkpoint.read(destination))
    return TD3Agent.from_checkpoint(destination), found


def moments(optimizer: torch.optim.Optimizer) -> list[dict[str, torch.Tensor]]:
    return [*optimizer.state_dict()["state"].values()]


def same_moments(ours: torch.optim.Optimizer, theirs: list[dict[str, torch.Tensor]]) -> bool:
    own = moments(ours)
    return len(own) == len(theirs) and all(
        torch.equal(one[key], other[key])
        for one, other in zip(own, theirs, strict=True)
        for key in ("step", "exp_avg", "exp_avg_sq")
    )


# The original TD3.


@pytest.mark.parametrize("named", [True, False])
def test_the_original_tds_four_files(tmp_path: Path, named: bool) -> None:
    actor, critic = write_four_files(tmp_path / "TD3_Hopper-v1_0")
    source = (tmp_path, "TD3_Hopper-v1_0") if named else (tmp_path / "TD3_Hopper-v1_0", None)
    agent, found = imported(source[0], tmp_path, source[1])
    assert found.origin == "the original TD3"
    states, actions = torch.randn(16, 11), torch.rand(16, 3)
    assert torch.allclose(agent.actor(states), actor(states), atol=1e-6)
    for ours, theirs in zip(agent.critic(states, actions), critic(states, actions), strict=True):
        assert torch.allclose(ours, theirs.squeeze(1), atol=1e-6)
    saved = torch.load(tmp_path / "TD3_Hopper-v1_0_actor_optimizer", weights_only=True)
    assert same_moments(agent.actor_optimizer, [*saved["state"].values()])
    saved = torch.load(tmp_path / "TD3_Hopper-v1_0_critic_optimizer", weights_only=True)
    assert same_moments(agent.critic_optimizer, [*saved["state"].values()])
    assert agent.config.learning_rate == 3e-4
    text = "\n".join(found.notes)
    for lacking in ("max_action", "env_steps", "total_it", "actor_target", "random states"):
        assert lacking in text
    assert "optimizer" not in text


def test_the_original_td3_without_its_optimizers(tmp_path: Path) -> None:
    write_four_files(tmp_path / "run")
    (tmp_path / "run_actor_optimizer").unlink()
    agent, found = imported(tmp_path / "run", tmp_path)
    assert "actor_optimizer: not in the source, starts without moments" in found.notes
    assert moments(agent.actor_optimizer) == []
    assert len(moments(agent.critic_optimizer)) == 12


def test_which_of_several(tmp_path: Path) -> None:
    for name in ("two", "one"):
        write_four_files(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"say which with --name: one, two$"):
        convert(tmp_path, tmp_path / "out.pth")
    with pytest.raises(CheckpointError, match="has no file three_actor"):
        convert(tmp_path, tmp_path / "out.pth", "three")


def test_half_of_the_original(tmp_path: Path) -> None:
    write_four_files(tmp_path / "run")
    (tmp_path / "run_critic").unlink()
    with pytest.raises(CheckpointError, match=r"run_critic: is missing"):
        convert(tmp_path / "run", tmp_path / "out.pth")


# The origin system.


def from_origin(era: str, folder: Path, state: int = 535) -> tuple[TD3Agent, Source, Origin]:
    origin = Origin(era, state)
    torch.save(origin.checkpoint(), folder / "origin.pth")
    agent, found = imported(folder / "origin.pth", folder)
    assert found.origin == f"the origin system, era {era[0]}"
    assert agent.use_dict_buffer
    assert agent.state_dim == state
    states = torch.randn(4, state)
    assert torch.allclose(agent.actor(states), origin.actor(states), atol=1e-6)
    theirs = origin.critic(states, torch.ones(4, 2))
    for one, other in zip(agent.critic(states, torch.ones(4, 2)), theirs, strict=True):
        assert torch.allclose(one, other.squeeze(1), atol=1e-6)
    text = "\n".join(found.notes)
    for lacking in ("env_steps", "actor_target", "critic_target", "random states"):
        assert f"{lacking}: not in the source" in text
    return agent, found, origin


def test_era_a_has_no_cnn(tmp_path: Path) -> None:
    agent, found, _ = from_origin("A", tmp_path)
    text = "\n".join(found.notes)
    for name in ("actor_cnn", "critic_cnn"):
        assert f"{name}: not in the source, INITIALISED ANEW (seed 0), untrained" in text
    assert "use_dict_buffer: not in the source, images by its state's length" in text
    assert "discount, tau, policy_freq, policy_noise, noise_clip: not in the source" in text
    assert "actor_optimizer: no moments of any" in text
    assert agent.total_it == 0


def same_features(agent: TD3Agent, name: str, cnn: torch.nn.Module) -> bool:
    image = torch.randint(0, 256, (3, 4, 84, 84), dtype=torch.uint8)
    ours = getattr(agent, name)(image)
    return torch.allclose(ours, cnn(image.float() / 127.5 - 1.0), atol=1e-5)


def test_era_b_has_one_cnn(tmp_path: Path) -> None:
    agent, found, origin = from_origin("B", tmp_path)
    for name in ("actor_cnn", "critic_cnn", "actor_cnn_target"):
        assert same_features(agent, name, origin.cnns[0])
    text = "\n".join(found.notes)
    assert "both are the source's one CNN" in text
    assert "cnn_optimizer: its moments are of both CNNs at once, not taken over" in text
    assert moments(agent.actor_cnn_optimizer) == []
    assert agent.total_it == 3


def test_era_b_with_the_seeds_fault_has_none(tmp_path: Path) -> None:
    payload = Origin("B").checkpoint()
    del payload["cnn_state_dict"], payload["cnn_optimizer_state_dict"]
    torch.save(payload, tmp_path / "origin.pth")
    _, found = imported(tmp_path / "origin.pth", tmp_path)
    assert "critic_cnn: not in the source, INITIALISED ANEW (seed 0), untrained" in found.notes


@pytest.mark.parametrize("state", [535, 565])
def test_era_c_has_two_cnns_and_four_optimizers(tmp_path: Path, state: int) -> None:
    agent, found, origin = from_origin("C", tmp_path, state)
    assert same_features(agent, "actor_cnn", origin.cnns[0])
    assert same_features(agent, "critic_cnn", origin.cnns[1])
    assert same_moments(agent.critic_cnn_optimizer, moments(origin.cnn_optimizers[1]))
    assert agent.actor_cnn_optimizer.param_groups[0]["lr"] == 1e-4
    assert (agent.discount, agent.tau, agent.policy_freq) == (0.98, 0.01, 3)
    assert (agent.policy_noise, agent.noise_clip) == (0.1, 0.4)
    assert not any("moments" in note or "discount" in note for note in found.notes)


def test_era_d_has_the_cnns_in_the_main_optimizers(tmp_path: Path) -> None:
    agent, found, origin = from_origin("D", tmp_path)
    theirs = moments(origin.actor_optimizer)
    assert len(theirs) == 6 + 8
    assert same_moments(agent.actor_optimizer, theirs[:6])
    assert same_moments(agent.actor_cnn_optimizer, theirs[6:])
    assert same_moments(agent.critic_cnn_optimizer, moments(origin.critic_optimizer)[12:])
    assert not any("moments" in note for note in found.notes)
    assert any("activation is not in the source" in note for note in found.notes)


def test_era_d_with_layer_norms_says_what_is_left_out(tmp_path: Path) -> None:
    agent, found, origin = from_origin("D+", tmp_path)
    assert any("ln1 to ln4" in note and "LEFT OUT" in note for note in found.notes)
    cnn = origin.cnns[0]
    assert torch.equal(agent.actor_cnn.conv3.weight, cnn.conv3.weight)
    index = [name for name, _ in cnn.named_parameters()].index("conv3.weight")
    ours = agent.actor_cnn_optimizer.state_dict()["state"][4]
    # LayerNorms without gradients have no moments: those of conv3 are still conv3's.
    theirs = origin.actor_optimizer.state_dict()["state"][6 + index]
    assert torch.equal(ours["exp_avg"], theirs["exp_avg"])


def test_plain_numbers_as_adams_step(tmp_path: Path) -> None:
    """As torch before 1.12 saved them."""
    payload = Origin("C").checkpoint()
    for state in payload["actor_optimizer_state_dict"]["state"].values():
        state["step"] = int(state["step"])
    torch.save(payload, tmp_path / "origin.pth")
    agent, _ = imported(tmp_path / "origin.pth", tmp_path)
    assert moments(agent.actor_optimizer)[0]["step"] == torch.tensor(3.0)


# Refusals.


class Intruder:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.mark),)


def odd(change: str, folder: Path) -> Path:
    path, payload = folder / "odd.pth", Origin("C").checkpoint()
    if change == "code":
        payload["config"] = Intruder(folder / "mark")
    elif change == "layer":
        payload["actor_state_dict"]["extra.weight"] = torch.zeros(1)
    elif change == "shape":
        payload["critic_state_dict"]["Q2.fc1.weight"] = torch.zeros(32, 12)
    elif change == "cnn":
        del payload["actor_cnn_state_dict"]["conv3.weight"]
    elif change == "image":
        payload["actor_cnn_state_dict"]["fc.weight"] = torch.zeros(512, 3137)
    elif change == "nan":
        payload["actor_state_dict"]["fc1.bias"][0] = float("nan")
    elif change == "critic":
        del payload["critic_state_dict"]
    elif change == "actor":
        payload["actor_state_dict"] = 3
    torch.save(payload, path)
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("code", "not without running code in it"),
        ("layer", "actor has extra.weight, which this package does not know"),
        ("shape", r"critic.q2.0.weight is \(32, 12\), not \(32, 537\)"),
        ("cnn", "its CNN is not conv1, conv2, conv3, fc"),
        ("image", "no image size fits its CNN"),
        ("nan", "values that are not finite"),
        ("critic", "no critic_state_dict"),
        ("actor", "actor is int, not a state dict"),
    ],
)
def test_what_cannot_be_converted(tmp_path: Path, change: str, reason: str) -> None:
    path = odd(change, tmp_path)
    with pytest.raises(CheckpointError, match=reason) as caught:
        convert(path, tmp_path / "out.pth")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert not (tmp_path / "out.pth").exists()
    assert not (tmp_path / "mark").exists()


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "agent.pkl").write_bytes(pickle.dumps(Intruder(tmp_path / "mark")))
    with pytest.raises(CheckpointError, match="running code"):
        convert(tmp_path / "agent.pkl", tmp_path / "out.pth")
    assert not (tmp_path / "mark").exists()


def test_other_sources_are_refused(saved: Path) -> None:
    out = saved.with_name("out.pth")
    with pytest.raises(CheckpointError, match="is a checkpoint of this package already"):
        convert(saved, out)
    with pytest.raises(FileNotFoundError, match="no such file, and no nothing_actor"):
        convert(saved.with_name("nothing"), out)
    torch.save({"weights": torch.zeros(1)}, saved.with_name("other.pth"))
    with pytest.raises(CheckpointError, match="none of the files that can be converted"):
        convert(saved.with_name("other.pth"), out)
    with pytest.raises(CheckpointError, match="exists already"):
        convert(saved.with_name("other.pth"), saved)
    with pytest.raises(CheckpointError, match="--name goes with"):
        convert(saved, out, "name")
    with pytest.raises(CheckpointError, match="has no file NAME_actor"):
        convert(saved.parent, out)


def test_an_imported_agent_drives_and_learns(tmp_path: Path) -> None:
    agent, _, origin = from_origin("C", tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (4, 84, 84), dtype=np.uint8)
    vector = np.ones(23, np.float32)
    action = agent.select_action({"image": image, "vector": vector})
    pixels = torch.from_numpy(image).unsqueeze(0)
    state = joined_state(agent.actor_cnn, pixels, torch.from_numpy(vector).unsqueeze(0))
    assert np.allclose(action, origin.actor(state).detach().numpy(), atol=1e-5)
