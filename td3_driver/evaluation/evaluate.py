# SPDX-License-Identifier: Apache-2.0
"""Drives policies over courses that training never drives, and summarises how they drove."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from td3_driver import signals
from td3_driver.bags.writing import open_writer
from td3_driver.driving.judging.rules import STRICT, Rules
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.course_routes import course_seed
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.route_files import PlannedRoute, Weather
from td3_driver.driving.routes.routing import GivenRoutes, RandomRoutes, RouteSource
from td3_driver.driving.view import WHOLE_VIEW, ViewConfig
from td3_driver.evaluation.closed_loop import Frame, drive_route
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.measures import standard
from td3_driver.measures.drives import Drive
from td3_driver.measures.metrics import measure
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.camera.weather import look_of_weather
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY, generate_opendrive, road_seed
from td3_driver.world.simulation import Simulation, WorldConfig

# The end of a drive is shown, where it succeeds or fails.
SHOWN_S = 45.0
SHOT_EVERY_S = 0.3


@dataclass(frozen=True)
class Course:
    """One route to drive.

    Attributes:
        road_map: its roads.
        config: the world on them; its seed is that of the route, too.
        length_m: the route's length, m; of a random one the wanted length.
        purpose: what a random route is used for.
        route: the route; None for a random one.
        name: the id of a route from a file; empty for a random one.
        weather: the weather to drive it in; None: the world's appearance.
    """

    road_map: RoadMap
    config: WorldConfig
    length_m: float
    purpose: Purpose = Purpose.EVALUATION
    route: Route | None = None
    name: str = ""
    weather: Weather | None = None

    @property
    def seed(self) -> int:
        """The seed of the world and of the route."""
        return self.config.seed

    @property
    def routes(self) -> RouteSource:
        """Where the route is drawn from."""
        if self.route is None:
            return RandomRoutes(self.length_m, self.purpose)
        return GivenRoutes([self.route])

    def world(self, view: ViewConfig = WHOLE_VIEW) -> Simulation:
        """A new world for a drive, so that drives do not depend on each other.

        Its cameras are those that the policy's `view` asks for.
        """
        look = None if self.weather is None else look_of_weather(**asdict(self.weather))
        return Simulation(self.config.through(view), self.road_map, look)


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
class FilmedDrive(Drive):
    """One policy's drive over one course; only the first policy's best and worst have `shots`."""

    course: Course
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
    for number in range(count):
        drawn = course_seed(seed, number)
        road_map = given or _generated(road_seed(purpose, drawn - course_seed(0, 0)), difficulty)
        length = np.random.default_rng(drawn).uniform(*length_m)
        config = replace(world or WorldConfig(), seed=drawn)
        yield Course(road_map, config, float(length), purpose)


def courses_of(
    routes: Sequence[PlannedRoute],
    road_map: RoadMap,
    *,
    seed: int,
    world: WorldConfig,
    weather: bool,
) -> Iterator[Course]:
    """Courses over the routes of a file, in order.

    Args:
        routes: the routes.
        road_map: their map.
        seed: selects the other road users, and what else is random.
        world: camera and surroundings; its seed is not used.
        weather: drive routes that have one in their weather.
    """
    for number, (route_id, route, sky) in enumerate(routes):
        config = replace(world, seed=course_seed(seed, number))
        yield Course(
            road_map,
            config,
            route.length_m,
            route=route,
            name=route_id,
            weather=sky if weather else None,
        )


def _generated(seed: int, difficulty: str) -> RoadMap:
    return RoadMap(generate_opendrive(seed, difficulty), f"{difficulty}_{seed}")


def drive_courses(
    entrants: Mapping[str, Entrant],
    given: Iterator[Course],
    on_drive: Callable[[str, FilmedDrive], None],
    record: Path | None = None,
    speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
    rules: Rules = STRICT,
) -> dict[str, list[FilmedDrive]]:
    """Drive every entrant over every course; the drives by name, `on_drive` is called with each.

    With `record`, the drives of the first entrant are recorded as bags in that folder.
    """
    drives: dict[str, list[FilmedDrive]] = {name: [] for name in entrants}
    main = next(iter(entrants))
    for number, course in enumerate(given):
        for name, entrant in entrants.items():
            view = entrant.driving.view
            folder, shots = (record, _Shots(course, view)) if name == main else (None, None)
            world = shots.world if shots else course.world(view)
            with _recorder(folder, number, world) as recorder:
                trace = drive_route(
                    entrant.driving,
                    entrant.policy,
                    world,
                    course.length_m,
                    course.seed,
                    recorder,
                    shots,
                    routes=course.routes,
                    speed_limit_mps=speed_limit_mps,
                    rules=rules,
                )
            drive = FilmedDrive(
                course.road_map,
                course.seed,
                course.name,
                trace,
                measure(trace),
                course,
                shots.taken if shots else (),
            )
            drives[name] = _without_most_shots([*drives[name], drive])
            on_drive(name, drive)
    return drives


def best_and_worst(drives: Sequence[FilmedDrive]) -> tuple[int, int]:
    """The indices of the drives with the highest and the lowest score."""
    scores = [drive.metrics.score for drive in drives]
    return scores.index(max(scores)), scores.index(min(scores))


def _without_most_shots(drives: list[FilmedDrive]) -> list[FilmedDrive]:
    """The drives with shots of the best and the worst alone: all would not fit into memory."""
    kept = best_and_worst(drives)
    return [
        drive if number in kept else replace(drive, shots=())
        for number, drive in enumerate(drives)
    ]


class _Shots:
    """Takes a shot every `SHOT_EVERY_S`, and keeps those of the last `SHOWN_S` of a drive."""

    def __init__(self, course: Course, view: ViewConfig) -> None:
        self.world = course.world(view)
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
def _recorder(
    folder: Path | None, number: int, world: Simulation
) -> Iterator[DriveRecorder | None]:
    if folder is None:
        yield None
        return
    with ExitStack() as stack:
        with signals.held_back():  # it is closed whatever happens once it was begun
            bag = open_writer(folder / f"{number:03d}_{world.road_map.name}")
            stack.callback(bag.close)
        yield DriveRecorder(bag, world.road_map, world.config)
