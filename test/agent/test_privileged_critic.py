# SPDX-License-Identifier: Apache-2.0
"""A critic that is told more than the policy, as in Pinto et al. 2017."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import IMAGE, SMALL, VECTOR, random_batch

from td3_driver.agent import TD3Agent
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.judgement import values_of
from td3_driver.agent.sac import SACAgent
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.onnx_export import export

TOLD = 3  # numbers that only the critic sees
STATE = SMALL["cnn_features"] + VECTOR
AGENTS = pytest.mark.parametrize(("kind", "algorithm"), [(TD3Agent, "td3"), (SACAgent, "sac")])


def agent_of(kind: type[ActorCritic], algorithm: str, **changes: Any) -> ActorCritic:
    config = {**SMALL, "algorithm": algorithm, "privileged": TOLD, "policy_freq": 1, **changes}
    return kind(STATE, 2, config=config, seed=3)


def weights(agent: ActorCritic, name: str) -> list[torch.Tensor]:
    return [weight.detach().clone() for weight in getattr(agent, name).parameters()]


def equal(ones: list[torch.Tensor], others: list[torch.Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


@AGENTS
def test_the_critic_alone_is_told(kind: type[ActorCritic], algorithm: str) -> None:
    rng = np.random.default_rng(0)
    agent = agent_of(kind, algorithm, vector_scale=[2.0] * VECTOR + [0.5] * TOLD)
    assert (agent.state_dim, agent.vector_dim) == (STATE, VECTOR)
    seen = {"image": np.zeros(IMAGE, np.uint8), "vector": rng.normal(size=VECTOR)}
    assert agent.select_action(seen).shape == (2,)
    with pytest.raises(ValueError, match="observation vector"):
        agent.select_action({**seen, "vector": rng.normal(size=VECTOR + TOLD)})
    action = np.zeros(2, np.float32)
    found = [
        values_of(agent, seen["image"], vector, [action])
        for vector in np.eye(2, VECTOR + TOLD, VECTOR, dtype=np.float32)
    ]
    assert found[0] != found[1]


@AGENTS
def test_what_is_told_moves_the_policy_through_the_critic_alone(
    kind: type[ActorCritic], algorithm: str
) -> None:
    """One update of two agents whose batches differ only in what the critic is told."""
    batch = random_batch(np.random.default_rng(1), vector=VECTOR + TOLD)
    told = batch.vectors.copy()
    told[:, VECTOR:] += 1.0
    ours, other = agent_of(kind, algorithm), agent_of(kind, algorithm)
    ours.update(batch)
    other.update(replace(batch, vectors=told))
    assert not equal(weights(ours, "critic"), weights(other, "critic"))
    frozen = [agent_of(kind, algorithm) for _ in range(2)]
    for agent, vectors in zip(frozen, (batch.vectors, told), strict=True):
        with torch.no_grad():  # a critic that does not heed it
            for first in (agent.critic.q1[0], agent.critic.q2[0]):
                first.weight[:, STATE : STATE + TOLD] = 0.0
        agent._actor_step(
            agent._staging.fill(
                replace(batch, vectors=vectors), torch.float32, 0, torch.Generator()
            )
        )
    assert equal(weights(frozen[0], "actor"), weights(frozen[1], "actor"))
    assert equal(weights(frozen[0], "actor_cnn"), weights(frozen[1], "actor_cnn"))


def test_a_checkpoint_carries_it_and_others_are_refused(tmp_path: Path) -> None:
    agent, path = agent_of(TD3Agent, "td3"), tmp_path / "td3_1.pth"
    agent.update(random_batch(np.random.default_rng(2), vector=VECTOR + TOLD))
    agent.save_checkpoint(path)
    again = TD3Agent.from_checkpoint(path)
    assert again.config.privileged == TOLD
    assert equal(weights(agent, "critic"), weights(again, "critic"))
    plain = TD3Agent(STATE, 2, config=SMALL)
    assert "privileged" not in plain.config.to_mapping()
    with pytest.raises(CheckpointError, match="privileged"):
        plain.load_checkpoint(path)


def test_an_exported_policy_needs_none_of_it(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "td3_1.pth"
    agent_of(TD3Agent, "td3").save_checkpoint(path)
    export(path, tmp_path / "policy.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "policy.onnx")
    shapes = {node.name: node.shape for node in session.get_inputs()}
    assert shapes["vector"][-1] == VECTOR


def test_a_critic_that_is_told_the_reward_s_cause_values_it() -> None:
    """The reward is a number that no picture and no vector shows."""
    losses = {}
    for told in (0, TOLD):
        rng = np.random.default_rng(4)
        agent = TD3Agent(STATE, 2, config={**SMALL, "privileged": told, "learning_rate": 3e-3})
        for _ in range(300):
            batch = random_batch(rng, 32, VECTOR + told)
            cause = batch.vectors[:, -1] if told else rng.normal(size=32).astype(np.float32)
            given = replace(batch, returns=cause, bootstrap=np.zeros(32, np.float32))
            losses[told] = float(agent.update(given)["critic_loss"])
    assert losses[TOLD] < 0.3 * losses[0]
