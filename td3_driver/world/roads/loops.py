# SPDX-License-Identifier: Apache-2.0
"""Seeded closed two-way loops, written as OpenDRIVE.

A loop is a star-shaped polygon whose corners are rounded by transition curves (line, spiral, arc,
spiral), the way real roads are laid out. scenariogeneration writes it.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scenariogeneration import xodr

from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import distances
from td3_driver.driving.types import wrap_angle
from td3_driver.world.roads.bounds import LANE_WIDTH_M, Loop
from td3_driver.world.roads.opendrive import mark, paint, reproducible_text

_MIN_LINE_M = 10.0
# Two roads' hedges (see surface.py) must not stand on each other's lanes.
_MIN_CLEARANCE_M = 30.0
_SAMPLING_M = 4.0


def draw_loop(rng: random.Random, loop: Loop, name: str) -> str | None:
    """Draw a loop; its OpenDRIVE text, or None if it cannot be driven."""
    corners = _draw_corners(rng, loop)
    if corners is None:
        return None
    text = _opendrive_of(corners, name)
    return text if _is_drivable_loop(text, loop.length_m) else None


@dataclass(frozen=True)
class _Corner:
    """A polygon corner and the curve that rounds it (map frame, m and rad)."""

    x_m: float
    y_m: float
    heading_in_rad: float
    turn_rad: float  # left positive
    radius_m: float
    spiral_m: float

    @property
    def arc_m(self) -> float:
        """Length of the circular part; each spiral turns by spiral / (2 radius)."""
        return self.radius_m * abs(self.turn_rad) - self.spiral_m

    def curve(self) -> list[xodr.Spiral | xodr.Arc]:
        curvature = math.copysign(1.0 / self.radius_m, self.turn_rad)
        return [
            xodr.Spiral(0.0, curvature, length=self.spiral_m),
            xodr.Arc(curvature, length=self.arc_m),
            xodr.Spiral(curvature, 0.0, length=self.spiral_m),
        ]

    def tangent_m(self) -> float:
        """Distance from the corner to where its curve begins, and to where it ends.

        The curve is symmetric, so its end lies on the outgoing edge: y = tangent * sin(turn).
        """
        x, y, heading = 0.0, 0.0, 0.0
        for piece in self.curve():
            x, y, heading, _ = piece.get_end_data(x, y, heading)
        return float(y) / math.sin(self.turn_rad)


def _draw_corners(rng: random.Random, loop: Loop) -> list[_Corner] | None:
    """Draw the corners of a loop; None if they cannot be rounded."""
    count = rng.randint(*loop.corners)
    points = []
    for index in range(count):
        angle = 2.0 * math.pi * (index + rng.uniform(-0.3, 0.3)) / count
        distance = rng.uniform(*loop.distance_m)
        points.append((distance * math.cos(angle), distance * math.sin(angle)))
    corners = []
    for index, (x, y) in enumerate(points):
        heading_in = _heading(points[index - 1], (x, y))
        heading_out = _heading((x, y), points[(index + 1) % count])
        turn = wrap_angle(heading_out - heading_in)
        radius, spiral = rng.uniform(*loop.radius_m), rng.uniform(*loop.spiral_m)
        if not 0.25 < abs(turn) < 2.4:
            return None
        corners.append(_Corner(x, y, heading_in, turn, radius, spiral))
    turns_both_ways = min(c.turn_rad for c in corners) < 0.0 < max(c.turn_rad for c in corners)
    has_arcs = all(corner.arc_m > 2.0 for corner in corners)
    if not (turns_both_ways and has_arcs and min(_line_lengths(corners)) >= _MIN_LINE_M):
        return None
    return corners


def _heading(start: tuple[float, float], end: tuple[float, float]) -> float:
    return math.atan2(end[1] - start[1], end[0] - start[0])


def _line_lengths(corners: list[_Corner]) -> list[float]:
    """Length of the straight that leads to each corner, from the corner before it."""
    return [
        math.hypot(corner.x_m - before.x_m, corner.y_m - before.y_m)
        - corner.tangent_m()
        - before.tangent_m()
        for before, corner in zip([corners[-1], *corners[:-1]], corners, strict=True)
    ]


def _opendrive_of(corners: list[_Corner], name: str) -> str:
    """One road per corner (its straight and its curve), linked into a ring."""
    document = xodr.OpenDrive(name)
    count = len(corners)
    for index, line_m in enumerate(_line_lengths(corners)):
        corner = corners[index]
        road = xodr.create_road(
            [xodr.Line(line_m), *corner.curve()],
            id=index,
            lane_width=LANE_WIDTH_M,
            center_road_mark=mark(xodr.RoadMarkType.broken, xodr.RoadMarkColor.yellow),
        )
        paint(road)
        reach_m = line_m + corner.tangent_m()
        road.planview.set_start_point(
            corner.x_m - reach_m * math.cos(corner.heading_in_rad),
            corner.y_m - reach_m * math.sin(corner.heading_in_rad),
            corner.heading_in_rad,
        )
        road.add_predecessor(
            xodr.ElementType.road, (index - 1) % count, xodr.ContactPoint.end
        ).add_successor(xodr.ElementType.road, (index + 1) % count, xodr.ContactPoint.start)
        document.add_road(road)
    document.adjust_roads_and_lanes()
    return reproducible_text(document)


def _is_drivable_loop(text: str, length_m: tuple[float, float]) -> bool:
    """Whether the loop has the wanted length and keeps clear of itself."""
    graph = RoadMap(text, "loop").lane_graph
    first = LaneId(0, 0, -1)
    lines, lane = [graph.nodes[first]["line_m"]], first
    while (lane := next(iter(graph.successors(lane)), first)) != first:
        lines.append(graph.nodes[lane]["line_m"])
    closed_m = np.concatenate(lines)
    if math.dist(closed_m[0], closed_m[-1]) > _SAMPLING_M:
        return False  # it ends somewhere
    along_m = distances(closed_m)
    if not length_m[0] <= along_m[-1] <= length_m[1]:
        return False
    at_m = np.arange(0.0, along_m[-1], _SAMPLING_M)
    return _keeps_clear(np.stack([np.interp(at_m, along_m, part) for part in closed_m.T], axis=1))


def _keeps_clear(points_m: npt.NDArray[np.float64]) -> bool:
    """Whether a closed line of (N, 2) points `_SAMPLING_M` apart never comes close to itself."""
    count = len(points_m)
    steps = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :])
    along_m = np.minimum(steps, count - steps) * _SAMPLING_M
    apart_m = np.linalg.norm(points_m[:, None] - points_m[None, :], axis=2)
    # Twice the clearance along the road admits the tightest hairpin and nothing closer.
    return bool((apart_m[along_m > 2.5 * _MIN_CLEARANCE_M] > _MIN_CLEARANCE_M).all())
