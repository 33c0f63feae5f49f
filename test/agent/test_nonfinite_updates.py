# SPDX-License-Identifier: Apache-2.0
"""An update whose numbers are not finite leaves weights and optimizers as they were."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import ACTION, SMALL, VECTOR, random_batch

from td3_driver.agent import TD3Agent, actor_critic

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


@pytest.fixture
def unfused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A device whose Adam has no fused kernel."""
    monkeypatch.setattr(actor_critic, "has_fused_adam", lambda device: False)


def test_which_devices_have_a_fused_adam_is_found_out() -> None:
    actor_critic.has_fused_adam.cache_clear()
    assert actor_critic.has_fused_adam(torch.device("cpu"))
    assert not actor_critic.has_fused_adam(torch.device("meta"))


def test_an_agent_learns_the_same_without_fused_kernels(request: pytest.FixtureRequest) -> None:
    """Another kernel rounds otherwise: nearly the same."""
    config = {**SMALL, "policy_freq": 1}
    fused = TD3Agent(16 + VECTOR, ACTION, config=config, seed=1)
    request.getfixturevalue("unfused")
    other = TD3Agent(16 + VECTOR, ACTION, config=config, seed=1)
    for name in NAMES:
        (group,) = getattr(other, f"{name}_optimizer").param_groups
        assert (group["fused"], group["foreach"]) == (False, True)
    one_rng, other_rng = np.random.default_rng(0), np.random.default_rng(0)
    for _ in range(5):
        one, two = fused.update(random_batch(one_rng)), other.update(random_batch(other_rng))
        assert dict(two) == pytest.approx(dict(one), rel=1e-3, abs=1e-5)
    # What one has saved the other goes on from.
    other.restore(fused.checkpoint_payload())
    one, two = fused.update(random_batch(one_rng)), other.update(random_batch(other_rng))
    assert dict(two) == pytest.approx(dict(one), rel=1e-3, abs=1e-5)


@pytest.mark.usefixtures("unfused")
@pytest.mark.parametrize("poison", [math.nan, math.inf, 1e30])
def test_without_fused_kernels_it_is_left_out_too(poison: float) -> None:
    test_it_is_left_out_and_the_next_one_is_as_if_it_had_not_been(poison, 1.0)
