# SPDX-License-Identifier: Apache-2.0
"""Reading the XML of an OpenDRIVE document into records.

By ASAM OpenDRIVE 1.4 to 1.8. Elements that the standard makes optional may be missing. A road that
cannot be read is left out and named, the others are read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from td3_driver.opendrive.curves import Cubics, Geometry, Shape
from td3_driver.opendrive.elements import OpenDriveError, identifier, number
from td3_driver.opendrive.records import (
    END,
    START,
    Connection,
    Document,
    LaneRecord,
    Road,
    RoadLink,
    RoadMark,
    Section,
)
from td3_driver.opendrive.signal_elements import read_controllers, read_signals, speed_limits

# The reference lines of a country's motorways; more is a mistake, and would fill the memory.
_LONGEST_M = 2_000_000.0
_SHORTEST_M = 1e-6  # of a geometry that has a shape
_WIDEST_LINE_M = 1.0
ID_STRIDE = "td3_driver_id_stride"  # code of the <userData> in the header of a merged document
_BEFORE_DECLARATION = re.compile(r"(<!--.*?-->\s*)+(?=<\?xml)", re.DOTALL)


def read_xml(text: str) -> Element:
    """Read the elements of an OpenDRIVE document; their names come without a namespace.

    Raises:
        OpenDriveError: it is not XML, or not OpenDRIVE.
    """
    text = text.lstrip("\ufeff \t\r\n")
    if early := _BEFORE_DECLARATION.match(text):  # a comment there, which XML forbids
        text = text[early.end() :]
    try:
        # As text already decoded; its declaration may still name another encoding.
        content = text.encode(errors="surrogatepass")
        root = ElementTree.fromstring(content, ElementTree.XMLParser(encoding="utf-8"))
    except ElementTree.ParseError as error:
        raise OpenDriveError(f"not readable as XML ({error})") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != "OpenDRIVE":
        raise OpenDriveError(f"its root element is <{root.tag}>; expected <OpenDRIVE>")
    return root


def read_document(text: str) -> Document:
    """Read an OpenDRIVE document.

    Raises:
        OpenDriveError: it is not XML, or not OpenDRIVE, or no road of it can be read.
    """
    root = read_xml(text)
    roads: dict[str, Road] = {}
    faults: list[str] = []
    for element in root.iterfind("road"):
        name = f"road {element.get('id', '(no id)')}"
        try:
            road = _road(element, faults)
            if road.road_id in roads:
                raise OpenDriveError("another road has the same id")
        except OpenDriveError as error:
            faults.append(f"{name}: {error}")
            continue
        roads[road.road_id] = road
    total_m = sum(road.length_m for road in roads.values())
    if total_m > _LONGEST_M:
        longest = max(roads.values(), key=lambda road: road.length_m)
        raise OpenDriveError(
            f"its roads are {total_m / 1000.0:.0f} km long together (road {longest.road_id} "
            f"{longest.length_m / 1000.0:.0f} km); expected at most {_LONGEST_M / 1000.0:.0f} km"
        )
    if not roads:
        first = f"; {faults[0]}" if faults else ""
        raise OpenDriveError(f"it has no road that can be read{first}")
    connections = []
    for junction in root.iterfind("junction"):
        try:
            connections += list(_connections(junction))
        except OpenDriveError as error:
            faults.append(f"junction {junction.get('id', '(no id)')}: {error}")
    signals, references = read_signals(root, roads, faults)
    controllers = read_controllers(root, faults)
    return Document(
        roads,
        tuple(connections),
        signals,
        references,
        controllers,
        tuple(faults),
        _id_stride(root),
    )


def _id_stride(root: Element) -> int | None:
    for element in root.iterfind("header/userData"):
        value = element.get("value", "")
        if element.get("code") == ID_STRIDE and value.isdecimal() and int(value):
            return int(value)
    return None


def _road(element: Element, faults: list[str]) -> Road:
    geometries = tuple(
        sorted(
            (g for part in element.iterfind("planView/geometry") for g in _geometries(part)),
            key=lambda geometry: geometry.s_m,
        )
    )
    if not geometries:
        raise OpenDriveError("its <planView> has no <geometry> of any length")
    end_m = geometries[-1].s_m + geometries[-1].length_m
    length_m = min(number(element, "length", end_m), end_m)
    where = f"road {element.get('id')}"
    sections = _sections(element, length_m, where, faults)
    junction = element.get("junction", "-1").strip()
    links = {}
    for tag, end in (("predecessor", START), ("successor", END)):
        for link in element.iterfind(f"link/{tag}"):
            links[end] = _road_link(link)
    return Road(
        identifier(element, "id"),
        None if junction in ("-1", "") else junction,
        element.get("rule", "RHT").strip().upper() == "LHT",
        length_m,
        geometries,
        _cubics(element, "elevationProfile/elevation", "s"),
        _cubics(element, "lanes/laneOffset", "s"),
        sections,
        links,
        speed_limits(element, "type", "s", where, faults),
    )


def _geometries(element: Element) -> Iterator[Geometry]:
    """A geometry as a list; empty if it has no length."""
    s_m, length_m = number(element, "s", 0.0), number(element, "length")
    if s_m < 0.0 or not 0.0 <= length_m <= _LONGEST_M:
        raise OpenDriveError(
            f"a <geometry> at s {s_m:g} is {length_m:g} m long; expected both to be 0 or more, "
            f"and at most {_LONGEST_M:g}"
        )
    start = number(element, "x"), number(element, "y"), number(element, "hdg")
    for shape in element:
        kind, numbers = shape.tag, tuple[float, ...]()
        if kind == "arc":
            numbers = (number(shape, "curvature"),)
        elif kind == "spiral":
            numbers = number(shape, "curvStart"), number(shape, "curvEnd")
        elif kind == "poly3":
            numbers = tuple(number(shape, name) for name in "abcd")
        elif kind == "paramPoly3":
            names = (*(f"{name}U" for name in "abcd"), *(f"{name}V" for name in "abcd"))
            numbers = tuple(number(shape, name) for name in names)
            if shape.get("pRange") == "arcLength":
                kind = "paramPoly3 by arc length"
        elif kind != "line":
            continue
        if length_m < _SHORTEST_M:
            kind = "line"  # whatever it is, and what its numbers divided by its length would be
        if length_m > 0.0:
            yield Geometry(s_m, *start, length_m, Shape(kind, numbers))
        return
    raise OpenDriveError(
        f"a <geometry> at s {s_m:g} has no line, arc, spiral, poly3 or paramPoly3"
    )


def _sections(
    element: Element, length_m: float, where: str, faults: list[str]
) -> tuple[Section, ...]:
    found = []
    for index, part in enumerate(element.iterfind("lanes/laneSection")):
        s_m = number(part, "s", 0.0 if index == 0 else None)
        lanes = {}
        for lane in part.iterfind("*/lane"):
            record = _lane(lane, where, faults)
            if record.lane_id in lanes:
                raise OpenDriveError(
                    f"its lane section at s {s_m:g} has two lanes {record.lane_id}"
                )
            lanes[record.lane_id] = record
        sides = {math.copysign(1, lane_id) for lane_id in lanes if lane_id}
        both = part.get("singleSide", "false").strip().lower() not in ("true", "1")
        found.append(Section(s_m, lanes, frozenset({-1, 1} if both else map(int, sides))))
    found.sort(key=lambda section: section.s_m)
    # What begins at the road's end, or behind it, is nowhere on the road.
    found = [section for section in found if section.s_m < length_m] or found[:1]
    if not found:
        raise OpenDriveError("it has no <laneSection>")
    return tuple(found)


def _lane(element: Element, where: str, faults: list[str]) -> LaneRecord:
    lane_id = number(element, "id")
    if lane_id != int(lane_id):
        raise OpenDriveError(f"a lane's id is {lane_id:g}; expected a whole number")
    return LaneRecord(
        int(lane_id),
        element.get("type", "none").strip(),
        _cubics(element, "width", "sOffset") if element.find("width") is not None else None,
        _cubics(element, "border", "sOffset") if element.find("border") is not None else None,
        _marks(element),
        _linked(element, "predecessor"),
        _linked(element, "successor"),
        element.get("direction", "standard").strip() == "reversed",
        speed_limits(element, ".", "sOffset", f"{where} lane {lane_id:g}", faults),
    )


def _marks(lane: Element) -> tuple[RoadMark, ...]:
    marks = [
        RoadMark(
            number(mark, "sOffset", 0.0),
            mark.get("type", "none").strip().lower(),
            mark.get("color", "standard").strip().lower(),
            number(mark, "width", 0.0),
            mark.get("laneChange", "").strip().lower(),
        )
        for mark in lane.iterfind("roadMark")
    ]
    # A width that no brush has says nothing.
    usual = (m if 0.0 <= m.width_m <= _WIDEST_LINE_M else m._replace(width_m=0.0) for m in marks)
    return tuple(sorted(usual, key=lambda mark: mark.s_m))


def _linked(lane: Element, tag: str) -> tuple[int, ...]:
    return tuple(int(number(link, "id")) for link in lane.iterfind(f"link/{tag}"))


def _road_link(element: Element) -> RoadLink:
    other, contact = element.get("elementId", "").strip(), element.get("contactPoint")
    if element.get("elementType", "road") == "junction":
        return RoadLink(None, other, None)
    # In the middle of a road, as at a virtual junction, no lane of it begins or ends.
    if element.get("elementS") is not None:
        return RoadLink(None, None, None)
    return RoadLink(other, None, contact if contact in (START, END) else None)


def _connections(junction: Element) -> Iterator[Connection]:
    kind = junction.get("type", "default")
    if kind in ("virtual", "crossing"):
        return  # the road that passes goes on as if it were not there
    name = identifier(junction, "id")
    for element in junction.iterfind("connection"):
        other = element.get("linkedRoad" if kind == "direct" else "connectingRoad")
        incoming, contact = element.get("incomingRoad"), element.get("contactPoint")
        if other is None or incoming is None:
            continue  # 1.8 has connections of whole lanes' ways, which name no road
        lanes = tuple(
            (int(number(link, "from")), int(number(link, "to")))
            for link in element.iterfind("laneLink")
        )
        yield Connection(
            name,
            incoming.strip(),
            other.strip(),
            contact if contact in (START, END) else None,
            lanes,
        )


def _cubics(element: Element, path: str, start: str) -> Cubics:
    rows = [
        (number(part, start, 0.0), *(number(part, name, 0.0) for name in "abcd"))
        for part in element.iterfind(path)
    ]
    rows.sort(key=lambda row: row[0])  # of several at one place the last one counts
    return Cubics(np.array(rows, np.float64).reshape(-1, 5))
