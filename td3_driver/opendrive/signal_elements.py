# SPDX-License-Identifier: Apache-2.0
"""Reads signals, their controllers, and speed limits from an OpenDRIVE document's elements.

Signals are those of `<signal>`, and the objects that RoadRunner writes for speed limits and for
stops painted on the road, as CARLA's own library takes them. What cannot be read is left out and
named.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from xml.etree.ElementTree import Element

from td3_driver.opendrive.elements import OpenDriveError, identifier, number
from td3_driver.opendrive.records import Controller, LimitFrom, Reach, Road, SignalRecord

STOP, SPEED_LIMIT = "206", "274"  # of the German catalogue, which CARLA uses
PAINTED_STOP = "Stencil_STOP"  # in the names of such objects
_SPEED_OBJECT = re.compile(r"[Ss]peed_(?:STATIC_)?([0-9]{1,3})")
_MPS_PER = {"m/s": 1.0, "": 1.0, "km/h": 1.0 / 3.6, "mph": 0.44704}
_UNLIMITED = ("no limit", "undefined")
_Lanes = tuple[tuple[int, int], ...]
_LEFT: _Lanes = ((1, 10_000),)  # all lanes of a side of the reference line
_RIGHT: _Lanes = ((-10_000, -1),)
_SLACK_M = 1.0  # files are written with few digits


def read_signals(
    root: Element, roads: Mapping[str, Road], faults: list[str]
) -> tuple[tuple[SignalRecord, ...], dict[str, tuple[Reach, ...]]]:
    """The signals of all roads, in the document's order, and where else each of them counts.

    Args:
        root: the document.
        roads: those that could be read, by id.
        faults: gets a line for each signal and reference that is left out.
    """
    signals: dict[str, SignalRecord] = {}
    references: dict[str, list[Reach]] = {}
    for road_element in root.iterfind("road"):
        road = roads.get(road_element.get("id", "").strip())
        if road is None:
            continue  # left out, and named, with all that it has
        for element in _signal_elements(road_element):
            try:
                signal = _signal(element, road)
                if signal.signal_id in signals:
                    raise OpenDriveError("another signal has the same id")
                signals[signal.signal_id] = signal
            except OpenDriveError as error:
                faults.append(f"{_named(element, road)}: {error}")
        for element in road_element.iterfind("signals/signalReference"):
            try:
                reach = _reach(element, road, _seen_from(element, road))
                references.setdefault(identifier(element, "id"), []).append(reach)
            except OpenDriveError as error:
                faults.append(f"{_named(element, road)}: {error}")
    faults += [
        f"signalReference {signal_id}: there is no such signal"
        for signal_id in references
        if signal_id not in signals
    ]
    return tuple(signals.values()), {
        signal_id: tuple(references[signal_id]) for signal_id in signals if signal_id in references
    }


def read_controllers(root: Element, faults: list[str]) -> tuple[Controller, ...]:
    """The controllers in the document's order; a line is added to `faults` for one left out."""
    junctions: dict[str, tuple[str, float]] = {}
    for junction in root.iterfind("junction"):
        for element in junction.iterfind("controller"):
            try:
                turn = junction.get("id", "").strip(), number(element, "sequence", 0.0)
                junctions.setdefault(identifier(element, "id"), turn)
            except OpenDriveError as error:
                faults.append(f"junction {junction.get('id', '(no id)')}: {error}")
    controllers: dict[str, Controller] = {}
    for element in root.iterfind("controller"):
        try:
            controller_id = identifier(element, "id")
            if controller_id in controllers:
                raise OpenDriveError("another controller has the same id")
            junction_id, turn_there = junctions.get(controller_id, (None, 0.0))
            controllers[controller_id] = Controller(
                controller_id,
                junction_id,
                (turn_there, number(element, "sequence", 0.0)),
                tuple(
                    dict.fromkeys(
                        identifier(part, "signalId") for part in element.iterfind("control")
                    )
                ),
            )
        except OpenDriveError as error:
            faults.append(f"controller {element.get('id', '(no id)')}: {error}")
    return tuple(controllers.values())


def speed_limits(
    element: Element, path: str, start: str, where: str, faults: list[str]
) -> tuple[LimitFrom, ...]:
    """The speed limits below an element, sorted by where they begin.

    Args:
        element: a road or a lane.
        path: from it to the elements that may have a `<speed>`.
        start: the name of the attribute, of those or of `<speed>`, that says where one begins.
        where, faults: a line that begins with `where` is added for each that is left out.
    """
    found = []
    for holder in element.iterfind(path):
        speeds = holder.findall("speed")
        try:
            if not speeds and path != ".":
                found.append(LimitFrom(number(holder, start, 0.0), None))
            for speed in speeds:
                begin = speed if speed.get(start) is not None else holder
                found.append(LimitFrom(number(begin, start, 0.0), _limit_mps(speed)))
        except OpenDriveError as error:
            faults.append(f"{where}: {error}")
    return tuple(sorted(found, key=lambda limit: limit.s_m))


def _limit_mps(speed: Element) -> float | None:
    if speed.get("max", "").strip() in _UNLIMITED:
        return None
    limit, unit = number(speed, "max"), speed.get("unit", "").strip()
    if unit not in _MPS_PER:
        raise OpenDriveError(f"a <speed> has unit={unit[:40]!r}; expected m/s, km/h or mph")
    # Some write 0 where they know none.
    return limit * _MPS_PER[unit] if limit > 0.0 else None


def _signal_elements(road: Element) -> Iterator[Element]:
    yield from road.iterfind("signals/signal")
    for element in road.iterfind("objects/object"):
        name = element.get("name", "")
        if _SPEED_OBJECT.match(name) or PAINTED_STOP in name:
            yield element


def _signal(element: Element, road: Road) -> SignalRecord:
    name = element.get("name", "").strip()
    kind, subtype, unit = (
        element.get(attribute, "").strip() for attribute in ("type", "subtype", "unit")
    )
    heading, value = "hOffset", None
    if element.tag == "object":
        # RoadRunner's "+" is the side on the left, whatever traffic does there.
        lanes = {"+": _LEFT, "-": _RIGHT}.get(_orientation(element), _RIGHT + _LEFT)
        speed = _SPEED_OBJECT.match(name)
        heading, unit = "hdg", "km/h"
        kind, subtype = (SPEED_LIMIT, speed[1]) if speed else (STOP, "")
        value = float(speed[1]) if speed else None
    else:
        lanes = _seen_from(element, road)
        if element.get("value", "").strip():
            value = number(element, "value")
    return SignalRecord(
        identifier(element, "id"),
        _reach(element, road, lanes),
        number(element, "t", 0.0),
        number(element, "zOffset", 0.0),
        number(element, heading, 0.0),
        name,
        kind,
        subtype,
        value,
        unit,
    )


def _reach(element: Element, road: Road, lanes: _Lanes) -> Reach:
    """Where a signal or a reference counts: for `lanes` if it names none."""
    s_m = number(element, "s")
    if not -_SLACK_M <= s_m <= road.length_m + _SLACK_M:
        raise OpenDriveError(f"it is at s {s_m:g} m; its road is {road.length_m:g} m long")
    named = []
    for validity in element.iterfind("validity"):
        first, last = sorted((number(validity, "fromLane"), number(validity, "toLane")))
        named.append((math.ceil(first), math.floor(last)))
    return Reach(road.road_id, min(max(s_m, 0.0), road.length_m), tuple(named) or lanes)


def _seen_from(element: Element, road: Road) -> _Lanes:
    """The lanes of the traffic that a signal is turned to."""
    along, against = (_LEFT, _RIGHT) if road.left_hand else (_RIGHT, _LEFT)
    return {"+": along, "-": against}.get(_orientation(element), _RIGHT + _LEFT)


def _orientation(element: Element) -> str:
    return element.get("orientation", "none").strip()


def _named(element: Element, road: Road) -> str:
    return f"{element.tag} {element.get('id', '(no id)')} of road {road.road_id}"
