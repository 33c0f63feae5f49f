# SPDX-License-Identifier: Apache-2.0
"""The parts of an OpenDRIVE document that say where lanes lie and what they lead into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from td3_driver.opendrive.curves import Cubics, Geometry

START, END = "start", "end"  # of a road


class RoadMark(NamedTuple):
    """A line along a lane's outer border, from `s_m` after the lane section's start on."""

    s_m: float
    kind: str
    color: str
    width_m: float


@dataclass(frozen=True)
class LaneRecord:
    """A `<lane>`: its type, width, marks, and the lanes it names before and after it.

    Attributes:
        widths, borders: over the distance from the section's start; None where there are none.
        before, after: ids of linked lanes at the lower and the higher end of the section.
        reversed: traffic goes against the rule of the road (OpenDRIVE 1.8).
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
    """A `<laneSection>`: where it begins, and its lanes by id.

    `sides` has -1 and 1 for the sides that it describes: both, but for a `singleSide` one.
    """

    s_m: float
    lanes: dict[int, LaneRecord]
    sides: frozenset[int]


@dataclass(frozen=True)
class RoadLink:
    """What a road's end touches: the end of another road, or a junction.

    Attributes:
        road, junction: OpenDRIVE's id of the one that it is.
        contact: "start" or "end" of that road; None where it is not said.
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
        links: by the road's end that they are at, "start" or "end".
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
    """Lanes (from, to) that a junction joins: of the incoming road, and of the road it leads to.

    `contact` is the end of the other road that is joined.
    """

    junction: str
    incoming: str
    other: str
    contact: str | None
    lanes: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Document:
    """What was read, and a line for each element that was left out."""

    roads: dict[str, Road]
    connections: tuple[Connection, ...]
    faults: tuple[str, ...]
