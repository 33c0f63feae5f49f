# SPDX-License-Identifier: Apache-2.0
"""Curves of OpenDRIVE: a road's reference line, and cubic polynomials along it.

All in the document's frame, which is the ROS map frame: x east, y north, angles counter-clockwise.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# A record may begin a little off the place it belongs to: files are written with few digits.
_SLACK_M = 1e-3
_TABLE_SPACING_M = 0.05  # of the points by which a polynomial's length is measured
_TABLE_POINTS = 200_000  # at most
# Where pieces of a reference line meet at an angle, its direction turns over this to each side:
# lanes beside it would jump on the outside of the corner and double back on the inside.
_ROUNDED_M = 2.0
_CORNER_RAD = 0.01
_STEP_M = 0.5
# Gauss and Legendre's nodes and weights on [0, 1]: exact to 1e-12 m for a step of a spiral.
_NODES, _WEIGHTS = (part / 2.0 for part in np.polynomial.legendre.leggauss(8))
_NODES = _NODES + 0.5


class Cubics:
    """A piecewise cubic a + b t + c t² + d t³, where t is the distance from the piece's start, m.

    Args:
        rows: (K, 5) float64: start, a, b, c, d, sorted by start; without rows it is 0 everywhere.
    """

    def __init__(self, rows: FloatArray) -> None:
        self._rows = rows

    def at(self, s_m: FloatArray) -> FloatArray:
        """(N,) values at ascending distances (N,), m; those at both ends by the pieces in between.

        So a piece that begins where a lane section ends does not count in that section.
        """
        if not len(self._rows):
            return np.zeros_like(s_m)
        slack_m = min(_SLACK_M, 0.25 * float(s_m[-1] - s_m[0]))
        inside = np.clip(s_m, s_m[0] + slack_m, s_m[-1] - slack_m)
        piece = np.searchsorted(self._rows[:, 0], inside, side="right") - 1
        start, a, b, c, d = self._rows[np.maximum(piece, 0)].T
        along = s_m - start
        # Before the first piece nothing is said.
        values: FloatArray = np.where(piece < 0, 0.0, a + along * (b + along * (c + along * d)))
        return values


class Shape(NamedTuple):
    """The kind of a geometry, the name of its XML element, and the numbers of that element."""

    kind: str
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Geometry:
    """A piece of a reference line, from `s_m` on: its start, direction and shape."""

    s_m: float
    x_m: float
    y_m: float
    heading_rad: float
    length_m: float
    shape: Shape


def reference_line(
    geometries: tuple[Geometry, ...], s_m: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Points (N, 2), m, and directions (N,), rad, at ascending distances (N,)."""
    starts = np.array([geometry.s_m for geometry in geometries])
    piece = np.maximum(np.searchsorted(starts, s_m, side="right") - 1, 0)
    points_m, headings = np.empty((len(s_m), 2)), np.empty(len(s_m))
    for number in np.unique(piece).tolist():
        geometry, here = geometries[number], piece == number
        local_m, turned = _local(geometry, np.maximum(s_m[here] - geometry.s_m, 0.0))
        cos, sin = math.cos(geometry.heading_rad), math.sin(geometry.heading_rad)
        points_m[here] = (geometry.x_m, geometry.y_m) + local_m @ np.array(
            [(cos, sin), (-sin, cos)]
        )
        headings[here] = geometry.heading_rad + turned
    return points_m, _rounded(geometries, s_m, headings)


def _rounded(
    geometries: tuple[Geometry, ...], s_m: FloatArray, headings: FloatArray
) -> FloatArray:
    """The directions, with jumps at corners between pieces smoothed."""
    for before, after in itertools.pairwise(geometries):
        end = _local(before, np.array([after.s_m - before.s_m]))[1][0]
        jump = math.remainder(after.heading_rad - before.heading_rad - end, 2.0 * math.pi)
        if abs(jump) > _CORNER_RAD:
            ramp = np.clip((s_m - after.s_m) / (2.0 * _ROUNDED_M) + 0.5, 0.0, 1.0)
            headings = headings + jump * (ramp - (s_m >= after.s_m))
    return headings


def _local(geometry: Geometry, along_m: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points and directions at distances from a geometry's start, in the geometry's frame."""
    kind, numbers = geometry.shape
    if kind == "line":
        return np.column_stack([along_m, np.zeros_like(along_m)]), np.zeros_like(along_m)
    if kind == "arc":
        return _clothoid(along_m, numbers[0], 0.0)
    if kind == "spiral":
        first, last = numbers
        return _clothoid(along_m, first, (last - first) / geometry.length_m)
    if kind == "poly3":
        u, v = np.array([0.0, 1.0, 0.0, 0.0]), np.array(numbers)
        return _polynomial(along_m, u, v, geometry.length_m, geometry.length_m, cut=True)
    u, v = np.array(numbers[:4]), np.array(numbers[4:])
    last = geometry.length_m if kind.endswith("arc length") else 1.0
    return _polynomial(along_m, u, v, last, geometry.length_m, cut=False)


def _clothoid(
    along_m: FloatArray, curvature: float, change: float
) -> tuple[FloatArray, FloatArray]:
    """A curve whose curvature, 1/m, changes by `change` per metre; also an arc or a line."""

    def direction(s_m: FloatArray) -> FloatArray:
        turned: FloatArray = s_m * (curvature + 0.5 * change * s_m)
        return turned

    # The first distance may be far from the start; all other steps are short.
    approach_m = np.linspace(0.0, along_m[0], math.ceil(along_m[0] / _STEP_M) + 1)[:-1]
    at_m = np.concatenate([approach_m, along_m])
    before_m = np.concatenate([[0.0], at_m[:-1]])
    steps_m = at_m - before_m
    angles = direction(before_m[:, None] + steps_m[:, None] * _NODES)
    moved = np.column_stack([np.cos(angles) @ _WEIGHTS, np.sin(angles) @ _WEIGHTS])
    points_m = np.cumsum(moved * steps_m[:, None], axis=0)
    return points_m[len(approach_m) :], direction(along_m)


def _polynomial(
    along_m: FloatArray, u: FloatArray, v: FloatArray, last: float, length_m: float, *, cut: bool
) -> tuple[FloatArray, FloatArray]:
    """The curve (u(p), v(p)) of two cubics at distances along it.

    Args:
        along_m: (N,) distances from its start.
        u, v: (4,) coefficients, the constant first.
        last: p at the end.
        length_m: length of the curve in the document.
        cut: the curve ends where that length is reached; else it ends at p = `last`, and distances
            are stretched accordingly.
    """
    powers = np.arange(4)
    pieces = min(max(math.ceil(length_m / _TABLE_SPACING_M), 8), _TABLE_POINTS)
    p = np.linspace(0.0, last, pieces + 1)
    points = np.column_stack([(p[:, None] ** powers) @ u, (p[:, None] ** powers) @ v])
    lengths_m = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(points, axis=0).T))])
    if not cut and lengths_m[-1] > 0.0:
        lengths_m *= length_m / lengths_m[-1]
    at = np.interp(along_m, lengths_m, p)[:, None]
    slopes = powers[1:]
    du, dv = (at ** (slopes - 1)) @ (u[1:] * slopes), (at ** (slopes - 1)) @ (v[1:] * slopes)
    return np.column_stack([(at**powers) @ u, (at**powers) @ v]), np.unwrap(np.arctan2(dv, du))
