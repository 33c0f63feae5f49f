# SPDX-License-Identifier: Apache-2.0
"""The actor's pull towards demonstrated actions that the critic finds better."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import ACTION, IMAGE, SMALL, VECTOR, fill, random_batch

from td3_driver.agent import TD3Agent
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.demonstrations import Demonstrations, imitation_loss
from td3_driver.agent.networks import joined_state
from td3_driver.agent.sac import SACAgent
from td3_driver.replay.batch import Batch
from td3_driver.replay.buffer import Replay

AGENTS = pytest.mark.parametrize(("kind", "algorithm"), [(TD3Agent, "td3"), (SACAgent, "sac")])
SIZE, SHOWN = 16, 6


def agent_of(kind: type[ActorCritic], algorithm: str, **changes: Any) -> ActorCritic:
    config = {**SMALL, "algorithm": algorithm, "policy_freq": 1, **changes}
    return kind(SMALL["cnn_features"] + VECTOR, ACTION, config=config, seed=3)


def batch_of(seed: int, shown: int) -> Batch:
    """A batch whose last transitions are shown."""
    batch = random_batch(np.random.default_rng(seed), SIZE)
    return replace(batch, shown=(np.arange(SIZE) >= SIZE - shown).astype(np.float32))


def flat(agent: ActorCritic) -> torch.Tensor:
    weights = [*agent.actor.parameters(), *agent.actor_cnn.parameters()]  # type: ignore[union-attr]
    return torch.cat([weight.detach().flatten() for weight in weights])


def valued(agent: ActorCritic, bias: float) -> None:
    """Let the critic value actions by their first element alone, times `bias`."""
    with torch.no_grad():
        for layer in (agent.critic.q1[0], agent.critic.q1[2], agent.critic.q1[-1]):
            layer.weight.zero_()
            layer.bias.zero_()
        agent.critic.q1[0].weight[0, -ACTION] = 1.0
        agent.critic.q1[0].bias[0] = 2.0  # beyond the ReLU's bend
        agent.critic.q1[2].weight[0, 0] = 1.0
        agent.critic.q1[-1].weight[0, 0] = bias


@AGENTS
def test_without_weight_or_without_demonstrations_nothing_changes(
    kind: type[ActorCritic], algorithm: str
) -> None:
    plain, unweighted, unshown = (
        agent_of(kind, algorithm, imitation_weight=weight) for weight in (0.0, 0.0, 5.0)
    )
    plain.update(batch_of(1, 0))
    unweighted.update(batch_of(1, SHOWN))
    unshown.update(batch_of(1, 0))
    assert torch.equal(flat(plain), flat(unweighted))
    assert torch.equal(flat(plain), flat(unshown))


def test_only_better_demonstrated_actions_pull() -> None:
    agent = agent_of(TD3Agent, "td3", imitation_weight=5.0)
    data = agent._staging.fill(batch_of(2, SHOWN), torch.float32, 0, torch.Generator())
    state = joined_state(agent.critic_cnn, data.images, data.vectors)
    action = torch.zeros_like(data.actions)
    shown = data.actions[-SHOWN:]
    for bias in (1.0, -1.0):
        valued(agent, bias)
        better = shown[:, 0] * bias > 0.0
        assert 0 < int(better.sum()) < SHOWN
        wanted = (shown.square().mean(dim=1) * better).sum() / SIZE
        found = imitation_loss(action, data, agent.critic, state, advised=False)
        assert found == pytest.approx(float(wanted), rel=1e-5)


@AGENTS
def test_all_advice_pulls_and_what_was_shown_counts_instead(
    kind: type[ActorCritic], algorithm: str
) -> None:
    agent = agent_of(kind, algorithm, imitation_weight=5.0, advised=True)
    data = agent._staging.fill(batch_of(2, SHOWN), torch.float32, 0, torch.Generator())
    state = joined_state(agent.critic_cnn, data.images, data.vectors)
    action = torch.full_like(data.actions, 0.25)
    valued(agent, 1.0)
    advice, shown = data.vectors[:-SHOWN, -ACTION:], data.actions[-SHOWN:]
    wanted = torch.cat((advice, shown))
    assert not torch.equal(wanted, data.actions)
    expected = float((wanted - 0.25).square().mean())
    found = imitation_loss(action, data, agent.critic, state, advised=True)
    assert found == pytest.approx(expected, rel=1e-5)


def test_training_says_which_transitions_are_shown() -> None:
    agents = [agent_of(TD3Agent, "td3", imitation_weight=weight) for weight in (0.0, 5.0)]
    shown = Demonstrations(fill(100, seed=7), 0.5, torch.device("cpu"))
    for agent in agents:
        for _ in range(3):
            agent.train(fill(100), demonstrations=shown)
    assert not torch.equal(flat(agents[0]), flat(agents[1]))


def test_of_demonstrations_that_are_marked_only_these_are_shown() -> None:
    kept = Replay(64, IMAGE, VECTOR, ACTION)
    frame, vector = np.zeros(IMAGE[1:], np.uint8), np.zeros(VECTOR, np.float32)
    kept.begin(frame, vector)
    for step in range(40):
        action = np.full(ACTION, step / 40.0)
        kept.add(action, 0.0, frame, vector, False, False, intervention=step < 10)
    shown = Demonstrations(kept, 0.5, torch.device("cpu"))
    rng = np.random.default_rng(0)
    batch = shown.added_to(fill(100).sample(50, rng, 1, 0.99), 400, rng, 1, 0.99)
    assert not batch.shown[:50].any()
    assert np.array_equal(batch.shown[50:] == 1.0, batch.actions[50:, 0] < 0.25)


def test_a_human_s_takeover_is_shown() -> None:
    replay = Replay(32, None, VECTOR, ACTION)
    replay.begin(None, np.zeros(VECTOR, np.float32))
    for step in range(20):
        action = np.full(ACTION, step / 20.0, np.float32)
        replay.add(action, 0.0, None, np.zeros(VECTOR, np.float32), False, False, step >= 12)
    batch = replay.sample(64, np.random.default_rng(0), 3)
    assert np.array_equal(batch.shown, (batch.actions[:, 0] >= 0.6 - 1e-6).astype(np.float32))
