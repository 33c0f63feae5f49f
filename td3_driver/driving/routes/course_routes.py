# SPDX-License-Identifier: Apache-2.0
"""The routes of an evaluation, one after the other: the same in a process and over topics."""

from __future__ import annotations

import numpy as np

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.route_files import FileRoutes, PlannedRoutes
from td3_driver.driving.routes.routing import random_route

_COURSES_PER_SEED = 1000
# Of what is drawn on a course: no training draws with such seeds.
_FIRST_DRAW = 1_000_000


def course_seed(seed: int, number: int) -> int:
    """Return the seed of course `number`, 0 or more, of those that a seed selects."""
    return _FIRST_DRAW + _COURSES_PER_SEED * seed + number


class CourseRoutes:
    """Routes from where training never starts, by `course_seed`; or those of a file, in order.

    Args:
        seed: selects the courses.
        length_m: wanted length of random routes, m.
        file: the routes of a file; None: random ones.

    Attributes:
        seed: that of the last route drawn.
        name: the id of that route in its file; empty for a random one.
        length_m: wanted length of random routes, m; None: the file's routes have their own.
    """

    def __init__(self, seed: int, length_m: float, file: FileRoutes | None) -> None:
        self.seed, self.name = 0, ""
        self.length_m = length_m if file is None else None
        self._selects, self._wanted_m, self._file = seed, length_m, file
        self._drawn = 0

    def on(self, road_map: RoadMap) -> PlannedRoutes | None:
        """Return the file's routes on a map; None if they are random.

        Raises:
            RouteFileError: no route of the file can be driven there.
        """
        return None if self._file is None else self._file.on(road_map)

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        """Return the next route; see `RouteSource`."""
        self.seed = course_seed(self._selects, self._drawn)
        planned = self.on(road_map)
        if planned is None:
            drawing = np.random.default_rng(self.seed)
            route = random_route(road_map, drawing, self._wanted_m, Purpose.EVALUATION)
        else:
            self.name, route, _ = planned.routes[self._drawn % len(planned.routes)]
        self._drawn += 1
        return route
