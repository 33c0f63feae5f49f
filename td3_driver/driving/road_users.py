# SPDX-License-Identifier: Apache-2.0
"""Who else is on the road, and who of them is in the way.

The reward and the measures look at this, in training and evaluation; the policy never does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.route import Route

FloatArray = NDArray[np.float64]

# CARLA's Tesla Model 3 (bounding box of vehicle.tesla.model3), from its middle.
FRONT_M = 2.4
HALF_WIDTH_M = 1.08
SIDE_MARGIN_M = 0.3
LOOK_AHEAD_M = 40.0
_SPACING_M = 0.5
_WAY_M = np.arange(0.0, LOOK_AHEAD_M, _SPACING_M)


@dataclass(frozen=True)
class RoadUsers:
    """N upright boxes in the ROS map frame.

    Attributes:
        poses: (N, 3) float64: x and y of the middle in m, yaw in rad.
        sizes_m: (N, 2) float64: length, width.
        velocities_mps: (N, 2) float64 along the map's x and y.
    """

    poses: FloatArray
    sizes_m: FloatArray
    velocities_mps: FloatArray


NOBODY = RoadUsers(np.empty((0, 3)), np.empty((0, 2)), np.empty((0, 2)))


@dataclass(frozen=True)
class Leader:
    """The first road user in the way along a route.

    Attributes:
        gap_m: way along the route from the car's front to it, at least 0.
        speed_mps: its speed along the route, negative towards the car.
    """

    gap_m: float
    speed_mps: float

    def time_to_collision_s(self, speed_mps: float) -> float:
        """Until the car, at `speed_mps`, meets it if both keep their speed; inf if never.

        The gap over the closing speed (Hayward 1972), not over the car's own speed.
        """
        closing_mps = speed_mps - self.speed_mps
        return self.gap_m / closing_mps if closing_mps > 0.0 else math.inf

    def safe_speed_mps(self, headway_s: float, brake_mps2: float, standing_gap_m: float) -> float:
        """The speed from which the car can still stop behind it if it brakes, at least 0.

        Gipps, "A behavioural car-following model for computer simulation", Transportation
        Research B 15, 1981: with `headway_s` until the car brakes and `brake_mps2` of both,
        `standing_gap_m` are left.
        """
        ahead_mps = max(self.speed_mps, 0.0)
        free_m = self.gap_m - standing_gap_m
        lost_mps = brake_mps2 * headway_s
        square = lost_mps**2 + ahead_mps**2 + 2.0 * brake_mps2 * free_m
        return max(math.sqrt(max(square, 0.0)) - lost_mps, 0.0)


def leader(users: RoadUsers, route: Route, s_m: float) -> Leader | None:
    """Who is in the way of a car that is at `s_m` of its route and will follow it.

    In the way is whose box comes within half the car's width and `SIDE_MARGIN_M` of the route,
    in the next `LOOK_AHEAD_M` before its front.
    """
    if not len(users.poses):
        return None
    way = route.points_at(s_m + FRONT_M + _WAY_M)
    offsets = way - users.poses[:, None, :2]  # (N, K, 2)
    cos, sin = np.cos(users.poses[:, 2])[:, None], np.sin(users.poses[:, 2])[:, None]
    along = np.abs(cos * offsets[..., 0] + sin * offsets[..., 1])
    across = np.abs(cos * offsets[..., 1] - sin * offsets[..., 0])
    beside_m = np.hypot(
        np.maximum(along - users.sizes_m[:, :1] / 2.0, 0.0),
        np.maximum(across - users.sizes_m[:, 1:] / 2.0, 0.0),
    )
    touched = beside_m < HALF_WIDTH_M + SIDE_MARGIN_M
    if not touched.any():
        return None
    first = np.where(touched.any(axis=1), touched.argmax(axis=1), len(_WAY_M))
    nearest = int(first.argmin())
    step = int(first[nearest])
    direction = way[min(step + 1, len(way) - 1)] - way[min(step, len(way) - 2)]
    direction /= np.hypot(*direction)
    # The corridor's round end touches a box that is that far ahead of the way's point.
    gap_m = max(_WAY_M[step] + float(beside_m[nearest, step]), 0.0)
    return Leader(gap_m, float(direction @ users.velocities_mps[nearest]))
