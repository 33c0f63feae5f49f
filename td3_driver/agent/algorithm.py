# SPDX-License-Identifier: Apache-2.0
"""The interface of an agent to the learner, for any algorithm, and a function to create one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from td3_driver.agent import snapshot
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.demonstrations import Demonstrations
from td3_driver.agent.measures import Measures
from td3_driver.agent.policy import ActorSide
from td3_driver.agent.sac import SACAgent
from td3_driver.agent.td3 import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.replay.buffer import Replay


class Algorithm(ActorSide, Protocol):
    """An agent that learns from a replay, as the learner process sees it.

    The driving process gets the weights of its actor and the actor's CNN (`policy.flatten`).

    Attributes:
        config: Settings of networks and learning.
        device: The device that it computes on.
        total_it: Number of updates made.
        env_steps: Environment steps experienced; the caller counts them.
        episodes: Episodes driven; the caller counts them.
    """

    config: AgentConfig
    device: torch.device
    total_it: int
    env_steps: int
    episodes: int

    def train(
        self,
        replay: Replay,
        batch_size: int | None = None,
        rows: int | None = None,
        demonstrations: Demonstrations | None = None,
    ) -> Measures:
        """Make one update from the replay's first `rows` rows and the demonstrations.

        Returns:
            Its measures, including those in `health.RANGES`. A step that is not finite is skipped.

        Raises:
            ValueError: If the replay holds no transition.
        """

    def checkpoint_payload(self, run: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a copy of everything that learning depends on, for `checkpoint.write`."""

    def mismatches(self, payload: Mapping[str, Any]) -> list[str]:
        """Return every reason why a `checkpoint_payload` cannot be restored; empty if it can."""

    def restore(self, payload: Mapping[str, Any]) -> None:
        """Continue from a `checkpoint_payload`, with its learning settings, bit for bit.

        Raises:
            CheckpointError: If it does not fit this agent; the agent is unchanged then.
        """


ALGORITHMS: Mapping[str, type[ActorCritic]] = {
    agent.algorithm: agent for agent in (TD3Agent, SACAgent)
}
"""The classes of agents by their names in `AgentConfig.algorithm`."""


def create(
    config: AgentConfig,
    state_dim: int,
    action_dim: int,
    *,
    use_dict_buffer: bool = True,
    device: str | torch.device = "cpu",
    seed: int = 0,
) -> ActorCritic:
    """Create an agent of the configured algorithm; arguments and errors as of `ActorCritic`."""
    return ALGORITHMS[config.algorithm](
        state_dim,
        action_dim,
        use_dict_buffer=use_dict_buffer,
        config=config,
        device=device,
        seed=seed,
    )


def class_of(payload: Mapping[str, Any]) -> type[ActorCritic]:
    """Return the class of a payload's agent; TD3's if its algorithm is unknown."""
    return ALGORITHMS.get(snapshot.algorithm_of(payload), TD3Agent)


def load(filepath: str | Path, device: str | torch.device = "cpu") -> ActorCritic:
    """Load the agent in a checkpoint file, whatever its algorithm.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, or its algorithm is unknown.
    """
    payload = checkpoint.read(filepath)
    return class_of(payload).from_payload(payload, filepath, device)
