# SPDX-License-Identifier: Apache-2.0
"""A route to follow: a polyline in the ROS map frame, and how routes are drawn from a road map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import carla
import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.road_map import RoadMap, pose_of
from td3_driver.driving.types import Pose, wrap_angle

FloatArray = NDArray[np.float64]

STEP_M = 1.0
# How far behind and ahead of the last known place the car is looked for. A route may cross or
# repeat itself; searching all of it would let the car jump to a later lap.
SEARCH_BEHIND_M = 5.0
SEARCH_AHEAD_M = 15.0


@dataclass(frozen=True)
class RoutePlace:
    """Where the car is relative to its route.

    Attributes:
        s_m: distance along the route from its start, m.
        lateral_m: signed offset from the route, m, left of it positive.
        heading_error_rad: car's yaw minus the route's direction, in [-pi, pi), left positive.
    """

    s_m: float
    lateral_m: float
    heading_error_rad: float


class Route:
    """A polyline with distances.

    Args:
        points_m: (N, 2) float64, x and y in the ROS map frame, N >= 2, no repeated points.
    """

    def __init__(self, points_m: FloatArray) -> None:
        self.points_m = np.asarray(points_m, dtype=np.float64)
        if self.points_m.ndim != 2 or self.points_m.shape[0] < 2 or self.points_m.shape[1] != 2:
            raise ValueError(f"route: points of shape {self.points_m.shape}; expected (N >= 2, 2)")
        steps = np.diff(self.points_m, axis=0)
        self._lengths_m = np.hypot(steps[:, 0], steps[:, 1])
        if not np.all(self._lengths_m > 0.0):
            raise ValueError("route: two consecutive points are the same")
        self._directions = steps / self._lengths_m[:, None]
        self._s_m = np.concatenate([[0.0], np.cumsum(self._lengths_m)])

    @property
    def length_m(self) -> float:
        """The route's length, m."""
        return float(self._s_m[-1])

    @property
    def start(self) -> Pose:
        """The first point, facing along the route."""
        x_m, y_m = self.points_m[0]
        return Pose(float(x_m), float(y_m), self._yaw(0))

    def place(self, pose: Pose, near_s_m: float) -> RoutePlace:
        """The nearest place on the route within a window around `near_s_m`."""
        first = int(np.searchsorted(self._s_m, near_s_m - SEARCH_BEHIND_M, side="right")) - 1
        last = int(np.searchsorted(self._s_m, near_s_m + SEARCH_AHEAD_M, side="left"))
        first, last = max(first, 0), min(last, len(self._lengths_m))
        first = min(first, last - 1)
        offsets = np.array([pose.x_m, pose.y_m]) - self.points_m[first:last]
        directions = self._directions[first:last]
        along = np.einsum("ij,ij->i", offsets, directions)
        clipped = np.clip(along, 0.0, self._lengths_m[first:last])
        gaps = offsets - clipped[:, None] * directions
        nearest = int(np.argmin(np.einsum("ij,ij->i", gaps, gaps)))
        segment = first + nearest
        dx, dy = self._directions[segment]
        lateral_m = float(dx * offsets[nearest, 1] - dy * offsets[nearest, 0])
        if clipped[nearest] != along[nearest]:  # off a corner or an end: the distance, signed
            lateral_m = math.copysign(float(np.hypot(*gaps[nearest])), lateral_m)
        return RoutePlace(
            s_m=float(self._s_m[segment] + clipped[nearest]),
            lateral_m=lateral_m,
            heading_error_rad=wrap_angle(pose.yaw_rad - self._yaw(segment)),
        )

    def points_at(self, s_m: NDArray[np.floating]) -> FloatArray:
        """Points (K, 2) at distances (K,); straight on beyond the end, so that none vanishes."""
        inside = np.clip(s_m, 0.0, self.length_m)
        x_m = np.interp(inside, self._s_m, self.points_m[:, 0])
        y_m = np.interp(inside, self._s_m, self.points_m[:, 1])
        beyond_m = np.maximum(s_m - self.length_m, 0.0)[:, None]
        points_m: FloatArray = np.stack([x_m, y_m], axis=1) + beyond_m * self._directions[-1]
        return points_m

    def _yaw(self, segment: int) -> float:
        dx, dy = self._directions[segment]
        return math.atan2(dy, dx)


def random_route(road_map: RoadMap, rng: np.random.Generator, length_m: float) -> Route:
    """A route of about `length_m` that starts anywhere on a lane and turns at random.

    Raises:
        ValueError: the map has no drivable stretch of a tenth of `length_m`.
    """
    starts = [w for w in road_map.waypoints(5.0) if not w.is_junction]
    best: list[Pose] = []
    best_m = 0.0
    for _ in range(50):
        poses, driven_m = _follow(starts[int(rng.integers(len(starts)))], rng, length_m)
        if driven_m > best_m:
            best, best_m = poses, driven_m
        if best_m >= length_m:
            break
    if best_m < 0.1 * length_m:
        raise ValueError(f"map {road_map.name}: no drivable stretch of {0.1 * length_m:.0f} m")
    return Route(np.array([(pose.x_m, pose.y_m) for pose in best]))


def _follow(
    waypoint: carla.Waypoint, rng: np.random.Generator, length_m: float
) -> tuple[list[Pose], float]:
    """Poses along the lanes from a way point on, and the distance between first and last."""
    poses, driven_m = [pose_of(waypoint)], 0.0
    while driven_m < length_m:
        ways = waypoint.next(STEP_M)
        if not ways:
            break
        # CARLA's order of the ways out of a junction is not promised; ours has to repeat.
        ways = sorted(ways, key=lambda w: (w.road_id, w.section_id, w.lane_id, w.s))
        waypoint = ways[int(rng.integers(len(ways)))] if len(ways) > 1 else ways[0]
        pose, last = pose_of(waypoint), poses[-1]
        step_m = math.hypot(pose.x_m - last.x_m, pose.y_m - last.y_m)
        if step_m < 0.1 * STEP_M:  # a lane's dead end repeats its last way point
            break
        poses.append(pose)
        driven_m += step_m
    return poses, driven_m
