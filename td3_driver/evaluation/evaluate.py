# SPDX-License-Identifier: Apache-2.0
"""Drives policies over courses that training never drives, and summarises how they drove."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver import signals
from td3_driver.bags.writing import open_writer
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation import standard
from td3_driver.evaluation.closed_loop import Frame, drive_route
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.evaluation.metrics import EpisodeMetrics, Trace, measure, summarise
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY, generate_opendrive, road_seed
from td3_driver.world.simulation import Simulation, WorldConfig

_COURSES_PER_SEED = 1000
# Of what is drawn on a course: no training draws with such seeds.
_FIRST_DRAW = 1_000_000
# The end of a drive is shown, where it succeeds or fails.
SHOWN_S = 45.0
SHOT_EVERY_S = 0.3
_DIGITS = 6  # of every number that is written


@dataclass(frozen=True)
class Course:
    """One route to drive: its roads, the world on them, its purpose and its length."""

    road_map: RoadMap
    config: WorldConfig
    length_m: float
    purpose: Purpose = Purpose.EVALUATION

    @property
    def seed(self) -> int:
        """The seed of the world and of the route."""
        return self.config.seed

    def world(self) -> Simulation:
        """A new world for a drive, so that drives do not depend on each other."""
        return Simulation(self.config, self.road_map)


@dataclass(frozen=True)
class Entrant:
    """A policy to evaluate, and the configuration of what it sees, does and is rewarded for."""

    policy: Policy
    driving: DrivingConfig


@dataclass(frozen=True)
class Shot:
    """A moment of a drive to show: its step, the camera's picture, and the other road users.

    `view` is uint8 BGRA (height, width, 4).
    """

    step: int
    view: NDArray[np.uint8]
    others: Bodies | None


@dataclass(frozen=True)
class Drive:
    """One policy's drive over one course; only the first policy's best and worst have `shots`."""

    course: Course
    trace: Trace
    metrics: EpisodeMetrics
    shots: tuple[Shot, ...] = ()


def courses(
    given: RoadMap | None,
    count: int,
    *,
    purpose: Purpose,
    seed: int,
    length_m: tuple[float, float],
    difficulty: str = DEFAULT_DIFFICULTY,
    world: WorldConfig | None = None,
) -> Iterator[Course]:
    """Courses that training never drives.

    Without a map, course n has the generated roads number `1000 * seed + n` of the purpose. With a
    map, the routes start at places that no other purpose uses.

    Args:
        given: the map, or None.
        count: number of courses.
        purpose: what they are used for.
        seed: selects the courses.
        length_m: shortest and longest route, m; lengths are drawn uniformly.
        difficulty: of generated roads; see `world/roads/generation.py`.
        world: camera and surroundings; its seed is not used.

    Raises:
        ValueError: the purpose has no generated roads of such a number.
    """
    for number in range(_COURSES_PER_SEED * seed, _COURSES_PER_SEED * seed + count):
        road_map = given or _generated(road_seed(purpose, number), difficulty)
        drawn = _FIRST_DRAW + number
        length = np.random.default_rng(drawn).uniform(*length_m)
        config = replace(world or WorldConfig(), seed=drawn)
        yield Course(road_map, config, float(length), purpose)


def _generated(seed: int, difficulty: str) -> RoadMap:
    return RoadMap(generate_opendrive(seed, difficulty), f"{difficulty}_{seed}")


def drive_courses(
    entrants: Mapping[str, Entrant],
    given: Iterator[Course],
    on_drive: Callable[[str, Drive], None],
    record: Path | None = None,
    speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
) -> dict[str, list[Drive]]:
    """Drive every entrant over every course; the drives by name, `on_drive` is called with each.

    With `record`, the drives of the first entrant are recorded as bags in that folder.
    """
    drives: dict[str, list[Drive]] = {name: [] for name in entrants}
    main = next(iter(entrants))
    for number, course in enumerate(given):
        for name, entrant in entrants.items():
            folder, shots = (record, _Shots(course)) if name == main else (None, None)
            with _recorder(folder, number, course) as recorder:
                world = shots.world if shots else course.world()
                trace = drive_route(
                    entrant.driving,
                    entrant.policy,
                    world,
                    course.length_m,
                    course.seed,
                    recorder,
                    shots,
                    purpose=course.purpose,
                    speed_limit_mps=speed_limit_mps,
                )
            drive = Drive(course, trace, measure(trace), shots.taken if shots else ())
            drives[name] = _without_most_shots([*drives[name], drive])
            on_drive(name, drive)
    return drives


def best_and_worst(drives: Sequence[Drive]) -> tuple[int, int]:
    """The indices of the drives with the highest and the lowest score."""
    scores = [drive.metrics.score for drive in drives]
    return scores.index(max(scores)), scores.index(min(scores))


def _without_most_shots(drives: list[Drive]) -> list[Drive]:
    """The drives with shots of the best and the worst alone: all would not fit into memory."""
    kept = best_and_worst(drives)
    return [
        drive if number in kept else replace(drive, shots=())
        for number, drive in enumerate(drives)
    ]


class _Shots:
    """Takes a shot every `SHOT_EVERY_S`, and keeps those of the last `SHOWN_S` of a drive."""

    def __init__(self, course: Course) -> None:
        self.world = course.world()
        self._every = max(round(SHOT_EVERY_S / self.world.config.fixed_delta_s), 1)
        self._taken: deque[Shot] = deque(maxlen=round(SHOWN_S / SHOT_EVERY_S))
        self._steps = 0

    @property
    def taken(self) -> tuple[Shot, ...]:
        """The shots, the oldest first."""
        return tuple(self._taken)

    def __call__(self, frame: Frame) -> None:
        """Take in the next frame of the drive."""
        if self._steps % self._every == 0 or frame.report.ended is not None:
            self._taken.append(Shot(self._steps, frame.tick.image, self.world.others))
        self._steps += 1


@contextmanager
def _recorder(folder: Path | None, number: int, course: Course) -> Iterator[DriveRecorder | None]:
    if folder is None:
        yield None
        return
    with ExitStack() as stack:
        with signals.held_back():  # it is closed whatever happens once it was begun
            bag = open_writer(folder / f"{number:03d}_{course.road_map.name}")
            stack.callback(bag.close)
        yield DriveRecorder(bag, course.road_map, course.config)


def summary(drives: Sequence[Drive]) -> dict[str, Any]:
    """Means with 95 % intervals, and counts, as in metrics.json."""
    metrics = [drive.metrics for drive in drives]
    estimates = summarise(metrics)
    infractions = Counter(
        metric.reason for metric in metrics if metric.reason not in ("route_end", "collision")
    )
    infractions.update(f"collision_{kind}" for drive in drives for kind in drive.trace.struck)
    return {
        "episodes": len(drives),
        **{
            name: None if estimate.mean is None else rounded(estimate.mean)
            for name, estimate in estimates.items()
        },
        "never_started": sum(metric.never_started for metric in metrics),
        "infractions": dict(sorted(infractions.items())),
        "confidence_95": {
            name: estimate.interval and [rounded(end) for end in estimate.interval]
            for name, estimate in estimates.items()
        },
    }


def per_episode(drives: Sequence[Drive]) -> list[dict[str, Any]]:
    """A row for each drive, as in metrics.json; `ended_at_m` in the ROS map frame."""
    rows = []
    for number, drive in enumerate(drives):
        values = dataclasses.asdict(drive.metrics)
        numbers = {
            name: rounded(value) if isinstance(value, float) else value
            for name, value in values.items()
        }
        x_m, y_m, _ = drive.trace.poses[-1]
        where = {"episode": number, "map": drive.course.road_map.name, "seed": drive.course.seed}
        rows.append({**where, **numbers, "ended_at_m": [rounded(x_m), rounded(y_m)]})
    return rows


def rounded(value: float) -> float:
    """A finite number, rounded to the digits that are written."""
    assert math.isfinite(value)
    return round(float(value), _DIGITS)
