# SPDX-License-Identifier: Apache-2.0
"""A lane: its shape, its painted lines, and whether a car can follow it."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from td3_driver.opendrive.curves import FloatArray

# Between two points of a lane's middle: as far apart, and turned by as much at most.
_FURTHEST_APART_M = 1.0
_SHARPEST_RAD = 1.0
LEAST_M = 0.01  # of a lane section's length, and of a step whose direction tells something
_STEEPEST = 0.4  # rise per metre: more than any street has, and than a car can climb
_STEP_M = 0.1  # up or down at one place, beyond that
_SLOPE_POINTS = 8  # 4 m: a slope, not a step
_NARROWEST_M, _WIDEST_M = 0.5, 50.0  # a lane that is nowhere wider, or wider anywhere, is none


class LaneId(NamedTuple):
    """The key of a lane: OpenDRIVE's numbers of road, lane section and lane.

    A road whose id is not a number gets a free one (`links.numbered`).
    """

    road_id: int
    section_id: int
    lane_id: int


class Marking(enum.IntEnum):
    """Kinds of painted lines, by CARLA's numbers (`carla.LaneMarkingType`)."""

    OTHER = 0
    BROKEN = 1
    SOLID = 2
    SOLID_SOLID = 3
    SOLID_BROKEN = 4
    BROKEN_SOLID = 5
    BROKEN_BROKEN = 6
    BOTTS_DOTS = 7
    GRASS = 8
    CURB = 9
    NONE = 10


class Crossing(enum.Flag):
    """The sides to which a car may cross a painted line, seen in the direction of traffic."""

    NONE = 0
    LEFT = 1
    RIGHT = 2
    BOTH = LEFT | RIGHT


class Line(NamedTuple):
    """A painted line along a lane's edge, between two distances along the lane, m.

    Of two lines beside each other the first is on the left. `crossing` says to which side a lane
    may be left over it.
    """

    begin_m: float
    end_m: float
    kind: Marking
    color: str
    width_m: float
    crossing: Crossing


class SpeedLimit(NamedTuple):
    """What the map allows between two distances along a lane, m."""

    begin_m: float
    end_m: float
    limit_mps: float


@dataclass(frozen=True)
class Lane:
    """A lane for cars from its start to its end; points are in the direction of its traffic.

    Attributes:
        key: its numbers.
        name: its name for messages, with the document's road id.
        kind: its type in the document, such as `driving`.
        line_m: (N, 2) its middle, in the ROS map frame, about 0.5 m apart, N >= 2.
        height_m: (N,) height of the ground there.
        left_m, right_m: (N, 2) its edges.
        left_lines, right_lines: the painted lines on the edges, in order.
        junction_id: id of the junction that it crosses, or None.
        edge_on_left: the road's edge is on the left of the traffic.
        speed_limits: those that the map tells, in order.
    """

    key: LaneId
    name: str
    kind: str
    line_m: FloatArray
    height_m: FloatArray
    left_m: FloatArray
    right_m: FloatArray
    left_lines: tuple[Line, ...]
    right_lines: tuple[Line, ...]
    junction_id: int | None
    edge_on_left: bool
    speed_limits: tuple[SpeedLimit, ...]

    @cached_property
    def along_m(self) -> FloatArray:
        """(N,) distances of the points from the lane's start."""
        steps = np.diff(self.line_m, axis=0)
        return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])

    @property
    def length_m(self) -> float:
        """The length of the lane's middle, m."""
        return float(self.along_m[-1])

    @cached_property
    def width_m(self) -> FloatArray:
        """(N,) widths from edge to edge, m."""
        widths: FloatArray = np.hypot(*(self.left_m - self.right_m).T)
        return widths

    @property
    def outline_m(self) -> FloatArray:
        """(2 N, 2) polygon of the lane's ground, m."""
        return np.concatenate([self.left_m, self.right_m[::-1]])

    @property
    def fault(self) -> str | None:
        """Why a car cannot follow the lane's middle; None if it can."""
        if not _NARROWEST_M <= self.width_m.max() <= _WIDEST_M:
            return f"it is at most {self.width_m.max():.2f} m wide"
        steps = np.diff(self.line_m, axis=0)
        lengths_m = np.hypot(steps[:, 0], steps[:, 1])
        if self.length_m < LEAST_M / 2.0:
            return "its middle is a point"
        for lag in (1, min(_SLOPE_POINTS, len(lengths_m))):
            ways_m = self.along_m[lag:] - self.along_m[:-lag]
            climbs_m = np.abs(self.height_m[lag:] - self.height_m[:-lag])
            at = int(np.argmax(climbs_m - _STEEPEST * ways_m))
            if climbs_m[at] - _STEEPEST * ways_m[at] > _STEP_M:
                where = f"within {ways_m[at]:.2g} m at {_place(self.line_m[at])}"
                return f"it climbs by {climbs_m[at]:.2g} m {where}"
        at = int(np.argmax(lengths_m))
        if lengths_m[at] > _FURTHEST_APART_M:
            return f"its middle jumps by {lengths_m[at]:.1f} m at {_place(self.line_m[at])}"
        across = (self.left_m - self.right_m)[:-1]
        leftwards = steps[:, 0] * across[:, 1] - steps[:, 1] * across[:, 0]
        at = int(np.argmin(leftwards))
        if leftwards[at] < -(LEAST_M**2):
            return f"its middle runs backwards at {_place(self.line_m[at])}"
        told = lengths_m > LEAST_M
        yaws = np.arctan2(steps[told, 1], steps[told, 0])
        turns = np.abs(np.angle(np.exp(1j * np.diff(yaws))))
        if len(turns) and turns.max() > _SHARPEST_RAD:
            at = int(np.flatnonzero(told)[int(np.argmax(turns)) + 1])
            turned = math.degrees(turns.max())
            return f"its middle turns by {turned:.0f} degrees at {_place(self.line_m[at])}"
        return None


def _place(point_m: FloatArray) -> str:
    return f"({point_m[0]:.0f}, {point_m[1]:.0f}) m"
