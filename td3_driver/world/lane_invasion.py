# SPDX-License-Identifier: Apache-2.0
"""Which lane markings the car crosses, like CARLA's lane invasion sensor.

CARLA's library keeps that sensor's geometry to itself, so this compares the lanes under the
car's corners from tick to tick. Inside junctions, where lanes overlap, nothing is reported.
"""

from __future__ import annotations

import math

import carla
import numpy as np
import numpy.typing as npt

from td3_driver.driving.road_map import RoadMap, pose_of

FloatArray = npt.NDArray[np.float64]


class LaneInvasion:
    """Remembers the lanes under the car's corners.

    A crossing is told once, when the first corner enters a lane (or leaves the road) where no
    other corner was; the corners that follow cross the same line.
    """

    def __init__(self, road_map: RoadMap) -> None:
        self._road_map = road_map
        self._corners_m: FloatArray = np.empty((0, 2))
        self._waypoints: list[carla.Waypoint | None] = []

    def restart(self, corners_m: FloatArray) -> None:
        """Begin at (4, 2) corners in the map frame; what was crossed to get there is not told."""
        self._corners_m, self._waypoints = corners_m, self._waypoints_at(corners_m)

    def update(self, corners_m: FloatArray) -> tuple[int, ...]:
        """Crossed markings since the last call, in CARLA's numbers, each once."""
        if np.array_equal(corners_m, self._corners_m):
            return ()
        before_m, before = self._corners_m, self._waypoints
        self.restart(corners_m)
        occupied = {_lane_of(waypoint) for waypoint in before}
        crossed = {
            _crossed_marking(before[i], before_m[i], waypoint, corners_m[i])
            for i, waypoint in enumerate(self._waypoints)
            if _lane_of(waypoint) not in occupied
        }
        return tuple(sorted(int(marking.type) for marking in crossed if marking is not None))

    def _waypoints_at(self, corners_m: FloatArray) -> list[carla.Waypoint | None]:
        return [self._road_map.waypoint_at(float(x), float(y)) for x, y in corners_m]


def _lane_of(waypoint: carla.Waypoint | None) -> tuple[int, int, int] | None:
    if waypoint is None:
        return None
    return waypoint.road_id, waypoint.section_id, waypoint.lane_id


def _crossed_marking(
    before: carla.Waypoint | None,
    before_m: FloatArray,
    after: carla.Waypoint | None,
    after_m: FloatArray,
) -> carla.LaneMarking | None:
    """The marking between two places of one corner, as the lane before (else after) has it."""
    if before is not None:
        lane, other, other_m = before, after, after_m
    elif after is not None:
        lane, other, other_m = after, None, before_m
    else:
        return None
    if lane.is_junction or (other is not None and other.is_junction):
        return None
    pose = pose_of(lane)
    dx, dy = other_m[0] - pose.x_m, other_m[1] - pose.y_m
    left_m = dy * math.cos(pose.yaw_rad) - dx * math.sin(pose.yaw_rad)
    if abs(left_m) <= lane.lane_width / 2.0:
        return None  # the same lane goes on under another road's number
    return lane.left_lane_marking if left_m > 0.0 else lane.right_lane_marking
