# SPDX-License-Identifier: Apache-2.0
"""Common parts of all generated roads: lane width, painted lines, reproducible text."""

from __future__ import annotations

import random
import xml.etree.ElementTree as ElementTree

from scenariogeneration import xodr

_LEAST_PER_M = 1e-6  # of curvature


def paint(road: xodr.Road, edges: xodr.RoadMarkType = xodr.RoadMarkType.solid) -> None:
    """White lines: solid at the edges, if any, broken between the lanes of one direction."""
    section = road.lanes.lanesections[0]
    for side in (section.leftlanes, section.rightlanes):
        for lane in side[:-1]:
            lane.roadmark = [mark(xodr.RoadMarkType.broken, xodr.RoadMarkColor.white)]
        for lane in side[-1:]:
            lane.roadmark = [mark(edges, xodr.RoadMarkColor.white)]


def drawn_centre(rng: random.Random) -> xodr.RoadMark:
    """A line between the directions as some country has it."""
    kinds = xodr.RoadMarkType
    return mark(
        rng.choice((kinds.broken, kinds.solid, kinds.solid_solid)),
        rng.choice((xodr.RoadMarkColor.yellow, xodr.RoadMarkColor.white)),
    )


def drawn_edges(rng: random.Random) -> xodr.RoadMarkType:
    """Lines at a street's edges, or none."""
    kinds = xodr.RoadMarkType
    return rng.choice((kinds.solid, kinds.solid, kinds.broken, kinds.none))


def mark(kind: xodr.RoadMarkType, color: xodr.RoadMarkColor) -> xodr.RoadMark:
    """A painted line of the usual width."""
    return xodr.RoadMark(kind, width=0.15, color=color)


def reproducible_text(document: xodr.OpenDrive) -> str:
    """The document without its date and without the last digits, which vary by machine."""
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
        _simplify(geometry)
    for road in root.iter("road"):
        road.set("length", f"{float(road.attrib['length']):.9f}")
    return ElementTree.tostring(root, encoding="unicode")


def _simplify(geometry: ElementTree.Element) -> None:
    """Write a spiral that hardly changes its curvature as arc or line: CARLA divides by both."""
    for spiral in geometry.findall("spiral"):
        curvature, last = float(spiral.attrib["curvStart"]), float(spiral.attrib["curvEnd"])
        if abs(last - curvature) < _LEAST_PER_M:
            straight = abs(curvature) < _LEAST_PER_M
            spiral.tag = "line" if straight else "arc"
            spiral.attrib = {} if straight else {"curvature": spiral.attrib["curvStart"]}
