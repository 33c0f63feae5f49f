# SPDX-License-Identifier: Apache-2.0
"""The driver in the embedded world, without ROS: resets, episodes, one command per frame."""

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from td3_driver.driving.controllers import PurePursuit
from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.evaluation import closed_loop
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

SQUARE = WorldConfig(cameras=(CameraConfig(width_px=84, height_px=84),))


class Pursuit:
    def __init__(self) -> None:
        self.controller = PurePursuit()

    def begin_episode(self) -> None:
        self.controller = PurePursuit()

    def act(self, situation: Situation) -> Action:
        return self.controller.act(situation.ego, situation.route, situation.place)


class Always:
    def __init__(self, steer: float, drive: float) -> None:
        self.action = np.array([steer, drive], np.float32)

    def begin_episode(self) -> None:
        pass

    def act(self, situation: Situation) -> Action:
        return self.action


class Recorder:
    def __init__(self) -> None:
        self.episodes: list[list[tuple[object, ...]]] = []

    def begin(self, *first: object) -> None:
        self.episodes.append([first])

    def add(self, *step: object) -> None:
        self.episodes[-1].append(step)


def drive(
    policy: Pursuit | Always,
    road_map: RoadMap,
    *,
    frames: int,
    config: DrivingConfig | None = None,
    recorder: Recorder | None = None,
) -> list[EpisodeSummary]:
    """Run the driver in the world for so many frames."""
    world = Simulation(SQUARE, road_map)
    driver = Driver(config or DrivingConfig(), policy, recorder, seed=5)
    driven = islice(closed_loop.drive(driver, world), frames)
    return [frame.report.ended for frame in driven if frame.report.ended is not None]


@pytest.fixture(scope="module")
def roads() -> RoadMap:
    return RoadMap(generate_opendrive(3), "generated_3")


def test_pure_pursuit_reaches_the_end_and_earns_most(roads: RoadMap) -> None:
    config = DrivingConfig()
    config = replace(config, episode=replace(config.episode, route_length_m=200.0))
    ended = drive(Pursuit(), roads, frames=2500, config=config)
    assert len(ended) >= 2
    assert all(one.success and one.completion == pytest.approx(1.0, abs=0.01) for one in ended)
    assert all(one.lateral_rmse_m < 0.4 for one in ended)
    per_step = np.mean([one.total_reward / one.steps for one in ended])
    assert per_step > 0.5


def test_pure_pursuit_through_the_junctions_of_a_town(large_town: RoadMap) -> None:
    ended = drive(Pursuit(), large_town, frames=3000)
    assert len(ended) >= 2
    assert all(one.success for one in ended)
    assert all(one.lateral_rmse_m < 0.1 for one in ended)


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (Always(0.0, 0.0), "stuck"),
        (Always(0.0, -1.0), "stuck"),
        (Always(1.0, 1.0), "off_road"),
        (Always(-1.0, 0.6), "off_road"),
    ],
)
def test_bad_policies_end_as_they_should_and_lose(
    roads: RoadMap, policy: Always, reason: str
) -> None:
    ended = drive(policy, roads, frames=500)
    assert ended
    assert {one.reason for one in ended} <= {reason, "wrong_way"}
    assert all(one.total_reward < 0.0 for one in ended)


def test_a_parked_car_loses_to_one_that_fails_at_once(roads: RoadMap) -> None:
    """Standing still was a local optimum of the prototype: crashing cost more."""
    parked = drive(Always(0.0, 0.0), roads, frames=300)[0]
    crashed = drive(Always(1.0, 1.0), roads, frames=300)[0]
    discount = 0.99
    standing_for_ever = parked.total_reward / parked.steps / (1.0 - discount)
    assert standing_for_ever < crashed.total_reward


def test_the_teleport_of_a_reset_is_in_no_transition(roads: RoadMap) -> None:
    recorder = Recorder()
    ended = drive(Always(0.3, 0.8), roads, frames=1500, recorder=recorder)
    assert len(ended) > 5
    for episode, summary in zip(recorder.episodes, ended, strict=False):
        steps = episode[1:]
        assert len(steps) == summary.steps
        rewards = [float(step[1]) for step in steps]  # type: ignore[arg-type]
        assert max(rewards) <= 1.0 + 1e-6
        terminated = [bool(step[4]) for step in steps]
        assert terminated == [False] * (len(steps) - 1) + [True]
        # Each starts at rest on the middle of a lane.
        vector = np.asarray(episode[0][1])
        assert abs(vector[0]) * 30.0 < 0.1
        assert abs(vector[1]) * 3.5 < 0.5
        assert abs(vector[2]) * math.pi < 0.1


def test_a_collision_from_before_the_reset_ends_nothing(roads: RoadMap) -> None:
    world = Simulation(SQUARE, roads)
    driver = Driver(DrivingConfig(), Pursuit(), None, seed=1)
    driver.set_map(roads)
    control = Control()
    while driver.episode is None:
        tick = world.step(control)
        driver.collided(tick.stamp_ns)  # the bridge reports contacts while teleporting
        driver.observe(tick.image, tick.ego)
        command = driver.decide()
        if command.place is not None:
            world.reset_pose(command.place)
        control = command.control
    driver.collided(tick.stamp_ns)  # late, but of the frame that the episode began with
    tick = world.step(control)
    outcome = driver.observe(tick.image, tick.ego).outcome
    assert outcome is not None
    assert not outcome.ended
    driver.decide()
    tick = world.step(control)
    driver.collided(tick.stamp_ns)
    outcome = driver.observe(tick.image, tick.ego).outcome
    assert outcome is not None
    assert outcome.reason == "collision"
    assert outcome.terminated


def test_without_a_map_the_car_is_braked(roads: RoadMap) -> None:
    world = Simulation(SQUARE, roads)
    driver = Driver(DrivingConfig(), Pursuit(), None, seed=1)
    tick = world.step(Control())
    driver.observe(tick.image, tick.ego)
    assert driver.decide().control.brake == 1.0


class Dice:
    """A policy with a state of its own, to see that a resumed drive goes on with it."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.begun = 0

    def begin_episode(self) -> None:
        self.begun += 1

    def act(self, situation: Situation) -> Action:
        return np.array([0.2 * self.rng.normal(), 0.6], np.float32)


def frames_of(
    policy: Dice, road_map: RoadMap, state: dict | None, frames: int
) -> tuple[Driver, list[closed_loop.Frame]]:
    driver = Driver(DrivingConfig(), policy, None, seed=8)
    world = Simulation(SQUARE, road_map)
    driven = closed_loop.drive(driver, world)
    if state is not None:
        next(driven)  # the map is set with the first frame
        driver.restore(state, redrive=True, recorded=False)
    return driver, list(islice(driven, frames))


def judged(frames: list[closed_loop.Frame]) -> list[tuple[float, float, float]]:
    """Reward and place of each step that counts."""
    return [
        (frame.report.outcome.reward, frame.ego.pose.x_m, frame.ego.pose.y_m)
        for frame in frames
        if frame.report.outcome is not None
    ]


@pytest.mark.parametrize("decided", [True, False])
@pytest.mark.parametrize("cut", [3, 40, 71, 150, 151, 200])
def test_a_drive_resumes_anywhere_to_the_last_bit(
    roads: RoadMap, cut: int, decided: bool
) -> None:
    """Before, in and between episodes, before and after the newest frame's decision."""
    _, whole = frames_of(Dice(1), roads, None, 600)
    policy = Dice(1)
    driver = Driver(DrivingConfig(), policy, None, seed=8)
    world = Simulation(SQUARE, roads)
    rngs, state = [policy.rng.bit_generator.state], {}
    for _ in islice(closed_loop.drive(driver, world), cut):
        state = driver.state()
        rngs.append(policy.rng.bit_generator.state)
    resumed = Dice(1)
    resumed.rng.bit_generator.state = rngs[-1]
    if "decided" in state and not decided:  # as if saved before the newest frame's decision
        del state["decided"]
        state["actions"].pop()
        resumed.rng.bit_generator.state = rngs[-2]
    _, rest = frames_of(resumed, roads, state, 800)
    before = len(judged(whole[:cut]))
    assert judged(rest)[:100] == judged(whole)[before : before + 100]
