# SPDX-License-Identifier: Apache-2.0
"""The agent as a driving policy: the actor's action plus exploration noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from td3_driver.agent.exploration import Exploration
from td3_driver.agent.policy import ActorPolicy, Observation
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action


class OnlineActor:
    """The policy's actions plus exploration noise.

    Args:
        policy: actor and actor CNN.
        exploration: the noise to add, or None for greedy driving.
    """

    def __init__(self, policy: ActorPolicy, exploration: Exploration | None) -> None:
        self.env_steps = 0
        self.noise_scale = 1.0
        self._policy = policy
        self._exploration = exploration

    def begin_episode(self) -> None:
        """Reset the noise, so that it does not carry over from one episode to the next."""
        if self._exploration is not None:
            self._exploration.reset()

    def act(self, situation: Situation) -> Action:
        """Return the (2,) float32 action; the caller bounds it."""
        seen = situation.observation
        observation: Observation = {"image": seen.image, "vector": seen.vector}
        if self._exploration is None:
            return self._policy.act(observation)
        noise = self._exploration.sample(self.env_steps)
        return self._policy.act(observation, (self.noise_scale * noise).astype(np.float32))

    def state(self) -> dict[str, Any]:
        """Return the noise's state, plain Python types."""
        return self._exploration.state() if self._exploration is not None else {}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        if self._exploration is not None and state:
            self._exploration.restore(state)
