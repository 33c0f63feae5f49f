# SPDX-License-Identifier: Apache-2.0
"""The painted lines on the edges of lanes, and places along the middles of lanes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane, LaneId, LanePlace, RoadMap
from td3_driver.opendrive.lane import Line, Marking

FloatArray = npt.NDArray[np.float64]

_DASH_M, _PERIOD_M = 3.0, 7.5
_MIN_LINE_WIDTH_M = 0.15
_DOUBLE_LINE_OFFSET_M = 0.13

# For each marking its lines: (offset to the left in m, dashed). Curbs are not paint.
_LINES_OF_MARKING: dict[Marking, tuple[tuple[float, bool], ...]] = {
    Marking.SOLID: ((0.0, False),),
    Marking.BROKEN: ((0.0, True),),
    Marking.BOTTS_DOTS: ((0.0, True),),
    Marking.SOLID_SOLID: ((_DOUBLE_LINE_OFFSET_M, False), (-_DOUBLE_LINE_OFFSET_M, False)),
    Marking.BROKEN_BROKEN: ((_DOUBLE_LINE_OFFSET_M, True), (-_DOUBLE_LINE_OFFSET_M, True)),
    Marking.SOLID_BROKEN: ((_DOUBLE_LINE_OFFSET_M, False), (-_DOUBLE_LINE_OFFSET_M, True)),
    Marking.BROKEN_SOLID: ((_DOUBLE_LINE_OFFSET_M, True), (-_DOUBLE_LINE_OFFSET_M, False)),
}


@dataclass(frozen=True)
class PaintedLine:
    """A painted piece of a line: its (N, 2) polygon, m, and OpenDRIVE's name of its colour."""

    outline_m: FloatArray
    color: str


def painted_lines(road_map: RoadMap) -> Iterator[PaintedLine]:
    """All painted lines on the edges of a map's lanes; there are none in junctions."""
    for lane in road_map.lanes.values():
        if lane.junction_id is not None:
            continue
        edges = (lane.left_m, lane.left_lines), (lane.right_m, lane.right_lines)
        outer, inner = edges if lane.edge_on_left else edges[::-1]
        yield from _paint(lane, *outer)
        if _paints_inner_edge(lane.key, road_map):
            yield from _paint(lane, *inner)


def places_along(lanes: Sequence[Lane], spacing_m: float) -> Iterator[LanePlace]:
    """Places on the middles of lanes outside junctions, from half a spacing after the start on.

    A lane shorter than the spacing has one place, in its middle.
    """
    for lane in lanes:
        if lane.junction_id is None:
            first_m = min(spacing_m, lane.length_m) / 2.0
            for s_m in np.arange(first_m, lane.length_m, spacing_m).tolist():
                yield LanePlace.on(lane, s_m)


def _paints_inner_edge(key: LaneId, road_map: RoadMap) -> bool:
    """Whether a lane paints the line that it shares with the lane beside it; only one may."""
    outwards = 1 if key.lane_id > 0 else -1
    if key.lane_id == outwards:  # beside the road's middle
        return outwards < 0 or key._replace(lane_id=-1) not in road_map.lanes
    return key._replace(lane_id=key.lane_id - outwards) not in road_map.lanes


def _paint(lane: Lane, edge_m: FloatArray, lines: tuple[Line, ...]) -> Iterator[PaintedLine]:
    """The painted pieces of the lines on an edge of a lane."""
    steps = np.gradient(lane.line_m, axis=0)
    lengths_m = np.maximum(np.hypot(steps[:, 0], steps[:, 1]), 1e-9)
    left = np.column_stack([-steps[:, 1], steps[:, 0]]) / lengths_m[:, None]
    for line in lines:
        half_m = max(line.width_m, _MIN_LINE_WIDTH_M) / 2.0
        for offset_m, dashed in _LINES_OF_MARKING.get(line.kind, ()):
            for begin_m, end_m in _strokes(line.begin_m, line.end_m, dashed):
                inside = lane.along_m[(lane.along_m > begin_m) & (lane.along_m < end_m)]
                at_m = np.concatenate([[begin_m], inside, [end_m]])
                middle, side = (
                    np.column_stack([np.interp(at_m, lane.along_m, part[:, n]) for n in (0, 1)])
                    for part in (edge_m, left)
                )
                near, far = (
                    middle + (offset_m + shift_m) * side for shift_m in (-half_m, half_m)
                )
                yield PaintedLine(np.concatenate([near, far[::-1]]), line.color)


def _strokes(begin_m: float, end_m: float, dashed: bool) -> list[tuple[float, float]]:
    """The painted stretches of a line between two distances from the lane's start, m."""
    if not dashed:
        return [(begin_m, end_m)]
    starts = np.arange(begin_m - begin_m % _PERIOD_M, end_m, _PERIOD_M).tolist()
    dashes = ((max(start, begin_m), min(start + _DASH_M, end_m)) for start in starts)
    return [(first, last) for first, last in dashes if first < last]
