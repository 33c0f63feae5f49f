# SPDX-License-Identifier: Apache-2.0
"""Drives of the informed pursuit as transitions to learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from td3_driver.configuration import Configuration
from td3_driver.driving.driver import Driver
from td3_driver.driving.observation import Situation, Vector
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.safety import ACTION_DIM
from td3_driver.driving.view import Picture
from td3_driver.evaluation.closed_loop import drive
from td3_driver.evaluation.policies import InformedPursuit
from td3_driver.online.meaning import of_experience
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay
from td3_driver.world.simulation import Simulation, WorldConfig

# Whoever is never pushed off the way never shows how to come back to it: now and then there is an
# offset on the demonstrator's actions, as in DART (Laskey et al. 2017). Such steps are there for
# the critic; only the others are shown to be imitated.
_PUSH = 0.2
_PUSHED_STEPS, _QUIET_STEPS = (5, 15), (10, 40)


@dataclass(frozen=True)
class Demonstrated:
    """What was written: numbers of transitions and of episodes, mean reward of a step."""

    transitions: int
    episodes: int
    mean_reward: float


class _Pushed:
    """A policy whose actions are pushed now and then; `pushed` says whether the last one was."""

    def __init__(self, policy: Policy, seed: int) -> None:
        self._policy, self._rng = policy, np.random.default_rng(seed)
        self.begin_episode()

    def begin_episode(self) -> None:
        self.pushed, self._left = True, 0
        self._policy.begin_episode()

    def act(self, situation: Situation) -> Action:
        if not self._left:
            self.pushed = not self.pushed
            self._left = int(self._rng.integers(*(_PUSHED_STEPS if self.pushed else _QUIET_STEPS)))
            self._push = self._rng.normal(0.0, _PUSH, ACTION_DIM) if self.pushed else 0.0
        self._left -= 1
        return self._policy.act(situation) + self._push


class _Marking:
    """Writes transitions to a replay, and says which of them are shown."""

    def __init__(self, replay: Replay, policy: _Pushed) -> None:
        self._replay, self._policy = replay, policy

    def begin(self, frame: Picture, vector: Vector) -> None:
        self._replay.begin(frame, vector)

    def add(
        self, action: Action, reward: float, frame: Picture, vector: Vector, *ends: bool
    ) -> None:
        terminated, truncated, _ = ends
        self._replay.add(
            action, reward, frame, vector, terminated, truncated, not self._policy.pushed
        )


def demonstrate(
    configuration: Configuration,
    road_map: RoadMap,
    world: WorldConfig,
    steps: int,
    out: Path,
    on_step: Callable[[], object],
) -> Demonstrated:
    """Write the transitions of an informed pursuit that drives as in training.

    Args:
        configuration: what is seen, and what is rewarded.
        road_map: the roads.
        world: camera and surroundings, whose seed is that of the drives.
        steps: number of steps to drive.
        out: the replay file to write; an existing one is replaced.
        on_step: called after each step.

    Raises:
        CheckpointError: the file cannot be written.
        ValueError: the map has no route to drive.
    """
    driving = configuration.driving
    policy = _Pushed(InformedPursuit(driving), world.seed + 1)
    rewards, driven = 0.0, 0
    # Every episode has one row more than steps; no episode is shorter than a step.
    with replay_file.written(out, 2 * steps, driving.spaces.row, of_experience(driving)) as kept:
        driver = Driver(driving, policy, _Marking(kept, policy), world.seed + 2)
        for frame in drive(driver, Simulation(world, road_map)):
            if frame.report.outcome is None:
                continue
            rewards += frame.report.outcome.reward
            driven += 1
            on_step()
            if driven >= steps:
                break
    return Demonstrated(kept.transitions, driver.episodes, rewards / steps)
