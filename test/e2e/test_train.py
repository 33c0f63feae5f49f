# SPDX-License-Identifier: Apache-2.0
"""`td3_driver train` as a user runs it: real processes, real topics, real files."""

import os
import re
import signal
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.interchange.inspection import verify
from td3_driver.online import evaluations

from .conftest import FINISHED, QUICK, Finished, train
from .running import RunningTrain, wait_until

CONTRACT_KEYS = [
    "total_it",
    "actor_state_dict",
    "critic_state_dict",
    "actor_cnn_state_dict",
    "critic_cnn_state_dict",
    "actor_optimizer_state_dict",
    "critic_optimizer_state_dict",
    "actor_cnn_optimizer_state_dict",
    "critic_cnn_optimizer_state_dict",
    "config",
    "use_dict_buffer",
    "discount",
    "tau",
    "policy_freq",
    "policy_noise",
    "noise_clip",
    "max_action",
    "state_dim",
    "action_dim",
    "actor_target_state_dict",
    "critic_target_state_dict",
    "actor_cnn_target_state_dict",
    "critic_cnn_target_state_dict",
    "env_steps",
    "episodes",
    "rng_state",
    "format_version",
    "provenance",
]
NETWORKS = ("actor", "critic", "actor_cnn", "critic_cnn")


def saved(file: Path) -> dict:
    return torch.load(file, weights_only=True)


def test_it_leaves_the_promised_files(finished: Finished) -> None:
    assert finished.code == 0, finished.output
    names = {file.name for file in finished.folder.glob("*.pth")}
    assert names == {"td3_220.pth", "td3_440.pth", "latest.pth", "best.pth"}
    assert list((finished.folder / "tensorboard").glob("events*"))
    assert "Traceback" not in finished.output
    assert "td3_440.pth" in finished.output


def test_tensorboard_shows_what_is_learned_and_how(finished: Finished) -> None:
    folder = finished.folder / "tensorboard"
    learning = EventAccumulator(str(folder), {"histograms": 0}).Reload()
    evaluated = EventAccumulator(str(folder / "evaluation")).Reload()
    scalars = set(learning.Tags()["scalars"])
    assert {"episode/return", "episode/completion", "episode/lateral_rmse_m"} <= scalars
    returns = values(learning, "episode/return")
    terms = [values(learning, name) for name in scalars if name.startswith("reward/")]
    assert len(terms) >= 6
    assert [sum(parts) for parts in zip(*terms, strict=True)] == pytest.approx(returns, rel=1e-4)
    measures = ("q1_mean", "q2_mean", "target_mean", "critic_loss", "actor_loss")
    norms = (f"{network}_grad_norm" for network in NETWORKS)
    assert {f"learner/{name}" for name in (*measures, *norms)} <= scalars
    assert {"evaluation/score", "evaluation/q_bias"} <= set(evaluated.Tags()["scalars"])
    for name in ("steer", "throttle_brake"):
        histograms = [entry.histogram_value for entry in learning.Histograms(f"action/{name}")]
        assert [shown.num for shown in histograms] == values(learning, "episode/steps")
        assert all(-1.0 <= shown.min <= shown.max <= 1.0 for shown in histograms)


def values(log: EventAccumulator, name: str) -> list[float]:
    return [event.value for event in log.Scalars(name)]


def test_the_best_checkpoint_is_chosen_by_driving(finished: Finished) -> None:
    folder = finished.folder
    rows = evaluations.newest_run(folder)
    assert [row["checkpoint"] for row in rows] == ["td3_220.pth", "td3_440.pth"]
    best = evaluations.best(rows)
    assert best is not None
    assert saved(folder / "best.pth")["env_steps"] == best["env_steps"]
    assert verify(folder / "best.pth") == "no replay"
    assert (folder / "best.pth").read_bytes() == (folder / best["checkpoint"]).read_bytes()
    assert f"{best['checkpoint']}: route completion" in finished.output
    assert list((folder / "tensorboard" / "evaluation").glob("events*"))


def test_a_checkpoint_holds_everything(finished: Finished) -> None:
    payload = saved(finished.folder / "td3_440.pth")
    assert set(CONTRACT_KEYS) <= set(payload)
    assert payload["env_steps"] == 440
    assert payload["total_it"] > 300
    config = load_configuration("default").agent
    fresh = TD3Agent(payload["state_dim"], payload["action_dim"], config=config, seed=3)
    for name in NETWORKS:
        trained = payload[f"{name}_state_dict"]
        initial = getattr(fresh, name).state_dict()
        assert all(torch.isfinite(tensor).all() for tensor in trained.values())
        changed = [not torch.equal(trained[key], initial[key]) for key in initial]
        assert all(changed), name
        moments = payload[f"{name}_optimizer_state_dict"]["state"]
        assert moments, name
        assert all(torch.any(entry["exp_avg_sq"] > 0) for entry in moments.values()), name
        targets = payload[f"{name}_target_state_dict"]
        assert any(not torch.equal(targets[key], trained[key]) for key in trained), name


def test_the_same_seed_gives_the_same_tensors_bit_for_bit(
    finished: Finished, tmp_path: Path
) -> None:
    """The evaluator only looks on: without it, the same."""
    again = RunningTrain(tmp_path / "run", *FINISHED)
    try:
        again.wait_for("td3_220.pth at step 220")
        wait_until(lambda: "evaluator" in again.descendants())
        os.kill(again.descendants()["evaluator"], signal.SIGKILL)
        assert again.wait() == 0, again.output
    finally:
        again.kill_everything()
    assert "the evaluator ended (exit code -9)" in again.output
    assert not (again.folder / "best.pth").exists()
    for name in ("td3_220.pth", "td3_440.pth"):
        assert_same(saved(finished.folder / name), saved(again.folder / name))


def test_another_seed_gives_others(finished: Finished, tmp_path: Path) -> None:
    other = train(tmp_path / "run", *QUICK, "--steps", "220", "--seed", "4", evaluated=False)
    assert other.code == 0, other.output
    one, reference = (saved(each.folder / "td3_220.pth") for each in (other, finished))
    assert one["total_it"] == reference["total_it"] > 0
    weights, others = one["actor_state_dict"], reference["actor_state_dict"]
    assert any(not torch.equal(weights[key], others[key]) for key in weights)


def test_resume_goes_on_from_where_it_was(finished: Finished, tmp_path: Path) -> None:
    start = finished.folder / "td3_220.pth"
    options = "--steps", "400", "--seed", "3"
    resumed = train(tmp_path / "run", "--resume", str(start), *QUICK, *options, evaluated=False)
    assert resumed.code == 0, resumed.output
    assert "resuming at step 220" in resumed.output
    payload = saved(tmp_path / "run" / "td3_400.pth")
    assert payload["env_steps"] == 400
    assert payload["total_it"] > saved(start)["total_it"]
    assert payload["episodes"] > saved(start)["episodes"]


def test_training_in_a_town(town_file: Path, tmp_path: Path) -> None:
    options = "--steps", "180", "--map", str(town_file)
    done = train(tmp_path / "run", *QUICK, *options, evaluated=False)
    assert done.code == 0, done.output
    payload = saved(tmp_path / "run" / "td3_180.pth")
    assert payload["total_it"] > 20
    for name in NETWORKS:
        weights = payload[f"{name}_state_dict"].values()
        assert all(torch.isfinite(tensor).all() for tensor in weights)
    assert payload["episodes"] > 1


def test_real_time_stepping_trains_and_ends(tmp_path: Path) -> None:
    """As many updates as a busy machine allows: driving comes first."""
    (tmp_path / "quick.yaml").write_text(
        "agent: {learning_starts: 20, batch_size: 4}\ndriving: {episode: {max_steps: 60}}\n"
    )
    options = "--config", f"{tmp_path}/quick.yaml", "--steps", "240", "--stepping", "realtime"
    done = train(tmp_path / "run", *options, evaluated=False)
    assert done.code == 0, done.output
    payload = saved(tmp_path / "run" / "td3_240.pth")
    assert payload["total_it"] > 0
    # It takes more than the 10 s after which a log file gets a line instead of a bar.
    assert re.search(r"^step \d+ of 240: episode \d+, .*updates/s", done.output, re.M)
    assert not re.search(r"\r|\||\x1b\[", done.output)


def assert_same(one: object, other: object, where: str = "") -> None:
    """Equal to the last bit, but for the times in the provenance."""
    assert type(one) is type(other), where
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            if key != "provenance":
                assert_same(one[key], other[key], f"{where}/{key}")
    elif isinstance(one, list | tuple) and isinstance(other, list | tuple):
        assert len(one) == len(other), where
        for index, pair in enumerate(zip(one, other, strict=True)):
            assert_same(*pair, f"{where}/{index}")
    elif isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where


def test_a_checkpoint_from_a_loop_of_the_user_s_own_can_be_resumed(tmp_path: Path) -> None:
    file = tmp_path / "mine" / "td3_0.pth"
    TD3Agent(87, 2, config=load_configuration("default").agent).save_checkpoint(str(file))
    slower = tmp_path / "slower.yaml"
    slower.write_text("agent: {learning_rate: 1.0e-4}\ndriving: {episode: {max_steps: 20}}\n")
    given = ("--resume", str(file), "--config", str(slower), "--steps", "20")
    done = train(tmp_path / "run", *given, evaluated=False)
    assert done.code == 0, done.output
    assert "resuming at step 0" in done.output
    told = "settings are this run's: agent.learning_rate 0.0001 (saved: 0.0003)"
    assert told in done.output
    then = saved(tmp_path / "run" / "td3_20.pth")
    assert then["env_steps"] == 20
    assert then["actor_optimizer_state_dict"]["param_groups"][0]["lr"] == 1e-4


@pytest.mark.parametrize(("preset", "state_dim"), [("origin", 535), ("fast", 87)])
def test_other_presets_start(preset: str, state_dim: int, tmp_path: Path) -> None:
    file = tmp_path / "quick.yaml"
    agent, driving = "{learning_starts: 30, batch_size: 256}", "{episode: {max_steps: 30}}"
    file.write_text(f"agent: {agent}\ndriving: {driving}\n")
    options = "--config", str(file), "--steps", "40", "--preset", preset
    done = train(tmp_path / "run", *options, evaluated=False)
    assert done.code == 0, done.output
    payload = saved(tmp_path / "run" / "td3_40.pth")
    assert payload["state_dim"] == state_dim
    assert payload["total_it"] > 0


def test_a_resumed_run_equals_one_that_never_stopped(tmp_path: Path) -> None:
    """N steps, save, new processes, M more: every tensor, counter and random state of N + M."""
    options = ("--seed", "5", *QUICK, "--save-replay", "--steps")
    whole = train(tmp_path / "whole", *options, "320", "--save-freq", "213", evaluated=False)
    assert whole.code == 0, whole.output
    start = tmp_path / "whole" / "td3_213.pth"
    assert saved(start)["run"]["driver"]["actions"], "213 is in the middle of an episode"
    more = "320", "--resume", str(start)
    resumed = train(tmp_path / "resumed", *options, *more, evaluated=False)
    assert resumed.code == 0, resumed.output
    assert "collected anew" not in resumed.output
    one, other = (saved(tmp_path / name / "td3_320.pth") for name in ("whole", "resumed"))
    assert one["total_it"] > saved(start)["total_it"]
    for payload in (one, other):
        del payload["replay"]  # lengths of two logs that grew in different steps
    assert_same(one, other)
