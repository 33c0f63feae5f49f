# SPDX-License-Identifier: Apache-2.0
"""Detects the lane markings that the car crosses, like CARLA's lane invasion sensor.

It compares the lanes under the car's corners from tick to tick. Inside junctions, where lanes
overlap, nothing is reported.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import LaneId, LanePlace, RoadMap
from td3_driver.opendrive.lane import Marking

FloatArray = npt.NDArray[np.float64]


class LaneInvasion:
    """Detects crossings of lane markings.

    A crossing is reported once, when the first corner enters a lane (or leaves the road) where no
    other corner was; the corners that follow cross the same line.
    """

    def __init__(self, road_map: RoadMap) -> None:
        self._places = road_map.places
        self._corners_m: FloatArray = np.empty((0, 2))
        self._under: list[LanePlace | None] = []

    def restart(self, corners_m: FloatArray) -> None:
        """Begin anew with the car's (4, 2) corners in the map frame; no crossing is reported."""
        self._corners_m, self._under = corners_m, self._places.lanes_at(corners_m)

    def update(self, corners_m: FloatArray) -> tuple[int, ...]:
        """The kinds of markings crossed since the last call, in CARLA's numbers, each once."""
        if np.array_equal(corners_m, self._corners_m):
            return ()
        before_m, before = self._corners_m, self._under
        self.restart(corners_m)
        occupied = {_lane_of(place) for place in before}
        crossed = {
            _crossed_marking(before[i], before_m[i], place, corners_m[i])
            for i, place in enumerate(self._under)
            if _lane_of(place) not in occupied
        }
        return tuple(sorted(int(marking) for marking in crossed if marking is not None))


def _lane_of(place: LanePlace | None) -> LaneId | None:
    return None if place is None else place.lane.key


def _crossed_marking(
    before: LanePlace | None,
    before_m: FloatArray,
    after: LanePlace | None,
    after_m: FloatArray,
) -> Marking | None:
    """The marking between two places of one corner, from the lane before, else the one after."""
    if before is not None:
        here, other, other_m = before, after, after_m
    elif after is not None:
        here, other, other_m = after, None, before_m
    else:
        return None
    if any(place is not None and place.lane.junction_id is not None for place in (here, other)):
        return None
    dx, dy = other_m[0] - here.x_m, other_m[1] - here.y_m
    left_m = dy * math.cos(here.yaw_rad) - dx * math.sin(here.yaw_rad)
    if abs(left_m) <= here.width_m / 2.0:
        return None  # the same lane goes on under another road's number
    line = here.line_at(here.lane.left_lines if left_m > 0.0 else here.lane.right_lines)
    return Marking.NONE if line is None else line.kind
