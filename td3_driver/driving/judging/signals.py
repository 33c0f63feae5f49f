# SPDX-License-Identifier: Apache-2.0
"""Finds red lights and stop signs that are run, wherever on the map the car is.

Both follow `RunningRedLightTest` and `RunningStopTest` of carla-simulator/scenario_runner
(srunner/scenariomanager/scenarioatomics/atomic_criteria.py), with the stop lines of
`Signal.stops`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.road_users import FRONT_M
from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.types import EgoState, Lights, LightState, Pose
from td3_driver.opendrive.signals import Signal

FloatArray = NDArray[np.float64]

# The car's tail, which has to pass the line: from its middle back, m. The car is `2 FRONT_M` long.
_TAIL_M = (-0.8 * FRONT_M, -FRONT_M - 1.0)
_NEAR_M = 10.0  # no stop line is crossed from further away
_STOPPED_MPS = 0.1
_AGAINST = -0.17  # cosine of the angle between two directions that are against each other
_STOP_SHARE = 0.9  # the side of a stop sign's square, as a share of the lane's width


class _Crossings:
    """Counts lights that are crossed: one is not crossed again before another one is.

    Attributes:
        count: how many were.
    """

    def __init__(self) -> None:
        self._last: set[int] = set()
        self.count = 0

    def add(self, lights: set[int]) -> bool:
        """Take in those crossed in a step, which are one; return whether it counts."""
        if again := not lights.isdisjoint(self._last):
            self._last |= lights
        elif lights:
            self._last = lights
        counts = bool(lights) and not again
        self.count += counts
        return counts


class RedLights:
    """Finds the red lights that the car runs: its tail crosses the stop line while it is red.

    A light that was run is not run again before another one is. Lights whose lines the tail
    crosses together, as several heads for one lane have them, are one. Where frames were missed,
    the tail has crossed what lies between its places in two frames.

    Args:
        road_map: has the lights.
        line_share: how far a stop line reaches to each side of the lane's middle, as a share of
            the lane's width.
    """

    def __init__(self, road_map: RoadMap, line_share: float) -> None:
        self._road_map = road_map
        places = [
            (number, LanePlace.on(road_map.lanes[stop.lane], stop.s_m))
            for number, light in enumerate(road_map.lights)
            for stop in light.stops
        ]
        self._lights = np.array([number for number, _ in places], np.int64)
        self._lanes = [(place.lane.key.road_id, place.lane.key.lane_id) for _, place in places]
        rows = [(place.x_m, place.y_m, place.yaw_rad, place.width_m) for _, place in places]
        x_m, y_m, self._yaws_rad, widths_m = np.array(rows).reshape(-1, 4).T
        self._middles_m = np.column_stack([x_m, y_m])
        self._across_m = (line_share * widths_m)[:, None] * np.column_stack(
            [-np.sin(self._yaws_rad), np.cos(self._yaws_rad)]
        )
        self._crossed, self._run = _Crossings(), _Crossings()
        self._tail_m: tuple[float, float] | None = None  # its front end in the frame before

    @property
    def crossed(self) -> int:
        """How many lights were crossed, whatever they showed."""
        return self._crossed.count

    def run(self, ego: EgoState, lights: Lights) -> bool:
        """Return whether lights are run in the step that ended here.

        Args:
            ego: the car.
            lights: what the lights show, in the order of `RoadMap.lights`; nothing is run if they
                are not those of this map.
        """
        pose = ego.pose
        near_m, far_m = (_ahead(pose, back_m) for back_m in _TAIL_M)
        if self._tail_m and math.dist(near_m, self._tail_m) > math.dist(near_m, far_m):
            far_m = self._tail_m
        self._tail_m = near_m
        if len(lights) != len(self._road_map.lights):
            return False
        offsets_m = self._middles_m - (pose.x_m, pose.y_m)
        near = np.hypot(*offsets_m.T) < _NEAR_M
        near &= np.cos(self._yaws_rad - pose.yaw_rad) > 0.0
        if not near.any():
            return False
        key = self._road_map.places.nearest(*far_m, pose.z_m).lane.key
        crossed: set[int] = set()
        for row in np.flatnonzero(near).tolist():
            middle_m, across_m = self._middles_m[row], self._across_m[row]
            if self._lanes[row] == (key.road_id, key.lane_id) and _cross(
                near_m, far_m, middle_m - across_m, middle_m + across_m
            ):
                crossed.add(int(self._lights[row]))
        self._crossed.add(crossed)
        return self._run.add({light for light in crossed if lights[light] == LightState.RED})


@dataclass(frozen=True)
class StopRule:
    """How a stop sign is noticed, which differs between versions of the leaderboard.

    A sign has a square on each of its lanes, before its stop line. The car is concerned while its
    lane leads into one within some way, and must stand at some time meanwhile.

    Attributes:
        ahead_m: the way ahead of the car.
        step_m: distance of the points of that way that are looked at.
        enlarged: factor of the squares' size.
        enters: only those are run into whose square the car itself was in.
    """

    ahead_m: float
    step_m: float
    enlarged: float
    enters: bool


class StopSigns:
    """Finds the stop signs that the car passes without having stood before them.

    Args:
        road_map: has the signs.
        rule: how they are noticed.
    """

    def __init__(self, road_map: RoadMap, rule: StopRule) -> None:
        self._road_map, self._rule = road_map, rule
        self._signs = [_Squares(road_map, sign, rule.enlarged) for sign in road_map.stop_signs]
        self._at: int | None = None
        self._stood = self._entered = False
        self._last: int | None = None

    def run(self, ego: EgoState) -> list[int]:
        """Return the numbers of the signs in `RoadMap.stop_signs` that are run in this step."""
        near = [
            number
            for number, sign in enumerate(self._signs)
            if number == self._at or sign.near(ego.pose, self._rule.ahead_m)
        ]
        if not near:
            return []
        way = list(self._way(ego.pose))
        if self._at is None:
            self._begin(ego, way, near)
            return []
        sign, found = self._signs[self._at], []
        self._stood |= ego.ground_speed_mps < _STOPPED_MPS
        self._entered |= sign.hold([(ego.pose.x_m, ego.pose.y_m)])
        if not sign.hold([(place.x_m, place.y_m) for place in way]):
            if not self._stood and (self._entered or not self._rule.enters):
                found = [self._at] if self._at != self._last else []
                self._last = self._at
            self._at = None
        return found

    def _begin(self, ego: EgoState, way: list[LanePlace], near: list[int]) -> None:
        """Notice a sign that concerns the car."""
        yaw_rad = ego.pose.yaw_rad
        if ego.speed_mps < _AGAINST or math.cos(yaw_rad - way[0].yaw_rad) < _AGAINST:
            return
        points_m = [(place.x_m, place.y_m) for place in way]
        self._at = next((sign for sign in near if self._signs[sign].hold(points_m)), None)
        self._stood = self._entered = False

    def _way(self, pose: Pose) -> Iterator[LanePlace]:
        """Places on the lane where the car is and on those that it leads into, the first ways."""
        place = self._road_map.places.nearest(pose.x_m, pose.y_m, pose.z_m)
        yield place
        graph, lane, s_m = self._road_map.lane_graph, place.lane, place.s_m
        for _ in range(int(self._rule.ahead_m / self._rule.step_m)):
            s_m += self._rule.step_m
            while s_m > lane.length_m:
                ways = iter(graph.successors(lane.key)) if lane.key in graph else iter(())
                if (following := next(ways, None)) is None:
                    return
                s_m, lane = s_m - lane.length_m, self._road_map.lanes[following]
            yield LanePlace.on(lane, s_m)


class _Squares:
    """The squares of one stop sign, where its lanes' traffic has to stand."""

    def __init__(self, road_map: RoadMap, sign: Signal, enlarged: float) -> None:
        rows = []
        for stop in sign.stops:
            lane = road_map.lanes[stop.lane]
            side_m = _STOP_SHARE * LanePlace.on(lane, stop.s_m).width_m
            place = LanePlace.on(lane, stop.s_m - side_m / 2.0)
            rows.append((place.x_m, place.y_m, place.yaw_rad, enlarged * side_m / 2.0))
        self._rows = np.array(rows).reshape(-1, 4)

    def near(self, pose: Pose, reach_m: float) -> bool:
        """One is within reach of the car."""
        offsets_m = self._rows[:, :2] - (pose.x_m, pose.y_m)
        return bool((np.hypot(*offsets_m.T) <= reach_m + self._rows[:, 3]).any())

    def hold(self, points_m: list[tuple[float, float]]) -> bool:
        """One of them has one of the points in it."""
        offsets_m = np.array(points_m) - self._rows[:, None, :2]
        cos, sin = (part[:, None] for part in (np.cos(self._rows[:, 2]), np.sin(self._rows[:, 2])))
        along_m = np.abs(cos * offsets_m[..., 0] + sin * offsets_m[..., 1])
        across_m = np.abs(cos * offsets_m[..., 1] - sin * offsets_m[..., 0])
        return bool((np.maximum(along_m, across_m) < self._rows[:, 3:]).any())


def _ahead(pose: Pose, way_m: float) -> tuple[float, float]:
    return (
        pose.x_m + way_m * math.cos(pose.yaw_rad),
        pose.y_m + way_m * math.sin(pose.yaw_rad),
    )


def _cross(
    a_m: tuple[float, float], b_m: tuple[float, float], c_m: FloatArray, d_m: FloatArray
) -> bool:
    """Whether the segment from a to b meets that from c to d."""

    def side(p: tuple[float, ...], q: tuple[float, ...], r: tuple[float, ...]) -> float:
        return (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])

    c, d = tuple(c_m.tolist()), tuple(d_m.tolist())
    apart = side(a_m, b_m, c) * side(a_m, b_m, d) <= 0.0
    return apart and side(c, d, a_m) * side(c, d, b_m) <= 0.0
