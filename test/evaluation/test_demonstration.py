# SPDX-License-Identifier: Apache-2.0
"""Drives of the informed pursuit as demonstrations."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from td3_driver.configuration import load_configuration
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.demonstration import demonstrate
from td3_driver.evaluation.policies import InformedPursuit
from td3_driver.online.meaning import of_experience
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import WorldConfig

STEPS = 250


def shown(folder: Path, preset: str, seed: int = 0) -> Replay:
    configuration, out = load_configuration(preset), folder / f"{preset}_{seed}.replay"
    view = configuration.driving.view
    world = WorldConfig(seed=seed, appearance="mixed").through(view)
    counted: list[None] = []
    done = demonstrate(
        configuration,
        RoadMap(generate_opendrive(1), "roads"),
        world,
        STEPS,
        out,
        lambda: counted.append(None),
    )
    driving = configuration.driving
    replay = replay_file.load(out, *driving.spaces.row, of_experience(driving))
    assert done.transitions == replay.transitions == len(counted) == STEPS
    assert done.mean_reward > 0.5
    return replay


def test_what_is_shown_is_a_good_drive_that_is_pushed_and_comes_back(tmp_path: Path) -> None:
    replay = shown(tmp_path, "default")
    batch = replay.sample(2000, np.random.default_rng(0))
    lateral_m = batch.vectors[:, 1] * 3.5
    assert 0.02 < np.abs(lateral_m).max() < 1.5
    assert np.abs(np.diff(replay.newest_actions(100)[:, 0])).max() > 0.02
    assert batch.bootstrap.min() > 0.0  # nothing ended in a failure


def test_what_a_push_did_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever imitates must not learn to jerk the wheel."""
    wanted: set[tuple[float, ...]] = set()

    class Watched(InformedPursuit):
        def act(self, situation: Situation) -> Action:
            action = super().act(situation)
            wanted.add(tuple(np.round(action.clip(-1.0, 1.0), 4).tolist()))
            return action

    monkeypatch.setattr("td3_driver.evaluation.demonstration.InformedPursuit", Watched)
    batch = shown(tmp_path, "default").sample(2000, np.random.default_rng(0))
    marked = batch.shown == 1.0
    assert 0.5 < marked.mean() < 0.9
    own = [tuple(np.round(action, 4).tolist()) in wanted for action in batch.actions]
    assert np.mean(np.array(own) == marked) > 0.99


def test_end_to_end_its_way_is_kept_for_the_critic(tmp_path: Path) -> None:
    spaces = load_configuration("end_to_end").driving.spaces
    replay = shown(tmp_path, "end_to_end")
    vectors = replay.sample(200, np.random.default_rng(0)).vectors
    assert vectors.shape[1] == spaces.vector_dim + len(spaces.privileged)
    assert np.abs(vectors[:, spaces.vector_dim :]).max() > 0.1


def test_end_to_end_each_observation_has_advice_also_where_the_car_was_pushed(
    tmp_path: Path,
) -> None:
    """Advice is what the informed pursuit does: where it was not pushed, it did that."""
    replay = shown(tmp_path, "end_to_end")
    batch = replay.sample(2000, np.random.default_rng(0))
    advice, quiet = batch.vectors[:, -2:], batch.shown == 1.0
    assert 0.5 < quiet.mean() < 0.9
    assert np.abs(advice).max() <= 1.0
    assert np.allclose(advice[quiet], batch.actions[quiet], atol=1e-5)
    pushed = np.abs(advice[~quiet] - batch.actions[~quiet]).max(axis=1) > 1e-3
    assert pushed.mean() > 0.9


def test_the_same_seed_shows_the_same(tmp_path: Path) -> None:
    one, again, other = (
        shown(tmp_path / name, "default", s)
        for name, s in (("one", 0), ("again", 0), ("other", 1))
    )
    drawn = [replay.newest_actions(50) for replay in (one, again, other)]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])


def test_the_command_says_what_it_wrote_and_what_is_wrong(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "td3_driver.cli", "demonstrate", "--out"]
    taken = tmp_path / "notes.txt"
    taken.write_text("mine")
    done = subprocess.run([*command, str(taken), "--steps", "20"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert str(taken) in done.stderr
    assert taken.read_text() == "mine"
    out = tmp_path / "new" / "drives.replay"
    done = subprocess.run([*command, str(out), "--steps", "20"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "transitions        20" in done.stdout
    assert [path.name for path in out.parent.iterdir()] == ["drives.replay"]
