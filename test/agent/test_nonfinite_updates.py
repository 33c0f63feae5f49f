# SPDX-License-Identifier: Apache-2.0
"""An update whose numbers are not finite leaves weights and optimizers as they were."""

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import ACTION, SMALL, VECTOR, random_batch

from td3_driver.agent import TD3Agent

NAMES = ("actor", "critic", "actor_cnn", "critic_cnn")


def state(agent: TD3Agent, names: tuple[str, ...]) -> list[torch.Tensor]:
    """Weights, moments and step counts."""
    tensors = [weights.clone() for name in names for weights in getattr(agent, name).parameters()]
    for name in names:
        for entry in getattr(agent, f"{name}_optimizer").state.values():
            tensors += [value.clone() for value in entry.values()]
    return tensors


@pytest.mark.parametrize("clip", [0.0, 1.0])
@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e30])
def test_it_is_left_out_and_the_next_one_is_as_if_it_had_not_been(
    poison: float, clip: float
) -> None:
    config: dict[str, Any] = {**SMALL, "policy_freq": 1, "gradient_clip": clip}
    agent = TD3Agent(16 + VECTOR, ACTION, config=config, seed=1)
    rng = np.random.default_rng(0)
    agent.update(random_batch(rng))
    batch = random_batch(rng)
    returns = batch.returns.copy()
    returns[1] = poison
    critics = ("critic", "critic_cnn")
    before = state(agent, critics)
    measures = agent.update(dataclasses.replace(batch, returns=returns))
    assert not all(math.isfinite(value) for value in measures.values())
    after = state(agent, critics)
    assert all(map(torch.equal, before, after))
    measures = agent.update(batch)
    assert all(math.isfinite(value) for value in measures.values())
    assert not all(map(torch.equal, before, state(agent, critics)))


def test_an_actor_s_step_is_left_out_alone() -> None:
    agent = TD3Agent(16 + VECTOR, ACTION, config={**SMALL, "policy_freq": 1}, seed=1)
    rng = np.random.default_rng(0)
    agent.update(random_batch(rng))
    with torch.no_grad():
        for weights in agent.critic.parameters():
            weights.fill_(3e38)
    before = state(agent, NAMES)
    measures = agent.update(random_batch(rng))
    assert not math.isfinite(measures["actor_loss"])
    assert all(map(torch.equal, before, state(agent, NAMES)))
