# SPDX-License-Identifier: Apache-2.0
"""The updates that a run owes for its steps."""

from __future__ import annotations

import numpy as np

from td3_driver.agent.config import AgentConfig
from td3_driver.online.update_debt import UpdateDebt
from td3_driver.replay.buffer import Replay


def driven(replay: Replay, steps: int) -> None:
    for _ in range(steps):
        replay.add(np.zeros(2), 0.0, None, np.zeros(3), False, False)


def replay_of(steps: int) -> Replay:
    replay = Replay(64, None, 3, 2)
    replay.begin(None, np.zeros(3))
    driven(replay, steps)
    return replay


def due(debt: UpdateDebt) -> int:
    """Count a step; what is owed then."""
    debt.step()
    return debt.whole


def test_nothing_is_owed_before_learning_starts() -> None:
    replay = replay_of(9)
    debt = UpdateDebt(AgentConfig(learning_starts=10, updates_per_step=1.0), replay)
    debt.owed = 3.0  # of a run that is resumed without its replay
    assert due(debt) == 0
    driven(replay, 1)
    assert due(debt) == 4


def test_fractions_add_up_to_the_ratio() -> None:
    debt = UpdateDebt(AgentConfig(learning_starts=1, updates_per_step=0.75), replay_of(1))
    made = []
    for _ in range(8):
        made.append(owed := due(debt))
        debt.pay(owed)
    assert made == [0, 1, 1, 1, 0, 1, 1, 1]
    assert debt.owed == 0.0


def test_what_cannot_be_made_up_for_is_forgotten() -> None:
    config = AgentConfig(learning_starts=1, updates_per_step=1.5)
    debt = UpdateDebt(config, replay_of(1), most=4.0)
    assert [due(debt) for _ in range(5)] == [1, 3, 4, 4, 4]
    debt.pay(4)
    assert due(debt) == 1
