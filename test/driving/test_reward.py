# SPDX-License-Identifier: Apache-2.0
"""What the default reward is worth to a policy that looks for an easier way than driving."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from td3_driver.configuration import load_configuration
from td3_driver.driving.controllers import PurePursuit
from td3_driver.driving.driver import Driver
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action, RewardConfig, reward_terms
from td3_driver.driving.roles import Command
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import RoutePlace
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.world.loop import advance
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

DEFAULT = load_configuration("default")
DISCOUNT = DEFAULT.agent.discount
STEPS = 250  # a discount of 0.99 leaves 8 % beyond

Choose = Callable[[Situation, Action, int], Action]  # from the reference's action and the step


class Variant:
    """Drives by pure pursuit, changed by `choose`."""

    def __init__(self, choose: Choose, speed_mps: float) -> None:
        self._choose, self._speed_mps = choose, speed_mps
        self.begin_episode()

    def begin_episode(self) -> None:
        self._pursuit, self._step = PurePursuit(self._speed_mps), 0

    def act(self, situation: Situation) -> Action:
        reference = self._pursuit.act(situation.ego, situation.route, situation.place)
        self._step += 1
        return self._choose(situation, reference, self._step)


def _fixed(steer: float, pedal: float) -> Choose:
    return lambda situation, reference, step: np.array([steer, pedal], np.float32)


def _waving(situation: Situation, reference: Action, step: int) -> Action:
    wave = 0.4 if step // 4 % 2 else -0.4
    return np.array([reference[0] + wave, reference[1]], np.float32)


def _bang_bang(situation: Situation, reference: Action, step: int) -> Action:
    return np.array([math.copysign(1.0, reference[0]), 1.0], np.float32)


def _stops_after(steps: int) -> Choose:
    brake = np.array([0.0, -1.0], np.float32)
    return lambda situation, reference, step: reference if step < steps else brake


def _drive(situation: Situation, reference: Action, step: int) -> Action:
    return reference


TARGET_MPS = DEFAULT.driving.episode.reward.target_speed_mps
EASIER = {
    "parking": Variant(_fixed(0.0, -1.0), TARGET_MPS),
    "rolling without throttle": Variant(_fixed(0.0, 0.0), TARGET_MPS),
    "circling": Variant(_fixed(1.0, 0.3), TARGET_MPS),
    "ending early": Variant(_fixed(1.0, 1.0), TARGET_MPS),
    "waving the wheel": Variant(_waving, TARGET_MPS),
    "bang-bang": Variant(_bang_bang, TARGET_MPS),
    "crawling": Variant(_drive, 1.0),
    "racing": Variant(_drive, 2.0 * TARGET_MPS),
    "driving, then stopping": Variant(_stops_after(80), TARGET_MPS),
}


@pytest.fixture(scope="module")
def world() -> Simulation:
    return Simulation(WorldConfig(), RoadMap(generate_opendrive(5), "generated_5"))


def worth(world: Simulation, policy: Variant, start: int) -> float:
    """Discounted return; an episode that was cut off goes on as it was, as learning assumes."""
    driver = Driver(DEFAULT.driving, policy, None, start)
    driver.set_map(world.road_map)
    command, total, steps, reward = Command(FULL_BRAKE), 0.0, 0, 0.0
    terminated = False
    while steps < STEPS:
        _, report = advance(world, driver, command)
        if report.outcome is not None:
            reward = report.outcome.reward
            total += DISCOUNT**steps * reward
            steps += 1
            terminated = report.outcome.terminated
        if report.ended is not None:
            break
        command = driver.decide()
    return total if terminated else total + DISCOUNT**steps * reward / (1.0 - DISCOUNT)


@pytest.mark.parametrize("start", [0, 1, 2])
def test_driving_is_worth_more_than_anything_easier(world: Simulation, start: int) -> None:
    driving = worth(world, Variant(_drive, TARGET_MPS), start)
    easier = {name: worth(world, policy, start) for name, policy in EASIER.items()}
    assert driving > 50.0
    assert max(easier.values()) < driving - 3.0, easier


def test_parking_is_worth_less_than_crashing(world: Simulation) -> None:
    """Else a policy that is about to fail learns to park instead of to drive."""
    assert worth(world, EASIER["parking"], 0) < worth(world, EASIER["ending early"], 0)


@given(st.floats(0.6, 2.0), st.floats(-1.75, 1.75), st.floats(-0.5, 0.5))
def test_crawling_on_beside_the_middle_is_worth_more_than_crashing(
    speed_mps: float, lateral_m: float, heading_rad: float
) -> None:
    """Else who has not learned to take a sharp turn yet learns to crash before it."""
    terms = reward_terms(
        DEFAULT.driving.episode.reward,
        progress_mps=speed_mps * math.cos(heading_rad),
        speed_mps=speed_mps,
        place=RoutePlace(0.0, lateral_m, heading_rad),
        action=np.zeros(2, np.float32),
        previous_action=np.zeros(2, np.float32),
        failed=False,
    )
    assert sum(terms.values()) / (1.0 - DISCOUNT) > -DEFAULT.driving.episode.reward.failure_cost


finite = st.floats(-100.0, 100.0)
angle = st.floats(-math.pi, math.pi)
action = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))


@settings(max_examples=200)
@given(finite, finite, finite, angle, action, action, st.booleans())
def test_no_term_can_be_farmed(
    progress_mps: float,
    speed_mps: float,
    lateral_m: float,
    heading_rad: float,
    action: tuple[float, float],
    previous: tuple[float, float],
    failed: bool,
) -> None:
    """Progress alone can earn, at most 1 a step, and only forwards; all else can only cost."""
    terms = reward_terms(
        RewardConfig(),
        progress_mps=progress_mps,
        speed_mps=speed_mps,
        place=RoutePlace(0.0, lateral_m, heading_rad),
        action=np.array(action, np.float32),
        previous_action=np.array(previous, np.float32),
        failed=failed,
    )
    assert -1.0 <= terms["progress"] <= 1.0
    assert terms["progress"] <= 0.0 or progress_mps > 0.0
    assert all(-10.0 <= terms[name] <= 0.0 for name in terms.keys() - {"progress"})
