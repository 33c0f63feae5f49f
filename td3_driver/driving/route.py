# SPDX-License-Identifier: Apache-2.0
"""A route to follow: a polyline in the ROS map frame, and how routes are drawn from a road map."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import networkx
import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.road_map import LaneId, RoadMap
from td3_driver.driving.types import Pose, wrap_angle

FloatArray = NDArray[np.float64]

STEP_M = 1.0
# Where routes start: every so often along each lane, in blocks for training or for evaluation.
START_SPACING_M = 5.0
BLOCK_M = 30.0
HELD_OUT_SHARE = 5
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
        start_z_m: height of the ground at the first point, m.
    """

    def __init__(self, points_m: FloatArray, start_z_m: float = 0.0) -> None:
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

    @classmethod
    def along(
        cls, line_m: FloatArray, length_m: float | None = None, start_z_m: float = 0.0
    ) -> Route:
        """A route with a point each `STEP_M` of a line.

        Args:
            line_m: (N, 2), as close as the line's shape needs.
            length_m: how far; by default to the line's end.
            start_z_m: height of the ground at the line's first point, m.
        """
        s_m = _distances(line_m)
        at_m = np.arange(0.0, (s_m[-1] if length_m is None else length_m) + 1e-6, STEP_M)
        points_m = np.stack([np.interp(at_m, s_m, line_m[:, axis]) for axis in (0, 1)], axis=1)
        return cls(points_m, start_z_m)

    @property
    def length_m(self) -> float:
        """The route's length, m."""
        return float(self._s_m[-1])

    @property
    def start(self) -> Pose:
        """The first point, facing along the route."""
        x_m, y_m = self.points_m[0]
        return Pose(float(x_m), float(y_m), self._yaw(0), self._start_z_m)

    def rest(self, s_m: float) -> Route:
        """The route from its last point before a distance on, at least its last segment."""
        first = int(np.searchsorted(self._s_m, s_m, side="right")) - 1
        return Route(self.points_m[min(max(first, 0), len(self.points_m) - 2) :])

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
        # Beyond its end the route goes straight on; off a corner it is the distance that counts.
        beyond_end = segment == len(self._lengths_m) - 1 and along[nearest] > clipped[nearest]
        if clipped[nearest] != along[nearest] and not beyond_end:
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


def random_route(
    road_map: RoadMap, rng: np.random.Generator, length_m: float, *, held_out: bool = False
) -> Route:
    """A route of about `length_m` that starts on a lane outside junctions and turns at random.

    Starts are divided: lanes are cut into blocks of `BLOCK_M`, of which one in `HELD_OUT_SHARE` is
    held out, the same ones for the same map. The other blocks are for training, these for
    evaluation. What a route passes later is not divided.

    Args:
        road_map: the roads.
        rng: draws the start and the turns; the same state gives the same route.
        length_m: wanted length; the route is shorter where lanes end.
        held_out: start in a held-out block, else in one of the others.

    Raises:
        ValueError: the map has no drivable stretch of a tenth of `length_m`, or it is too small
            to hold out a block.
    """
    graph = road_map.lane_graph
    starts = _starts(road_map, held_out=held_out)
    best: FloatArray = np.empty((0, 2))
    best_m = start_z_m = 0.0
    for _ in range(50):
        lane, offset_m = starts[int(rng.integers(len(starts)))]
        line_m = _walk(graph, rng, lane, offset_m, length_m)
        driven_m = min(_length(line_m), length_m)
        if driven_m > best_m:
            best, best_m, start_z_m = line_m, driven_m, _height_m(graph, lane, offset_m)
        if best_m >= length_m:
            break
    if best_m < 0.1 * length_m:
        raise ValueError(f"map {road_map.name}: no drivable stretch of {0.1 * length_m:.0f} m")
    return Route.along(best, best_m, start_z_m)


def shortest_route(
    road_map: RoadMap, start_m: tuple[float, float], goal_m: tuple[float, float]
) -> Route:
    """The shortest way along lanes between the lane points nearest to a start and a goal.

    Args:
        road_map: the roads.
        start_m, goal_m: x and y in the ROS map frame.

    Raises:
        ValueError: no way leads there, or the goal is where the start is.
    """
    graph = road_map.lane_graph
    lane, offset_m = _nearest_place(graph, start_m)
    goal_lane, goal_offset_m = _nearest_place(graph, goal_m)
    start_z_m = _height_m(graph, lane, offset_m)
    ahead_m = goal_offset_m - offset_m
    if lane == goal_lane and 0.0 <= ahead_m < STEP_M:
        raise ValueError(f"route from {start_m} to {goal_m}: both are at the same place of a lane")
    if lane == goal_lane and ahead_m > 0.0:
        return Route.along(_from(graph.nodes[lane]["line_m"], offset_m), ahead_m, start_z_m)
    ways = [
        networkx.shortest_path(graph, successor, goal_lane, weight="length_m")
        for successor in graph.successors(lane)
        if networkx.has_path(graph, successor, goal_lane)
    ]
    if not ways:
        raise ValueError(f"map {road_map.name}: no way along its lanes from {start_m} to {goal_m}")
    lengths_m = [networkx.path_weight(graph, way, "length_m") for way in ways]
    way = ways[int(np.argmin(lengths_m))]
    lines = [graph.nodes[passed]["line_m"] for passed in way]
    first = _from(graph.nodes[lane]["line_m"], offset_m)
    length_m = _length(first) + min(lengths_m) + goal_offset_m
    return Route.along(np.concatenate([first, *lines]), length_m, start_z_m)


def _starts(road_map: RoadMap, *, held_out: bool) -> list[tuple[LaneId, float]]:
    """Lanes and distances from their beginnings where routes may start."""
    lanes = road_map.lane_graph.nodes(data=True)
    blocks = [
        (lane, begin_m)
        for lane, data in lanes
        if data["junction_id"] is None
        for begin_m in np.arange(0.0, data["length_m"], BLOCK_M).tolist()
    ]
    # By rank, not by value: every map of two blocks or more has both kinds.
    ranked = sorted(blocks, key=_hash_of)
    count = max(len(ranked) // HELD_OUT_SHARE, 1) if len(ranked) > 1 else 0
    chosen = ranked[:count] if held_out else ranked[count:]
    if not chosen:
        raise ValueError(
            f"map {road_map.name}: {len(blocks)} blocks of {BLOCK_M:g} m of lanes outside "
            f"junctions; expected at least {2 if held_out else 1} to start routes in"
        )
    return [
        (lane, start_m)
        for lane, begin_m in sorted(chosen)
        for start_m in np.arange(begin_m, begin_m + BLOCK_M, START_SPACING_M).tolist()
        if start_m < lanes[lane]["length_m"]
    ]


def _hash_of(block: tuple[LaneId, float]) -> bytes:
    """As good as random, and the same in every process."""
    (road, section, lane), begin_m = block
    return hashlib.sha256(f"{road} {section} {lane} {begin_m:g}".encode()).digest()


def _walk(
    graph: networkx.DiGraph,
    rng: np.random.Generator,
    lane: LaneId,
    offset_m: float,
    length_m: float,
) -> FloatArray:
    """(N, 2) points from a place on a lane on, at least `length_m` unless the lanes end."""
    lines = [_from(graph.nodes[lane]["line_m"], offset_m)]
    driven_m = _length(lines[0])
    while driven_m < length_m:
        ways = list(graph.successors(lane))
        if not ways:
            break
        lane = ways[int(rng.integers(len(ways)))] if len(ways) > 1 else ways[0]
        lines.append(graph.nodes[lane]["line_m"])
        driven_m += graph.nodes[lane]["length_m"]
    return np.concatenate(lines)


def _nearest_place(graph: networkx.DiGraph, point_m: tuple[float, float]) -> tuple[LaneId, float]:
    """The lane that passes nearest to a point, and how far along it that is, m."""
    place: tuple[LaneId, float] | None = None
    nearest_m = math.inf
    for lane, data in graph.nodes(data=True):
        gaps_m = np.hypot(*(data["line_m"] - point_m).T)
        nearest = int(np.argmin(gaps_m))
        if gaps_m[nearest] < nearest_m:
            nearest_m = float(gaps_m[nearest])
            place = lane, _length(data["line_m"][: nearest + 1])
    assert place is not None, "a RoadMap has a driving lane"
    return place


def _height_m(graph: networkx.DiGraph, lane: LaneId, offset_m: float) -> float:
    data = graph.nodes[lane]
    return float(np.interp(offset_m, _distances(data["line_m"]), data["height_m"]))


def _distances(line_m: FloatArray) -> FloatArray:
    """(N,) distances of a line's points from its first."""
    return np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line_m, axis=0).T))])


def _length(line_m: FloatArray) -> float:
    return float(_distances(line_m)[-1])


def _from(line_m: FloatArray, offset_m: float) -> FloatArray:
    """The rest of a line from a distance on."""
    s_m = _distances(line_m)
    first = [np.interp(offset_m, s_m, line_m[:, axis]) for axis in (0, 1)]
    return np.concatenate([[first], line_m[s_m > offset_m]])
