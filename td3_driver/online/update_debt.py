# SPDX-License-Identifier: Apache-2.0
"""The number of updates that a run owes for the steps it has driven."""

from __future__ import annotations

import math

from td3_driver.agent.config import AgentConfig
from td3_driver.replay.buffer import Replay


class UpdateDebt:
    """Owed updates: `updates_per_step` for each step from `learning_starts` transitions on.

    Args:
        config: contains both numbers.
        replay: the buffer of transitions.
        most: the largest debt; updates beyond it are dropped.

    Attributes:
        owed: updates owed, with the fraction of the next one.
    """

    def __init__(self, config: AgentConfig, replay: Replay, most: float = math.inf) -> None:
        self.owed = 0.0
        self._config, self._replay, self._most = config, replay, most

    def step(self) -> int:
        """Count a step; return the number of whole updates that are owed now."""
        if self._replay.transitions < self._config.learning_starts:
            return 0
        self.owed = min(self.owed + self._config.updates_per_step, self._most)
        return math.floor(self.owed)

    def pay(self, updates: int) -> None:
        """Subtract updates that were made, or asked for."""
        self.owed -= updates
