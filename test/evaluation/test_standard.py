# SPDX-License-Identifier: Apache-2.0
"""Everybody is judged by the same: when a drive fails, how fast is asked for, in what units."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.driving.episode import EpisodeConfig
from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action, RewardConfig
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.safety import SafetyConfig
from td3_driver.driving.types import Pose
from td3_driver.evaluation.closed_loop import drive_route
from td3_driver.evaluation.command import Options, execute
from td3_driver.evaluation.policies import BASELINES, InformedPursuit, Pursuit
from td3_driver.measures import standard
from td3_driver.measures.metrics import Trace, measure
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

from .steady_driver import steady_driver

LENIENT = DrivingConfig(
    episode=EpisodeConfig(
        off_road_m=50.0,
        wrong_way_rad=9.0,
        stuck_steps=5,
        reward=RewardConfig(target_speed_mps=3.0, standstill_speed_mps=2.0, failure_cost=1.0),
    )
)
WORLD = WorldConfig(seed=3, cameras=(CameraConfig(width_px=16, height_px=12),))


class Leaves:
    """Drives and turns off the road."""

    def begin_episode(self) -> None:
        """Nothing to forget."""

    def act(self, situation: Situation) -> Action:
        return np.array([0.3, 0.4], np.float32)


def driven(policy: Policy, config: DrivingConfig, world: WorldConfig = WORLD) -> Trace:
    road_map = RoadMap(generate_opendrive(3), "loop")
    return drive_route(config, policy, Simulation(world, road_map), 150.0, 3)


def test_when_a_drive_fails_is_not_the_checkpoint_s_to_say() -> None:
    strict, lenient = (driven(Leaves(), config) for config in (DrivingConfig(), LENIENT))
    assert strict.reason == "off_road"
    assert measure(lenient) == measure(strict)
    # What it learned by is still what its critic promised.
    assert lenient.rewards.sum() != strict.rewards.sum()
    assert lenient.rewards[-1] > strict.rewards[-1] + 5.0  # a failure cost it 1, not 10


def test_the_speed_that_is_asked_for_is_not_either() -> None:
    pursuit = Pursuit(LENIENT)  # crawls, as it was told
    slow = driven(pursuit, LENIENT)
    assert slow.reason == "route_end"
    assert slow.speed_limit_mps == standard.SPEED_LIMIT_MPS
    assert measure(slow).score < 0.45  # it keeps a pace of 3 m/s where 8.33 are allowed


def test_steering_is_measured_in_one_unit() -> None:
    """The same wheel from an action of another share of the lock."""
    whole = replace(DrivingConfig(), safety=SafetyConfig(max_steer=1.0))
    half, full = (driven(Pursuit(config), config) for config in (DrivingConfig(), whole))
    assert measure(full).mean_abs_steer_change == pytest.approx(
        measure(half).mean_abs_steer_change, rel=0.02
    )
    assert measure(full).score == pytest.approx(measure(half).score, rel=0.02)


def test_two_checkpoints_are_judged_by_the_same_that_is_written_down(tmp_path: Path) -> None:
    settings = load_configuration("default")
    usual = steady_driver(tmp_path / "td3_1.pth", (0.3, 0.4))
    lenient = TD3Agent.from_checkpoint(usual)
    learned = replace(settings, driving=LENIENT, agent=lenient.config)
    lenient.save_checkpoint(tmp_path / "td3_2.pth", {"settings": learned.to_mapping()})
    found: list[dict[str, Any]] = []
    for name in ("td3_1", "td3_2"):
        options = Options(
            checkpoint=tmp_path / f"{name}.pth", policy="", episodes=1, map_file=None, seed=0,
            length_m=(60.0, 60.0), out=tmp_path / name,
        )  # fmt: skip
        execute(options)
        found.append(json.loads((tmp_path / name / "metrics.json").read_text()))
    one, other = found
    for metrics in found:
        assert metrics["infractions"] == {"off_road": 1}
        assert metrics["standard"] == standard.to_mapping()
        for name in ("checkpoint", "policy"):
            del metrics[name]
    assert one == other
    assert one["standard"]["off_road_m"] == 2.5
    assert one["standard"]["speed_limit_mps"] == 8.33


def test_a_pursuit_that_is_told_of_traffic_keeps_its_distance() -> None:
    """Behind a vehicle that stands on the way; the blind one runs into it."""
    road_map = RoadMap(generate_opendrive(3), "loop")

    def behind_another(name: str) -> Trace:
        policy, world = BASELINES[name](standard.DRIVING, 0), Simulation(WORLD, road_map)
        world.park(Pose(*there_m, math.atan2(*along_m[::-1])))
        return drive_route(standard.DRIVING, policy, world, 100.0, 3)

    free = drive_route(
        standard.DRIVING, Pursuit(standard.DRIVING), Simulation(WORLD, road_map), 100.0, 3
    )
    there_m, along_m = free.route_m[60], free.route_m[61] - free.route_m[60]
    blind, informed = (behind_another(name) for name in ("pure_pursuit", "informed_pursuit"))
    assert (blind.reason, blind.struck) == ("collision", (Kind.VEHICLE,))
    assert (informed.reason, informed.struck) == ("time_limit", ())
    assert informed.completion > 0.45
    assert informed.speed_mps[-1] < 0.1


def test_where_nobody_is_about_both_pursuits_drive_alike() -> None:
    blind, informed = (driven(kind(LENIENT), LENIENT) for kind in (Pursuit, InformedPursuit))
    assert np.array_equal(blind.actions, informed.actions)
