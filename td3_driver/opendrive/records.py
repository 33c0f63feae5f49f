# SPDX-License-Identifier: Apache-2.0
"""Records of the elements of an OpenDRIVE document that describe lanes and their links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from td3_driver.opendrive.curves import Cubics, Geometry

START, END = "start", "end"  # of a road


class RoadMark(NamedTuple):
    """A painted line along a lane's outer border, from `s_m` after the section's start on.

    `lane_change` says towards which lane ids it may be crossed, `increase`, `decrease`, `both` or
    `none`; empty: as its kind says.
    """

    s_m: float
    kind: str
    color: str
    width_m: float
    lane_change: str


class LimitFrom(NamedTuple):
    """A speed limit from a distance on, m, along a road or a lane section; None: there is none."""

    s_m: float
    limit_mps: float | None


@dataclass(frozen=True)
class LaneRecord:
    """A `<lane>`: its type, width, road marks and linked lanes.

    Attributes:
        widths, borders: by the distance from the section's start, m; None without such elements.
        before, after: ids of linked lanes at the lower and the higher end of the section.
        reversed: traffic goes against the road's rule (OpenDRIVE 1.8).
        limits: the lane's own speed limits, by the distance from the section's start.
    """

    lane_id: int
    kind: str
    widths: Cubics | None
    borders: Cubics | None
    marks: tuple[RoadMark, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    reversed: bool
    limits: tuple[LimitFrom, ...]


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
        limits: its speed limits, of lanes that have none of their own.
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
    limits: tuple[LimitFrom, ...]


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
class Reach:
    """A place on a road where a signal counts, and the lanes for which it does.

    Attributes:
        road_id, s_m: the road, and the distance along its reference line.
        lanes: ranges of lane ids, from and to; no lane that traffic uses has the id 0.
    """

    road_id: str
    s_m: float
    lanes: tuple[tuple[int, int], ...]

    def counts_for(self, lane_id: int) -> bool:
        """Whether the signal is for a lane of the road."""
        return any(first <= lane_id <= last for first, last in self.lanes)


@dataclass(frozen=True)
class SignalRecord:
    """A `<signal>`, or an `<object>` that RoadRunner writes for a sign.

    Attributes:
        reach: where it stands along the road, and the lanes for which it counts there.
        t_m, z_offset_m, heading_rad: its place to the left of the reference line, above it, and
            its heading relative to it.
        kind, subtype: the numbers of the country's catalogue, as text.
        value: in `unit`; None if none is given.
    """

    signal_id: str
    reach: Reach
    t_m: float
    z_offset_m: float
    heading_rad: float
    name: str
    kind: str
    subtype: str
    value: float | None
    unit: str


@dataclass(frozen=True)
class Controller:
    """A `<controller>`: signals that show the same.

    Attributes:
        junction: the junction that it belongs to; None if no junction names it.
        sequence: its turn among those of the junction, by the junction and by itself.
        signals: ids, each once.
    """

    controller_id: str
    junction: str | None
    sequence: tuple[float, float]
    signals: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A document as read, and a line for each element that was left out.

    `references` has, by the ids of signals, the further places where they count. Of documents
    that were merged, `id_stride` tells an id from the one that it had: the remainder.
    """

    roads: dict[str, Road]
    connections: tuple[Connection, ...]
    signals: tuple[SignalRecord, ...]
    references: dict[str, tuple[Reach, ...]]
    controllers: tuple[Controller, ...]
    faults: tuple[str, ...]
    id_stride: int | None = None
