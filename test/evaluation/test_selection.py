# SPDX-License-Identifier: Apache-2.0
"""Choosing best.pth: which checkpoints are evaluated, in which order, and what stays."""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import pytest

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.arguments import add_difficulty, add_surroundings, surroundings
from td3_driver.checkpoints import checkpoint
from td3_driver.commands import train
from td3_driver.driving.purpose import Purpose
from td3_driver.evaluation.evaluate import Course, courses
from td3_driver.evaluation.selection import Selection
from td3_driver.online import evaluations

from .steady_driver import steady_driver

BRAKES, DRIVES, LEAVES = (0.0, -0.9), (0.0, 0.4), (0.9, 0.9)


@pytest.fixture(scope="module")
def given() -> list[Course]:
    return list(courses(None, 1, purpose=Purpose.SELECTION, seed=0, length_m=(40.0, 40.0)))


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_the_best_is_published_and_outlives_its_file(tmp_path: Path, given: list[Course]) -> None:
    selection = Selection(tmp_path, given, time.time_ns(), resume=False)
    assert selection.pending() == []
    # The order is that of writing, which the names alone would not tell.
    for step, action in ((900, BRAKES), (1000, DRIVES), (1100, BRAKES)):
        steady_driver(tmp_path / f"td3_{step}.pth", action)
    assert names(selection.pending()) == ["td3_900.pth", "td3_1000.pth", "td3_1100.pth"]
    best = (tmp_path / "td3_1000.pth").read_bytes()
    rows = []
    while pending := selection.pending():
        rows.append(selection.evaluate(pending[0]))
    assert [row["env_steps"] for row in rows] == [900, 1000, 1100]
    assert [row["best"] for row in rows] == [True, True, False]
    assert rows[0]["score"] == rows[2]["score"] == 0.0 < rows[1]["score"]
    assert rows[0]["never_started"] == 1
    assert evaluations.newest_run(tmp_path) == rows
    checkpoint.retain(tmp_path, keep_last=1)
    assert (tmp_path / "best.pth").read_bytes() == best
    assert checkpoint.read(tmp_path / "best.pth")["env_steps"] == 1000
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"td3_1100.pth", "best.pth", "evaluations.jsonl"}


def test_a_resumed_run_goes_on_and_a_new_one_begins_anew(
    tmp_path: Path, given: list[Course]
) -> None:
    first = Selection(tmp_path, given, time.time_ns(), resume=False)
    first.evaluate(steady_driver(tmp_path / "td3_100.pth", DRIVES))
    steady_driver(tmp_path / "td3_200.pth", BRAKES)  # not evaluated: the run was killed
    with (tmp_path / evaluations.FILE).open("a") as file:
        file.write('{"checkpoint": "td3_2')
    resumed = Selection(tmp_path, given, time.time_ns(), resume=True)
    assert names(resumed.pending()) == ["td3_200.pth"]
    assert not resumed.evaluate(tmp_path / "td3_200.pth")["best"]
    rows = evaluations.newest_run(tmp_path)
    assert [row["checkpoint"] for row in rows] == ["td3_100.pth", "td3_200.pth"]
    assert evaluations.best(rows) == rows[0]
    # Another run in the same folder does not have to beat what an earlier one left there.
    new = Selection(tmp_path, given, time.time_ns(), resume=False)
    assert new.pending() == []
    steady_driver(tmp_path / "td3_50.pth", BRAKES)
    assert names(new.pending()) == ["td3_50.pth"]
    assert new.evaluate(tmp_path / "td3_50.pth")["best"]
    assert checkpoint.read(tmp_path / "best.pth")["env_steps"] == 50
    assert [row["checkpoint"] for row in evaluations.newest_run(tmp_path)] == ["td3_50.pth"]


def test_when_the_run_is_over_the_newest_comes_first(tmp_path: Path) -> None:
    """There may not be the time for all, and the first are seldom the best."""
    since_ns = time.time_ns()
    for step in (100, 200, 300):
        steady_driver(tmp_path / f"td3_{step}.pth", LEAVES)
    command = [sys.executable, "-m", "td3_driver.evaluation.selection", "--folder", str(tmp_path)]
    done = subprocess.run(
        [*command, "--since-ns", str(since_ns)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    rows = evaluations.newest_run(tmp_path)
    assert [row["env_steps"] for row in rows] == [100, 300, 200], done.stdout
    resumed = Selection(tmp_path, [], since_ns, resume=True)
    assert resumed.pending() == []


def test_what_cannot_be_evaluated_is_passed_over(tmp_path: Path, given: list[Course]) -> None:
    selection = Selection(tmp_path, given, time.time_ns(), resume=False)
    deleted = steady_driver(tmp_path / "td3_100.pth", DRIVES)
    assert names(selection.pending()) == ["td3_100.pth"]
    deleted.unlink()
    with pytest.raises(OSError, match="td3_100"):
        selection.evaluate(deleted)
    assert selection.pending() == []
    damaged = tmp_path / "td3_200.pth"
    damaged.write_bytes(b"no checkpoint")
    with pytest.raises(CheckpointError, match="damaged"):
        selection.evaluate(damaged)
    assert selection.pending() == []
    assert not (tmp_path / "best.pth").exists()
    assert evaluations.best(evaluations.newest_run(tmp_path)) is None


def test_another_run_s_checkpoint_is_passed_over(tmp_path: Path, given: list[Course]) -> None:
    selection = Selection(tmp_path, given, time.time_ns(), resume=False, run="mine")
    strange = TD3Agent.from_checkpoint(steady_driver(tmp_path / "td3_100.pth", DRIVES))
    payload = strange.checkpoint_payload() | {"env_steps": 100}
    payload["provenance"]["run"] = "theirs"
    checkpoint.write(tmp_path / "td3_100.pth", payload)
    with pytest.raises(CheckpointError, match="is another run's"):
        selection.evaluate(tmp_path / "td3_100.pth")
    assert selection.pending() == []


def test_who_completes_all_beats_who_is_smooth_and_fails_one_in_five() -> None:
    smooth = {"score": 0.45, "driving_score": 0.8}
    complete = {"score": 0.41, "driving_score": 1.0}
    thrown_about = {"score": 0.14, "driving_score": 1.0}
    assert evaluations.best([smooth, complete, thrown_about]) == complete
    assert evaluations.best([smooth, thrown_about]) == smooth


@pytest.mark.parametrize("given", [[], ["--traffic", "20", "--lights", "--scenery"]])
def test_checkpoints_are_judged_in_the_world_that_they_learn_in(given: list[str]) -> None:
    """But in the plain light, whatever they learn in."""
    commands = argparse.ArgumentParser().add_subparsers()
    train.add_parser(commands)
    args = commands.choices["train"].parse_args([*given, "--difficulty", "city"])
    words = train._world_words(args)
    parser = argparse.ArgumentParser()
    add_difficulty(parser)
    add_surroundings(parser)
    told = parser.parse_args(words)
    assert told.difficulty == "city"
    assert surroundings(told) == {**surroundings(args), "appearance": "plain"}
    assert surroundings(told)["lights"] == ("--lights" in given)
