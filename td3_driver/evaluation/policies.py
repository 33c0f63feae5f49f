# SPDX-License-Identifier: Apache-2.0
"""The baseline policies that a checkpoint's policy (`online.trained`) is compared with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from td3_driver.driving import controllers
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.road_users import Leader
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.safety import ACTION_DIM

HELD_STEPS = 10  # white noise only shakes a car; an action held for half a second moves it


class InformedPursuit:
    """`driving.controllers.InformedPursuit`, which knows its place and whoever is ahead.

    It knows the traffic from `/carla/<role>/objects`, which the learned policy never sees.
    """

    def __init__(self, config: DrivingConfig) -> None:
        self._controller = controllers.InformedPursuit(config.episode.reward, config.safety)

    def begin_episode(self) -> None:
        """Reset the speed controller."""
        self._controller.begin()

    def act(self, situation: Situation) -> Action:
        """The controller's action."""
        return self._act(situation, situation.leader)

    def _act(self, situation: Situation, leader: Leader | None) -> Action:
        ego, route, place = situation.ego, situation.route, situation.place
        return self._controller.act(ego, route, place, leader, situation.demand)


class Pursuit(InformedPursuit):
    """Pure pursuit that is blind to traffic. Where regulations count it keeps them."""

    def act(self, situation: Situation) -> Action:
        """The controller's action, as if nobody were ahead."""
        return self._act(situation, None)


class Random:
    """Uniform actions, each held for `HELD_STEPS` steps."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.begin_episode()

    def begin_episode(self) -> None:
        """Forget the action that is held."""
        self._steps = 0
        self._action: Action = np.zeros(ACTION_DIM, np.float32)

    def act(self, situation: Situation) -> Action:
        """The action that is held, drawn anew every `HELD_STEPS` steps."""
        if self._steps % HELD_STEPS == 0:
            self._action = self._rng.uniform(-1.0, 1.0, ACTION_DIM).astype(np.float32)
        self._steps += 1
        return self._action


class Stopped:
    """Stands still: neither throttle nor brake."""

    def begin_episode(self) -> None:
        """Nothing to forget."""

    def act(self, situation: Situation) -> Action:
        """Zeros."""
        return np.zeros(ACTION_DIM, np.float32)


BASELINES: dict[str, Callable[[DrivingConfig, int], Policy]] = {
    "pure_pursuit": lambda config, seed: Pursuit(config),
    "informed_pursuit": lambda config, seed: InformedPursuit(config),
    "random": lambda config, seed: Random(seed),
    "stopped": lambda config, seed: Stopped(),
}
"""By name; made from the driving configuration and a seed."""
