# SPDX-License-Identifier: Apache-2.0
"""Makes the lanes of a road from its records, in the direction of traffic."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from td3_driver.opendrive.curves import FloatArray, reference_line
from td3_driver.opendrive.lane import (
    LEAST_M,
    Crossing,
    Lane,
    LaneId,
    Line,
    Marking,
    SpeedLimit,
)
from td3_driver.opendrive.records import LaneRecord, LimitFrom, Road, RoadMark

SPACING_M = 0.5
# What a car may use. A bus lane, a shoulder, parking or a tram's track it may not.
CAR_LANES = frozenset(
    {
        "driving", "bidirectional", "entry", "exit", "onRamp", "offRamp", "connectingRamp",
        "slipLane", "mwyEntry", "mwyExit",
    }
)  # fmt: skip
_FINEST = 16  # so many times more points at most than SPACING_M asks for


def forward(road: Road, lane: LaneRecord) -> bool:
    """Whether traffic drives in the direction of the road's reference line, not against it."""
    return ((lane.lane_id < 0) != road.left_hand) != lane.reversed


def read_lanes(road: Road, number: int, junction: int | None) -> Iterator[Lane]:
    """The lanes of a road that cars may use, of all its sections.

    Args:
        road: the road.
        number, junction: the numbers of the road and its junction, for keys.
    """
    factor = 1
    while True:
        grids = _grids(road, factor)
        shaped = list(_shaped(road, number, junction, grids))
        steps = [float(np.hypot(*np.diff(lane.line_m, axis=0).T).max()) for lane in shaped]
        # Lanes far outside of a bend are longer than the reference line.
        wanted = min(math.ceil(factor * max(steps, default=0.0) / SPACING_M - 0.1), _FINEST)
        if wanted <= factor or factor > 1:
            yield from shaped
            return
        factor = wanted


def _grids(road: Road, factor: int) -> list[npt.NDArray[np.floating]]:
    """For each section, distances along the road with both ends of the section, m."""
    starts = [min(max(section.s_m, 0.0), road.length_m) for section in road.sections]
    ends = [*starts[1:], road.length_m]
    return [
        np.linspace(start, end, max(math.ceil(factor * (end - start) / SPACING_M), 1) + 1)
        for start, end in zip(starts, ends, strict=True)
    ]


def _shaped(
    road: Road, number: int, junction: int | None, grids: list[npt.NDArray[np.floating]]
) -> Iterator[Lane]:
    points_m, headings = reference_line(road.geometries, np.concatenate(grids))
    firsts = np.cumsum([0, *map(len, grids)])
    for index, section in enumerate(road.sections):
        for side in sorted(section.sides):
            # Of a section that describes one side only the other side has ended elsewhere.
            until = index + 1
            while until < len(grids) and side not in road.sections[until].sides:
                until += 1
            s_m = np.concatenate(grids[index:until])
            if s_m[-1] - s_m[0] < LEAST_M:
                continue
            rows = firsts[index] + np.flatnonzero(np.diff(s_m, prepend=-1.0) > 0.0)
            s_m = s_m[rows - firsts[index]]
            normals = np.column_stack([-np.sin(headings[rows]), np.cos(headings[rows])])
            height_m, offset_m = road.elevation.at(s_m), road.lane_offset.at(s_m)
            # Named from left to right in the middle, from there outwards elsewhere.
            further = section.lanes[0].marks if 0 in section.lanes else (), False
            for record, inner_m, outer_m in _borders(section.lanes, side, s_m - section.s_m):
                nearer, further = further, (record.marks, side > 0)
                if record.kind not in CAR_LANES:
                    continue
                inside, outside = (
                    points_m[rows] + (offset_m + t_m)[:, None] * normals
                    for t_m in (inner_m, outer_m)
                )
                lines = [
                    _lines(marks, s_m[0], section.s_m, s_m[-1], flipped)
                    for marks, flipped in (nearer, further)
                ]
                yield _directed(
                    LaneId(number, index, record.lane_id),
                    f"road {road.road_id} section {index} lane {record.lane_id}",
                    record.kind,
                    (inside, outside, height_m),
                    lines,
                    _limits(road, record, section.s_m, s_m[0], s_m[-1]),
                    junction,
                    leftmost_first=side < 0,
                    along=forward(road, record),
                )


def _borders(
    lanes: dict[int, LaneRecord], side: int, along_m: FloatArray
) -> Iterator[tuple[LaneRecord, FloatArray, FloatArray]]:
    """The lanes of a side from the middle outwards, with t (N,), m, of inner and outer border."""
    inner_m = np.zeros_like(along_m)
    for lane_id in sorted((n for n in lanes if n * side > 0), key=abs):
        record = lanes[lane_id]
        if record.widths is None and record.borders is not None:
            outer_m = record.borders.at(along_m)
        else:
            width_m = np.zeros(1) if record.widths is None else record.widths.at(along_m)
            outer_m = inner_m + side * np.maximum(width_m, 0.0)
        yield record, inner_m, outer_m
        inner_m = outer_m


def _directed(
    key: LaneId,
    name: str,
    kind: str,
    shape: tuple[FloatArray, FloatArray, FloatArray],
    lines: list[tuple[Line, ...]],
    limits: tuple[SpeedLimit, ...],
    junction: int | None,
    *,
    leftmost_first: bool,
    along: bool,
) -> Lane:
    """Make a lane from its inner and outer edge, which are in the road's direction."""
    inside, outside, height_m = shape
    left, right = (inside, outside) if leftmost_first else (outside, inside)
    left_lines, right_lines = lines if leftmost_first else lines[::-1]
    if not along:
        left, right, height_m = right[::-1], left[::-1], height_m[::-1]
        left_lines, right_lines = _backwards(right_lines), _backwards(left_lines)
        limits = tuple(
            SpeedLimit(1.0 - end, 1.0 - begin, limit_mps) for begin, end, limit_mps in limits[::-1]
        )
    middle = (left + right) / 2.0
    # Lines were measured along the road; the lane's middle is longer or shorter.
    steps = np.hypot(*np.diff(middle, axis=0).T)
    length_m = float(steps.sum())
    return Lane(
        key, name, kind, middle, height_m, left, right,
        _stretched(left_lines, length_m), _stretched(right_lines, length_m),
        junction, along != leftmost_first,
        tuple(SpeedLimit(a * length_m, b * length_m, limit_mps) for a, b, limit_mps in limits),
    )  # fmt: skip


_SWAPPED = {
    Marking.SOLID_BROKEN: Marking.BROKEN_SOLID,
    Marking.BROKEN_SOLID: Marking.SOLID_BROKEN,
}
_CROSSED_BACKWARDS = {Crossing.LEFT: Crossing.RIGHT, Crossing.RIGHT: Crossing.LEFT}
# Of two lines the nearer one counts. What is not named may not be crossed.
_CROSSINGS = {
    Marking.BROKEN: Crossing.BOTH,
    Marking.BROKEN_BROKEN: Crossing.BOTH,
    Marking.BOTTS_DOTS: Crossing.BOTH,
    Marking.NONE: Crossing.BOTH,
    Marking.SOLID_BROKEN: Crossing.LEFT,
    Marking.BROKEN_SOLID: Crossing.RIGHT,
}
# Ids of lanes increase to the left, seen along the road.
_LANE_CHANGES = {
    "increase": Crossing.LEFT,
    "decrease": Crossing.RIGHT,
    "both": Crossing.BOTH,
    "none": Crossing.NONE,
}


def _lines(
    marks: tuple[RoadMark, ...], begin_m: float, section_m: float, end_m: float, flipped: bool
) -> tuple[Line, ...]:
    """The lines on a border, over shares of the section's length; double ones from left to right.

    OpenDRIVE names double lines from the road's middle outwards: `flipped` if that is from right
    to left.
    """
    length_m = end_m - begin_m
    starts = [min(max((section_m + mark.s_m - begin_m) / length_m, 0.0), 1.0) for mark in marks]
    found = []
    for mark, begin, end in zip(marks, starts, [*starts, 1.0][1:], strict=True):
        kind = Marking[mark.kind.replace(" ", "_").upper()] if _known(mark.kind) else Marking.OTHER
        if flipped:
            kind = _SWAPPED.get(kind, kind)
        if end > begin:
            painted = _CROSSINGS.get(kind, Crossing.NONE)
            crossing = _LANE_CHANGES.get(mark.lane_change, painted)
            found.append(Line(begin, end, kind, mark.color, mark.width_m, crossing))
    return tuple(found)


def _limits(
    road: Road, record: LaneRecord, section_m: float, begin_m: float, end_m: float
) -> tuple[SpeedLimit, ...]:
    """A lane's speed limits, else its road's, over shares of the section's length."""
    rows = [LimitFrom(section_m + row.s_m, row.limit_mps) for row in record.limits] or road.limits
    starts = [min(max((row.s_m - begin_m) / (end_m - begin_m), 0.0), 1.0) for row in rows]
    return tuple(
        SpeedLimit(begin, end, row.limit_mps)
        for row, begin, end in zip(rows, starts, [*starts, 1.0][1:], strict=True)
        if row.limit_mps is not None and end > begin
    )


def _known(kind: str) -> bool:
    return kind.replace(" ", "_").upper() in Marking.__members__


def _backwards(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    return tuple(
        line._replace(
            begin_m=1.0 - line.end_m,
            end_m=1.0 - line.begin_m,
            kind=_SWAPPED.get(line.kind, line.kind),
            crossing=_CROSSED_BACKWARDS.get(line.crossing, line.crossing),
        )
        for line in reversed(lines)
    )


def _stretched(lines: tuple[Line, ...], length_m: float) -> tuple[Line, ...]:
    return tuple(
        line._replace(begin_m=line.begin_m * length_m, end_m=line.end_m * length_m)
        for line in lines
    )
