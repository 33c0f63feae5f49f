# SPDX-License-Identifier: Apache-2.0
"""Stable-Baselines3's TD3 with the networks of one of our presets.

What SB3 cannot express is left out, which leaves it less to do: LayerNorm in the critic, factors
on the vector, gradient clipping and the pre-tanh penalty.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import TD3
from stable_baselines3.common.buffers import DictReplayBuffer
from stable_baselines3.common.logger import Logger
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor

from bench.cleanrl_style import encoder
from bench.workload import ACTION, IMAGE, VECTOR, steps
from td3_driver.agent import AgentConfig

OBSERVATIONS = spaces.Dict(
    {
        "image": spaces.Box(0, 255, IMAGE, np.uint8),
        "vector": spaces.Box(-np.inf, np.inf, (VECTOR,), np.float32),
    }
)
ACTIONS = spaces.Box(-1.0, 1.0, (ACTION,), np.float32)


class Extractor(BaseFeaturesExtractor):
    """The preset's CNN and the vector, side by side."""

    def __init__(self, space: spaces.Dict, config: AgentConfig) -> None:
        super().__init__(space, config.cnn_features + VECTOR)
        self.layers = encoder(config)

    def forward(self, observations: dict[str, Tensor]) -> Tensor:
        return torch.cat((self.layers(observations["image"]), observations["vector"]), dim=1)


class _Spaces(gymnasium.Env[Any, Any]):
    """Nothing but spaces: SB3 wants an environment, the measurement has experience already."""

    observation_space = OBSERVATIONS
    action_space = ACTIONS


def sb3_buffer(capacity: int, count: int, device: str = "cpu") -> DictReplayBuffer:
    """SB3's buffer for dictionaries with `count` steps of the workload in it."""
    buffer = DictReplayBuffer(capacity, OBSERVATIONS, ACTIONS, device)
    for step in steps(count):
        buffer.add(
            {"image": step.image[None], "vector": step.vector[None]},
            {"image": step.next_image[None], "vector": step.next_vector[None]},
            step.action[None],
            np.array([step.reward]),
            np.array([step.terminated or step.truncated]),
            [{"TimeLimit.truncated": step.truncated}],
        )
    return buffer


def sb3_agent(config: AgentConfig, buffer: DictReplayBuffer, device: str = "cpu") -> TD3:
    """SB3's TD3, ready for `train(1, batch_size)`."""
    agent = TD3(
        "MultiInputPolicy",
        _Spaces(),
        learning_rate=config.learning_rate,
        buffer_size=1,
        tau=config.tau,
        gamma=config.discount,
        policy_delay=config.policy_freq,
        target_policy_noise=config.policy_noise,
        target_noise_clip=config.noise_clip,
        policy_kwargs={
            "features_extractor_class": Extractor,
            "features_extractor_kwargs": {"config": config},
            "net_arch": list(config.hidden_sizes),
            "share_features_extractor": False,
        },
        device=device,
        seed=0,
    )
    agent.replay_buffer = buffer
    agent.set_logger(Logger(None, []))
    return agent
