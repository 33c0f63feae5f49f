# SPDX-License-Identifier: Apache-2.0
"""Whether a car gets on along its route: it arrives, leaves it, is blocked, too late, too slow.

All but the last follow the criteria of carla-simulator/scenario_runner and carla-simulator/
leaderboard that are named at each.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from td3_driver.driving.judging.infractions import Moment
from td3_driver.driving.judging.waypoints import Waypoints
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import EgoState, Pose

_COMPLETE, _ARRIVED_M = 0.99, 10.0
_AWAY_M, _UNSAFE_M, _MOST_UNSAFE = 30.0, 15.0, 0.3
_DEVIATION_WINDOW = 5
_BLOCKED_MPS, _BLOCKED_S = 0.1, 180.0
_LEAST_S, _SLOWEST_SHARE = 300.0, 0.1
_CHECKPOINTS, _LAST_CHECKPOINT = 4, 0.95


class Completion:
    """The share of a route that was driven: `RouteCompletionTest`.

    The route is complete when more than 99 % of it are driven and its end is within 10 m.
    """

    def __init__(self, route: Route) -> None:
        self._length_m = route.length_m
        self._end_m = tuple(route.points_m[-1].tolist())
        self._waypoints = Waypoints(route, 2)
        self.share = 0.0

    def step(self, pose: Pose) -> bool:
        """Take in where the car is; returns whether the route is complete."""
        self._waypoints.step(pose)
        self.share = self._waypoints.passed_m / self._length_m
        near = math.dist((pose.x_m, pose.y_m), self._end_m) < _ARRIVED_M
        if self.share > _COMPLETE and near:
            self.share = 1.0
        return self.share == 1.0


class Deviation:
    """Whether the car has left its route: `InRouteTest`.

    It is 30 m away from it, or was more than 15 m away for 30 % of it.
    """

    def __init__(self, route: Route) -> None:
        self._points_m, self._s_m = route.points_m, route.distances_m
        self._at = 0
        self._unsafe_m = 0.0

    def step(self, pose: Pose) -> bool:
        """Take in where the car is; returns whether it has left the route."""
        points_m = self._points_m[self._at : self._at + _DEVIATION_WINDOW + 1]
        gaps_m = np.hypot(points_m[:, 0] - pose.x_m, points_m[:, 1] - pose.y_m)
        # Of several as near the last one.
        nearest = len(gaps_m) - 1 - int(np.argmin(gaps_m[::-1]))
        gap_m, at = float(gaps_m[nearest]), self._at + nearest
        if gap_m >= _UNSAFE_M:
            self._unsafe_m += float(self._s_m[at] - self._s_m[self._at])
        self._at = at
        return gap_m >= _AWAY_M or self._unsafe_m > _MOST_UNSAFE * float(self._s_m[-1])


class Blocked:
    """Whether the car has stood for 180 s: `ActorBlockedTest`, in 1.0 of another name."""

    def __init__(self) -> None:
        self._moved_ns: int | None = None

    def step(self, ego: EgoState) -> bool:
        """Take in how fast the car is; returns whether it is blocked."""
        if self._moved_ns is None or ego.ground_speed_mps >= _BLOCKED_MPS:
            self._moved_ns = ego.stamp_ns
        return (ego.stamp_ns - self._moved_ns) * 1e-9 > _BLOCKED_S


class TimeLimit(Protocol):
    """Until when a route has to be driven."""

    def limit_s(self, pose: Pose) -> float:
        """Take in where the car is; returns the time for the route, s."""


class FixedTime:
    """A time that the route's length gives."""

    def __init__(self, time_s: float) -> None:
        self._time_s = time_s

    def limit_s(self, pose: Pose) -> float:
        """Return the time for the route, s."""
        return self._time_s


class EarnedTime:
    """300 s, and for each metre driven the time that it takes at a tenth of the speed limit.

    `RouteTimeoutBehavior` of the leaderboard 2 (srunner/scenariomanager/timer.py).

    Args:
        route: is driven.
        limit_at: gives the speed limit, m/s, at a distance along the route, m.
    """

    def __init__(self, route: Route, limit_at: Callable[[float], float]) -> None:
        self._waypoints = Waypoints(route, 3)
        self._limit_at = limit_at
        self._time_s = _LEAST_S

    def limit_s(self, pose: Pose) -> float:
        """Take in where the car is; returns the time for the route, s."""
        if driven_m := self._waypoints.step(pose):
            limit_mps = self._limit_at(self._waypoints.passed_m)
            self._time_s += driven_m / (_SLOWEST_SHARE * limit_mps)
        return self._time_s


class KeepingUp:
    """How much slower than the other vehicles the car is: `MinimumSpeedRouteTest`.

    Compared are mean speeds over each quarter of the route.

    Attributes:
        lacks: of each quarter in which the car was slower the share of their speed it lacked.
        compared: there were others to compare with.
    """

    def __init__(self, route: Route) -> None:
        self._length_m = route.length_m
        self._waypoints = Waypoints(route, 2)
        self._since_m = 0.0
        self._own_mps = self._theirs_mps = 0.0  # summed up since then
        self.lacks: list[float] = []
        self.compared = False

    def step(self, moment: Moment) -> None:
        """Take in the speeds."""
        self._waypoints.step(moment.ego.pose)
        if self._waypoints.passed_m - self._since_m > self._length_m / _CHECKPOINTS:
            self._compare()
        vehicles = moment.users.velocities_mps[~moment.users.walking]
        if len(vehicles):
            self._theirs_mps += float(np.hypot(*vehicles.T).mean())
            self._own_mps += moment.ego.ground_speed_mps
            self.compared = True

    def end(self) -> None:
        """The drive is over: the last quarter counts if most of it was driven."""
        if self._waypoints.passed_m > _LAST_CHECKPOINT * self._length_m:
            self._compare()

    def _compare(self) -> None:
        if self._theirs_mps and self._own_mps < self._theirs_mps:
            self.lacks.append(1.0 - self._own_mps / self._theirs_mps)
        self._since_m = self._waypoints.passed_m
        self._own_mps = self._theirs_mps = 0.0
