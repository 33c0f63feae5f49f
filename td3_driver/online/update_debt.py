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

    @property
    def whole(self) -> int:
        """The number of whole updates to make now: none before learning starts."""
        return math.floor(self.owed) if self._starts else 0

    def step(self) -> None:
        """Count a step."""
        if self._starts:
            self.owed = min(self.owed + self._config.updates_per_step, self._most)

    @property
    def _starts(self) -> bool:
        return self._replay.transitions >= self._config.learning_starts

    def pay(self, updates: int) -> None:
        """Subtract updates that were made, or asked for."""
        self.owed -= updates
