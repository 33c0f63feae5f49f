# SPDX-License-Identifier: Apache-2.0
"""The evaluation of a fleet's checkpoints, as Ray tasks: one at a time, in their order."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from td3_driver.driving.purpose import Purpose
from td3_driver.evaluation.evaluate import courses
from td3_driver.evaluation.selection import EPISODES, ROUTE_LENGTH_M, Plots, Selection, in_words
from td3_driver.fleet.failures import reason
from td3_driver.fleet.progress import Progress
from td3_driver.online.evaluations import LOWEST_PRIORITY, numbered
from td3_driver.online.run_folder import RunFolder
from td3_driver.world.roads.generation import roads_of
from td3_driver.world.simulation import WorldConfig


@dataclass(frozen=True)
class Where:
    """Where checkpoints are driven.

    Attributes:
        maps, difficulty: the roads.
        world: the world.
    """

    maps: tuple[str, ...]
    difficulty: str
    world: WorldConfig


class Evaluations:
    """The checkpoints of a run, driven once each.

    Args:
        run: the run's folder; what it held before is not driven.
        where: see there.
        progress: where results are shown.
    """

    def __init__(self, run: RunFolder, where: Where, progress: Progress) -> None:
        self._run, self._where, self._progress = run, where, progress
        self._began_ns = time.time_ns()
        self._under_way: tuple[Path, Any] | None = None
        self._seen_ns: set[int] = set()

    def look(self) -> bool:
        """Show what has ended and begin the next; return whether one is under way."""
        if self._under_way is not None:
            path, running = self._under_way
            ended, _ = ray.wait([running], timeout=0)
            if not ended:
                return True
            self._under_way = None
            try:
                self._progress.log(f"evaluation: {ray.get(running)}")
            except RayError as error:
                self._progress.log(f"evaluation: {path.name}: passed over ({reason(error)})")
        for written_ns, path in numbered(self._run.path):
            if written_ns > self._began_ns and written_ns not in self._seen_ns:
                self._seen_ns.add(written_ns)
                task: Any = ray.remote(_evaluate).options(max_retries=0)
                running = task.remote(
                    self._run.path, path, self._run.name, self._began_ns, self._where
                )
                self._under_way = path, running
                return True
        return False


def _evaluate(folder: Path, path: Path, run: str, since_ns: int, where: Where) -> str:
    """Drive a checkpoint as `evaluation.selection` does; return a line about it."""
    os.nice(LOWEST_PRIORITY)
    given = courses(
        roads_of(where.maps, where.world.seed, where.difficulty) if where.maps else None,
        EPISODES,
        purpose=Purpose.SELECTION,
        seed=0,
        length_m=(ROUTE_LENGTH_M, ROUTE_LENGTH_M),
        difficulty=where.difficulty,
        world=where.world,
    )
    selection = Selection(folder, list(given), since_ns, resume=True, run=run)
    row = selection.evaluate(path)
    plots = Plots(folder)
    plots.add(row)
    plots.close()
    return in_words(path, row)
