# SPDX-License-Identifier: Apache-2.0
"""A road network: the lanes of an OpenDRIVE document, read and checked.

Coordinates are in the ROS map frame, which is OpenDRIVE's own; CARLA's has y mirrored.
"""

from __future__ import annotations

import codecs
import math
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import networkx
import numpy as np

from td3_driver.driving.routes.turning import too_tight
from td3_driver.driving.types import Pose
from td3_driver.opendrive.document import read_document
from td3_driver.opendrive.elements import OpenDriveError
from td3_driver.opendrive.lane import Lane, LaneId
from td3_driver.opendrive.lane_changes import LaneChange, find_lane_changes
from td3_driver.opendrive.lanes import CAR_LANES, read_lanes
from td3_driver.opendrive.links import find_successors, numbered
from td3_driver.opendrive.merging import Part, merge
from td3_driver.opendrive.places import LanePlace, LanePlaces
from td3_driver.opendrive.records import Document
from td3_driver.opendrive.signal_elements import STOP
from td3_driver.opendrive.signals import Signal, place_signals

__all__ = ["NARROWEST_M", "Lane", "LaneId", "LanePlace", "RoadMap", "RoadMapError", "pose_of"]

# No drive begins where a lane is narrower, as where it begins or ends beside another.
NARROWEST_M = 1.9

_APART_M = 100.0  # between maps that are put side by side: no camera sees a road so far away

_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
_NAMED = 3  # how many of several things of one kind are named
_DECLARED = re.compile(rb"""<\?xml[^>]*encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class RoadMapError(ValueError):
    """The OpenDRIVE text cannot be used as a road network."""


def pose_of(place: LanePlace) -> Pose:
    """Return the pose of a car in the middle of a lane, facing along its traffic."""
    return Pose(place.x_m, place.y_m, place.yaw_rad, place.z_m)


class RoadMap:
    """A road network read from OpenDRIVE.

    Args:
        opendrive: the OpenDRIVE document, as `/carla/world_info` carries it.
        name: the map's name, for messages.

    Attributes:
        lanes: all lanes that cars may use, by key, in the document's order.
        signals: its traffic lights and signs, in the document's order.
        controllers: which of the lights show the same, and take turns.
        notes: one line for each kind of thing that was left out, with the reason; empty for most
            maps.

    Raises:
        RoadMapError: the text is not OpenDRIVE, or has no lane that can be driven on.
    """

    def __init__(self, opendrive: str, name: str) -> None:
        self.name = name
        self.opendrive = opendrive
        try:
            document = read_document(opendrive)
        except OpenDriveError as error:
            raise RoadMapError(
                f"map {name}: {error}; expected an OpenDRIVE document (.xodr)"
            ) from error
        numbers = numbered(document.roads)
        junctions = numbered(
            dict.fromkeys(road.junction for road in document.roads.values() if road.junction)
        )
        self.lanes: dict[LaneId, Lane] = {}
        faults = []
        for road in document.roads.values():
            junction = None if road.junction is None else junctions[road.junction]
            for lane in read_lanes(road, numbers[road.road_id], junction):
                if fault := lane.fault:
                    faults.append(f"{lane.name}: {fault}")
                else:
                    self.lanes[lane.key] = lane
        self._successors, broken = find_successors(document, self.lanes, numbers)
        self.signals = place_signals(document, self.lanes, self._successors, numbers)
        self.controllers = document.controllers
        self._id_stride = document.id_stride
        tight = [lane for lane in self.lanes.values() if too_tight(lane.line_m)]
        self._tight = {lane.key for lane in tight}
        self.notes = tuple(
            f"map {name}: {_counted(noun, found)} left out{why}: {_named(found)}"
            for noun, why, found in (
                ("element", ", unreadable", document.faults),
                ("lane", ", not drivable", faults),
                ("link", ", no way for a car", broken),
                (
                    "lane",
                    " of routes, turning more tightly than a car can",
                    [lane.name for lane in tight],
                ),
            )
            if found
        )
        if len(self._tight) == len(self.lanes):
            why = _why(document, self.notes)
            raise RoadMapError(f"map {name}: it has no lane that a car can drive on; {why}")

    @classmethod
    def from_file(cls, path: str | Path) -> RoadMap:
        """Read a `.xodr` file in the encoding that it declares.

        Raises:
            FileNotFoundError: there is no such file.
            RoadMapError: it is not a road network.
        """
        path = Path(path)
        if path.is_dir():
            raise RoadMapError(f"map {path}: a folder; expected an OpenDRIVE .xodr file")
        if not path.is_file():
            raise FileNotFoundError(f"map {path}: no such file; expected an OpenDRIVE .xodr file")
        content = path.read_bytes()
        if content.startswith(_COMPRESSED):
            raise RoadMapError(f"map {path}: compressed; unpack it first")
        encoding = next((name for mark, name in _BYTE_ORDER_MARKS if content.startswith(mark)), "")
        if not encoding:
            declared = _DECLARED.search(content[:100_000])
            encoding = declared[1].decode() if declared else "utf-8"
        try:
            text = content.decode(encoding)
        except (UnicodeError, LookupError) as error:
            raise RoadMapError(
                f"map {path}: not a text file in {encoding}; expected OpenDRIVE XML"
            ) from error
        return cls(text, path.stem)

    @classmethod
    def side_by_side(cls, maps: Sequence[RoadMap]) -> RoadMap:
        """One map of several, which keep apart; the first one stays where it is.

        No road leads from one to another.

        Raises:
            RoadMapError: their roads have numbers of too many digits.
        """
        columns = math.ceil(math.sqrt(len(maps)))
        boxes = [
            np.concatenate([lane.outline_m for lane in part.lanes.values()]) for part in maps
        ]
        lows, highs = ([end(box, axis=0) for box in boxes] for end in (np.min, np.max))
        parts = []
        east_m = north_m = above_m = 0.0
        for place, (part, low, high) in enumerate(zip(maps, lows, highs, strict=True)):
            if place and place % columns == 0:
                east_m, north_m = 0.0, above_m
            # Corners are kept in a row, but for the first, which is not to move at all.
            shift = np.round(lows[0] + (east_m, north_m) - low)
            parts.append(Part(part.opendrive, float(shift[0]), float(shift[1])))
            east_m += float(high[0] - low[0]) + _APART_M
            above_m = max(above_m, north_m + float(high[1] - low[1]) + _APART_M)
        name = "+".join(part.name for part in maps)
        try:
            return cls(merge(parts), name)
        except OpenDriveError as error:
            raise RoadMapError(f"maps {name}: {error}") from error

    def part_of(self, road: int) -> int:
        """Which of the maps that were put side by side a road is in, from 0."""
        return 0 if self._id_stride is None else road // self._id_stride

    def own_id(self, road: int) -> int:
        """The number of a road in its own map, before maps were put side by side."""
        return road if self._id_stride is None else road % self._id_stride

    @cached_property
    def lane_graph(self) -> networkx.DiGraph:
        """Graph of every lane that routes may use, with edges to the next lanes, in a fixed order.

        A node is a `LaneId` with the attributes `lane`, the `Lane`; `line_m`, (N, 2) float64, its
        middle in the ROS map frame along the traffic, points about 0.5 m apart; `height_m`, (N,),
        of the ground there; `length_m`; and `junction_id`, None outside junctions. An edge's
        `length_m` is that of the lane it leaves. A dead end has no edge. Lanes that turn more
        tightly than a car can are not in it.
        """
        graph = networkx.DiGraph()
        for key in sorted(self.lanes.keys() - self._tight):
            lane = self.lanes[key]
            graph.add_node(
                key,
                lane=lane,
                line_m=lane.line_m,
                height_m=lane.height_m,
                length_m=lane.length_m,
                junction_id=lane.junction_id,
            )
        for key in list(graph):
            for following in self._successors[key]:
                if following not in self._tight:
                    graph.add_edge(key, following, length_m=self.lanes[key].length_m)
        return graph

    @cached_property
    def lane_changes(self) -> tuple[LaneChange, ...]:
        """Where a car may change to a neighbouring lane: between lanes of `lane_graph`."""
        return find_lane_changes(self._roomy)

    @cached_property
    def lanes_beside(self) -> tuple[LaneChange, ...]:
        """The same as if no painted line forbade it."""
        return find_lane_changes(self._roomy, whatever_is_painted=True)

    @property
    def _roomy(self) -> list[Lane]:
        return [lane for key, lane in self.lanes.items() if key not in self._tight]

    @cached_property
    def lights(self) -> tuple[Signal, ...]:
        """The traffic lights in the document's order; elsewhere they go by their numbers here."""
        return tuple(signal for signal in self.signals if signal.is_light)

    @cached_property
    def stop_signs(self) -> tuple[Signal, ...]:
        """The stop signs, also those painted on the road, in the document's order."""
        return tuple(signal for signal in self.signals if signal.record.kind == STOP)

    @cached_property
    def places(self) -> LanePlaces:
        """All lanes, searchable by position."""
        return LanePlaces(list(self.lanes.values()))


def _why(document: Document, notes: Sequence[str]) -> str:
    """Return why a map has no lane for cars."""
    kinds = {
        record.kind
        for road in document.roads.values()
        for section in road.sections
        for record in section.lanes.values()
        if record.lane_id
    }
    if notes:
        return notes[0].partition(": ")[2]
    if kinds & CAR_LANES:
        return "its lane sections are shorter than a centimetre"
    there, usable = (", ".join(sorted(found)) for found in (kinds, CAR_LANES))
    return f"its lanes are of type {there or '(none)'}; expected one of {usable}"


def _counted(noun: str, found: Sequence[str]) -> str:
    return f"{len(found)} {noun}{'' if len(found) == 1 else 's'}"


def _named(found: Sequence[str]) -> str:
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return "; ".join(found[:_NAMED]) + more
