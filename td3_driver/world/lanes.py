# SPDX-License-Identifier: Apache-2.0
"""The shapes of a road network's lanes and painted lines, in the ROS map frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

import carla
import numpy as np
import numpy.typing as npt

from td3_driver.driving.road_map import LaneId, RoadMap, lane_of, pose_of

FloatArray = npt.NDArray[np.float64]

_SPACING_M = 0.75
# A dash is 3 m long and repeats every 7.5 m.
_DASH_SAMPLES, _PERIOD_SAMPLES = 4, 10
_MIN_LINE_WIDTH_M = 0.15
_DOUBLE_LINE_OFFSET_M = 0.13

_Marking = carla.LaneMarkingType
# For each marking its lines: (offset to the left in m, dashed). Curbs are not paint.
_LINES_OF_MARKING: dict[carla.LaneMarkingType, tuple[tuple[float, bool], ...]] = {
    _Marking.Solid: ((0.0, False),),
    _Marking.Broken: ((0.0, True),),
    _Marking.BottsDots: ((0.0, True),),
    _Marking.SolidSolid: ((_DOUBLE_LINE_OFFSET_M, False), (-_DOUBLE_LINE_OFFSET_M, False)),
    _Marking.BrokenBroken: ((_DOUBLE_LINE_OFFSET_M, True), (-_DOUBLE_LINE_OFFSET_M, True)),
    _Marking.SolidBroken: ((_DOUBLE_LINE_OFFSET_M, False), (-_DOUBLE_LINE_OFFSET_M, True)),
    _Marking.BrokenSolid: ((_DOUBLE_LINE_OFFSET_M, True), (-_DOUBLE_LINE_OFFSET_M, False)),
}


@dataclass(frozen=True)
class Lane:
    """One driving lane from its start to its end.

    Attributes:
        key: names the lane, here and in `RoadMap.lane_graph`.
        center_m: (N, 2) points along its middle, in the direction of traffic.
        outline_m: (M, 2) polygon of the lane's ground.
        junction_id: the junction that the lane crosses, or None.
        successors: the lanes that it leads into, sorted; none at a dead end.
    """

    key: LaneId
    center_m: FloatArray
    outline_m: FloatArray
    junction_id: int | None
    successors: tuple[LaneId, ...]


@dataclass(frozen=True)
class PaintedLine:
    """A piece of paint: its (N, 2) polygon in metres, and its colour."""

    outline_m: FloatArray
    color: carla.LaneMarkingColor


def read_lanes(road_map: RoadMap) -> tuple[list[Lane], list[PaintedLine]]:
    """All driving lanes of a map and all paint on them; junctions carry no paint.

    These are the lanes of `RoadMap.lane_graph`, with the width and the edges that drawing needs,
    in the order in which they are drawn.
    """
    ends: dict[LaneId, tuple[carla.Waypoint, carla.Waypoint]] = {}
    successors: dict[LaneId, set[LaneId]] = {}
    for start, end in road_map.topology:
        ends[lane_of(start)] = start, end
        successors.setdefault(lane_of(start), set()).add(lane_of(end))
    lanes: list[Lane] = []
    lines: list[PaintedLine] = []
    for key, (start, end) in ends.items():
        waypoints = [start, *start.next_until_lane_end(_SPACING_M), end]
        poses = [pose_of(waypoint) for waypoint in waypoints]
        center = np.array([(pose.x_m, pose.y_m) for pose in poses])
        yaw = np.array([pose.yaw_rad for pose in poses])
        left = np.column_stack([-np.sin(yaw), np.cos(yaw)])
        half_width = np.array([[waypoint.lane_width / 2.0] for waypoint in waypoints])
        edges = center + left * half_width, center - left * half_width
        junction_id = start.junction_id if start.is_junction else None
        onwards = tuple(sorted(successors[key] - {key}))
        lanes.append(Lane(key, center, _ribbon(*edges), junction_id, onwards))
        if junction_id is None:
            lines += _paint(edges[1], left, [w.right_lane_marking for w in waypoints[:-1]])
            # Inner lines are the right line of the lane inside them; the centre line is not.
            if start.lane_id == -1 or (start.lane_id == 1 and start.get_left_lane() is None):
                lines += _paint(edges[0], left, [w.left_lane_marking for w in waypoints[:-1]])
    return lanes, lines


def places_along(lanes: list[Lane], spacing_m: float) -> list[tuple[float, float, float, float]]:
    """Places on the middles of lanes outside junctions: x, y, yaw, and half the lane's width."""
    places = []
    for lane in lanes:
        if lane.junction_id is not None:
            continue
        center, edge = lane.center_m, lane.outline_m[: len(lane.center_m)]
        along_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(center, axis=0).T))])
        at = np.searchsorted(along_m, np.arange(spacing_m / 2.0, along_m[-1], spacing_m))
        for index in at[at + 1 < len(center)].tolist():
            dx, dy = center[index + 1] - center[index]
            half_m = float(np.hypot(*(edge[index] - center[index])))
            places.append((*center[index].tolist(), math.atan2(dy, dx), half_m))
    return places


def _ribbon(one_side: FloatArray, other_side: FloatArray) -> FloatArray:
    return np.concatenate([one_side, other_side[::-1]])


def _paint(
    edge: FloatArray, left: FloatArray, markings: list[carla.LaneMarking]
) -> list[PaintedLine]:
    """The lines along an edge of N points, whose N - 1 pieces bear the given markings."""
    pieces = [(m.type, m.color, max(m.width, _MIN_LINE_WIDTH_M)) for m in markings]
    lines = []
    begin = 0
    for index in range(1, len(pieces) + 1):
        if index < len(pieces) and pieces[index] == pieces[begin]:
            continue
        kind, color, width_m = pieces[begin]
        for offset_m, dashed in _LINES_OF_MARKING.get(kind, ()):
            for first, last in _strokes(begin, index, dashed):
                span = slice(first, last + 1)
                near = edge[span] + left[span] * (offset_m - width_m / 2.0)
                far = edge[span] + left[span] * (offset_m + width_m / 2.0)
                lines.append(PaintedLine(_ribbon(near, far), color))
        begin = index
    return lines


def _strokes(begin: int, end: int, dashed: bool) -> list[tuple[int, int]]:
    """Index ranges of the painted stretches between two samples."""
    if not dashed:
        return [(begin, end)]
    starts = range(begin - begin % _PERIOD_SAMPLES, end, _PERIOD_SAMPLES)
    dashes = ((max(s, begin), min(s + _DASH_SAMPLES, end)) for s in starts)
    return [(first, last) for first, last in dashes if first < last]
