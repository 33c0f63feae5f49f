# SPDX-License-Identifier: Apache-2.0
"""Other road users, and which of them is in the car's way.

Reward and measures use them, in training and evaluation; the policy never does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.routes.route import Route

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]

# CARLA's Tesla Model 3 (bounding box of vehicle.tesla.model3), from its middle.
FRONT_M = 2.4
HALF_WIDTH_M = 1.08
SIDE_MARGIN_M = 0.3
LOOK_AHEAD_M = 40.0
_SPACING_M = 0.5
# Begins behind the car, so that a follower is on the route and is not predicted to cross it.
_WAY_M = np.arange(-20.0, LOOK_AHEAD_M, _SPACING_M)
_FRONT = int(np.searchsorted(_WAY_M, 0.0))
_NEAR_M = LOOK_AHEAD_M + 25.0  # users further away cannot be in the way within the predicted time
FORESEEN_S = (0.5, 1.0, 1.5)


@dataclass(frozen=True)
class RoadUsers:
    """N road users as upright boxes in the ROS map frame.

    Attributes:
        poses: (N, 3) float64: x and y of the middle in m, yaw in rad.
        sizes_m: (N, 2) float64: length, width.
        velocities_mps: (N, 2) float64 along the map's x and y.
        yaw_rates_radps: (N,) float64, positive to the left.
        actor_ids: (N,) int64, their numbers in the simulator.
        walking: (N,) bool, pedestrians; the others are vehicles.
    """

    poses: FloatArray
    sizes_m: FloatArray
    velocities_mps: FloatArray
    yaw_rates_radps: FloatArray
    actor_ids: IntArray
    walking: BoolArray

    def of(self, rows: BoolArray) -> RoadUsers:
        """Return the users whose entry in `rows` (N,) is true."""
        return RoadUsers(*(getattr(self, field.name)[rows] for field in fields(self)))

    def after(self, time_s: float) -> RoadUsers:
        """Return where they will be after a time in s, at constant speed and yaw rate."""
        turned_rad = self.yaw_rates_radps * time_s
        # An arc's chord points along its middle, and is shorter by sin(x) / x of half the turn.
        chord_s = time_s * np.sinc(turned_rad / (2.0 * math.pi))
        moved_m = chord_s[:, None] * _rotated(self.velocities_mps, turned_rad / 2.0)
        return replace(
            self,
            poses=self.poses + np.column_stack([moved_m, turned_rad]),
            velocities_mps=_rotated(self.velocities_mps, turned_rad),
        )

    def clearances_m(self, points_m: FloatArray) -> FloatArray:
        """Return the distances from each box to each of the points (K, 2), (N, K) m; 0 inside."""
        offsets = points_m - self.poses[:, None, :2]
        cos, sin = np.cos(self.poses[:, 2])[:, None], np.sin(self.poses[:, 2])[:, None]
        along = np.abs(cos * offsets[..., 0] + sin * offsets[..., 1])
        across = np.abs(cos * offsets[..., 1] - sin * offsets[..., 0])
        clear: FloatArray = np.hypot(
            np.maximum(along - self.sizes_m[:, :1] / 2.0, 0.0),
            np.maximum(across - self.sizes_m[:, 1:] / 2.0, 0.0),
        )
        return clear


NOBODY = RoadUsers(
    np.empty((0, 3)),
    np.empty((0, 2)),
    np.empty((0, 2)),
    np.empty(0),
    np.empty(0, np.int64),
    np.empty(0, np.bool_),
)


@dataclass(frozen=True)
class Leader:
    """The first road user in the way along a route.

    Attributes:
        gap_m: distance along the route from the car's front to it, at least 0, m.
        speed_mps: its speed along the route, negative towards the car, m/s.
    """

    gap_m: float
    speed_mps: float

    def time_to_collision_s(self, speed_mps: float) -> float:
        """Return the time until the car, at `speed_mps`, hits it at constant speeds, s; else inf.

        The gap over the closing speed (Hayward 1972), not over the car's own speed.
        """
        closing_mps = speed_mps - self.speed_mps
        return self.gap_m / closing_mps if closing_mps > 0.0 else math.inf

    def safe_speed_mps(self, headway_s: float, brake_mps2: float, standing_gap_m: float) -> float:
        """Return the speed from which the car can still stop behind it, at least 0, m/s.

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
    """Return the road user in the way of a car at `s_m` of its route that will follow it.

    A user is in the way if its box is within half the car's width and `SIDE_MARGIN_M` of the
    route, in the next `LOOK_AHEAD_M` from the car's front: now, or at one of the times
    `FORESEEN_S` for a user beside the route, which may cross it.
    """
    way_m = route.points_at(s_m + FRONT_M + _WAY_M)
    users = users.of(users.clearances_m(way_m[_FRONT, None])[:, 0] < _NEAR_M)
    if not len(users.poses):
        return None
    on_route: BoolArray = np.any(_touched(users, way_m), axis=1)
    ahead_m = way_m[_FRONT:]
    beside = users.of(~on_route)
    seen = [users.of(on_route), *(beside.after(time_s) for time_s in FORESEEN_S)]
    leaders = [_first(some, ahead_m) for some in seen]
    return min(filter(None, leaders), key=lambda found: found.gap_m, default=None)


def _first(users: RoadUsers, ahead_m: FloatArray) -> Leader | None:
    """Return the first user on the way (K, 2) ahead of the car's front."""
    touched = _touched(users, ahead_m)
    if not touched.any():
        return None
    firsts = np.where(touched.any(axis=1), touched.argmax(axis=1), len(ahead_m))
    nearest = int(firsts.argmin())
    step = int(firsts[nearest])
    direction = ahead_m[min(step + 1, len(ahead_m) - 1)] - ahead_m[min(step, len(ahead_m) - 2)]
    direction /= np.hypot(*direction)
    # The corridor's round end touches a box that is `clear_m` ahead of the way's point.
    clear_m = float(users.clearances_m(ahead_m)[nearest, step])
    return Leader(step * _SPACING_M + clear_m, float(direction @ users.velocities_mps[nearest]))


def _touched(users: RoadUsers, points_m: FloatArray) -> BoolArray:
    """Return (N, K): whether a box is within half the car's width and the margin of a point."""
    touched: BoolArray = users.clearances_m(points_m) < HALF_WIDTH_M + SIDE_MARGIN_M
    return touched


def _rotated(vectors: FloatArray, angles_rad: FloatArray) -> FloatArray:
    """Return (N, 2) vectors turned left by (N,) angles."""
    cos, sin = np.cos(angles_rad), np.sin(angles_rad)
    x, y = vectors.T
    return np.column_stack([cos * x - sin * y, sin * x + cos * y])
