# SPDX-License-Identifier: Apache-2.0
"""Finds lanes by place: the lane at a point, the nearest one, and those nearby."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from td3_driver.opendrive.curves import FloatArray
from td3_driver.opendrive.lane import Lane, Line

IntArray = npt.NDArray[np.int64]

_CELL_M = 8.0  # at least; of cells as wide as half a lane all of it is in those around
# Lanes that lie above each other: so much further off, half a lane, and so much higher.
_BESIDE_M, _STOREY_M = 1.75, 2.5


@dataclass(frozen=True)
class LanePlace:
    """A place on the middle of a lane, in the ROS map frame.

    Attributes:
        lane: the lane.
        s_m: distance from its start along its middle.
        x_m, y_m, z_m: position on the ground.
        yaw_rad: direction of traffic.
        grade: rise of the ground per metre in that direction.
        width_m: width of the lane there.
    """

    lane: Lane
    s_m: float
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    grade: float
    width_m: float

    @classmethod
    def on(cls, lane: Lane, s_m: float) -> LanePlace:
        """The place on a lane at a distance from its start, m, clipped to its length."""
        index = int(np.searchsorted(lane.along_m, s_m, side="right")) - 1
        index = min(max(index, 0), len(lane.line_m) - 2)
        (x_m, y_m), (to_x_m, to_y_m) = lane.line_m[index : index + 2].tolist()
        before_m, after_m = lane.along_m[index : index + 2].tolist()
        step_m = after_m - before_m
        share = min(max((s_m - before_m) / step_m, 0.0), 1.0) if step_m > 0.0 else 0.0
        low_m, high_m = lane.height_m[index : index + 2].tolist()
        wide_m, next_wide_m = lane.width_m[index : index + 2].tolist()
        return cls(
            lane,
            before_m + share * step_m,
            x_m + share * (to_x_m - x_m),
            y_m + share * (to_y_m - y_m),
            low_m + share * (high_m - low_m),
            math.atan2(to_y_m - y_m, to_x_m - x_m),
            (high_m - low_m) / step_m if step_m > 0.0 else 0.0,
            wide_m + share * (next_wide_m - wide_m),
        )

    def line_at(self, lines: tuple[Line, ...]) -> Line | None:
        """The line of an edge of the lane that is painted at this place."""
        return next((line for line in lines if line.begin_m <= self.s_m <= line.end_m), None)

    @property
    def speed_limit_mps(self) -> float | None:
        """The speed limit at this place; None if the map tells none."""
        for begin_m, end_m, limit_mps in self.lane.speed_limits:
            if begin_m <= self.s_m <= end_m:
                return limit_mps
        return None


class LanePiece(NamedTuple):
    """A straight piece of a lane's middle near a point.

    `x_m` and `y_m` are the nearest point on it, `gap_m` the distance to that.
    """

    lane: Lane
    gap_m: float
    yaw_rad: float
    x_m: float
    y_m: float


class LanePlaces:
    """An index of the pieces of all lanes' middles in square cells.

    Args:
        lanes: one or more.
    """

    def __init__(self, lanes: Sequence[Lane]) -> None:
        self.lanes = lanes
        counts = np.array([len(lane.line_m) - 1 for lane in lanes])
        self._lane: IntArray = np.repeat(np.arange(len(lanes)), counts)
        self._index: IntArray = np.concatenate([np.arange(count) for count in counts])
        self._starts_m = np.concatenate([lane.line_m[:-1] for lane in lanes])
        self._steps_m = np.concatenate([np.diff(lane.line_m, axis=0) for lane in lanes])
        self._heights_m = np.concatenate([lane.height_m[:-1] for lane in lanes])
        half_widths_m = (np.minimum(lane.width_m[:-1], lane.width_m[1:]) / 2.0 for lane in lanes)
        self._half_widths_m = np.concatenate([*half_widths_m])
        squares = np.einsum("ij,ij->i", self._steps_m, self._steps_m)
        self._per_square = np.where(squares > 0.0, 1.0 / np.maximum(squares, 1e-12), 0.0)
        self._cell_m = max(_CELL_M, float(self._half_widths_m.max()))
        cells = np.floor(self._starts_m / self._cell_m).astype(np.int64)
        order = np.lexsort((cells[:, 1], cells[:, 0]))
        borders = np.flatnonzero((np.diff(cells[order], axis=0) != 0).any(axis=1)) + 1
        self._cells: dict[tuple[int, int], IntArray] = {
            (int(cells[rows[0], 0]), int(cells[rows[0], 1])): np.sort(rows)
            for rows in np.split(order, borders)
        }

    def lane_at(self, x_m: float, y_m: float) -> LanePlace | None:
        """The nearest of the lanes on whose ground a point lies; None if there is none."""
        return self.lanes_at(np.array([(x_m, y_m)]))[0]

    def lanes_at(self, points_m: FloatArray) -> list[LanePlace | None]:
        """`lane_at` for each of (N, 2) points within a car's size of each other."""
        rows = self._near(*points_m.mean(axis=0))
        if not len(rows):
            return [None] * len(points_m)
        gaps_m, shares = self._gaps(rows, points_m)
        gaps_m = np.where(gaps_m <= self._half_widths_m[rows], gaps_m, np.inf)
        best = gaps_m.argmin(axis=1)
        return [
            self._place(int(rows[at]), float(share[at])) if gap_m[at] < np.inf else None
            for at, share, gap_m in zip(best.tolist(), shares, gaps_m, strict=True)
        ]

    def nearest(self, x_m: float, y_m: float, z_m: float) -> LanePlace:
        """The nearest place on the middle of a lane; height counts, for roads above each other."""
        rows = self._near(x_m, y_m)
        if not len(rows):
            rows = np.arange(len(self._lane))
        gaps_m, shares = self._gaps(rows, np.array([(x_m, y_m)]))
        best = int(np.hypot(gaps_m[0], self._heights_m[rows] - z_m).argmin())
        return self._place(int(rows[best]), float(shares[0, best]))

    def lowest(self, x_m: float, y_m: float) -> LanePlace:
        """The nearest place on the middle of a lane; of lanes above each other on the lowest."""
        rows = self._near(x_m, y_m)
        if not len(rows):
            rows = np.arange(len(self._lane))
        gaps_m, shares = self._gaps(rows, np.array([(x_m, y_m)]))
        here = gaps_m[0] <= gaps_m[0].min() + _BESIDE_M
        heights_m = np.where(here, self._heights_m[rows], np.inf)
        gaps_m = np.where(heights_m <= heights_m.min() + _STOREY_M, gaps_m[0], np.inf)
        best = int(gaps_m.argmin())
        return self._place(int(rows[best]), float(shares[0, best]))

    def near(self, x_m: float, y_m: float, reach_m: float) -> list[LanePiece]:
        """The pieces of lanes within a reach of at most 8 m of a point, in a fixed order."""
        rows = self._near(x_m, y_m)
        gaps_m, shares = self._gaps(rows, np.array([(x_m, y_m)]))
        within = np.flatnonzero((gaps_m[0] <= reach_m) & (self._per_square[rows] > 0.0))
        rows = rows[within]
        steps_m = self._steps_m[rows]
        points_m = self._starts_m[rows] + shares[0, within, None] * steps_m
        yaws = np.arctan2(steps_m[:, 1], steps_m[:, 0])
        columns = (gaps_m[0, within].tolist(), yaws.tolist(), *points_m.T.tolist())
        return [
            LanePiece(self.lanes[lane], *numbers)
            for lane, *numbers in zip(self._lane[rows].tolist(), *columns, strict=True)
        ]

    def _near(self, x_m: float, y_m: float) -> IntArray:
        """The pieces that begin in the cell of a point or in a neighbouring cell."""
        column, row = math.floor(x_m / self._cell_m), math.floor(y_m / self._cell_m)
        found = [
            self._cells[cell]
            for cell in ((column + dx, row + dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1))
            if cell in self._cells
        ]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _gaps(self, rows: IntArray, points_m: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(N, K) distances of points from pieces, m, and the nearest places on those, 0 to 1."""
        steps_m = self._steps_m[rows]
        offsets_m = points_m[:, None] - self._starts_m[rows]
        shares = (offsets_m * steps_m).sum(axis=2) * self._per_square[rows]
        shares = np.clip(shares, 0.0, 1.0)
        gaps_m = offsets_m - shares[..., None] * steps_m
        return np.hypot(gaps_m[..., 0], gaps_m[..., 1]), shares

    def _place(self, row: int, share: float) -> LanePlace:
        lane, index = self.lanes[self._lane[row]], int(self._index[row])
        before_m, after_m = lane.along_m[index : index + 2].tolist()
        return LanePlace.on(lane, before_m + share * (after_m - before_m))
