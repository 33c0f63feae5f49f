# SPDX-License-Identifier: Apache-2.0
"""Places a document's signals in the map, and finds the lanes whose traffic meets them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from td3_driver.opendrive.curves import reference_line
from td3_driver.opendrive.lane import Lane, LaneId
from td3_driver.opendrive.lanes import forward
from td3_driver.opendrive.records import Document, Reach, Road, SignalRecord

# The numbers of lights in OpenDRIVE's catalogue, as CARLA takes them.
_LIGHTS = frozenset(
    {
        *(f"10000{number:02d}" for number in (1, 2, *range(7, 21))),
        "F", "W", "A",
    }
)  # fmt: skip


class Stop(NamedTuple):
    """A place on a lane, `s_m` from its start, where its traffic meets a signal.

    Of a signal in a junction it is the end of a lane that leads into the junction.
    """

    lane: LaneId
    s_m: float


@dataclass(frozen=True)
class Signal:
    """A signal in the map.

    Attributes:
        record: what the document says of it.
        x_m, y_m, z_m: its place in the ROS map frame.
        yaw_rad: its direction, that of the traffic which it is for in CARLA's maps.
        stops: where lanes for cars meet it, in the order of the lanes' keys.
    """

    record: SignalRecord
    x_m: float
    y_m: float
    z_m: float
    yaw_rad: float
    stops: tuple[Stop, ...]

    @property
    def is_light(self) -> bool:
        """It is a traffic light."""
        return self.record.kind in _LIGHTS


def place_signals(
    document: Document,
    lanes: Mapping[LaneId, Lane],
    successors: Mapping[LaneId, tuple[LaneId, ...]],
    numbers: Mapping[str, int],
) -> tuple[Signal, ...]:
    """The document's signals in its order.

    Args:
        document: has the signals.
        lanes: the lanes for cars.
        successors: of each lane.
        numbers: numbers of the roads by id, as in the lanes' keys.
    """
    if not document.signals:
        return ()
    predecessors: dict[LaneId, list[LaneId]] = {}
    for key, following in successors.items():
        for other in following:
            predecessors.setdefault(other, []).append(key)

    def stops(reach: Reach) -> set[Stop]:
        found = set()
        for stop in _stops(document.roads[reach.road_id], numbers[reach.road_id], reach, lanes):
            before = _before_junction(stop.lane, lanes, predecessors)
            found |= {Stop(key, lanes[key].length_m) for key in before} or {stop}
        return found

    placed = []
    for record in document.signals:
        reaches = (record.reach, *document.references.get(record.signal_id, ()))
        found = sorted(set().union(*map(stops, reaches)))
        placed.append(
            Signal(record, *_pose(document.roads[record.reach.road_id], record), tuple(found))
        )
    return tuple(placed)


def _pose(road: Road, record: SignalRecord) -> tuple[float, float, float, float]:
    at_m = np.array([record.reach.s_m])
    points_m, headings = reference_line(road.geometries, at_m)
    (x_m, y_m), heading = points_m[0].tolist(), float(headings[0])
    z_m = float(road.elevation.at(at_m)[0])
    return (
        x_m - record.t_m * math.sin(heading),
        y_m + record.t_m * math.cos(heading),
        z_m + record.z_offset_m,
        math.remainder(heading + record.heading_rad, math.tau),
    )


def _stops(road: Road, number: int, reach: Reach, lanes: Mapping[LaneId, Lane]) -> list[Stop]:
    """Where the lanes of a road for which a signal counts pass it."""
    found = []
    for side in (-1, 1):
        sections = [n for n, section in enumerate(road.sections) if side in section.sides]
        starts = [road.sections[n].s_m for n in sections]
        at = int(np.searchsorted(starts, reach.s_m, side="right")) - 1
        if at < 0:
            continue
        end_m = [*starts, road.length_m][at + 1]
        share = min(max((reach.s_m - starts[at]) / max(end_m - starts[at], 1e-9), 0.0), 1.0)
        for lane_id, record in road.sections[sections[at]].lanes.items():
            lane = lanes.get(LaneId(number, sections[at], lane_id))
            if lane is None or lane_id * side <= 0 or not reach.counts_for(lane_id):
                continue
            # A lane's points are evenly spaced along the road.
            row = (share if forward(road, record) else 1.0 - share) * (len(lane.along_m) - 1)
            along_m = np.interp(row, np.arange(len(lane.along_m)), lane.along_m)
            found.append(Stop(lane.key, float(along_m)))
    return found


def _before_junction(
    key: LaneId, lanes: Mapping[LaneId, Lane], predecessors: Mapping[LaneId, list[LaneId]]
) -> set[LaneId]:
    """The lanes outside that lead into a road of a junction; none for a lane outside."""
    if lanes[key].junction_id is None:
        return set()
    found, ahead, seen = set(), [key], {key}
    while ahead:
        for before in predecessors.get(ahead.pop(), ()):
            if lanes[before].junction_id is None:
                found.add(before)
            elif before.road_id == key.road_id and before not in seen:
                seen.add(before)
                ahead.append(before)
    return found
