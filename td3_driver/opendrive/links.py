# SPDX-License-Identifier: Apache-2.0
"""Finds the successors of each lane: a document's links, checked against the lanes' places.

A document may link two lanes at either of them, at their roads or in a junction; any of these is
enough. A link counts if one lane ends where the other begins.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from td3_driver.opendrive.curves import FloatArray
from td3_driver.opendrive.lane import Lane, LaneId
from td3_driver.opendrive.lanes import CAR_LANES, forward
from td3_driver.opendrive.records import END, START, Document, LaneRecord, Road

# Between a lane's end and the start of the one that it leads into.
_WIDEST_GAP_M = 1.0
_SHARPEST_RAD = math.radians(50.0)
_HIGHEST_STEP_M = 0.5
_WHOLE = re.compile(r"[0-9]{1,9}")
LARGEST_NUMBER = 10**9 - 1


class _LaneEnd(NamedTuple):
    """An end of a lane, at the lower or higher end of a section; `road` is the document's id."""

    road: str
    section: int
    lane: int
    end: str


# Two lanes' ends, and whether it is these that the document joins, not one of several that may be.
_Joint = tuple[_LaneEnd, _LaneEnd, bool]


def numbered(ids: Iterable[str]) -> dict[str, int]:
    """A number for each id of a document: the id itself if it is a number, else a free one."""
    numbers: dict[str, int] = {}
    taken: set[int] = set()
    texts = list(ids)
    for text in texts:
        if _WHOLE.fullmatch(text) and int(text) not in taken:
            numbers[text] = int(text)
            taken.add(int(text))
    free = itertools.count(max(taken, default=-1) + 1)
    return {text: numbers[text] if text in numbers else next(free) for text in texts}


def find_successors(
    document: Document, lanes: Mapping[LaneId, Lane], numbers: Mapping[str, int]
) -> tuple[dict[LaneId, tuple[LaneId, ...]], list[str]]:
    """The successors of each lane, sorted, and a line for each link that cannot be driven.

    Args:
        document: has the links.
        lanes: the lanes for cars.
        numbers: numbers of the roads by id, as in the lanes' keys.
    """
    faults: list[str] = []
    ways: dict[_LaneEnd, set[_LaneEnd]] = {}
    for one, other, sure in _joints(document, faults):
        arriving = [_arrives(document, end) for end in (one, other)]
        if arriving == [True, False]:
            ways.setdefault(_whole(one), set()).add(_whole(other))
        elif arriving == [False, True]:
            ways.setdefault(_whole(other), set()).add(_whole(one))
        elif sure:
            both = "arrive" if arriving[0] else "begin"
            names = sorted({_named(one), _named(other)})
            faults.append(f"{' and '.join(names)}: both {both} where they meet")
    keys = {
        _LaneEnd(road.road_id, section, lane, ""): LaneId(numbers[road.road_id], section, lane)
        for road in document.roads.values()
        for section, content in enumerate(road.sections)
        for lane in content.lanes
    }
    successors: dict[LaneId, tuple[LaneId, ...]] = {}
    for end, key in keys.items():
        if key not in lanes:
            continue
        found = set()
        for following in _beyond_points(ways, end, document):
            other_key = keys[following]
            if other_key not in lanes:
                continue
            if fault := _misfit(lanes[key], lanes[other_key]):
                faults.append(f"{lanes[key].name} to {lanes[other_key].name}: {fault}")
            else:
                found.add(other_key)
        successors[key] = tuple(sorted(found))
    return successors, list(dict.fromkeys(faults))


def _beyond_points(
    ways: dict[_LaneEnd, set[_LaneEnd]], start: _LaneEnd, document: Document
) -> Iterator[_LaneEnd]:
    """The lanes that a lane leads into, past sections without any length."""
    seen, ahead = {start}, sorted(ways.get(start, ()))
    while ahead:
        end = ahead.pop()
        if end in seen and end != start:
            continue
        seen.add(end)
        yield end
        road = document.roads[end.road]
        bounds = [*(section.s_m for section in road.sections), road.length_m]
        if bounds[end.section + 1] - bounds[end.section] < 0.01 and end != start:
            ahead += sorted(ways.get(end, ()))


def _named(end: _LaneEnd) -> str:
    return f"road {end.road} section {end.section} lane {end.lane}"


def _whole(end: _LaneEnd) -> _LaneEnd:
    return end._replace(end="")


def _record(document: Document, end: _LaneEnd) -> LaneRecord:
    return document.roads[end.road].sections[end.section].lanes[end.lane]


def _arrives(document: Document, end: _LaneEnd) -> bool:
    """Whether traffic leaves the lane at this end; else it enters there."""
    return forward(document.roads[end.road], _record(document, end)) == (end.end == END)


def _misfit(lane: Lane, following: Lane) -> str | None:
    """Why a lane does not lead into another; None if it does."""
    gap_m = math.dist(lane.line_m[-1], following.line_m[0])
    if gap_m > _WIDEST_GAP_M:
        return f"a gap of {gap_m:.1f} m"
    step_m = abs(float(lane.height_m[-1] - following.height_m[0]))
    if step_m > _HIGHEST_STEP_M:
        return f"a step of {step_m:.1f} m up or down"
    turn = _heading(lane.line_m[-3:]) - _heading(following.line_m[:3])
    turn_rad = abs((turn + math.pi) % (2.0 * math.pi) - math.pi)
    if turn_rad > _SHARPEST_RAD:
        return f"a corner of {math.degrees(turn_rad):.0f} degrees"
    return None


def _heading(line_m: FloatArray) -> float:
    dx, dy = line_m[-1] - line_m[0]
    return math.atan2(dy, dx)


def _joints(document: Document, faults: list[str]) -> Iterator[_Joint]:
    """All pairs of lane ends that the document links, of lanes for cars."""
    for road in document.roads.values():
        yield from _along(road)
        yield from _between_roads(document, road, faults)
    yield from _in_junctions(document, faults)


def _along(road: Road) -> Iterator[_Joint]:
    """The links between the consecutive lane sections of a road."""
    for side in (-1, 1):
        numbers = [n for n, section in enumerate(road.sections) if side in section.sides]
        for one, other in itertools.pairwise(numbers):
            for lane, following in _linked_lanes(
                _side(road, one, side), _side(road, other, side)
            ):
                yield (
                    _LaneEnd(road.road_id, one, lane, END),
                    _LaneEnd(road.road_id, other, following, START),
                    True,
                )


def _side(road: Road, section: int, side: int) -> dict[int, LaneRecord]:
    lanes = road.sections[section].lanes
    return {lane: record for lane, record in lanes.items() if lane * side > 0}


def _linked_lanes(
    before: dict[int, LaneRecord], after: dict[int, LaneRecord]
) -> Iterator[tuple[int, int]]:
    for lane, record in before.items():
        yield from ((lane, other) for other in record.after if _joinable(record, after.get(other)))
    for lane, record in after.items():
        for other in record.before:
            if _joinable(record, before.get(other)):
                yield other, lane


def _joinable(record: LaneRecord, other: LaneRecord | None) -> bool:
    return other is not None and record.kind in CAR_LANES and other.kind in CAR_LANES


def _between_roads(document: Document, road: Road, faults: list[str]) -> Iterator[_Joint]:
    for end, link in road.links.items():
        if link.road is None:
            continue
        other = document.roads.get(link.road)
        if other is None:
            faults.append(f"road {road.road_id}: it leads to road {link.road}, which is not there")
            continue
        for lane, record in _at(road, end).items():
            for following in record.after if end == END else record.before:
                for contact in (link.contact,) if link.contact else (START, END):
                    if _joinable(record, _at(other, contact).get(following)):
                        ends = _end_of(road, end, lane), _end_of(other, contact, following)
                        yield *ends, link.contact is not None


def _in_junctions(document: Document, faults: list[str]) -> Iterator[_Joint]:
    for connection in document.connections:
        where = f"junction {connection.junction}"
        road, other = (
            document.roads.get(name) for name in (connection.incoming, connection.other)
        )
        if road is None or other is None:
            missing = connection.incoming if road is None else connection.other
            faults.append(f"{where}: it joins road {missing}, which is not there")
            continue
        ends = [end for end, link in road.links.items() if link.junction == connection.junction]
        for lane, following in connection.lanes:
            # Where it is not said which ends meet, it is seen from where they lie.
            for end in ends or (START, END):
                for contact in (connection.contact,) if connection.contact else (START, END):
                    record, opposite = _at(road, end).get(lane), _at(other, contact).get(following)
                    if record is not None and _joinable(record, opposite):
                        sure = len(ends) == 1 and connection.contact is not None
                        yield _end_of(road, end, lane), _end_of(other, contact, following), sure


def _section_at(road: Road, end: str, side: int) -> int:
    numbers = [n for n, section in enumerate(road.sections) if side in section.sides]
    return (numbers[0] if end == START else numbers[-1]) if numbers else 0


def _at(road: Road, end: str) -> dict[int, LaneRecord]:
    """The lane ends at an end of a road."""
    return {
        lane: record
        for side in (-1, 1)
        for lane, record in _side(road, _section_at(road, end, side), side).items()
    }


def _end_of(road: Road, end: str, lane: int) -> _LaneEnd:
    return _LaneEnd(road.road_id, _section_at(road, end, 1 if lane > 0 else -1), lane, end)
