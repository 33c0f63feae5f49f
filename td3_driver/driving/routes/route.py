# SPDX-License-Identifier: Apache-2.0
"""A route to follow: a polyline in the ROS map frame."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.types import Pose, wrap_angle

FloatArray = NDArray[np.float64]

STEP_M = 1.0
# For `Route.turn_ahead` a turn is one of more than 45 degrees within 12 m (radius 15 m), announced
# 20 m before.
TURN_RAD = math.pi / 4.0
TURN_OVER_M = 12.0
TURN_AHEAD_M = 20.0
_FORK_OVER_M = 10.0  # behind a fork its ways are so far apart that each is seen to be one
# Range of the search for the car behind and ahead of its last known place. A route may cross or
# repeat itself; searching all of it would let the car jump to a later lap.
SEARCH_BEHIND_M = 5.0
SEARCH_AHEAD_M = 15.0


@dataclass(frozen=True)
class RoutePlace:
    """The place of a car relative to its route.

    Attributes:
        s_m: distance along the route from its start, m.
        lateral_m: signed offset from the route, m, left of it positive.
        heading_error_rad: car's yaw minus the route's direction, in [-pi, pi), left positive.
    """

    s_m: float
    lateral_m: float
    heading_error_rad: float


class Fork(NamedTuple):
    """A place where ways part that turn alike.

    Attributes:
        s_m: its distance from the route's start, m.
        side: on which side of the other ways the route goes on: 1 left, -1 right.
    """

    s_m: float
    side: int


class Route:
    """A polyline with distances.

    Args:
        points_m: (N, 2) float64, x and y in the ROS map frame, N >= 2, no repeated points.
        start_z_m: height of the ground at the first point, m.
        forks: where it has to be said which way is meant, in order.
    """

    def __init__(
        self, points_m: FloatArray, start_z_m: float = 0.0, forks: Iterable[Fork] = ()
    ) -> None:
        self.forks = tuple(forks)
        self.points_m = np.asarray(points_m, dtype=np.float64)
        if self.points_m.ndim != 2 or self.points_m.shape[0] < 2 or self.points_m.shape[1] != 2:
            raise ValueError(f"route: points of shape {self.points_m.shape}; expected (N >= 2, 2)")
        steps = np.diff(self.points_m, axis=0)
        self._start_z_m = start_z_m
        self._lengths_m = np.hypot(steps[:, 0], steps[:, 1])
        if not np.all(self._lengths_m > 0.0):
            raise ValueError("route: two consecutive points are the same")
        self._directions = steps / self._lengths_m[:, None]
        self._s_m = np.concatenate([[0.0], np.cumsum(self._lengths_m)])
        self._yaws_rad = np.unwrap(np.arctan2(self._directions[:, 1], self._directions[:, 0]))
        self._turns = self._turns_of_segments()

    @classmethod
    def along(
        cls,
        line_m: FloatArray,
        length_m: float | None = None,
        start_z_m: float = 0.0,
        forks: Iterable[Fork] = (),
    ) -> Route:
        """Create a route with a point each `STEP_M` of a line.

        Args:
            line_m: (N, 2) points, as dense as the line's shape needs, m.
            length_m: length of the route, m; by default to the line's end.
            start_z_m: height of the ground at the line's first point, m.
            forks: see `Route`.
        """
        s_m = distances(line_m)
        at_m = np.arange(0.0, (s_m[-1] if length_m is None else length_m) + 1e-6, STEP_M)
        points_m = np.stack([np.interp(at_m, s_m, line_m[:, axis]) for axis in (0, 1)], axis=1)
        return cls(points_m, start_z_m, forks)

    @property
    def length_m(self) -> float:
        """The route's length, m."""
        return float(self._s_m[-1])

    @property
    def start(self) -> Pose:
        """The pose at the first point, facing along the route."""
        x_m, y_m = self.points_m[0]
        return Pose(float(x_m), float(y_m), self._yaw(0), self._start_z_m)

    @property
    def distances_m(self) -> FloatArray:
        """(N,) float64: the distance of each point from the start, m."""
        return self._s_m

    def passes(self, point_m: tuple[float, float], reach_m: float) -> list[tuple[float, float]]:
        """Return where the route passes a point within reach, a route may do so more than once.

        Args:
            point_m: x and y in the ROS map frame, m.
            reach_m: the greatest distance, m.

        Returns:
            Of each time the distance from the start, m, and the route's yaw, rad.
        """
        offsets = np.asarray(point_m) - self.points_m[:-1]
        along = np.clip(np.einsum("ij,ij->i", offsets, self._directions), 0.0, self._lengths_m)
        gaps_m = np.hypot(*(offsets - along[:, None] * self._directions).T)
        within = np.flatnonzero(gaps_m <= reach_m)
        if not len(within):
            return []
        runs = np.split(within, np.flatnonzero(np.diff(within) > 1) + 1)
        nearest = [int(run[np.argmin(gaps_m[run])]) for run in runs]
        return [(float(self._s_m[at] + along[at]), self._yaw(at)) for at in nearest]

    def rest(self, s_m: float) -> Route:
        """Return the route from its last point before `s_m` on, at least its last segment."""
        first = int(np.searchsorted(self._s_m, s_m, side="right")) - 1
        first = min(max(first, 0), len(self.points_m) - 2)
        gone_m = float(self._s_m[first])
        ahead = (Fork(fork.s_m - gone_m, fork.side) for fork in self.forks)
        return Route(self.points_m[first:], forks=ahead)

    def place(self, pose: Pose, near_s_m: float) -> RoutePlace:
        """Return the nearest place on the route within a window around `near_s_m`."""
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
        # Beyond its end the route goes straight on; beside a corner the distance is the offset.
        beyond_end = segment == len(self._lengths_m) - 1 and along[nearest] > clipped[nearest]
        if clipped[nearest] != along[nearest] and not beyond_end:
            lateral_m = math.copysign(float(np.hypot(*gaps[nearest])), lateral_m)
        return RoutePlace(
            s_m=float(self._s_m[segment] + clipped[nearest]),
            lateral_m=lateral_m,
            heading_error_rad=wrap_angle(pose.yaw_rad - self._yaw(segment)),
        )

    def points_at(self, s_m: NDArray[np.floating]) -> FloatArray:
        """Return points (K, 2) at distances (K,), m; straight on beyond the end."""
        inside = np.clip(s_m, 0.0, self.length_m)
        x_m = np.interp(inside, self._s_m, self.points_m[:, 0])
        y_m = np.interp(inside, self._s_m, self.points_m[:, 1])
        beyond_m = np.maximum(s_m - self.length_m, 0.0)[:, None]
        points_m: FloatArray = np.stack([x_m, y_m], axis=1) + beyond_m * self._directions[-1]
        return points_m

    def turn_ahead(self, s_m: float) -> float:
        """Return the turn under way or within `TURN_AHEAD_M`: 1 left, -1 right, 0 none.

        Like the advice of a navigation system. Only turns as tight as at a junction count, so that
        it does not reveal bends of the road. Before a fork of ways that turn alike it is 0.5 to
        keep left and -0.5 to keep right.
        """
        first = int(np.searchsorted(self._s_m, s_m, side="right")) - 1
        last = int(np.searchsorted(self._s_m, s_m + TURN_AHEAD_M, side="left"))
        for fork in self.forks:
            if fork.s_m - TURN_AHEAD_M <= s_m < fork.s_m + _FORK_OVER_M:
                # Unless another turn comes before it.
                until = int(np.searchsorted(self._s_m, fork.s_m - _FORK_OVER_M, side="left"))
                if not self._turns[max(first, 0) : until].any():
                    return 0.5 * fork.side
        turns = self._turns[max(first, 0) : max(last, 1)]
        sharp = turns[turns != 0]
        return float(sharp[0]) if len(sharp) else 0.0

    @property
    def turns(self) -> int:
        """How many turns it has, of those that `turn_ahead` announces."""
        begins = np.diff(self._turns, prepend=0) != 0
        return int(np.count_nonzero(begins & (self._turns != 0)))

    def bend_rad(self, length_m: float) -> float:
        """Return by how much the first `length_m` turn, left and right added up, rad."""
        last = int(np.searchsorted(self._s_m, length_m, side="left"))
        return float(np.abs(np.diff(self._yaws_rad[:last])).sum())

    def _turns_of_segments(self) -> NDArray[np.int8]:
        """Return (N - 1,): the tight turn that each segment lies in: 1 left, -1 right, 0 none."""
        middles_m = self._s_m[:-1] + 0.5 * self._lengths_m
        half_m = 0.5 * TURN_OVER_M
        yaws_rad = self._yaws_rad
        change_rad = np.interp(middles_m + half_m, middles_m, yaws_rad) - np.interp(
            middles_m - half_m, middles_m, yaws_rad
        )
        turns: NDArray[np.int8] = np.sign(change_rad).astype(np.int8)
        turns[np.abs(change_rad) <= TURN_RAD] = 0
        return turns

    def _yaw(self, segment: int) -> float:
        dx, dy = self._directions[segment]
        return math.atan2(dy, dx)


def distances(line_m: FloatArray) -> FloatArray:
    """Return the (N,) distances of a line's (N, 2) points from its first, along it, m."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line_m, axis=0).T))])
