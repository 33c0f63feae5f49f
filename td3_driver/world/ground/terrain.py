# SPDX-License-Identifier: Apache-2.0
"""The height and slope of the ground, from the elevation in the OpenDRIVE file.

Off the road the ground is as high as the nearest lane. Superelevation is not read. On a flat map,
such as CARLA's Town01 and Town02, there is nothing to look up.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.types import Pose

GRAVITY_MPS2 = 9.81


class Ground(NamedTuple):
    """The ground below a pose: height, m, and pitch of a car on it, rad, nose down positive."""

    z_m: float
    pitch_rad: float

    @property
    def pull_mps2(self) -> float:
        """The acceleration along the car by gravity, forwards positive, m/s2."""
        return GRAVITY_MPS2 * math.sin(self.pitch_rad)


class Terrain:
    """The heights of the roads.

    Args:
        road_map: the roads.
    """

    def __init__(self, road_map: RoadMap) -> None:
        self._road_map = road_map
        heights_m = np.concatenate([lane.height_m for lane in road_map.lanes.values()])
        self._level = Ground(float(heights_m[0]), 0.0) if np.ptp(heights_m) < 1e-6 else None

    def under(self, pose: Pose) -> Ground:
        """The ground below a pose; of roads above each other, the one nearest to the pose."""
        if self._level is not None:
            return self._level
        return _on(self._road_map.places.nearest(pose.x_m, pose.y_m, pose.z_m), pose.yaw_rad)

    def under_all(self, poses: npt.NDArray[np.float64]) -> list[Ground]:
        """The ground below (N, 3) x, y in m, yaw in rad; of roads above each other the lowest."""
        if self._level is not None:
            return [self._level] * len(poses)
        places = self._road_map.places
        return [_on(places.lowest(x_m, y_m), yaw_rad) for x_m, y_m, yaw_rad in poses.tolist()]


def _on(place: LanePlace, yaw_rad: float) -> Ground:
    """The ground at a place as one sees it who looks in a direction."""
    slope = place.grade * math.cos(yaw_rad - place.yaw_rad)
    return Ground(place.z_m, -math.atan(slope))
