# SPDX-License-Identifier: Apache-2.0
"""Signals, controllers and speed limits: where they are, for which lanes, and what is broken."""

from __future__ import annotations

import math

import pytest

from td3_driver.driving.routes.road_map import LaneId, LanePlace, RoadMap
from td3_driver.opendrive.document import read_document
from td3_driver.opendrive.records import Controller
from td3_driver.opendrive.signals import Signal, Stop

from ..towns import town_of
from .making import document, lane, read, road, section, touches

BOTH_WAYS = section(0, lane(1), lane(-1))
LIGHT = 'type="1000001" dynamic="yes"'
MPH = 0.44704


def signal(signal_id: str, attributes: str, inside: str = "", s: object = 10.0) -> str:
    return f'<signal id="{signal_id}" s="{s}" t="-4" {attributes}>{inside}</signal>'


def validity(first: object, last: object) -> str:
    return f'<validity fromLane="{first}" toLane="{last}"/>'


def with_signals(*signals: str, attributes: str = "", more: str = "") -> RoadMap:
    inside = f"<signals>{''.join(signals)}</signals>{more}"
    return read(road(3, 50.0, BOTH_WAYS, attributes=attributes, more=inside))


def named(road_map: RoadMap) -> dict[str, Signal]:
    return {found.record.signal_id: found for found in road_map.signals}


def stops(road_map: RoadMap, signal_id: str) -> dict[int, float]:
    """By the lane's id, m from its start."""
    found = named(road_map)[signal_id].stops
    return {stop.lane.lane_id: pytest.approx(stop.s_m) for stop in found}


def crossing() -> str:
    """Roads 1 and 2, outside, lead into road 5 of junction 9, on which a light counts."""
    light = f"<signals>{signal('a', LIGHT, validity(-1, -1), s=0.0)}</signals>"
    reference = (
        f'<signals><signalReference id="a" s="0">{validity(-1, -1)}</signalReference></signals>'
    )
    lanes = section(0, lane(-1, before=[-1], after=[-1]))
    into = '<successor elementType="junction" elementId="9"/>'
    inside = touches("predecessor", 1, "end") + touches("successor", 2, "start")
    connection = (
        '<junction id="9"><controller id="c" sequence="2"/>'
        '<connection incomingRoad="1" connectingRoad="5" contactPoint="start">'
        '<laneLink from="-1" to="-1"/></connection></junction>'
    )
    control = '<controller id="c"><control signalId="a"/><control signalId="a"/></controller>'
    return document(
        road(1, 40.0, section(0, lane(-1)), links=into),
        road(5, 10.0, lanes, at=(40.0, 0.0, 0.0), junction=9, links=inside, more=reference),
        road(2, 40.0, section(0, lane(-1)), at=(50.0, 0.0, 0.0), more=light),
        control,
        connection,
    )


def test_a_signal_stands_beside_its_road() -> None:
    """On an arc to the left, uphill; its heading is told relative to the road."""
    elevation = '<elevationProfile><elevation s="0" a="1" b="0.1"/></elevationProfile>'
    turned = signal("a", 'zOffset="2" hOffset="0.5" orientation="-"', s=20.0)
    told = f"<signals>{turned}</signals>"
    arc = f'<arc curvature="{math.pi / 2.0 / 20.0}"/>'
    found = named(read(road(3, 40.0, BOTH_WAYS, shape=arc, more=elevation + told)))["a"]
    radius_m = 20.0 / (math.pi / 2.0)
    assert found.x_m == pytest.approx(radius_m + 4.0, abs=1e-6)  # to the right of its end
    assert found.y_m == pytest.approx(radius_m, abs=1e-6)
    assert found.z_m == pytest.approx(5.0)
    assert found.yaw_rad == pytest.approx(math.pi / 2.0 + 0.5)


@pytest.mark.parametrize(
    ("attributes", "inside", "rule", "lanes"),
    [
        ("", validity(-1, -1), "", {-1: 10.0}),
        ("", validity(1, -1), "", {1: 40.0, -1: 10.0}),
        ("", validity(1, 3) + validity(-3, -2), "", {1: 40.0}),
        ('orientation="+"', validity(0, 0), "", {}),
        ('orientation="+"', "", "", {-1: 10.0}),
        ('orientation="-"', "", "", {1: 40.0}),
        ('orientation="none"', "", "", {1: 40.0, -1: 10.0}),
        ('orientation="+"', "", 'rule="LHT"', {1: 10.0}),
        ('orientation="-"', "", 'rule="LHT"', {-1: 40.0}),
    ],
)
def test_the_lanes_that_a_signal_is_for(
    attributes: str, inside: str, rule: str, lanes: dict[int, float]
) -> None:
    found = with_signals(signal("a", attributes, inside), attributes=rule)
    assert stops(found, "a") == lanes


def test_a_reference_adds_places() -> None:
    reference = f'<signalReference id="a" s="30">{validity(1, 1)}</signalReference>'
    found = with_signals(signal("a", LIGHT, validity(-1, -1)), reference)
    assert stops(found, "a") == {-1: 10.0, 1: 20.0}
    assert named(found)["a"].is_light


def test_a_lane_of_several_sections_meets_a_signal_in_its_own() -> None:
    first, second = section(0, lane(-1, after=[-1])), section(20, lane(-1, before=[-1]))
    told = f"<signals>{signal('a', '', s=35.0)}</signals>"
    (stop,) = named(read(road(3, 50.0, first, second, more=told)))["a"].stops
    assert stop == (LaneId(3, 1, -1), pytest.approx(15.0))


def test_in_a_junction_traffic_stops_before_it() -> None:
    found = RoadMap(crossing(), "made")
    assert found.notes == ()
    assert named(found)["a"].stops == (
        Stop(LaneId(1, 0, -1), pytest.approx(40.0)),
        Stop(LaneId(2, 0, -1), pytest.approx(0.0)),
    )
    assert found.controllers == (Controller("c", "9", (2.0, 0.0), ("a",)),)


def test_signs_that_roadrunner_writes_as_objects() -> None:
    """As CARLA's library takes them: "+" is the left side, and names tell the rest."""
    objects = (
        '<objects><object id="1" name="Speed_30" s="10" t="4" hdg="3" orientation="+"/>'
        '<object id="2" name="Stencil_STOP" s="20" t="-2" orientation="-"/>'
        '<object id="3" name="Tree_01" s="20" t="-9" type="tree"/></objects>'
    )
    found = with_signals(more=objects)
    limit, painted = found.signals
    assert (limit.record.kind, limit.record.value, limit.record.unit) == ("274", 30.0, "km/h")
    assert limit.yaw_rad == pytest.approx(3.0)
    assert stops(found, "1") == {1: 40.0}
    assert painted.record.kind == "206"
    assert stops(found, "2") == {-1: 20.0}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ('<signal id="b" t="0"/>', "signal b of road 3: a <signal> has no attribute s"),
        ('<signal s="1" t="0"/>', "signal (no id) of road 3: it has no attribute id"),
        ('<signal id="b" s="x" t="0"/>', "signal b of road 3: a <signal> has s='x'"),
        ('<signal id="b" s="1" t="nan"/>', "signal b of road 3: a <signal> has t='nan'"),
        ('<signal id="b" s="99" t="0"/>', "signal b of road 3: it is at s 99 m; its road is 50 m"),
        ('<signal id="b" s="1" t="0" value="fast"/>', "signal b of road 3: a <signal> has value"),
        (signal("a", ""), "signal a of road 3: another signal has the same id"),
        (signal("b", "", validity("x", 1)), "signal b of road 3: a <validity> has fromLane='x'"),
        ('<signalReference id="z" s="1"/>', "signalReference z: there is no such signal"),
        ('<signalReference id="a"/>', "signalReference a of road 3: a <signalReference> has no"),
    ],
)
def test_a_broken_signal_is_left_out_by_name(broken: str, said: str) -> None:
    found = with_signals(signal("a", "", validity(-1, -1)), broken)
    assert stops(found, "a") == {-1: 10.0}
    assert set(named(found)) == {"a"}
    assert len(found.lanes) == 2
    (note,) = found.notes
    assert note.startswith(f"map made: 1 element left out, unreadable: {said}")


def test_a_broken_controller_is_left_out_by_name() -> None:
    controls = (
        '<controller id="c"><control signalId="a"/></controller>'
        '<controller id="c"/><controller id="d"><control/></controller>'
        '<junction id="9"><controller id="c" sequence="soon"/></junction>'
    )
    found = read(road(3, 50.0, BOTH_WAYS), controls)
    assert found.controllers == (Controller("c", None, (0.0, 0.0), ("a",)),)
    (note,) = found.notes
    assert "junction 9: a <controller> has sequence='soon'" in note
    assert "controller c: another controller has the same id" in note
    assert "controller d: it has no attribute signalId" in note


def test_a_road_that_is_left_out_takes_its_signals_along() -> None:
    told = f"<signals>{signal('a', '')}</signals>"
    found = read(road(3, 50.0, BOTH_WAYS), road(4, 50.0, more=told))
    assert found.signals == ()
    assert found.notes == (
        "map made: 1 element left out, unreadable: road 4: it has no <laneSection>",
    )


def limits(road_map: RoadMap, lane_id: int, *places_m: float) -> list[float | None]:
    key = next(key for key in road_map.lanes if key.lane_id == lane_id)
    lane_there = road_map.lanes[key]
    return [LanePlace.on(lane_there, s_m).speed_limit_mps for s_m in places_m]


def test_speed_limits_along_a_road() -> None:
    """In the document's units; a stretch without one; traffic against the road meets them last."""
    types = (
        '<type s="0" type="town"><speed max="25" unit="mph"/></type>'
        '<type s="10" type="rural"><speed max="36" unit="km/h"/></type>'
        '<type s="20" type="motorway"><speed max="no limit"/></type>'
        '<type s="30" type="rural"><speed max="5"/></type>'
        '<type s="40" type="town"/>'
    )
    found = read(road(3, 50.0, BOTH_WAYS, more=types))
    expected = [pytest.approx(25.0 * MPH), pytest.approx(10.0), None, 5.0, None]
    assert limits(found, -1, 5.0, 15.0, 25.0, 35.0, 45.0) == expected
    assert limits(found, 1, 45.0, 35.0, 25.0, 15.0, 5.0) == expected


def test_a_lane_has_speed_limits_of_its_own() -> None:
    marks = '<speed sOffset="0" max="10"/><speed sOffset="5" max="20" unit="m/s"/>'
    types = '<type s="0"><speed max="3"/></type>'
    first, second = section(0, lane(-1)), section(20, lane(1), lane(-1, marks=marks))
    found = read(road(3, 50.0, first, second, more=types))
    lanes = {key: LanePlace.on(found.lanes[key], 6.0).speed_limit_mps for key in found.lanes}
    assert lanes == {LaneId(3, 0, -1): 3.0, LaneId(3, 1, -1): 20.0, LaneId(3, 1, 1): 3.0}


@pytest.mark.parametrize("speed", ['max="fast"', 'max="30" unit="knots"', 'unit="mph"'])
def test_a_broken_speed_limit_is_left_out_by_name(speed: str) -> None:
    found = read(road(3, 50.0, BOTH_WAYS, more=f'<type s="0"><speed {speed}/></type>'))
    assert limits(found, -1, 5.0) == [None]
    (note,) = found.notes
    assert note.startswith("map made: 1 element left out, unreadable: road 3: a <speed> has")


@pytest.mark.parametrize("name", ["Town01", "Town02", "Town03"])
def test_signals_are_those_of_carla_s_library(name: str) -> None:
    """Which there are, where they stand, and where lanes meet them."""
    carla = pytest.importorskip("carla", reason="compares with CARLA's own road library")
    road_map = town_of(name)
    theirs = carla.Map(name, road_map.opendrive)
    landmarks: dict[str, list[carla.Landmark]] = {}
    for landmark in theirs.get_all_landmarks():
        landmarks.setdefault(landmark.id, []).append(landmark)
    assert set(named(road_map)) == set(landmarks)
    roads = read_document(road_map.opendrive).roads
    lengths_m = {int(road_id): road.length_m for road_id, road in roads.items()}
    for signal_id, found in named(road_map).items():
        at = landmarks[signal_id][0].transform
        place = (at.location.x, -at.location.y, at.location.z)
        # It moves lights by 0.25 m, and signs that are in the way.
        assert math.dist((found.x_m, found.y_m, found.z_m), place) < 0.3
        turned = math.remainder(-math.radians(at.rotation.yaw) - found.yaw_rad, math.tau)
        assert abs(turned) < 0.01
        assert found.record.kind == landmarks[signal_id][0].type
        expected = []
        for landmark in landmarks[signal_id]:
            for first, last in landmark.get_lane_validities():
                for lane_id in range(first, last + 1):
                    there = theirs.get_waypoint_xodr(landmark.road_id, lane_id, landmark.s)
                    if there is None or there.lane_type != carla.LaneType.Driving:
                        continue
                    if there.is_junction:  # the stop is where the lane begins
                        end_m = 0.0 if lane_id < 0 else lengths_m[landmark.road_id] - 1e-3
                        there = theirs.get_waypoint_xodr(landmark.road_id, lane_id, end_m)
                    expected.append((there.transform.location.x, -there.transform.location.y))
        ours = [LanePlace.on(road_map.lanes[stop.lane], stop.s_m) for stop in found.stops]
        assert ours
        for stop in ours:
            assert min(math.dist((stop.x_m, stop.y_m), place) for place in expected) < 0.5
        for place in expected:
            assert min(math.dist((stop.x_m, stop.y_m), place) for stop in ours) < 0.5
