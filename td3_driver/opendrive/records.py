# SPDX-License-Identifier: Apache-2.0
"""Records of the elements of an OpenDRIVE document that describe lanes and their links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from td3_driver.opendrive.curves import Cubics, Geometry

START, END = "start", "end"  # of a road


class RoadMark(NamedTuple):
    """A painted line along a lane's outer border, from `s_m` after the section's start on."""

    s_m: float
    kind: str
    color: str
    width_m: float


@dataclass(frozen=True)
class LaneRecord:
    """A `<lane>`: its type, width, road marks and linked lanes.

    Attributes:
        widths, borders: by the distance from the section's start, m; None without such elements.
        before, after: ids of linked lanes at the lower and the higher end of the section.
        reversed: traffic goes against the road's rule (OpenDRIVE 1.8).
    """

    lane_id: int
    kind: str
    widths: Cubics | None
    borders: Cubics | None
    marks: tuple[RoadMark, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    reversed: bool


@dataclass(frozen=True)
class Section:
    """A `<laneSection>`: its start, and its lanes by id.

    `sides` has the sides that it describes, -1 and 1: both, or one if it is a `singleSide`.
    """

    s_m: float
    lanes: dict[int, LaneRecord]
    sides: frozenset[int]


@dataclass(frozen=True)
class RoadLink:
    """The link of a road's end to the end of another road, or to a junction.

    Attributes:
        road, junction: OpenDRIVE's id of the one or the other; None for the one it is not.
        contact: "start" or "end" of that road; None if not given.
    """

    road: str | None
    junction: str | None
    contact: str | None


@dataclass(frozen=True)
class Road:
    """A `<road>`.

    Attributes:
        road_id: OpenDRIVE's id, a text.
        junction: the junction's id, None outside junctions.
        left_hand: traffic keeps left.
        links: the road's links by its ends, "start" and "end".
    """

    road_id: str
    junction: str | None
    left_hand: bool
    length_m: float
    geometries: tuple[Geometry, ...]
    elevation: Cubics
    lane_offset: Cubics
    sections: tuple[Section, ...]
    links: dict[str, RoadLink]


@dataclass(frozen=True)
class Connection:
    """A junction's links of lanes (from, to) of an incoming road to those of another road.

    `contact` is the end of the other road that they join.
    """

    junction: str
    incoming: str
    other: str
    contact: str | None
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Document:
    """A document as read, and a line for each element that was left out."""

    roads: dict[str, Road]
    connections: tuple[Connection, ...]
    faults: tuple[str, ...]
