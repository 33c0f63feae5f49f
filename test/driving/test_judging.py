# SPDX-License-Identifier: Apache-2.0
"""Infractions and ends of drives made by hand, on a road with a traffic light and a stop sign."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from td3_driver.driving.judging.infractions import Impact, Kind, Moment
from td3_driver.driving.judging.judge import Judge
from td3_driver.driving.judging.rules import (
    LEADERBOARD_1,
    LEADERBOARD_2,
    NOCRASH,
    RULES,
    STRICT,
    Rules,
)
from td3_driver.driving.road_users import FRONT_M, NOBODY, RoadUsers
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import NO_LIGHTS, EgoState, Lights, LightState, Pose

from ..opendrive.making import document, lane, road, section

LENGTH_M, LIGHT_M, SIGN_M = 300.0, 100.0, 200.0
LANE_M = -1.75  # y of the middle of the lane that goes east
STEP_S = 0.05
LEADERBOARDS = {rules.name: rules for rules in (LEADERBOARD_1, LEADERBOARD_2)}
BOTH_LEADERBOARDS = pytest.mark.parametrize("rules", LEADERBOARDS.values(), ids=LEADERBOARDS)
EAST, WEST = 0.0, math.pi


def signal(name: str, s_m: float, attributes: str) -> str:
    place, only_east = f's="{s_m}" t="-4" orientation="+"', '<validity fromLane="-1" toLane="-1"/>'
    return f'<signal id="{name}" {place} {attributes}>{only_east}</signal>'


@cache
def street(*, signs: bool = True) -> RoadMap:
    """One straight road to the east, a lane each way; the signals are for the lane east."""
    signals = (
        signal("light", LIGHT_M, 'type="1000001" dynamic="yes"'),
        signal("stop", SIGN_M, 'type="206" dynamic="no"'),
    )
    more = f"<signals>{''.join(signals)}</signals>" if signs else ""
    return RoadMap(document(road(1, LENGTH_M, section(0, lane(1), lane(-1)), more=more)), "street")


def route(length_m: float = LENGTH_M) -> Route:
    return Route.along(np.array([(0.0, LANE_M), (length_m, LANE_M)]))


def ahead(pose: Pose) -> Route:
    """From beside a pose to the end of the road, in the lane for its direction."""
    east = math.cos(pose.yaw_rad) > 0.0
    y_m, end_m = (LANE_M, LENGTH_M) if east else (-LANE_M, 0.0)
    return Route.along(np.array([(pose.x_m, y_m), (end_m, y_m)]))


def cars(*rows: tuple[int, float], walking: bool = False) -> RoadUsers:
    """Others by their actor id and speed."""
    count = len(rows)
    velocities = np.array([(speed_mps, 0.0) for _, speed_mps in rows]).reshape(-1, 2)
    return RoadUsers(
        np.zeros((count, 3)), np.ones((count, 2)), velocities, np.zeros(count),
        np.array([actor_id for actor_id, _ in rows], np.int64), np.full(count, walking),
    )  # fmt: skip


def told(state: LightState) -> Lights:
    return np.array([state], np.uint8)


RED, YELLOW, GREEN = map(told, (LightState.RED, LightState.YELLOW, LightState.GREEN))


def ego(
    time_s: float, x_m: float, y_m: float, yaw_rad: float = EAST, speed_mps: float = 10.0
) -> EgoState:
    return EgoState(round(time_s * 1e9), Pose(x_m, y_m, yaw_rad), speed_mps)


def along(
    first_m: float,
    last_m: float,
    *,
    y_m: float = LANE_M,
    yaw_rad: float = EAST,
    speed_mps: float = 10.0,
    lights: Lights = GREEN,
    users: RoadUsers = NOBODY,
) -> list[Moment]:
    """Moments of a drive at constant speed between two x, both included."""
    steps = round(abs(last_m - first_m) / (speed_mps * STEP_S))
    return [
        Moment(ego(0.0, x_m, y_m, yaw_rad, speed_mps), users, lights)
        for x_m in np.linspace(first_m, last_m, steps + 1).tolist()
    ]


def clocked(moments: Iterable[Moment], step_s: float = STEP_S) -> Iterator[Moment]:
    """The same, one step after the other from time 0 on."""
    for number, moment in enumerate(moments):
        car = moment.ego
        at = EgoState(round(number * step_s * 1e9), car.pose, car.speed_mps)
        yield moment._replace(ego=at)


def judged(
    rules: Rules,
    moments: Iterable[Moment],
    *,
    step_s: float = STEP_S,
    way: Route | None = None,
    road_map: RoadMap | None = None,
) -> Judge:
    """The judge after a drive, or where the rules ended it."""
    first, *others = clocked(moments, step_s)
    road_map, way = road_map or street(), way or ahead(first.ego.pose)
    judge = Judge(rules, road_map, way, first, speed_limit_mps=8.0, untold={})
    for moment in others:
        judge.step(moment)
        if judge.end is not None:
            break
    return judge


def counted(judge: Judge) -> Counter[Kind]:
    return Counter(each.kind for each in judge.infractions)


# Traffic lights.


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_red_light_is_run_where_the_tail_crosses_its_line(rules: Rules) -> None:
    judge = judged(rules, along(80.0, 130.0, lights=RED))
    assert counted(judge) == {Kind.RED_LIGHT: 1}
    (found,) = judge.infractions
    # The tail: from 0.8 of half the car's length behind its middle to 1 m behind the car.
    assert LIGHT_M + 0.8 * FRONT_M <= found.x_m <= LIGHT_M + FRONT_M + 1.0


@BOTH_LEADERBOARDS
@pytest.mark.parametrize("shown", [GREEN, YELLOW, told(LightState.OFF)])
def test_another_colour_is_not_run(rules: Rules, shown: Lights) -> None:
    assert not counted(judged(rules, along(80.0, 130.0, lights=shown)))


@BOTH_LEADERBOARDS
def test_what_a_light_shows_while_the_tail_crosses_counts(rules: Rules) -> None:
    over_m = LIGHT_M + FRONT_M + 1.0
    late = along(80.0, over_m + 0.5) + along(over_m + 1.0, 130.0, lights=RED)
    assert not counted(judged(rules, late))
    under = along(80.0, LIGHT_M + 1.0) + along(LIGHT_M + 1.5, 130.0, lights=RED)
    assert counted(judged(rules, under)) == {Kind.RED_LIGHT: 1}


@BOTH_LEADERBOARDS
def test_a_line_that_was_crossed_between_two_frames_was_crossed(rules: Rules) -> None:
    missed = along(80.0, LIGHT_M + 1.5, lights=RED) + along(LIGHT_M + 4.0, 130.0, lights=RED)
    assert counted(judged(rules, missed)) == {Kind.RED_LIGHT: 1}
    green = along(80.0, LIGHT_M + 1.5) + along(LIGHT_M + 4.0, 130.0)
    assert not counted(judged(rules, green))


@BOTH_LEADERBOARDS
def test_who_waits_at_the_line_or_comes_towards_it_runs_nothing(rules: Rules) -> None:
    front_m = LIGHT_M - FRONT_M
    waits = along(80.0, front_m, lights=RED) + along(front_m, front_m + 0.5, lights=RED) * 20
    assert not counted(judged(rules, waits))
    other_side = along(130.0, 80.0, y_m=-LANE_M, yaw_rad=WEST, lights=RED)
    assert not counted(judged(rules, other_side))
    against = along(130.0, 80.0, yaw_rad=WEST, lights=RED)
    assert Kind.RED_LIGHT not in counted(judged(rules, against))


@BOTH_LEADERBOARDS
@pytest.mark.parametrize("apart_m", [0.0, 0.3])
def test_a_light_with_two_heads_is_run_once(rules: Rules, apart_m: float) -> None:
    light = 'type="1000001" dynamic="yes"'
    heads = (signal(name, s_m, light) for name, s_m in (("a", 100.0), ("b", 100.0 + apart_m)))
    more = f"<signals>{''.join(heads)}</signals>"
    lanes = section(0, lane(1), lane(-1))
    heads_map = RoadMap(document(road(1, LENGTH_M, lanes, more=more)), "two heads")
    slow = along(95.0, 110.0, speed_mps=2.0, lights=np.repeat(RED, 2))
    judge = judged(rules, slow, road_map=heads_map)
    assert judge.lights_crossed == 1
    assert counted(judge) == {Kind.RED_LIGHT: 1}


def test_lights_are_crossed_wherever_the_route_leads() -> None:
    elsewhere = Route.along(np.array([(0.0, -60.0), (50.0, -60.0)]))
    for lights, ran in ((RED, 1), (GREEN, 0)):
        drive = along(80.0, 130.0, lights=lights)
        judge = judged(NOCRASH, drive, way=elsewhere)
        assert (judge.lights_crossed, counted(judge)[Kind.RED_LIGHT]) == (1, ran)
    assert judged(NOCRASH, along(80.0, LIGHT_M)).lights_crossed == 0
    assert judged(NOCRASH, along(80.0, 130.0) * 2).lights_crossed == 1, "no other one between"


def test_the_line_is_shorter_in_version_1() -> None:
    beside = along(80.0, 130.0, y_m=LANE_M - 0.45 * 3.5, lights=RED)
    assert not counted(judged(LEADERBOARD_1, beside))
    assert counted(judged(LEADERBOARD_2, beside)) == {Kind.RED_LIGHT: 1}


# Stop signs.


def standing(x_m: float, steps: int = 4) -> list[Moment]:
    return [Moment(ego(0.0, x_m, LANE_M, speed_mps=0.0), lights=GREEN)] * steps


@pytest.mark.parametrize("rules", RULES.values(), ids=RULES)
def test_a_stop_sign_is_run_by_who_has_not_stood_before_it(rules: Rules) -> None:
    assert counted(judged(rules, along(150.0, 230.0))) == {Kind.STOP_SIGN: 1}
    before_m = SIGN_M - 1.0
    stops = along(150.0, before_m) + standing(before_m) + along(before_m, 230.0)
    assert not counted(judged(rules, stops))


@BOTH_LEADERBOARDS
def test_standing_far_before_a_sign_or_driving_the_other_way_is_none_of_its(rules: Rules) -> None:
    early = along(150.0, 170.0) + standing(170.0) + along(170.0, 230.0)
    assert counted(judged(rules, early)) == {Kind.STOP_SIGN: 1}
    assert not counted(judged(rules, along(230.0, 150.0, y_m=-LANE_M, yaw_rad=WEST)))


def test_version_1_looks_20_m_ahead_for_a_sign_and_version_2_looks_4_m() -> None:
    at_m = SIGN_M - 12.0
    early = along(150.0, at_m) + standing(at_m) + along(at_m, 230.0)
    assert not counted(judged(LEADERBOARD_1, early))
    assert counted(judged(LEADERBOARD_2, early)) == {Kind.STOP_SIGN: 1}


@BOTH_LEADERBOARDS
def test_a_sign_is_met_anew_each_time(rules: Rules) -> None:
    before_m = SIGN_M - 1.0
    stops = along(150.0, before_m) + standing(before_m) + along(before_m, 230.0)
    endless = replace(rules, ends=None)  # back where it was, it would have left the route
    assert counted(judged(endless, stops + along(150.0, 230.0)))[Kind.STOP_SIGN] == 1


# Collisions.


def hitting(moments: list[Moment], other_id: int, impulse_ns: float = 500.0) -> list[Moment]:
    return [moment._replace(impacts=(Impact(other_id, impulse_ns),)) for moment in moments]


TWO = cars((7, 0.0), (8, 0.0))


@BOTH_LEADERBOARDS
def test_a_contact_over_many_steps_is_one_collision_and_ends_nothing(rules: Rules) -> None:
    drive = along(10.0, 20.0, users=TWO)
    judge = judged(rules, drive[:5] + hitting(drive[5:9], 7) + drive[9:])
    assert counted(judge) == {Kind.VEHICLE: 1}
    assert judge.end is None


@BOTH_LEADERBOARDS
def test_another_one_near_the_same_place_is_the_same_collision(rules: Rules) -> None:
    drive = along(10.0, 40.0, users=TWO)  # 0.5 m a step
    near = judged(rules, drive[:5] + hitting(drive[5:6], 7) + hitting(drive[6:7], 8) + drive[7:])
    assert counted(near) == {Kind.VEHICLE: 1}
    far = drive[:5] + hitting(drive[5:6], 7) + drive[6:30] + hitting(drive[30:31], 8)
    assert counted(judged(rules, far)) == {Kind.VEHICLE: 2}


@BOTH_LEADERBOARDS
def test_the_same_actor_counts_again_after_five_seconds_elsewhere(rules: Rules) -> None:
    drive = along(10.0, 90.0, users=TWO)
    soon = drive[:5] + hitting(drive[5:6], 7) + drive[6:60] + hitting(drive[60:61], 7)
    assert counted(judged(rules, soon)) == {Kind.VEHICLE: 1}
    later = drive[:5] + hitting(drive[5:6], 7) + drive[6:110] + hitting(drive[110:111], 7)
    assert counted(judged(rules, later)) == {Kind.VEHICLE: 2}


def test_a_wall_counts_again_after_three_metres_in_version_1_and_five_in_version_2() -> None:
    drive = along(10.0, 40.0)
    slides = drive[:2] + hitting(drive[2:21], 0)  # over 9 m
    assert counted(judged(LEADERBOARD_1, slides)) == {Kind.LAYOUT: 3}  # at 0, 3.5 and 7 m
    assert counted(judged(LEADERBOARD_2, slides)) == {Kind.LAYOUT: 2}  # at 0 and 5.5 m


def test_a_car_that_stands_is_not_at_fault_in_version_2() -> None:
    hit = hitting(standing(30.0), 7)
    assert counted(judged(LEADERBOARD_1, hit)) == {Kind.LAYOUT: 1}  # nobody of that id is known
    assert not counted(judged(LEADERBOARD_2, hit))


def test_what_was_hit_is_told_by_who_is_around() -> None:
    for users, kind in ((cars((7, 0.0), walking=True), Kind.PEDESTRIAN), (TWO, Kind.VEHICLE)):
        drive = along(10.0, 12.0, users=users)
        assert counted(judged(LEADERBOARD_1, drive[:2] + hitting(drive[2:], 7))) == {kind: 1}


def test_a_soft_contact_is_none_for_nocrash_and_a_hard_one_ends_the_drive() -> None:
    drive = along(10.0, 20.0, users=TWO)
    soft = judged(NOCRASH, drive[:2] + hitting(drive[2:5], 7, 200.0) + drive[5:])
    assert not counted(soft)
    assert soft.end is None
    hard = judged(NOCRASH, drive[:2] + hitting(drive[2:5], 7, 201.0) + drive[5:])
    assert counted(hard) == {Kind.VEHICLE: 1}
    assert hard.end is not None
    assert (hard.end.reason, hard.end.terminal) == ("collision", True)


def test_impulses_of_one_step_add_up_for_nocrash() -> None:
    drive = along(10.0, 12.0, users=cars((7, 0.0), walking=True))
    twice = drive[2]._replace(impacts=(Impact(7, 80.0), Impact(7, 80.0)))
    assert counted(judged(NOCRASH, [*drive[:2], twice])) == {Kind.PEDESTRIAN: 1}


# Outside of lanes.


def test_how_far_beside_the_lane_is_outside_depends_on_the_version() -> None:
    beside_m = LANE_M - 1.75 - 1.0
    drive = along(0.0, 50.0) + along(50.5, 80.0, y_m=beside_m) + along(80.5, 95.0)
    assert not judged(LEADERBOARD_1, drive).infractions
    (found,) = judged(LEADERBOARD_2, drive).infractions
    assert (found.kind, found.x_m) == (Kind.OUTSIDE, 50.5)
    assert found.share == pytest.approx(30.0 / 94.0, abs=0.02)


@BOTH_LEADERBOARDS
def test_the_lane_of_those_who_come_is_wrong_until_one_is_back(rules: Rules) -> None:
    drive = along(0.0, 40.0) + along(40.5, 60.0, y_m=-LANE_M) + along(60.5, 80.0)
    (found,) = judged(rules, drive).infractions
    assert found.kind == Kind.OUTSIDE
    assert found.share == pytest.approx(20.0 / 80.0, abs=0.02)


def test_from_one_wrong_lane_into_another_is_right_in_version_1_alone() -> None:
    lanes = section(0, lane(1), lane(2), lane(-1))
    two = RoadMap(document(road(1, LENGTH_M, lanes)), "two lanes west")
    drive = (
        along(0.0, 40.0)
        + along(40.5, 60.0, y_m=-LANE_M)
        + along(60.5, 80.0, y_m=-LANE_M + 3.5)
    )
    first, second = (judged(rules, drive, road_map=two) for rules in LEADERBOARDS.values())
    assert first.infractions[-1].share == pytest.approx(20.0 / 80.0, abs=0.02)
    assert second.infractions[-1].share == pytest.approx(40.0 / 80.0, abs=0.02)


# Ends.


@BOTH_LEADERBOARDS
def test_a_route_is_complete_at_99_percent_near_its_end(rules: Rules) -> None:
    half = judged(rules, along(0.0, 50.0), way=route(100.0))
    assert half.end is None
    assert half.completion == pytest.approx(0.49, abs=0.011)
    whole = judged(rules, along(0.0, 120.0), way=route(100.0))
    assert whole.end is not None
    assert (whole.end.reason, whole.completion) == ("route_end", 1.0)


@BOTH_LEADERBOARDS
def test_who_leaves_out_a_part_of_the_route_has_not_driven_it(rules: Rules) -> None:
    jump = along(0.0, 20.0) + along(60.0, 80.0)
    assert judged(rules, jump, way=route(100.0)).completion == pytest.approx(0.2, abs=0.1)


@BOTH_LEADERBOARDS
def test_thirty_metres_off_the_route_end_the_drive(rules: Rules) -> None:
    away = [Moment(ego(0.0, 10.0, LANE_M + gap_m)) for gap_m in np.arange(0.0, 60.0).tolist()]
    assert judged(rules, away[:30]).end is None
    judge = judged(rules, away)
    assert judge.end is not None
    assert (judge.end.reason, judge.end.terminal) == ("route_dev", True)
    assert counted(judge)[Kind.DEVIATION] == 1


@BOTH_LEADERBOARDS
def test_more_than_a_third_of_the_route_beside_it_ends_the_drive(rules: Rules) -> None:
    judge = judged(rules, along(0.0, 200.0, y_m=LANE_M + 20.0))
    assert judge.end is not None
    assert judge.end.reason == "route_dev"
    assert judged(rules, along(0.0, 200.0, y_m=LANE_M + 14.0)).end is None


@BOTH_LEADERBOARDS
def test_standing_for_three_minutes_ends_the_drive(rules: Rules) -> None:
    # Not in the first three minutes: the time limits of such a route are longer.
    assert judged(rules, standing(50.0, 181), step_s=1.0).end is None
    judge = judged(rules, standing(50.0, 200), step_s=1.0)
    assert judge.end is not None
    assert (judge.end.reason, judge.end.terminal) == ("vehicle_blocked", False)
    assert counted(judge) == {Kind.BLOCKED: 1}


def crawling(steps: int) -> list[Moment]:
    """0.2 m in each second."""
    return [
        Moment(ego(0.0, 0.2 * step, LANE_M, speed_mps=0.2), lights=GREEN) for step in range(steps)
    ]


@pytest.mark.parametrize(
    ("rules", "seconds"),
    [
        (LEADERBOARD_1, 245.0),  # 0.8 s for each of 300 m, and 5 s
        (NOCRASH, 236.0),  # 300 m at 5 km/h, and 20 s
        # 300 s, and 1 m takes 1.25 s at a tenth of 8 m/s: t = 300 + 1.25 (0.2 t), by whole metres.
        (LEADERBOARD_2, 400.0),
    ],
    ids=lambda given: getattr(given, "name", ""),
)
def test_the_time_for_a_route(rules: Rules, seconds: float) -> None:
    judge = judged(rules, crawling(600), step_s=1.0)
    assert judge.end is not None
    assert judge.end.reason == "route_timeout"
    assert counted(judge)[Kind.TIME_OUT] == 1
    where = next(each for each in judge.infractions if each.kind == Kind.TIME_OUT)
    assert where.x_m / 0.2 == pytest.approx(seconds + 1.0, abs=2.0)


def test_nocrash_is_won_two_metres_before_the_goal() -> None:
    judge = judged(NOCRASH, along(0.0, 97.5), way=route(100.0))
    assert judge.end is None
    judge = judged(NOCRASH, along(0.0, 99.0), way=route(100.0))
    assert judge.end is not None
    assert (judge.end.reason, judge.completion) == ("route_end", 1.0)


def test_a_route_that_begins_where_it_ends_is_not_won_at_once_under_nocrash() -> None:
    corners = [(1.0, LANE_M), (60.0, LANE_M), (60.0, -LANE_M), (0.0, -LANE_M), (0.0, LANE_M)]
    assert judged(NOCRASH, along(1.0, 20.0), way=Route.along(np.array(corners))).end is None


def test_who_is_felt_several_times_in_a_step_is_one_collision_under_strict_rules() -> None:
    drive = along(10.0, 20.0, users=TWO)
    drive[5] = drive[5]._replace(impacts=(Impact(7, 100.0), Impact(7, 300.0), Impact(0, 50.0)))
    assert counted(judged(STRICT, drive)) == {Kind.VEHICLE: 1, Kind.LAYOUT: 1}


def test_strict_rules_end_nothing_themselves() -> None:
    drive = along(10.0, 20.0, users=TWO)
    judge = judged(STRICT, drive[:5] + hitting(drive[5:7], 7))
    assert counted(judge) == {Kind.VEHICLE: 2}
    assert judge.end is None
    assert judge.completion is None


# Others' speed.


def test_each_quarter_in_which_others_were_faster_is_an_infraction_of_version_2() -> None:
    others = cars((7, 10.0), (8, 30.0))
    pedestrians = cars((9, 1.0), walking=True)
    drive = along(0.0, 102.0, speed_mps=15.0, users=others)
    way, plain = route(100.0), street(signs=False)
    judge = judged(LEADERBOARD_2, drive, way=way, road_map=plain)
    slow = [each.share for each in judge.infractions if each.kind == Kind.SLOW]
    assert slow == pytest.approx([0.25] * 4)  # 15 of 20 m/s
    fast = along(0.0, 102.0, speed_mps=20.0, users=others)
    assert not counted(judged(LEADERBOARD_2, fast, way=way, road_map=plain))
    alone = judged(
        LEADERBOARD_2, along(0.0, 100.0, users=pedestrians), way=way, road_map=plain
    )
    assert alone.not_measured[Kind.SLOW] == "there is no other vehicle"


# What cannot be measured.


def test_what_the_map_does_not_have_is_not_measured() -> None:
    bare = judged(LEADERBOARD_2, along(0.0, 20.0), road_map=street(signs=False))
    assert bare.not_measured == {
        Kind.RED_LIGHT: "the map has no traffic lights",
        Kind.STOP_SIGN: "the map has no stop signs",
        Kind.SLOW: "there is no other vehicle",
        Kind.SCENARIO: "there are no scenarios",
        Kind.EMERGENCY: "there are no scenarios",
    }
    assert set(judged(LEADERBOARD_1, along(0.0, 20.0)).not_measured) == set()


def test_lights_of_which_nothing_is_told_are_not_measured() -> None:
    silent = judged(LEADERBOARD_1, along(80.0, 130.0, lights=NO_LIGHTS))
    assert silent.not_measured == {Kind.RED_LIGHT: "nothing tells what the traffic lights show"}
    assert not counted(silent)
    # Lights of another map.
    strange = along(80.0, 130.0, lights=np.zeros(5, np.uint8))
    assert judged(LEADERBOARD_1, strange).not_measured == silent.not_measured
    # Lights of which none was found among those that are told.
    unknown = along(80.0, 130.0, lights=told(LightState.UNKNOWN))
    assert judged(LEADERBOARD_1, unknown).not_measured == silent.not_measured


def test_what_a_world_does_not_have_is_not_measured() -> None:
    dark = {Kind.RED_LIGHT: "off", Kind.STOP_SIGN: "off"}
    first, *others = clocked(along(80.0, 230.0, lights=RED))
    judge = Judge(STRICT, street(), route(), first, speed_limit_mps=8.0, untold=dark)
    for moment in others:
        judge.step(moment)
    assert judge.not_measured == dark
    assert not counted(judge)
