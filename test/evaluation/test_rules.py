# SPDX-License-Identifier: Apache-2.0
"""Drives of the embedded world under each rule set, and what is written of them."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver.driving.driver import Driver
from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.judging.rules import LEADERBOARD_1, NOCRASH, STRICT, Rules
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.roles import Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import GivenRoutes, RandomRoutes
from td3_driver.driving.types import LightState, Pose
from td3_driver.evaluation.closed_loop import Frame, drive, drive_route
from td3_driver.evaluation.command import Options, execute
from td3_driver.evaluation.policies import Pursuit, Stopped
from td3_driver.measures import standard
from td3_driver.measures.measuring import Measuring
from td3_driver.measures.metrics import Trace, measure
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

from ..driving.test_judging import LANE_M, LIGHT_M, SIGN_M, street
from .test_standard import Leaves

WORLD = WorldConfig(seed=3, cameras=(CameraConfig(width_px=16, height_px=12),))
LENGTH_M, SEED = 40.0, 3


@pytest.fixture(scope="module")
def loop() -> RoadMap:
    return RoadMap(generate_opendrive(3), "loop")


@pytest.fixture(scope="module")
def obstacle(loop: RoadMap) -> Pose:
    """In the way of the route of `driven`."""
    free = driven(Pursuit(standard.DRIVING), Simulation(WORLD, loop), STRICT)
    there_m, along_m = free.route_m[25], free.route_m[26] - free.route_m[25]
    return Pose(*there_m, math.atan2(*along_m[::-1]))


def driven(policy: Policy, world: Simulation, rules: Rules) -> Trace:
    return drive_route(standard.DRIVING, policy, world, LENGTH_M, SEED, rules=rules)


def against(obstacle: Pose, loop: RoadMap, rules: Rules) -> Trace:
    world = Simulation(WORLD, loop)
    world.park(obstacle)
    return driven(Pursuit(standard.DRIVING), world, rules)


def unjudged(policy: Policy, world: Simulation) -> dict[str, Any]:
    """A drive by a driver whom no judge watches, as `Trace` has it."""
    limits = standard.limits(LENGTH_M, WORLD.fixed_delta_s, standard.SPEED_LIMIT_MPS)
    driver = Driver(
        standard.DRIVING, policy, None, SEED,
        routes=RandomRoutes(LENGTH_M, Purpose.EVALUATION), judged_by=limits,
    )  # fmt: skip
    frames = drive(driver, world)
    frame = next(frame for frame in frames if driver.episode is not None)
    episode = driver.episode
    assert episode is not None
    states, actions, rewards, ttc_s = [], [], [], []
    while True:
        pose, place, ahead = frame.ego.pose, episode.place, episode.leader
        states.append((pose.x_m, pose.y_m, pose.yaw_rad, place.s_m, place.lateral_m))
        speed_mps = frame.ego.speed_mps
        ttc_s.append(ahead.time_to_collision_s(speed_mps) if ahead else math.inf)
        if (outcome := frame.report.outcome) is not None:
            rewards.append(outcome.reward)
        if (ended := frame.report.ended) is not None:
            break
        control = frame.command.control
        actions.append((control.steer / standard.STEER_UNIT, control.throttle - control.brake))
        frame = next(frames)
    columns = np.array(states)
    return {
        "poses": columns[:, :3], "s_m": columns[:, 3], "lateral_m": columns[:, 4],
        "actions": np.array(actions), "rewards": np.array(rewards), "ttc_s": np.array(ttc_s),
        "reason": ended.reason, "completion": ended.completion,
        "struck": tuple(
            Kind.VEHICLE if each.other_actor_id else Kind.LAYOUT for each in frame.tick.collisions
        ),
    }  # fmt: skip


@pytest.mark.parametrize("crash", [True, False])
def test_a_judge_changes_nothing_under_our_own_rules(
    crash: bool, loop: RoadMap, obstacle: Pose
) -> None:
    def world() -> Simulation:
        made = Simulation(WORLD, loop)
        if crash:
            made.park(obstacle)
        return made

    def policy() -> Policy:
        return Pursuit(standard.DRIVING) if crash else Leaves()

    found, expected = driven(policy(), world(), STRICT), unjudged(policy(), world())
    assert found.reason == ("collision" if crash else "off_road")
    for name, values in expected.items():
        assert np.array_equal(getattr(found, name), values), name


def test_a_collision_ends_no_drive_under_the_leaderboard_s_rules(
    loop: RoadMap, obstacle: Pose
) -> None:
    strict = against(obstacle, loop, STRICT)
    trace = against(obstacle, loop, LEADERBOARD_1)
    steps = len(strict.actions)
    assert np.array_equal(trace.actions[:steps], strict.actions)  # the same until then
    assert len(trace.actions) > steps
    assert trace.reason == "route_timeout"  # 0.8 s for each of 40 m, and 5 s
    assert len(trace.actions) == pytest.approx((0.8 * LENGTH_M + 5.0) / 0.05, abs=21)
    measured = measure(trace)
    collisions = measured.infractions["collisions_vehicle"]
    assert collisions is not None
    assert 1 <= collisions <= 5  # it pushes the other one on; not one for each step
    assert measured.infractions["route_timeout"] == 1
    assert measured.driving_score == pytest.approx(0.6**collisions * measured.completion)
    assert not measured.success


def test_a_hard_collision_ends_a_drive_of_nocrash(loop: RoadMap, obstacle: Pose) -> None:
    trace = against(obstacle, loop, NOCRASH)
    assert (trace.reason, trace.terminated) == ("collision", True)
    assert trace.struck == (Kind.VEHICLE,)
    measured = measure(trace)
    assert not measured.success
    assert measured.infraction_penalty == 1.0


def test_who_leaves_the_road_goes_on_until_he_has_left_the_route(loop: RoadMap) -> None:
    trace = driven(Leaves(), Simulation(WORLD, loop), LEADERBOARD_1)
    assert np.abs(trace.lateral_m).max() > 2.5
    assert trace.reason != "off_road"
    outside = [each for each in trace.infractions if each.kind == Kind.OUTSIDE]
    assert len(outside) == 1
    assert 0.0 < outside[0].share <= 1.0


@pytest.mark.parametrize("shown", [LightState.RED, LightState.GREEN])
def test_a_car_in_the_world_runs_a_red_light_and_a_stop_sign(shown: LightState) -> None:
    """Pure pursuit, which sees no signals."""
    config = WorldConfig(seed=0, cameras=(CameraConfig(width_px=16, height_px=12),), lights=True)
    world = Simulation(config, street())
    lights = world._scene.lights
    assert lights is not None
    seen: set[int] = set()

    def hold(frame: Frame) -> None:
        lights.set_state(0, shown)
        lights.freeze_all(frozen=True)
        if frame.ego.pose.x_m > LIGHT_M:
            seen.add(int(frame.tick.lights[0]))

    way = Route.along(np.array([(LIGHT_M - 25.0, LANE_M), (SIGN_M + 10.0, LANE_M)]))
    trace = drive_route(
        standard.DRIVING, Pursuit(standard.DRIVING), world, way.length_m, 0, None, hold,
        routes=GivenRoutes([way]), rules=LEADERBOARD_1,
    )  # fmt: skip
    assert seen == {shown}
    assert trace.reason == "route_end"
    red = shown is LightState.RED
    measured = measure(trace)
    assert measured.infractions["red_light"] == red
    assert measured.infractions["stop_infraction"] == 1
    assert measured.infraction_penalty == pytest.approx(0.8 * 0.7 if red else 0.8)
    assert not trace.not_measured


@pytest.mark.parametrize(
    ("shown", "reason"), [(LightState.RED, "time_limit"), (LightState.GREEN, "stuck")]
)
def test_waiting_at_red_is_right_for_all_policies_alike(shown: LightState, reason: str) -> None:
    config = WorldConfig(seed=0, cameras=(CameraConfig(width_px=16, height_px=12),), lights=True)
    world = Simulation(config, street())
    lights = world._scene.lights
    assert lights is not None

    def hold(frame: Frame) -> None:
        lights.set_state(0, shown)
        lights.freeze_all(frozen=True)

    way = Route.along(np.array([(LIGHT_M - 8.0, LANE_M), (LIGHT_M + 5.0, LANE_M)]))
    assert not standard.DRIVING.regulations
    trace = drive_route(
        standard.DRIVING, Stopped(), world, way.length_m, 0, None, hold,
        routes=GivenRoutes([way]),
    )  # fmt: skip
    assert trace.reason == reason


def test_a_drive_is_measured_by_its_judge_when_it_has_ended(loop: RoadMap) -> None:
    driver = Driver(standard.DRIVING, Stopped(), None, SEED)
    for frame in drive(driver, Simulation(WORLD, loop)):
        if driver.episode is not None:
            with pytest.raises(ValueError, match="the episode has no judge; expected one"):
                Measuring(driver.episode, frame.ego, 0.05)
            break


@pytest.mark.parametrize("name", ["strict", "leaderboard2"])
def test_the_rules_stand_in_what_is_written(name: str, tmp_path: Path) -> None:
    said = execute(
        Options(
            checkpoint=None, policy="pure_pursuit", episodes=1, map_file=None, seed=0,
            length_m=(40.0, 40.0), out=tmp_path, rules=name,
        )
    )  # fmt: skip
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["rules"]["name"] == name
    for kind in ("red_light", "stop_infraction"):
        assert metrics["infractions_per_km"][kind] is None
        assert metrics["confidence_95"]["infractions_per_km"][kind] is None
        assert metrics["per_episode"][0]["infractions"][kind] is None
        assert metrics["not_measured"][kind].startswith("the map has no ")
    assert metrics["infractions_per_km"]["collisions_vehicle"] == 0.0
    low, high = metrics["confidence_95"]["infractions_per_km"]["collisions_vehicle"]
    assert low == 0.0 < high
    assert metrics["infraction_penalty"] == metrics["driving_score"] == 1.0
    assert ("driving_score_2_0" in metrics) == (name == "leaderboard2")
    page = (tmp_path / "report.html").read_text()
    assert f"<b>Rules: {name}</b> ({metrics['rules']['version']})" in page
    assert "<td>Red lights run</td><td>not measured</td>" in page
    assert metrics["not_measured"]["red_light"] in page
    assert "penalty" in said
