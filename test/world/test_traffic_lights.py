# SPDX-License-Identifier: Apache-2.0
"""Traffic lights: who takes turns with whom, for how long, and where vehicles are at them."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import LaneId, LanePlace, RoadMap
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import box_corners
from td3_driver.world.bodies.vehicle import LENGTH_M, WIDTH_M
from td3_driver.world.traffic_lights import LightState, Sign, TrafficLights, TriggerBox

from ..opendrive.making import document, lane, read, road, section
from ..towns import town_of

RED, YELLOW, GREEN, OFF = (
    LightState.RED, LightState.YELLOW, LightState.GREEN, LightState.OFF,
)  # fmt: skip
DT_S = 0.5


def light(signal_id: str, s: float, lanes: tuple[int, int] = (-1, -1)) -> str:
    validity = f'<validity fromLane="{lanes[0]}" toLane="{lanes[1]}"/>'
    kind = 'type="1000001" dynamic="yes" orientation="+"'
    return f'<signal id="{signal_id}" s="{s}" t="-5" zOffset="1" {kind}>{validity}</signal>'


def controller(name: str, sequence: int, *signals: str) -> str:
    controls = "".join(f'<control signalId="{signal_id}"/>' for signal_id in signals)
    return f'<controller id="{name}" sequence="{sequence}">{controls}</controller>'


@cache
def crossing() -> RoadMap:
    """Lights a and d are green together, then b; c has no controller."""
    signals = [light("a", 50.0), light("b", 45.0, (-2, -1)), light("c", 20.0), light("d", 30.0)]
    roads = [
        road(
            number, 50.0, section(0, lane(-1), lane(-2)), at=(0.0, 100.0 * number, 0.0),
            more=f"<signals>{signal}</signals>",
        )
        for number, signal in enumerate(signals)
    ]  # fmt: skip
    junction = '<junction id="7"><controller id="one"/><controller id="two"/></junction>'
    controls = controller("two", 1, "b"), controller("one", 0, "a", "d", "nowhere")
    return RoadMap(document(*roads, *controls, junction), "crossing")


A, B, C, D = range(4)


def run(lights: TrafficLights, seconds: float) -> None:
    for _ in range(round(seconds / DT_S)):
        lights.step(DT_S)


def shown(lights: TrafficLights) -> list[LightState]:
    return [lights.state(number) for number in range(len(lights.lights))]


def test_lights_and_their_groups() -> None:
    lights = TrafficLights(crossing())
    assert [found.signal_id for found in lights.lights] == ["a", "b", "c", "d"]
    assert lights.group_of(A) == lights.group_of(B) == (A, B, D)
    assert lights.group_of(C) == (C,)


def test_controllers_of_a_junction_take_turns() -> None:
    lights = TrafficLights(crossing())
    assert shown(lights) == [GREEN, RED, GREEN, GREEN]
    changes = {0.0: shown(lights)}
    for step in range(1, 81):
        lights.step(DT_S)
        now = shown(lights)
        if now != list(changes.values())[-1]:
            changes[step * DT_S] = now
    assert changes == {
        0.0: [GREEN, RED, GREEN, GREEN],
        10.0: [YELLOW, RED, YELLOW, YELLOW],
        13.0: [RED, RED, RED, RED],
        15.0: [RED, GREEN, RED, RED],
        23.0: [RED, GREEN, GREEN, RED],  # a light alone is red for 10 s
        25.0: [RED, YELLOW, GREEN, RED],
        28.0: [RED, RED, GREEN, RED],
        30.0: [GREEN, RED, GREEN, GREEN],
        33.0: [GREEN, RED, YELLOW, GREEN],
        36.0: [GREEN, RED, RED, GREEN],
        40.0: [YELLOW, RED, RED, YELLOW],
    }


def test_the_same_steps_show_the_same() -> None:
    one, other = TrafficLights(crossing()), TrafficLights(crossing())
    for _ in range(1500):
        one.step(0.05)
        other.step(0.05)
        assert shown(one) == shown(other)
        assert [one.elapsed_s(n) for n in range(4)] == [other.elapsed_s(n) for n in range(4)]


def test_elapsed_time() -> None:
    lights = TrafficLights(crossing())
    run(lights, 12.0)
    assert lights.elapsed_s(A) == pytest.approx(2.0)  # yellow
    assert lights.elapsed_s(B) == pytest.approx(12.0)


def test_a_frozen_group_stays_as_it_is() -> None:
    lights = TrafficLights(crossing())
    run(lights, 4.0)
    lights.freeze(B, True)
    assert [lights.frozen(number) for number in (A, B, C, D)] == [True, True, False, True]
    run(lights, 10.0)
    assert shown(lights) == [GREEN, RED, RED, GREEN]
    assert lights.elapsed_s(A) == pytest.approx(4.0)
    lights.freeze(A, False)
    run(lights, 6.0)
    assert shown(lights)[:2] == [YELLOW, RED]
    lights.freeze_all(True)
    before = shown(lights)
    run(lights, 60.0)
    assert shown(lights) == before
    lights.freeze_all(False)
    assert not any(lights.frozen(number) for number in (A, B, C, D))


def test_a_state_that_is_set_holds_until_its_turn() -> None:
    """Of one light alone, also while its group is frozen."""
    lights = TrafficLights(crossing())
    lights.set_state(B, OFF)
    run(lights, 14.5)
    assert shown(lights)[:2] == [RED, OFF]
    run(lights, 0.5)
    assert lights.state(B) == GREEN
    lights.freeze(A, True)
    lights.set_state(A, YELLOW)
    run(lights, 30.0)
    assert (lights.state(A), lights.state(D)) == (YELLOW, RED)


def test_times_are_those_of_the_controller() -> None:
    lights = TrafficLights(crossing())
    lights.set_times(A, yellow_s=1.0, red_s=0.5)
    assert lights.times_s(D) == (10.0, 1.0, 0.5)
    assert lights.times_s(B) == (10.0, 3.0, 2.0)
    run(lights, 11.5)
    assert shown(lights)[:2] == [RED, GREEN]
    for wrong in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="expected 0 or more"):
            lights.set_times(A, green_s=wrong)
    lights.set_times(A, green_s=0.0, yellow_s=0.0, red_s=0.0)
    run(lights, 60.0)  # of no time at all a step takes one


def test_groups_begin_again() -> None:
    lights = TrafficLights(crossing())
    run(lights, 16.0)
    lights.set_state(A, OFF)
    lights.reset_group(D)
    assert shown(lights) == [GREEN, RED, RED, GREEN]
    assert lights.elapsed_s(A) == 0.0
    run(lights, 9.5)
    assert lights.state(A) == GREEN
    lights.reset_all()
    assert shown(lights) == [GREEN, RED, GREEN, GREEN]


def test_where_vehicles_are_at_a_light() -> None:
    """On the lanes that it is for, half as wide as they are, 1.5 to 4.5 m before the stop."""
    first, second, *_ = TrafficLights(crossing()).lights
    assert first.pose == Pose(50.25, -5.0, 0.0, 1.0)
    assert first.trigger.center_m == pytest.approx((47.0, -1.75, 0.0))
    assert first.trigger.half_m == pytest.approx((1.5, 0.875, 1.0))
    assert first.trigger.yaw_rad == pytest.approx(0.0)
    assert [stop.lane for stop in second.stops] == [LaneId(1, 0, -2), LaneId(1, 0, -1)]
    assert second.trigger.center_m == pytest.approx((42.0, 96.5, 0.0))
    assert second.trigger.half_m == pytest.approx((1.5, 2.625, 1.0))


def test_a_light_that_no_lane_meets_has_an_empty_box() -> None:
    lights = TrafficLights(
        read(
            road(
                0,
                50.0,
                section(0, lane(-1)),
                more=f"<signals>{light('a', 10.0, (0, 0))}</signals>",
            )
        )
    )
    (found,) = lights.lights
    assert found.stops == ()
    assert found.trigger.half_m == (0.0, 0.0, 0.0)
    assert lights.lights_at(footprints((10.0, -5.0, 0.0))) == [None]


def test_a_box_seen_from_a_light() -> None:
    box = TriggerBox((3.0, 7.0, 1.0), (1.5, 0.9, 1.0), math.pi / 2.0)
    seen = box.relative_to(Pose(3.0, 5.0, math.pi / 2.0, 0.5))
    assert seen.center_m == pytest.approx((2.0, 0.0, 0.5))
    assert seen.yaw_rad == pytest.approx(0.0)
    assert seen.half_m == box.half_m


def footprints(*poses: tuple[float, float, float]) -> np.ndarray:
    return box_corners(np.array(poses), np.tile([(LENGTH_M, WIDTH_M)], (len(poses), 1)))


def test_who_is_at_a_light() -> None:
    """Whose front reaches its box, until its rear has left it; not who is in the lane beside."""
    lights = TrafficLights(crossing())
    first_m, last_m = 45.5 - LENGTH_M / 2.0, 48.5 + LENGTH_M / 2.0
    at = lights.lights_at(
        footprints(
            (first_m - 0.1, -1.75, 0.0),
            (first_m + 0.1, -1.75, 0.0),
            (last_m - 0.1, -1.75, 0.0),
            (last_m + 0.1, -1.75, 0.0),
            (47.0, -5.25, 0.0),
            (47.0, -5.0, math.pi / 2.0),
            (42.0, 100.0 - 5.25, 0.0),
        )
    )
    assert at == [None, A, A, None, None, A, B]
    assert lights.lights_at(np.zeros((0, 4, 2))) == []


def test_who_is_at_a_sign() -> None:
    told = (
        '<signals><signal id="s" s="30" t="-4" type="274" value="50" orientation="+"/></signals>'
    )
    lights = TrafficLights(read(road(0, 50.0, section(0, lane(-1)), more=told)))
    assert lights.signs_at(footprints((28.0, -1.75, 0.0), (20.0, -1.75, 0.0))) == [0, None]
    assert lights.lights_at(footprints((28.0, -1.75, 0.0))) == [None]


def signs(*signals: str) -> tuple[Sign, ...]:
    told = f"<signals>{''.join(signals)}</signals>"
    return TrafficLights(read(road(0, 50.0, section(0, lane(-1)), more=told))).signs


@pytest.mark.parametrize(
    ("attributes", "kind", "limit_mps"),
    [
        ('type="206"', "traffic.stop", None),
        ('type="205"', "traffic.yield", None),
        ('type="274" subtype="50" value="50" unit="km/h"', "traffic.speed_limit.50", 50 / 3.6),
        ('type="274" subtype="30" value="-1"', "traffic.speed_limit.30", 30 / 3.6),
        ('type="274" value="30" unit="mph"', "traffic.speed_limit.30", 30 * 0.44704),
        ('type="274" subtype="-1"', "traffic.unknown", None),
        ('type="101"', "traffic.unknown", None),
    ],
)
def test_signs(attributes: str, kind: str, limit_mps: float | None) -> None:
    (found,) = signs(f'<signal id="s" s="30" t="-4" orientation="+" {attributes}/>')
    assert found.kind == kind
    assert found.speed_limit_mps == pytest.approx(limit_mps)
    half_m = 0.9 * 3.5 / 2.0
    assert found.trigger.center_m == pytest.approx((30.0 - half_m, -1.75, 0.0))
    assert found.trigger.half_m == pytest.approx((half_m, half_m, 1.0))


def test_what_is_painted_is_no_sign() -> None:
    assert signs('<signal id="s" s="30" t="-2" type="206" name="Stencil_STOP"/>') == ()


@pytest.mark.parametrize(("name", "count", "groups"), [("Town01", 36, 12), ("Town02", 24, 8)])
def test_the_lights_of_a_town(name: str, count: int, groups: int) -> None:
    """Three at each junction, one green at a time; their boxes lie on the lanes before it."""
    road_map = town_of(name)
    lights = TrafficLights(road_map)
    assert len(lights.lights) == count
    assert sorted({found.group for found in lights.lights}) == list(range(groups))
    for found in lights.lights:
        x_m, y_m, _ = found.trigger.center_m
        there = road_map.places.lane_at(x_m, y_m)
        assert isinstance(there, LanePlace)
        assert there.lane.key in {stop.lane for stop in found.stops}
        assert there.lane.junction_id is None
        assert abs(math.remainder(there.yaw_rad - found.trigger.yaw_rad, math.tau)) < 0.1
        assert math.dist((x_m, y_m), (found.pose.x_m, found.pose.y_m)) < 15.0
    seen = set()
    for _ in range(80):
        lights.step(DT_S)
        for number in range(count):
            taking = [lights.state(other) for other in lights.group_of(number)]
            assert sum(state != RED for state in taking) <= 1
            if lights.state(number) == GREEN:
                seen.add(number)
    assert len(seen) == count
