# SPDX-License-Identifier: Apache-2.0
"""How far a car has come along a route, as the CARLA leaderboard's criteria see it."""

from __future__ import annotations

import numpy as np

from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Pose


class Waypoints:
    """The waypoints of a route that a car has passed, 1 m apart.

    One is passed when the car is beyond it in its direction. Only the next few are looked at, so
    that a car which leaves out a part of the route does not get on.

    Args:
        route: is driven.
        window: how many waypoints beyond the last one that was passed are looked at.
    """

    def __init__(self, route: Route, window: int) -> None:
        steps_m = np.diff(route.points_m, axis=0)
        # The last one faces as the one before it.
        directions = [*steps_m.tolist(), steps_m[-1].tolist()]
        self._rows = [
            (*point_m, *direction)
            for point_m, direction in zip(route.points_m.tolist(), directions, strict=True)
        ]
        self._s_m = route.distances_m.tolist()
        self._window = window
        self._last = 0

    @property
    def passed_m(self) -> float:
        """Distance of the last one that was passed from the start, m."""
        return float(self._s_m[self._last])

    def step(self, pose: Pose) -> float:
        """Take in where the car is; returns the way to the waypoints that it has passed now, m."""
        before_m = self.passed_m
        for number in range(self._last + 1, min(self._last + 1 + self._window, len(self._rows))):
            x_m, y_m, dx, dy = self._rows[number]
            if (pose.x_m - x_m) * dx + (pose.y_m - y_m) * dy > 0.0:
                self._last = number
        return self.passed_m - before_m
