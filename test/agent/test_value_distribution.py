# SPDX-License-Identifier: Apache-2.0
"""Critics that learn distributions of values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.agent import AgentConfig, Replay, TD3Agent
from td3_driver.agent.value_distribution import Atoms
from td3_driver.replay.batch import Batch

ATOMS = {"critic_atoms": 21, "critic_range": [-2.0, 2.0]}


@given(
    logits=st.lists(st.floats(-20.0, 20.0), min_size=9, max_size=9),
    reward=st.floats(-6.0, 6.0),
    bootstrap=st.floats(0.0, 1.0),
)
def test_a_moved_distribution_keeps_its_mean_within_the_range(
    logits: list[float], reward: float, bootstrap: float
) -> None:
    atoms = Atoms(9, -2.0, 2.0).double()
    row = torch.tensor([logits], dtype=torch.float64)
    moved = atoms.projected(
        row, *(torch.tensor([number], dtype=torch.float64) for number in (reward, bootstrap))
    )
    assert moved.min() >= 0.0
    assert moved.sum() == pytest.approx(1.0)
    expected = (reward + bootstrap * atoms.values).clamp(-2.0, 2.0) @ row.softmax(dim=1)[0]
    assert (moved @ atoms.values).item() == pytest.approx(expected.item(), abs=1e-9)


def test_the_target_is_of_the_distribution_with_the_smaller_mean(
    small: dict[str, Any], make_batch: Any
) -> None:
    agent = TD3Agent(21, config={**small, **ATOMS, "policy_noise": 0.0})
    assert agent.critic_target.atoms is not None
    batch: Batch = make_batch(np.random.default_rng(0))
    data = agent._staging.fill(batch, torch.float32, 0, torch.Generator())
    with torch.no_grad():
        agent.critic_target.q1[-1].bias += torch.linspace(-3.0, 3.0, 21)  # worth more
        target = agent._target_value(data)
        agent.critic_target.q1[-1].bias += torch.linspace(-3.0, 3.0, 21)
        assert torch.equal(agent._target_value(data), target)
        agent.critic_target.q2[-1].bias += torch.linspace(-3.0, 3.0, 21)
        assert not torch.equal(agent._target_value(data), target)
    assert target.shape == (len(batch.returns), 21)


def test_it_learns_to_prefer_the_better_action() -> None:
    """A one-step task: the reward falls with the distance to 0.5 and -0.5."""
    config = {
        "hidden_sizes": [32, 32], "learning_rate": 3e-3, "exploration_sigma": 0.5,
        "critic_atoms": 51, "critic_range": [-5.0, 1.0],
    }
    agent = TD3Agent(3, 2, config=config, use_dict_buffer=False)
    replay = Replay(2000, None, 3, 2)
    state, best = np.zeros(3, np.float32), np.array([0.5, -0.5], np.float32)
    for _ in range(700):
        agent.exploration.reset()
        replay.begin(None, state)
        action = agent.select_action(state, explore=True)
        replay.add(action, -float(np.square(action - best).sum()), None, state, True, False)
        measures = agent.train(replay, 32)
    assert agent.select_action(state) == pytest.approx(best, abs=0.15)
    assert -5.0 < measures["q1_mean"] < 1.0
    twin = TD3Agent(3, 2, config=config, use_dict_buffer=False, seed=8)
    twin.restore(agent.checkpoint_payload())
    assert np.array_equal(twin.select_action(state), agent.select_action(state))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"critic_atoms": 1}, "critic_atoms: 1 is not 0 or, with algorithm td3, at least 2"),
        ({"critic_atoms": 51, "algorithm": "sac"}, "critic_atoms: 51 is not 0 or"),
        ({"critic_range": [3.0, 3.0]}, "critic_range: .* is not two numbers"),
        ({"critic_range": [3.0]}, "critic_range: .* is not two numbers"),
    ],
)
def test_what_is_no_distribution_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AgentConfig(**settings)
    assert "critic_atoms" not in AgentConfig().to_mapping()
