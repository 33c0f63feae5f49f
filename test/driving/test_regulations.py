# SPDX-License-Identifier: Apache-2.0
"""What lights, stop signs and limits ask of a car on its way, and what obeying them is worth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from itertools import islice

import numpy as np
import pytest

from td3_driver.configuration import load_configuration
from td3_driver.driving.demand import NO_DEMAND, SIGHT_M, Demand
from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import Episode, Outcome
from td3_driver.driving.lookout import STOPPED_MPS
from td3_driver.driving.observation import Vector
from td3_driver.driving.reward import Action, reward_terms
from td3_driver.driving.road_users import FRONT_M
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.types import NO_LIGHTS, EgoState, Lights, LightState, Pose
from td3_driver.driving.view import Picture
from td3_driver.evaluation.closed_loop import drive_route
from td3_driver.evaluation.policies import BASELINES, Pursuit
from td3_driver.measures import standard
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig

from ..opendrive.making import lane, read, road, section

URBAN = load_configuration("urban")
REWARD = URBAN.driving.episode.reward
DISCOUNT = URBAN.agent.discount
RED, YELLOW, GREEN, OFF, UNKNOWN = (
    np.array([state], np.uint8)
    for state in (
        LightState.RED, LightState.YELLOW, LightState.GREEN, LightState.OFF, LightState.UNKNOWN
    )
)  # fmt: skip
STEP_S = 0.05
LIGHT_M, SIGN_M = 150.0, 400.0
WAY = Route.along(np.array([(0.0, -1.75), (600.0, -1.75)]))


@cache
def street(limit_mps: float | None = None, sign_m: float = SIGN_M) -> RoadMap:
    """A light, then a stop sign."""
    validity = '<validity fromLane="-1" toLane="-1"/>'
    light = f'<signal id="a" s="{LIGHT_M}" t="-4" type="1000001" dynamic="yes">{validity}</signal>'
    stop = f'<signal id="b" s="{sign_m}" t="-4" type="206">{validity}</signal>'
    speed = "" if limit_mps is None else f'<speed max="{limit_mps}" unit="m/s"/>'
    told = f'<type s="0" type="town">{speed}</type><signals>{light}{stop}</signals>'
    return read(road(1, 600.0, section(0, lane(-1)), more=told))


def car(front_m: float, speed_mps: float, step: int = 0) -> EgoState:
    return EgoState(step * 50_000_000, Pose(front_m - FRONT_M, -1.75, 0.0), speed_mps)


def begun(front_m: float, speed_mps: float, lights: Lights = NO_LIGHTS, **given: bool) -> Episode:
    """An episode whose route begins where the car is, on the urban preset's conditions."""
    route, ego = WAY.rest(front_m - FRONT_M), car(front_m, speed_mps)
    rules = Regulations(street(), route)
    return Episode(0, route, ego, URBAN.driving.episode, None, rules, lights, **given)


def step(
    episode: Episode, front_m: float, speed_mps: float, lights: Lights, number: int = 1
) -> Outcome:
    still = np.zeros(2, np.float32)
    return episode.step(car(front_m, speed_mps, number), still, collided=False, lights=lights)


def asked(distance_m: float, speed_mps: float, *shown: Lights) -> list[bool]:
    """Whether the car must stop, for each that the light shows, at this distance from it."""
    episode = begun(LIGHT_M - distance_m, speed_mps, shown[0])
    found = [episode.demand.must_stop]
    for number, lights in enumerate(shown[1:], start=1):
        step(episode, LIGHT_M - distance_m, speed_mps, lights, number)
        found.append(episode.demand.must_stop)
    return found


def test_what_is_asked_is_told_from_the_car_s_front() -> None:
    assert begun(LIGHT_M - 20.0, 8.0, RED).demand == Demand(pytest.approx(20.0))
    assert begun(LIGHT_M - 20.0, 8.0, GREEN).demand == NO_DEMAND
    assert begun(LIGHT_M - SIGHT_M - 1.0, 8.0, RED).demand == Demand()
    assert begun(LIGHT_M + 0.1, 8.0, RED).demand == Demand()  # it is passed
    assert begun(SIGN_M - 20.0, 8.0).demand == Demand(pytest.approx(20.0))


def test_the_first_line_at_which_to_stop_counts() -> None:
    """Not a green one before it."""
    validity = '<validity fromLane="-1" toLane="-1"/>'
    lights = "".join(
        f'<signal id="{name}" s="{s_m}" t="-4" type="1000001" dynamic="yes">{validity}</signal>'
        for name, s_m in (("a", 40.0), ("b", 60.0), ("c", 80.0))
    )
    roads = read(road(1, 600.0, section(0, lane(-1)), more=f"<signals>{lights}</signals>"))
    shown = np.array([LightState.GREEN, LightState.RED, LightState.RED], np.uint8)
    route = WAY.rest(20.0)
    rules = Regulations(roads, route)
    episode = Episode(0, route, car(30.0, 5.0), URBAN.driving.episode, None, rules, shown)
    assert episode.demand == Demand(pytest.approx(30.0))
    step(episode, 30.0, 5.0, np.full(3, LightState.GREEN, np.uint8))
    assert episode.demand == NO_DEMAND


@pytest.mark.parametrize("shown", [GREEN, OFF, UNKNOWN, NO_LIGHTS])
def test_only_red_and_yellow_ask_to_stop(shown: Lights) -> None:
    assert asked(20.0, 8.0, shown) == [False]
    assert asked(20.0, 8.0, RED) == [True]


def test_at_yellow_who_can_stop_does_and_keeps_to_it() -> None:
    way_m = 8.0 * REWARD.headway_s + 8.0**2 / (2.0 * REWARD.brake_mps2)
    assert asked(way_m + 0.5, 8.0, GREEN, YELLOW) == [False, True]
    assert asked(way_m - 0.5, 8.0, GREEN, YELLOW) == [False, False]
    # Nearer or slower, the same yellow asks the same; red asks always, and the next yellow anew.
    for distance_m, first in ((way_m + 0.5, True), (way_m - 0.5, False)):
        episode = begun(LIGHT_M - distance_m, 8.0, YELLOW)
        assert episode.demand.must_stop is first
        step(episode, LIGHT_M - 5.0, 8.0, YELLOW)
        assert episode.demand.must_stop is first
        step(episode, LIGHT_M - 5.0, 0.0, YELLOW, 2)
        assert episode.demand.must_stop is first
        step(episode, LIGHT_M - 5.0, 8.0, RED, 3)
        assert episode.demand.must_stop
        step(episode, LIGHT_M - 5.0, 8.0, GREEN, 4)
        step(episode, LIGHT_M - 5.0, 8.0, YELLOW, 5)
        assert not episode.demand.must_stop


def test_at_a_stop_sign_the_car_has_to_have_stood() -> None:
    episode = begun(SIGN_M - 6.0, 0.0)
    step(episode, SIGN_M - 5.5, 0.0, NO_LIGHTS)
    assert episode.demand.must_stop  # there it is not at the line yet
    step(episode, SIGN_M - 1.0, 1.0, NO_LIGHTS, 2)
    assert episode.demand.must_stop
    step(episode, SIGN_M - 0.5, 0.0, NO_LIGHTS, 3)
    assert not episode.demand.must_stop
    assert step(episode, SIGN_M + 0.2, 2.0, NO_LIGHTS, 4).ran == ""
    rolling = begun(SIGN_M - 0.5, 2.0)
    outcome = step(rolling, SIGN_M + 0.2, 2.0, NO_LIGHTS)
    assert (outcome.ran, outcome.reason, outcome.terminated) == ("stop_sign", "stop_sign", True)


@pytest.mark.parametrize(("shown", "ran"), [(RED, "red_light"), (YELLOW, ""), (GREEN, "")])
def test_the_line_is_crossed_with_the_front_while_the_light_is_red(
    shown: Lights, ran: str
) -> None:
    episode = begun(LIGHT_M - 0.2, 8.0, shown)
    outcome = step(episode, LIGHT_M + 0.2, 8.0, shown)
    assert (outcome.ran, outcome.reason, outcome.terminated) == (ran, ran, bool(ran))
    assert outcome.terms["failure"] == (-REWARD.failure_cost if ran else 0.0)
    # Before the line it is not crossed, and behind it not again.
    assert step(begun(LIGHT_M - 0.6, 8.0, shown), LIGHT_M - 0.2, 8.0, shown).ran == ""
    assert step(begun(LIGHT_M + 0.2, 8.0, shown), LIGHT_M + 0.6, 8.0, shown).ran == ""


def test_where_others_judge_a_red_light_costs_once_and_ends_nothing() -> None:
    episode = begun(LIGHT_M - 0.2, 8.0, RED, running_ends=False)
    outcome = step(episode, LIGHT_M + 0.2, 8.0, RED)
    assert (outcome.ran, outcome.ended) == ("red_light", False)
    assert outcome.terms["failure"] == -REWARD.failure_cost
    for front_m in (LIGHT_M - 0.2, LIGHT_M + 0.2, LIGHT_M + 0.6):  # rolls back and over it again
        again = step(episode, front_m, 1.0, RED)
        assert (again.ran, again.terms["failure"]) == ("", 0.0)


def test_a_line_that_was_passed_unseen_is_not_judged() -> None:
    episode = begun(LIGHT_M - 5.0, 8.0, RED)
    assert episode.pick_up(car(LIGHT_M + 0.5, 8.0, 20), collided=False, lights=RED)
    assert step(episode, LIGHT_M + 1.0, 8.0, RED, 21).ran == ""


def stood(front_m: float, lights: Lights, steps: int) -> list[Outcome]:
    episode = begun(front_m, 0.0, lights)
    return [step(episode, front_m, 0.0, lights, number) for number in range(1, steps + 1)]


def test_to_wait_at_a_red_light_costs_nothing_and_to_park_does() -> None:
    limit = URBAN.driving.episode.stuck_steps
    for distance_m in (0.5, 4.0, 9.5):
        waiting = stood(LIGHT_M - distance_m, RED, limit + 1)
        assert {outcome.reason for outcome in waiting} == {""}
        assert sum(outcome.reward for outcome in waiting) == 0.0
    for parked in (stood(LIGHT_M - 4.0, GREEN, limit), stood(LIGHT_M - 30.0, RED, limit)):
        assert parked[-1].reason == "stuck"
        assert {outcome.reward for outcome in parked} == {-REWARD.standstill_cost}


def test_who_stands_at_red_is_not_stuck_whatever_his_reward_says() -> None:
    config = replace(load_configuration("default").driving.episode, stuck_steps=5)
    route, ego = WAY.rest(LIGHT_M - 4.0 - FRONT_M), car(LIGHT_M - 4.0, 0.0)
    rules = Regulations(street(), route)
    for shown, reason in ((RED, ""), (GREEN, "stuck")):
        episode = Episode(0, route, ego, config, None, rules, shown, rewarded=False)
        ends = [step(episode, LIGHT_M - 4.0, 0.0, shown, number) for number in range(1, 6)]
        assert ends[-1].reason == reason
        assert ends[-1].reward == -config.reward.standstill_cost
        assert not ends[-1].waited
        assert episode.demand == Demand()


def test_without_regulations_nothing_is_asked() -> None:
    config = load_configuration("default").driving.episode
    route, ego = WAY.rest(LIGHT_M - 5.0), car(LIGHT_M - 2.0, 8.0)
    episode = Episode(0, route, ego, config, lights=RED)
    assert episode.demand == Demand()
    outcome = step(episode, LIGHT_M + 1.0, 8.0, RED)
    assert (outcome.ran, outcome.waited, outcome.ended) == ("", False, False)


def total(speed_mps: float, demand: Demand) -> float:
    still = np.zeros(2, np.float32)
    terms = reward_terms(
        REWARD,
        progress_mps=speed_mps,
        speed_mps=speed_mps,
        place=RoutePlace(0.0, 0.0, 0.0),
        action=still,
        previous_action=still,
        failed=False,
        demand=demand,
    )
    assert -1.0 <= terms["progress"] <= 1.0
    assert all(-10.0 <= terms[name] <= 0.0 for name in terms.keys() - {"progress"})
    return sum(terms.values())


@pytest.mark.parametrize("limit_mps", [2.0, 5.0, 8.0, 20.0, math.inf])
def test_the_limit_or_the_target_earns_most_whichever_is_lower(limit_mps: float) -> None:
    best_mps = min(limit_mps, REWARD.target_speed_mps)
    speeds = np.arange(0.0, 20.0, 0.25)
    earned = {speed: total(speed, Demand(limit_mps=limit_mps)) for speed in (*speeds, best_mps)}
    assert max(earned, key=lambda speed: earned[speed]) == best_mps
    assert earned[best_mps] == pytest.approx(1.0)


@pytest.mark.parametrize("distance_m", [0.0, 2.0, 5.0, 10.0, 15.0, 30.0, 50.0])
def test_before_a_line_at_which_to_stop_the_safe_speed_earns_most(distance_m: float) -> None:
    demand = Demand(distance_m)
    safe_mps = REWARD.safe_speed_mps(None, demand)
    speeds = np.arange(0.0, 12.0, 0.25)
    earned = {speed: total(speed, demand) for speed in (*speeds, safe_mps)}
    assert max(earned, key=lambda speed: earned[speed]) == safe_mps
    assert REWARD.safe_speed_mps(None, NO_DEMAND) == REWARD.target_speed_mps


Choose = Callable[[Demand, float], float]  # the wanted speed, m/s, from the demand and the own


def drives(choose: Choose, lights: Callable[[int], Lights], **given: bool) -> Iterator[Outcome]:
    """Steps of a car that brakes and accelerates by 3 m/s² towards the wanted speed."""
    front_m, speed_mps = LIGHT_M - 60.0, 8.33
    episode = begun(front_m, speed_mps, lights(0), **given)
    for number in range(1, 10_000):
        change_mps = choose(episode.demand, speed_mps) - speed_mps
        speed_mps += float(np.clip(change_mps, -3.0 * STEP_S, 3.0 * STEP_S))
        front_m += speed_mps * STEP_S
        yield (outcome := step(episode, front_m, speed_mps, lights(number), number))
        if outcome.ended:
            return


def worth(choose: Choose, lights: Callable[[int], Lights]) -> float:
    """Discounted return of what is stored; one that was cut off goes on as it was."""
    value, reward, kept = 0.0, 0.0, 0
    terminated = False
    for outcome in islice(drives(choose, lights), 1000):
        if outcome.waited and not outcome.ended:
            continue
        reward, terminated = outcome.reward, outcome.terminated
        value += DISCOUNT**kept * reward
        kept += 1
    return value if terminated else value + DISCOUNT**kept * reward / (1.0 - DISCOUNT)


def _obeys(demand: Demand, speed_mps: float) -> float:
    return REWARD.safe_speed_mps(None, demand)


EASIER: dict[str, Choose] = {
    "running it": lambda demand, speed_mps: REWARD.target_speed_mps,
    "creeping over it": lambda demand, speed_mps: max(_obeys(demand, speed_mps), 0.7),
    "parking": lambda demand, speed_mps: 0.0,
    "parking at the line": lambda demand, speed_mps: (
        0.0 if speed_mps < 0.1 else _obeys(demand, speed_mps)
    ),
    "stopping far before it": lambda demand, speed_mps: 0.0 if demand.must_stop else 8.33,
    "crawling": lambda demand, speed_mps: min(_obeys(demand, speed_mps), 2.0),
}


@pytest.mark.parametrize("red_steps", [500, 900])
def test_to_wait_for_green_is_worth_more_than_anything_easier(red_steps: int) -> None:
    """However long it takes: up to 45 s."""

    def lights(number: int) -> Lights:
        return RED if number < red_steps else GREEN

    obeying = worth(_obeys, lights)
    easier = {name: worth(choose, lights) for name, choose in EASIER.items()}
    assert obeying > 50.0
    assert max(easier.values()) < obeying - 3.0, easier
    assert easier["running it"] < easier["parking at the line"]


def test_steps_in_which_the_car_waited_are_told() -> None:
    """From one at which it stood already to one at which it may go."""

    def lights(number: int) -> Lights:
        return RED if number < 900 else GREEN

    outcomes = list(islice(drives(_obeys, lights), 950))
    waited = [number for number, outcome in enumerate(outcomes, start=1) if outcome.waited]
    assert waited == list(range(waited[0], 900))
    assert waited[0] < 500


@dataclass(frozen=True)
class Straight:
    """The one route: from before the light on."""

    end_m: float = 600.0

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        return Route.along(np.array([(LIGHT_M - 60.0, -1.75), (self.end_m, -1.75)]))


class Stored:
    """Counts what is stored."""

    def __init__(self) -> None:
        self.steps = 0

    def begin(self, frame: Picture, vector: Vector) -> None:
        assert vector.shape == (URBAN.driving.spaces.vector_dim,)

    def add(self, action: Action, reward: float, *rest: object) -> None:
        self.steps += 1


def test_a_driver_stores_no_step_in_which_the_car_waited() -> None:
    """At the line it stands for three steps, of which the store has that which ends the wait."""
    store = Stored()
    driver = Driver(URBAN.driving, Pursuit(URBAN.driving), store, 0, routes=Straight())
    driver.set_map(street())
    pixels = np.zeros((84, 84), np.uint8)
    ego, number = car(0.0, 0.0), 0
    while driver.episode is None:
        number += 1
        report = driver.observe(pixels, ego, lights=RED)
        place = driver.decide().place or ego.pose
        ego = EgoState(number * 50_000_000, place, 0.0)
    assert report.seen is not None
    assert report.seen.vector[-3:].tolist() == pytest.approx([1.0, 0.0, 1.0])
    kept = []
    for front_m, lights in [
        (LIGHT_M - 57.0, RED),
        (LIGHT_M - 49.0, RED),
        (LIGHT_M - 41.0, RED),
        (LIGHT_M - 33.0, RED),
        (LIGHT_M - 25.0, RED),
        (LIGHT_M - 17.0, RED),
        (LIGHT_M - 9.0, RED),
        (LIGHT_M - 4.0, RED),
        (LIGHT_M - 4.0, RED),
        (LIGHT_M - 4.0, RED),
        (LIGHT_M - 4.0, GREEN),
        (LIGHT_M - 3.0, GREEN),
    ]:
        driver.decide()
        number += 1
        speed_mps = 0.0 if front_m == LIGHT_M - 4.0 else 5.0
        report = driver.observe(pixels, car(front_m, speed_mps, number), lights=lights)
        assert report.seen is not None
        line_m = LIGHT_M - front_m if lights is RED else 50.0
        assert report.seen.vector[-3] * 50.0 == pytest.approx(min(line_m, 50.0), abs=1e-4)
        kept.append(store.steps)
    assert kept == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 9, 10]
    assert report.seen.vector[-3:].tolist() == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("name", ["pure_pursuit", "informed_pursuit"])
def test_a_pursuit_keeps_the_rules_in_a_world_with_lights(name: str) -> None:
    """It waits at the light until it is green, stops at the sign, and keeps to the limit."""
    limit_mps, sign_m = 6.0, LIGHT_M + 40.0
    driving = replace(standard.DRIVING, regulations=True)
    policy = BASELINES[name](driving, 0)
    world = Simulation(
        WorldConfig(lights=True, cameras=(CameraConfig(width_px=16, height_px=16),)),
        street(limit_mps, sign_m),
    )
    trace = drive_route(driving, policy, world, 120.0, 0, routes=Straight(sign_m + 20.0))
    assert (trace.reason, trace.infractions) == ("route_end", ())
    front_m = trace.poses[:, 0] + FRONT_M
    standing_m = front_m[1:][np.abs(trace.speed_mps[1:]) < STOPPED_MPS]
    at_light = standing_m[np.abs(standing_m - LIGHT_M) < 10.0]
    assert len(at_light) * STEP_S > 2.0  # with this seed it is red when the car comes
    assert at_light.max() < LIGHT_M
    at_sign = standing_m[np.abs(standing_m - sign_m) < 10.0]
    assert 0 < len(at_sign) * STEP_S < 2.0
    assert limit_mps - 0.3 < trace.speed_mps.max() < limit_mps + 0.4
