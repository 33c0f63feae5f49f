# SPDX-License-Identifier: Apache-2.0
"""Seeded road networks for training: closed two-way loops, written as OpenDRIVE.

A loop is a star-shaped polygon whose corners are rounded by transition curves (line, spiral, arc,
spiral), the way real roads are laid out. scenariogeneration writes it, `carla.Map` reads it back.
"""

from __future__ import annotations

import math
import random
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

import carla
import numpy as np
import numpy.typing as npt
from scenariogeneration import xodr

LANE_WIDTH_M = 3.5
MIN_LENGTH_M = 500.0
MAX_LENGTH_M = 1000.0
_MIN_LINE_M = 10.0
# Two roads' hedges (see surface.py) must not stand on each other's lanes.
_MIN_CLEARANCE_M = 30.0
_SAMPLING_M = 4.0


def generate_opendrive(seed: int) -> str:
    """A closed two-way road of 500 to 1000 m with left and right bends.

    One 3.5 m lane each way, a broken yellow centre line, solid white edge lines, radii of at
    least 15 m. The same seed gives the same text on every machine.

    Args:
        seed: any integer.

    Returns:
        An OpenDRIVE document.
    """
    rng = random.Random(seed)
    while True:
        corners = _draw_corners(rng)
        if corners is None:
            continue
        text = _opendrive_of(corners, name=f"loop_{seed}")
        if _is_drivable_loop(text):
            return text


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


def _draw_corners(rng: random.Random) -> list[_Corner] | None:
    """The corners of one random loop, or None where this draw cannot be rounded."""
    count = rng.randint(5, 8)
    points = []
    for index in range(count):
        angle = 2.0 * math.pi * (index + rng.uniform(-0.3, 0.3)) / count
        distance = rng.uniform(70.0, 160.0)
        points.append((distance * math.cos(angle), distance * math.sin(angle)))
    corners = []
    for index, (x, y) in enumerate(points):
        heading_in = _heading(points[index - 1], (x, y))
        heading_out = _heading((x, y), points[(index + 1) % count])
        turn = (heading_out - heading_in + math.pi) % (2.0 * math.pi) - math.pi
        radius, spiral = rng.uniform(15.0, 60.0), rng.uniform(8.0, 20.0)
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
            center_road_mark=_mark(xodr.RoadMarkType.broken, xodr.RoadMarkColor.yellow),
        )
        for side in (road.lanes.lanesections[0].leftlanes, road.lanes.lanesections[0].rightlanes):
            side[0].roadmark = [_mark(xodr.RoadMarkType.solid, xodr.RoadMarkColor.white)]
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
    return _reproducible_text(document)


def _mark(kind: xodr.RoadMarkType, color: xodr.RoadMarkColor) -> xodr.RoadMark:
    return xodr.RoadMark(kind, width=0.15, color=color)


def _reproducible_text(document: xodr.OpenDrive) -> str:
    """The document without its creation date and without the last, machine-dependent digits."""
    root = document.get_element()
    for header in root.iter("header"):
        header.attrib.pop("date", None)
        # CARLA warns about every map that does not say where on Earth it lies.
        geo_reference = ElementTree.SubElement(header, "geoReference")
        geo_reference.text = "+proj=tmerc +lat_0=0 +lon_0=0 +k=1 +x_0=0 +y_0=0 +datum=WGS84"
    for geometry in root.iter("geometry"):
        for element in (geometry, *geometry):
            for key, value in element.attrib.items():
                element.set(key, f"{float(value):.9f}")
    for road in root.iter("road"):
        road.set("length", f"{float(road.attrib['length']):.9f}")
    return ElementTree.tostring(root, encoding="unicode")


def _is_drivable_loop(text: str) -> bool:
    """Whether the loop has the wanted length and keeps clear of itself, as CARLA reads it."""
    waypoint = carla.Map("loop", text).get_waypoint_xodr(0, -1, 0.0)
    first = waypoint
    points: list[tuple[float, float]] = []
    while len(points) * _SAMPLING_M <= MAX_LENGTH_M:
        points.append((waypoint.transform.location.x, waypoint.transform.location.y))
        waypoint = waypoint.next(_SAMPLING_M)[0]
        closed = waypoint.road_id == first.road_id and waypoint.s < _SAMPLING_M
        if closed and len(points) > 2:
            return _length_and_clearance_fit(np.array(points))
    return False


def _length_and_clearance_fit(points_m: npt.NDArray[np.float64]) -> bool:
    """Check a closed line of (N, 2) points that are `_SAMPLING_M` apart."""
    count = len(points_m)
    steps = np.abs(np.arange(count)[:, None] - np.arange(count)[None, :])
    along_m = np.minimum(steps, count - steps) * _SAMPLING_M
    apart_m = np.linalg.norm(points_m[:, None] - points_m[None, :], axis=2)
    # Twice the clearance along the road admits the tightest hairpin and nothing closer.
    clear = bool((apart_m[along_m > 2.5 * _MIN_CLEARANCE_M] > _MIN_CLEARANCE_M).all())
    return clear and count * _SAMPLING_M >= MIN_LENGTH_M
