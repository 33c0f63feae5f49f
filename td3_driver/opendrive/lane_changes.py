# SPDX-License-Identifier: Apache-2.0
"""Finds where a car may change to the neighbouring lane of the same direction."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from td3_driver.opendrive.lane import Crossing, Lane, Line

_APART_M = 0.1  # edges of neighbouring lanes are at most so far from each other
_NOTHING_M = 1e-6
_NARROWEST_M = 1.9  # a car does not change where one of the lanes is narrower


@dataclass(frozen=True, eq=False)
class LaneChange:
    """A stretch along which a car may leave a lane for the one beside it.

    The lanes are of one lane section of a road and have their points beside each other.

    Attributes:
        lane: the lane to leave.
        other: the lane to go on in.
        begin_m, end_m: the stretch, along the middle of `lane`.
    """

    lane: Lane
    other: Lane
    begin_m: float
    end_m: float


def find_lane_changes(
    lanes: Iterable[Lane], *, whatever_is_painted: bool = False
) -> tuple[LaneChange, ...]:
    """Find all stretches where lanes may be changed, in the lanes' order.

    None is in a junction, and none where a lane is too narrow for a car. Where nothing is painted
    between two lanes, nothing forbids a change.

    Args:
        lanes: the lanes that cars may use.
        whatever_is_painted: as if there were no painted lines.
    """
    outside = (lane for lane in lanes if lane.junction_id is None)
    found: list[LaneChange] = []
    for _, section in itertools.groupby(outside, lambda lane: lane.key[:2]):
        for one, other in itertools.permutations(section, 2):
            if len(one.line_m) != len(other.line_m):
                continue
            for side, edge_m, edge_of_other_m in (
                (Crossing.LEFT, one.left_m, other.right_m),
                (Crossing.RIGHT, one.right_m, other.left_m),
            ):
                if np.abs(edge_m - edge_of_other_m).max() < _APART_M:
                    painted = not whatever_is_painted
                    found += _stretches(one, other, side if painted else Crossing.NONE)
    return tuple(found)


def _stretches(lane: Lane, other: Lane, side: Crossing) -> Iterator[LaneChange]:
    """The stretches where a side may be changed to; no side: where there is room for it."""
    between = {
        Crossing.LEFT: (lane.left_lines, other.right_lines),
        Crossing.RIGHT: (lane.right_lines, other.left_lines),
    }.get(side, ((), ()))
    free = (lane.width_m >= _NARROWEST_M) & (other.width_m >= _NARROWEST_M)
    for at, lines in zip((lane, other), between, strict=True):
        free &= ~_forbidden(at, lines, side)
    borders = np.flatnonzero(np.diff(free, prepend=False, append=False))
    for begin, end in borders.reshape(-1, 2).tolist():
        if end - begin > 1:
            begin_m, end_m = lane.along_m[[begin, end - 1]].tolist()
            yield LaneChange(lane, other, begin_m, end_m)


def _forbidden(lane: Lane, lines: Iterable[Line], side: Crossing) -> npt.NDArray[np.bool_]:
    """(N,) whether a line that may not be crossed to a side runs beside each point of a lane."""
    forbidden = np.zeros(len(lane.along_m), bool)
    for line in lines:
        if not line.crossing & side:
            inside_m = np.minimum(lane.along_m - line.begin_m, line.end_m - lane.along_m)
            forbidden |= inside_m > _NOTHING_M
    return forbidden
