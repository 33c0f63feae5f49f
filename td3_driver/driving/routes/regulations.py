# SPDX-License-Identifier: Apache-2.0
"""What a map's traffic lights, stop signs and speed limits ask of a car along one route."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import wrap_angle
from td3_driver.opendrive.signals import Signal

# A route that passes a lane's stop so near, in its direction, is on that lane.
_BESIDE_M, _TURNED_RAD = 1.2, math.pi / 4.0


@dataclass(frozen=True)
class StopLine:
    """A line across a route at which a light or a stop sign may ask to stop.

    Attributes:
        s_m: its distance from the route's start.
        light: number of the light among `RoadMap.lights`; None for a stop sign.
    """

    s_m: float
    light: int | None


class Regulations:
    """The stop lines and the speed limits along a route.

    Found by place, not by lane, so that a recorded route has them too.

    Args:
        road_map: the roads and their signals.
        route: the route.

    Attributes:
        stop_lines: in the order in which the route meets them.
    """

    def __init__(self, road_map: RoadMap, route: Route) -> None:
        found = [
            StopLine(s_m, light)
            for signal, light in _stopping(road_map)
            for s_m in _passed(road_map, signal, route)
        ]
        self.stop_lines = tuple(sorted(found, key=lambda line: line.s_m))
        places = [road_map.places.lane_at(x, y) for x, y in route.points_m.tolist()]
        self._limits_mps = [math.inf]
        for place in places:  # a limit counts until another is told: junctions tell none
            told = None if place is None else place.speed_limit_mps
            self._limits_mps.append(self._limits_mps[-1] if told is None else told)
        self._s_m = route.distances_m

    def speed_limit_mps(self, s_m: float) -> float:
        """Return the speed limit at a distance along the route, m/s; inf if the map has none."""
        at = int(np.searchsorted(self._s_m, s_m, side="right")) - 1
        return self._limits_mps[max(at, 0) + 1]


def _stopping(road_map: RoadMap) -> Iterator[tuple[Signal, int | None]]:
    for number, light in enumerate(road_map.lights):
        yield light, number
    for sign in road_map.stop_signs:
        yield sign, None


def _passed(road_map: RoadMap, signal: Signal, route: Route) -> list[float]:
    """Return the distances along a route, m, at which it passes a signal's stops."""
    found = []
    for stop in signal.stops:
        place = LanePlace.on(road_map.lanes[stop.lane], stop.s_m)
        found += [
            s_m
            for s_m, yaw_rad in route.passes((place.x_m, place.y_m), _BESIDE_M)
            if abs(wrap_angle(place.yaw_rad - yaw_rad)) < _TURNED_RAD
        ]
    return found
