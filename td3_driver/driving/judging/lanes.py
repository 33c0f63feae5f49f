# SPDX-License-Identifier: Apache-2.0
"""How much of a route is driven outside its lanes."""

from __future__ import annotations

import math

from td3_driver.driving.judging.waypoints import Waypoints
from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Pose, wrap_angle

_MOST_TURNED_RAD = math.radians(120.0)  # of the car against its lane, after a junction
_LEAST_REVERSAL_RAD = math.radians(150.0)  # of one lane against the last
_WINDOW = 3


class OutsideLanes:
    """Measures on which part of the driven route the car was beside all lanes or in a wrong one.

    It follows `OutsideRouteLanesTest` of carla-simulator/scenario_runner. Parking lanes, which
    that allows, are no lanes here. A wrong lane is one against the direction of the last one;
    behind a junction, one against the car's.

    Args:
        road_map: has the lanes.
        route: is driven.
        pose: the car's at the start.
        allowed_m: how far beside a lane's edge the car's middle may be.
        steady: a change of lanes in the same direction leaves a car in a wrong lane where it was,
            instead of making it right.
    """

    def __init__(
        self, road_map: RoadMap, route: Route, pose: Pose, allowed_m: float, *, steady: bool
    ) -> None:
        self._road_map, self._route = road_map, route
        self._allowed_m, self._steady = allowed_m, steady
        self._last = self._nearest(pose)
        self._begun = self._wrong = False
        self._waypoints = Waypoints(route, _WINDOW)
        self._outside_m = 0.0

    @property
    def share(self) -> float:
        """The share of the driven way that was outside, in [0, 1]."""
        return self._outside_m / self._waypoints.passed_m if self._outside_m else 0.0

    def step(self, pose: Pose) -> bool:
        """Take in where the car is; returns whether that is outside."""
        place = self._nearest(pose)
        gap_m = math.hypot(place.x_m - pose.x_m, place.y_m - pose.y_m)
        self._wrong = self._is_wrong(pose, place)
        self._begun, self._last = True, place
        outside = self._wrong or gap_m > place.width_m / 2.0 + self._allowed_m
        driven_m = self._waypoints.step(pose)
        if outside:
            self._outside_m += driven_m
        return outside

    def _is_wrong(self, pose: Pose, place: LanePlace) -> bool:
        if place.lane.junction_id is not None:
            return False
        if self._begun and _number(place) == _number(self._last):
            return self._wrong
        if self._last.lane.junction_id is not None:
            return abs(wrap_angle(place.yaw_rad - pose.yaw_rad)) >= _MOST_TURNED_RAD
        if abs(wrap_angle(place.yaw_rad - self._last.yaw_rad)) > _LEAST_REVERSAL_RAD:
            return not self._wrong
        return self._wrong and self._steady

    def _nearest(self, pose: Pose) -> LanePlace:
        return self._road_map.places.nearest(pose.x_m, pose.y_m, pose.z_m)


def _number(place: LanePlace) -> tuple[int, int]:
    """A lane's numbers in CARLA, which has no sections."""
    return place.lane.key.road_id, place.lane.key.lane_id
