# SPDX-License-Identifier: Apache-2.0
"""Frames that were missed, and steps that a human drove."""

import math

import numpy as np
import pytest

from td3_driver.driving.driver import Driver, MakeJudge
from td3_driver.driving.episode import EpisodeConfig
from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.judging.rules import LEADERBOARD_1, STRICT, Rules
from td3_driver.driving.observation import Situation
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.safety import SafetyConfig, action_of, control_of
from td3_driver.driving.types import FULL_BRAKE, Control, EgoState, Pose
from td3_driver.measures.measuring import judges
from td3_driver.world.roads.generation import generate_opendrive

FRAME = np.zeros((84, 84), np.uint8)
TICK_NS = 50_000_000


class Straight:
    """A policy that goes slowly ahead, or gives whatever it is told."""

    def __init__(self) -> None:
        self.action = np.array([0.0, 0.25], np.float32)

    def begin_episode(self) -> None:
        pass

    def act(self, situation: Situation) -> np.ndarray:
        return self.action


class Log:
    def __init__(self) -> None:
        self.events: list[str] = []
        self.actions: list[np.ndarray] = []

    def begin(self, frame: np.ndarray, vector: np.ndarray) -> None:
        self.events.append("begin")

    def add(self, action: np.ndarray, *rest: object) -> None:
        self.actions.append(action)
        self.events.append("human" if rest[-1] else "add")


class Ride:
    """A driver with a car that stands where it is put, and may be moved by the test."""

    def __init__(self, make_judge: MakeJudge | None = None) -> None:
        self.policy, self.log = Straight(), Log()
        self.ended: list[str] = []
        config = DrivingConfig(EpisodeConfig(stuck_steps=10_000))
        self.driver = Driver(config, self.policy, self.log, seed=0, make_judge=make_judge)
        self.driver.set_map(RoadMap(generate_opendrive(0), "generated_0"))
        self.ego = EgoState(0, self.driver.route.start if self.driver.route else _anywhere(), 0.0)

    def frame(self, human: Control | None = None) -> Control:
        """One frame, answered; resets are obeyed at once."""
        self.ego = EgoState(self.ego.stamp_ns + TICK_NS, self.ego.pose, 0.0)
        report = self.driver.observe(FRAME, self.ego, human)
        if report.ended is not None:
            self.ended.append(report.ended.reason)
        command = self.driver.decide()
        if command.place is not None:
            self.ego = EgoState(self.ego.stamp_ns, command.place, 0.0)
        return command.control

    def begin(self) -> None:
        while self.driver.episode is None:
            self.frame()


def _anywhere() -> Pose:
    return Pose(0.0, 0.0, 0.0)


@pytest.fixture
def ride() -> Ride:
    ride = Ride()
    ride.begin()
    return ride


def test_a_missed_frame_leaves_a_gap_and_the_episode_goes_on(ride: Ride) -> None:
    ride.frame()
    episode = ride.driver.episode
    ride.driver.interrupt()
    assert ride.driver.decide().control == FULL_BRAKE
    assert ride.frame() != FULL_BRAKE
    ride.frame()
    assert ride.driver.episode is episode
    assert ride.log.events == ["begin", "add", "begin", "add"]


def test_a_car_that_left_its_way_unseen_begins_anew(ride: Ride) -> None:
    ride.driver.interrupt()
    far = ride.ego.pose
    ride.ego = EgoState(
        ride.ego.stamp_ns, type(far)(far.x_m + 500.0, far.y_m + 500.0, far.yaw_rad), 0.0
    )
    assert ride.frame() == FULL_BRAKE
    assert ride.driver.episode is None
    assert ride.log.events == ["begin"]


def test_a_collision_in_the_gap_ends_the_episode(ride: Ride) -> None:
    ride.driver.interrupt()
    ride.driver.collided(ride.ego.stamp_ns + TICK_NS)
    ride.frame()
    assert ride.driver.episode is None


@pytest.mark.parametrize("rules", [STRICT, LEADERBOARD_1], ids=lambda rules: rules.name)
def test_a_collision_in_the_gap_counts_where_it_is_measured(rules: Rules) -> None:
    ride = Ride(judges(rules))
    ride.begin()
    episode = ride.driver.episode
    ride.driver.interrupt()
    ride.driver.collided(ride.ego.stamp_ns + TICK_NS)
    ride.frame()
    assert ride.ended == (["collision"] if rules is STRICT else [])
    assert episode is not None
    assert episode.judge is not None
    assert [each.kind for each in episode.judge.infractions] == [Kind.LAYOUT]


def test_a_human_s_control_is_the_action_that_is_stored(ride: Ride) -> None:
    hand = Control(throttle=0.0, steer=0.25, brake=0.5)
    assert ride.frame(hand) == hand
    assert ride.frame(hand) == hand
    # He lets go: the step that this frame ends was still his.
    assert ride.frame() != hand
    ride.frame()
    assert ride.log.events == ["begin", "human", "human", "human", "add"]
    assert np.allclose(ride.log.actions[0], [0.5, -0.5])


def test_nobody_moves_a_car_that_a_human_drives() -> None:
    ride = Ride()
    for _ in range(30):
        ride.ego = EgoState(ride.ego.stamp_ns + TICK_NS, ride.ego.pose, 0.0)
        ride.driver.observe(FRAME, ride.ego, Control())
        command = ride.driver.decide()
        assert command.place is None
        assert not command.halt
    ride.begin()


def test_driving_backwards_is_no_action(ride: Ride) -> None:
    ride.frame(Control(throttle=0.3, reverse=True))
    ride.frame()
    assert "human" not in ride.log.events


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_an_action_that_is_not_finite_is_counted_and_braked_for(value: float, ride: Ride) -> None:
    ride.policy.action = np.array([value, 0.5], np.float32)
    assert ride.frame() == FULL_BRAKE
    assert ride.driver.refused_actions == 1


@pytest.mark.parametrize("action", [(0.0, 1.0), (-1.0, -1.0), (0.3, -0.2), (1.0, 0.0)])
def test_a_command_s_action_is_what_it_was_made_from(action: tuple[float, float]) -> None:
    config = SafetyConfig(max_steer=0.5)
    wanted = np.array(action, np.float32)
    assert np.allclose(action_of(control_of(wanted, config), config), wanted)
