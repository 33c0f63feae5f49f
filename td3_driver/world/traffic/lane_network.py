# SPDX-License-Identifier: Apache-2.0
"""The network of lanes for traffic: sampled lanes, speed limits, and conflicts between lanes."""

from __future__ import annotations

import itertools
import math

import networkx
import numpy as np
import numpy.typing as npt
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import unary_union

from td3_driver.opendrive.lane import LaneId
from td3_driver.world.bodies.boxes import box_corners
from td3_driver.world.traffic.stretches import Stretch, stretches_of

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_SPACING_M = 0.5
SPEED_LIMIT_MPS = 30.0 / 3.6  # CARLA's towns 1 and 2, nearly everywhere
_SLOWEST_MPS = 3.0
_LATERAL_MPS2 = 1.8
COMFORTABLE_BRAKE_MPS2 = 2.0
_STANDING_ROOM_M = 12.0
# What a vehicle needs in a junction: the largest one's length and width, and some air.
_SWEPT_M = (6.2, 2.6)
# Who has left the roads is on a lane of its own, far from all others and without an end.
_OUTSIDE_M = np.array([(1e7, 1e7), (1e7 + 1.0, 1e7)])
_ENDLESS_M = 1e9
_BESIDE_M = 1e-3  # a place so near to an end is on the lane


class LaneNetwork:
    """The lanes of a map, indexed by number, and one more behind the ends of the roads.

    A lane here is a stretch of the map's lanes between places where they split or merge.

    Args:
        graph: `RoadMap.lane_graph`.
        regulated: the map's speed limits count, too, where they are lower.

    Attributes:
        outside: number of the lane behind the ends, the last one; it leads into itself.
        entries: (E,) lanes on which vehicles can enter the roads: where a road begins.
        length_m: (L,) lengths, without the ends that are narrower than a car.
        successors: for each lane the lanes that it leads into, at least one.
        guarded: (L,) bool: a vehicle may enter only if the lane was granted to it, because lanes
            cross, split or merge there.
        conflicts: (L, L) bool: two guarded lanes on which vehicles could touch.
        junction_id: (L,) OpenDRIVE's id of the junction, -1 outside junctions.
        entry_mps: (L,) the highest speed at which to enter a lane, m/s.
    """

    def __init__(self, graph: networkx.DiGraph, *, regulated: bool = False) -> None:
        stretches = stretches_of(graph)
        self._stretches_with: dict[LaneId, list[tuple[int, float]]] = {}
        for number, stretch in enumerate(stretches):
            for key, begin_m in stretch.lanes:
                self._stretches_with.setdefault(key, []).append((number, begin_m))
        self.outside = len(stretches)
        self.successors = [[*stretch.after] for stretch in stretches]
        sampled = [_resampled(stretch.line_m) for stretch in stretches]
        sampled.append((_OUTSIDE_M, _ENDLESS_M))
        self.length_m: FloatArray = np.array([length for _, length in sampled])
        counts = np.array([len(points) for points, _ in sampled])
        self._first: IntArray = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)
        self._pieces: IntArray = counts.astype(np.int64) - 1
        self._points: FloatArray = np.concatenate([points for points, _ in sampled])
        told_mps: list[FloatArray | float] = [math.inf] * len(sampled)
        if regulated:
            told_mps[:-1] = _told_limits(graph, stretches, sampled)
        self._limits_mps: FloatArray = np.concatenate(
            [
                _speed_limits(points, length, told)
                for (points, length), told in zip(sampled, told_mps, strict=True)
            ]
        )
        self.entry_mps: FloatArray = self._limits_mps[self._first]
        junctions = [-1 if s.junction_id is None else s.junction_id for s in stretches]
        self.junction_id: IntArray = np.array([*junctions, -1], np.int64)
        self.successors.append([])
        self.guarded = self._find_guarded()
        self.conflicts = self._find_conflicts([points for points, _ in sampled])
        for kind in ("edge", "begins"):  # in a town without an edge where a lane begins
            begin = np.array([getattr(stretch, kind) for stretch in stretches] + [False])
            self.entries: IntArray = np.flatnonzero(begin & ~self.guarded)
            if len(self.entries):
                break
        for following in self.successors:
            following[:] = following or [self.outside]

    def __len__(self) -> int:
        return len(self.length_m)

    def points(self, lane: IntArray, s_m: FloatArray) -> FloatArray:
        """(..., 2) map points at distances (...), m, from the starts of lanes (...)."""
        index, share = self._place(lane, s_m)
        before, after = self._points[index], self._points[index + 1]
        points: FloatArray = before + share[..., None] * (after - before)
        return points

    def speed_limits(self, lane: IntArray, s_m: FloatArray) -> FloatArray:
        """(...) speed limits, m/s, for the bends here and further on in these lanes."""
        index, _ = self._place(lane, s_m)
        return self._limits_mps[index]

    def place_of(self, lane: LaneId, s_m: float) -> tuple[int, float] | None:
        """The lane here, and the distance from its start, m, of a place on a lane of the map.

        Where one lane leads into the next it is the end of the first. None: no lane here has it.
        """
        there = [
            (begin_m + s_m, number)
            for number, begin_m in self._stretches_with.get(lane, ())
            if -_BESIDE_M <= begin_m + s_m <= self.length_m[number] + _BESIDE_M
        ]
        if not there:
            return None
        at_m, number = max(there)
        return number, min(max(at_m, 0.0), float(self.length_m[number]))

    def _place(self, lane: IntArray, s_m: FloatArray) -> tuple[IntArray, FloatArray]:
        pieces = self._pieces[lane]
        along = np.clip(s_m / self.length_m[lane], 0.0, 1.0) * pieces
        whole = np.minimum(along.astype(np.int64), pieces - 1)
        return self._first[lane] + whole, along - whole

    def _find_guarded(self) -> npt.NDArray[np.bool_]:
        guarded = self.junction_id >= 0
        for following in self.successors:
            if len(following) > 1:  # the road parts
                guarded[following] = True
        entered = np.bincount(
            np.array([*itertools.chain(*self.successors)], np.int64), minlength=len(self)
        )
        for lane, following in enumerate(self.successors):
            if any(entered[f] > 1 for f in following):  # lanes meet
                guarded[lane] |= not guarded[following].all()
        for lane, following in enumerate(self.successors):
            short = following and self.length_m[lane] < _STANDING_ROOM_M
            if short and guarded[following].all():
                guarded[lane] = True  # no room to wait between two junctions
        return guarded

    def _find_conflicts(self, points: list[FloatArray]) -> npt.NDArray[np.bool_]:
        conflicts = np.zeros((len(self), len(self)), np.bool_)
        guarded = np.flatnonzero(self.guarded)
        swept = [_swept(points[lane]) for lane in guarded]
        boxes_m = np.array([ground.bounds for ground in swept]).reshape(-1, 2, 2)
        low_m, high_m = boxes_m[:, 0], boxes_m[:, 1]
        near = np.all((low_m[:, None] <= high_m) & (low_m <= high_m[:, None]), axis=-1)
        for one, other in np.argwhere(np.triu(near, k=1)):
            if swept[one].intersects(swept[other]):
                conflicts[guarded[[one, other]], guarded[[other, one]]] = True
        for lane, following in enumerate(self.successors):
            # Who follows, or drives on, has a leader and needs no more.
            conflicts[following, lane] = conflicts[lane, following] = False
        return conflicts


def _resampled(center_m: FloatArray) -> tuple[FloatArray, float]:
    """Evenly spaced points (N >= 2, 2) along a line, ends included, and its length."""
    steps_m = np.hypot(*np.diff(center_m, axis=0).T)
    kept = np.concatenate([[True], steps_m > 1e-6])
    along_m = np.concatenate([[0.0], np.cumsum(steps_m)])[kept]
    length_m = float(along_m[-1])
    at_m = np.linspace(0.0, length_m, max(math.ceil(length_m / _SPACING_M), 1) + 1)
    line = center_m[kept]
    points = [np.interp(at_m, along_m, line[:, axis]) for axis in (0, 1)]
    return np.stack(points, axis=1), length_m


def _told_limits(
    graph: networkx.DiGraph, stretches: list[Stretch], sampled: list[tuple[FloatArray, float]]
) -> list[FloatArray]:
    """(N,) limits that the map tells along each stretch, m/s; one counts until the next."""
    told: list[FloatArray] = []
    for stretch, (points, length_m) in zip(stretches, sampled, strict=False):
        along_m = np.linspace(0.0, length_m, len(points))
        limits: FloatArray = np.full(len(points), np.nan)
        for key, begin_m in stretch.lanes:
            for limit in graph.nodes[key]["lane"].speed_limits:
                here = (along_m >= begin_m + limit.begin_m) & (along_m <= begin_m + limit.end_m)
                limits[here] = limit.limit_mps
        last = np.maximum.accumulate(np.where(np.isnan(limits), 0, np.arange(len(limits))))
        told.append(limits[last])
    untold = [np.isnan(limits) for limits in told]
    for limits, unknown in zip(told, untold, strict=True):
        limits[unknown] = np.inf
    ahead = [*range(len(stretches))]
    while ahead:  # through all that tell none, the lowest where several lead into one
        number = ahead.pop()
        for following in stretches[number].after:
            if untold[following][0] and told[number][-1] < told[following][0]:
                told[following][untold[following]] = told[number][-1]
                ahead.append(following)
    return told


def _speed_limits(
    points_m: FloatArray, length_m: float, told_mps: FloatArray | float
) -> FloatArray:
    """(N,) speed limits along a lane, m/s: low in bends, falling in time before them.

    Args:
        points_m, length_m: the lane.
        told_mps: the highest, (N,) or everywhere.
    """
    piece_m = length_m / (len(points_m) - 1)
    reach = min(4, (len(points_m) - 1) // 2)  # over 2 m to each side: points are a little rough
    limits: FloatArray = np.full(len(points_m), SPEED_LIMIT_MPS)
    if reach:
        chords = points_m[reach:] - points_m[:-reach]
        yaw = np.unwrap(np.arctan2(chords[:, 1], chords[:, 0]))
        curvature = np.abs(yaw[reach:] - yaw[:-reach]) / (reach * piece_m)
        bend_mps = np.sqrt(_LATERAL_MPS2 / np.maximum(curvature, 1e-6))
        limits[reach:-reach] = np.clip(bend_mps, _SLOWEST_MPS, SPEED_LIMIT_MPS)
    limits = np.minimum(limits, told_mps)
    gain = 2.0 * COMFORTABLE_BRAKE_MPS2 * piece_m
    for index in range(len(limits) - 2, -1, -1):
        limits[index] = min(limits[index], math.sqrt(limits[index + 1] ** 2 + gain))
    return limits


def _swept(points_m: FloatArray) -> BaseGeometry:
    """The ground that vehicles cover when they drive along a lane."""
    some = points_m[np.unique(np.linspace(0, len(points_m) - 1, 25).astype(int))]
    heading = np.gradient(some, axis=0)
    poses = np.column_stack([some, np.arctan2(heading[:, 1], heading[:, 0])])
    sizes = np.broadcast_to(_SWEPT_M, (len(poses), 2))
    return unary_union([Polygon(corners) for corners in box_corners(poses, sizes)])
