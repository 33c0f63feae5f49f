# SPDX-License-Identifier: Apache-2.0
"""Several OpenDRIVE documents as one, side by side."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from td3_driver.opendrive.document import ID_STRIDE, read_document, read_xml
from td3_driver.opendrive.elements import OpenDriveError, number
from td3_driver.opendrive.links import LARGEST_NUMBER, numbered

_ROAD, _JUNCTION, _SIGNAL, _CONTROLLER, _OBJECT = "road", "junction", "signal", "controller", "obj"
# Where OpenDRIVE 1.4 to 1.8 names something of each kind. Other ids are those of lanes, which
# count within their road, and of connections, within their junction.
_IDS = {
    "road": _ROAD,
    "junction": _JUNCTION,
    "signal": _SIGNAL,
    "signalReference": _SIGNAL,
    "dependency": _SIGNAL,
    "controller": _CONTROLLER,
    "object": _OBJECT,
    "objectReference": _OBJECT,
    "bridge": _OBJECT,
    "tunnel": _OBJECT,
}
_REFERENCES = {
    "junction": _JUNCTION,
    "signalId": _SIGNAL,
    **dict.fromkeys(("incomingRoad", "connectingRoad", "linkedRoad", "mainRoad"), _ROAD),
    **dict.fromkeys(("crossingRoad", "roadAtStart", "roadAtEnd", "roadId", "high", "low"), _ROAD),
}
_EXTENT = ("north", "south", "east", "west")
_Numbers = Mapping[str, int]  # of the things of one kind, by their ids


@dataclass(frozen=True)
class Part:
    """A document, and by how many metres east and north it is moved."""

    opendrive: str
    east_m: float = 0.0
    north_m: float = 0.0


def merge(parts: Sequence[Part]) -> str:
    """One document with the roads of all; the first one's header says where on Earth they lie.

    All ids become whole numbers, as CARLA wants them. Those of roads and junctions are the numbers
    that `links.numbered` gives them in their own document, raised in the second document by a
    power of ten, in the third by twice that, and so on.

    Raises:
        OpenDriveError: a document is not OpenDRIVE, or their ids have too many digits.
    """
    roots = [read_xml(part.opendrive) for part in parts]
    own = [_numbers_of(part.opendrive) for part in parts]
    largest = max(max(numbers.values(), default=0) for both in own for numbers in both.values())
    stride = 10 ** len(str(largest))
    if stride * len(parts) > LARGEST_NUMBER:
        raise OpenDriveError(
            f"{len(parts)} maps side by side, with a road or junction {largest}: too long a number"
        )
    fresh = itertools.count(1)
    for place, (root, part, numbers) in enumerate(zip(roots, parts, own, strict=True)):
        others: dict[tuple[str, str], int] = {}
        for element, key, kind in _ids(root):
            text = element.attrib[key].strip()
            if text in numbers.get(kind, {}):
                found = numbers[kind][text] + place * stride
            else:  # what is not there, too: a reference to it must not find another map's
                found = others.setdefault((kind, text), 0) or next(fresh)
                others[kind, text] = found
                found += len(parts) * stride * (kind in numbers)
            element.set(key, str(found))
        _move(root, part.east_m, part.north_m)
    whole, *more = roots
    if (header := whole.find("header")) is None:
        header = ElementTree.Element("header")
        whole.insert(0, header)
    for side in _EXTENT:  # no longer true
        header.attrib.pop(side, None)
    for former in header.findall("userData"):
        if former.get("code") == ID_STRIDE:
            header.remove(former)
    ElementTree.SubElement(header, "userData", code=ID_STRIDE, value=str(stride))
    for root in more:
        whole.extend(element for element in root if element.tag != "header")
    return ElementTree.tostring(whole, encoding="unicode")


def _numbers_of(opendrive: str) -> dict[str, _Numbers]:
    """The numbers of a document's roads and junctions, as a `RoadMap` of it has them."""
    roads = read_document(opendrive).roads
    junctions = dict.fromkeys(road.junction for road in roads.values() if road.junction)
    return {_ROAD: numbered(roads), _JUNCTION: numbered(junctions)}


def _ids(root: Element) -> Iterator[tuple[Element, str, str]]:
    """Every attribute that holds an id: element, name, and the kind of what it names."""
    for element in root.iter():
        if element.tag in _IDS and "id" in element.attrib:
            yield element, "id", _IDS[element.tag]
        if element.get("elementId", "").strip():
            yield element, "elementId", element.get("elementType", _ROAD)
        for key, kind in _REFERENCES.items():
            text = element.get(key, "").strip()
            if text and (key, text) != ("junction", "-1"):
                yield element, key, kind


def _move(root: Element, east_m: float, north_m: float) -> None:
    for tag in ("geometry", "positionInertial"):
        for element in root.iter(tag):
            for key, by_m in (("x", east_m), ("y", north_m)):
                with contextlib.suppress(OpenDriveError):  # named when the whole is read
                    element.set(key, repr(number(element, key) + by_m))
