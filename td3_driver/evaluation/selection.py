# SPDX-License-Identifier: Apache-2.0
"""The process that chooses `best.pth` while a run learns; it only reads the run's files.

`python -m td3_driver.evaluation.selection --folder DIR --since-ns N [--run NAME]
[--map FILE ...] [--road-seed N] [--resume] [--difficulty NAME] [--traffic N] ...`

Evaluates every new `td3_<step>.pth`, in the order of their writing, until its standard input is
closed; then what is left, the newest first, for there may not be the time for all. A signal ends
it at once.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import select
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.tensorboard import SummaryWriter

from td3_driver import signals
from td3_driver.agent.judgement import values_of
from td3_driver.arguments import add_difficulty, add_maps, add_surroundings, surroundings
from td3_driver.checkpoints import checkpoint, durable_file
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.console import readers_may_leave
from td3_driver.driving.observation import Situation
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reward import Action
from td3_driver.evaluation.evaluate import (
    Course,
    Entrant,
    courses,
    drive_courses,
)
from td3_driver.measures.drives import Drive, summary
from td3_driver.measures.metrics import value_bias
from td3_driver.online import evaluations
from td3_driver.online.run_folder import TENSORBOARD
from td3_driver.online.trained import Greedy, Trained, load
from td3_driver.world.roads.generation import roads_of
from td3_driver.world.simulation import WorldConfig

EPISODES = 8  # four once hid a kind of turn that the policy always failed
ROUTE_LENGTH_M = 300.0
LOOK_EVERY_S = 0.5
_LOGGED = (
    "score", "success_rate", "route_completion", "driving_score", "collisions_per_km",
    "lateral_rmse_m", "mean_speed_mps", "mean_abs_steer_change", "never_started", "q_mean",
    "q_bias",
)  # fmt: skip


class Selection:
    """The checkpoints of a run that were evaluated, and the best of them.

    Args:
        folder: the folder of the checkpoints.
        given: the courses that every checkpoint drives.
        since_ns: time at which the run began, ns; older files belong to another run.
        run: the run's name in the `provenance` of its checkpoints. Checkpoints of another run are
            passed over, and a best.pth of another run is not replaced.
        resume: continue the selection that was made last in this folder, if there is one.
    """

    def __init__(
        self,
        folder: Path,
        given: Sequence[Course],
        since_ns: int,
        *,
        resume: bool,
        run: str = "",
    ) -> None:
        self._folder = folder
        self._name = run
        self._courses = given
        rows = evaluations.newest_run(folder) if resume else []
        best = evaluations.best(rows)
        self._run = int(rows[-1]["run"]) if rows else since_ns
        self._since_ns = max((int(row["written_ns"]) for row in rows), default=since_ns)
        self._done_ns: set[int] = set()
        self._best_worth = evaluations.worth(best) if best else -math.inf
        self._held = folder / ".evaluating.tmp"

    def pending(self) -> list[Path]:
        """The checkpoints that are still to be evaluated, in the order of writing."""
        return [
            path
            for written_ns, path in evaluations.numbered(self._folder)
            if written_ns > self._since_ns and written_ns not in self._done_ns
        ]

    def evaluate(self, path: Path) -> dict[str, Any]:
        """Drive a checkpoint over the courses, and publish it as best.pth if it is the best.

        Raises:
            OSError, CheckpointError: it cannot be evaluated; it is passed over from now on.
        """
        # A name of its own: old checkpoints are deleted while the run goes on.
        written_ns = path.stat().st_mtime_ns
        self._done_ns.add(written_ns)
        durable_file.publish(path, self._held)
        try:
            trained = _loaded(self._held)
            self._check_owner(self._held)
            row = self._row(path, trained, written_ns)
            if row["best"]:
                self._check_owner(self._folder / checkpoint.BEST)
                checkpoint.publish_best(self._held)
                self._best_worth = evaluations.worth(row)
        finally:
            self.release()
        evaluations.append(self._folder, row)
        return row

    def release(self) -> None:
        """Let go of the file that is being evaluated."""
        with contextlib.suppress(OSError):  # the folder may be gone
            self._held.unlink(missing_ok=True)

    def _check_owner(self, path: Path) -> None:
        if self._name and checkpoint.run_of(path) not in (None, self._name):
            raise CheckpointError(f"{path.name} is another run's")

    def _row(self, path: Path, trained: Trained, written_ns: int) -> dict[str, Any]:
        policy = _Judged(trained.policy)
        # As fast as this run was asked to drive; all its checkpoints were.
        drives = drive_courses(
            {"policy": Entrant(policy, trained.driving)},
            iter(self._courses),
            policy.on_drive,
            speed_limit_mps=trained.driving.episode.reward.target_speed_mps,
        )
        measured = summary(drives["policy"]) | policy.measures()
        return {
            "checkpoint": path.name,
            "env_steps": trained.env_steps,
            "best": evaluations.worth(measured) > self._best_worth,
            **{name: measured[name] for name in _LOGGED},
            "infractions": measured["infractions"],
            "run": self._run,
            "written_ns": written_ns,
        }


def _loaded(path: Path) -> Trained:
    try:
        return load(path)
    except ValueError as error:  # of the file; the same while driving is an error of the program
        raise CheckpointError(str(error)) from error


class _Judged:
    """Wraps a checkpoint's policy and compares its critics' values with the returns."""

    def __init__(self, policy: Greedy) -> None:
        self._policy = policy
        self._values: list[float] = []
        self._means: list[float] = []
        self._biases: list[float] = []

    def begin_episode(self) -> None:
        """A new episode starts."""
        self._values.clear()

    def act(self, situation: Situation) -> Action:
        """The policy's action; its value is kept."""
        action, seen = self._policy.act(situation), situation.observation
        judged = values_of(self._policy.agent, seen.image, seen.stored, [action])
        self._values.append(judged[0][0])
        return action

    def on_drive(self, name: str, drive: Drive) -> None:
        """Take in an ended episode."""
        values = np.array(self._values)
        self._means.append(float(values.mean()))
        discount = self._policy.agent.discount
        self._biases.append(value_bias(values, drive.trace, discount))

    def measures(self) -> dict[str, float]:
        """`q_mean`, the mean value of an action, and `q_bias`, its excess over the return."""
        return {
            "q_mean": round(float(np.mean(self._means)), 6),
            "q_bias": round(float(np.mean(self._biases)), 6),
        }


class Plots:
    """TensorBoard plots beside the learner's; if writing fails, only the plots end.

    Args:
        folder: the run's.
    """

    def __init__(self, folder: Path) -> None:
        self._writer: SummaryWriter | None = None
        try:
            self._writer = SummaryWriter(str(folder / TENSORBOARD / "evaluation"))
        except OSError as error:
            self._fail(error)

    def add(self, row: dict[str, Any]) -> None:
        """Plot the measures of one checkpoint at its step."""
        if self._writer is None:
            return
        try:
            for name in _LOGGED:
                if row[name] is not None:
                    self._writer.add_scalar(f"evaluation/{name}", row[name], row["env_steps"])
            self._writer.flush()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """End the file."""
        if self._writer is not None:
            self._writer.close()

    def _fail(self, error: OSError) -> None:
        _say(f"TensorBoard: cannot write ({error}); the evaluation logs no more")
        self._writer = None


def _say(line: str) -> None:
    print(f"evaluation: {line}", flush=True)


def in_words(path: Path, row: dict[str, Any]) -> str:
    """Return a line about an evaluated checkpoint."""
    return (
        f"{path.name}: completion {100.0 * row['route_completion']:.0f} %, lateral RMSE"
        f" {row['lateral_rmse_m']:.2f} m, {row['mean_speed_mps']:.1f} m/s, score"
        f" {row['score']:.3f}{', the best so far' if row['best'] else ''}"
    )


def _over() -> bool:
    """Wait up to `LOOK_EVERY_S`; True if standard input was closed, which ends the run."""
    readable, _, _ = select.select([sys.stdin], [], [], LOOK_EVERY_S)
    return bool(readable)


def _watch(selection: Selection, plots: Plots) -> None:
    over = False
    while True:
        pending = selection.pending()
        if not pending and over:
            return
        if pending:  # looked for anew each time: some are deleted meanwhile
            path = pending[-1 if over else 0]
            try:
                row = selection.evaluate(path)
            except (OSError, CheckpointError) as error:
                _say(f"{path.name}: passed over ({error})")
            else:
                plots.add(row)
                _say(in_words(path, row))
        over = over or _over()


def main() -> None:
    """Entry point of the process."""
    with readers_may_leave():
        _main()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--run", default="")
    parser.add_argument("--since-ns", type=int, required=True)
    add_maps(parser)
    parser.add_argument("--road-seed", type=int, default=0)
    add_difficulty(parser)
    add_surroundings(parser)
    parser.add_argument("--resume", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    signals.handle(signals.raise_once(SystemExit(0)))
    # TensorBoard writes in a thread of its own, whose failures it hands on with the next entry.
    threading.excepthook = lambda failed: _say(f"{failed.thread}: {failed.exc_value}")
    try:
        length_m = (ROUTE_LENGTH_M, ROUTE_LENGTH_M)
        given = courses(
            roads_of(args.map, args.road_seed, args.difficulty) if args.map else None,
            EPISODES,
            purpose=Purpose.SELECTION,
            seed=0,
            length_m=length_m,
            difficulty=args.difficulty,
            world=WorldConfig(**surroundings(args)),
        )
        selection = Selection(
            args.folder, list(given), args.since_ns, resume=args.resume, run=args.run
        )
    except (OSError, ValueError) as error:
        sys.exit(f"evaluation: {error}")
    try:
        _watch(selection, Plots(args.folder))
    finally:
        selection.release()


if __name__ == "__main__":
    main()
