# SPDX-License-Identifier: Apache-2.0
"""A straightforward eager TD3 in the manner of CleanRL's td3_continuous_action.py.

One file, NCHW, plain Adam, loops over parameters for the targets. Actor and critic have separate
encoders; without images there are none, which is CleanRL's own script.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional as F

from bench.workload import Step
from td3_driver.agent import AgentConfig

Tensors = tuple[Tensor, ...]


def encoder(config: AgentConfig) -> nn.Sequential:
    """The preset's CNN, layer by layer: pixels / 255 in, features out."""
    layers: list[nn.Module] = []
    channels = config.image_channels
    for out_channels, kernel, stride in config.conv_layers:
        layers += [nn.Conv2d(channels, out_channels, kernel, stride), nn.ReLU()]
        channels = out_channels
    flat = channels * config.conv_output_side() ** 2
    layers += [nn.Flatten(), nn.Linear(flat, config.cnn_features)]
    if config.trunk == "relu":
        return nn.Sequential(*layers, nn.ReLU())
    return nn.Sequential(*layers, nn.LayerNorm(config.cnn_features), nn.Tanh())


def _mlp(inputs: int, hidden: Sequence[int], outputs: int, layernorm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers.append(nn.Linear(inputs, size))
        if layernorm:
            layers.append(nn.LayerNorm(size))
        layers.append(nn.ReLU())
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class _Encoded(nn.Module):
    """An optional encoder before whatever reads the state."""

    def __init__(self, config: AgentConfig, images: bool) -> None:
        super().__init__()
        self.encoder = encoder(config) if images else None

    def state(self, image: Tensor | None, vector: Tensor) -> Tensor:
        if self.encoder is None or image is None:
            return vector
        return torch.cat((self.encoder(image.float() / 255.0), vector), dim=1)


class ActorNetwork(_Encoded):
    """Observation to action in [-max_action, max_action]."""

    def __init__(
        self, config: AgentConfig, images: bool, state: int, action: int, max_action: float
    ) -> None:
        super().__init__(config, images)
        self.max_action = max_action
        self.layers = _mlp(state, config.hidden_sizes, action, layernorm=False)

    def forward(self, image: Tensor | None, vector: Tensor) -> Tensor:
        return self.max_action * torch.tanh(self.layers(self.state(image, vector)))


class TwinQ(_Encoded):
    """Two values of an observation and an action, one encoder before both."""

    def __init__(self, config: AgentConfig, images: bool, state: int, action: int) -> None:
        super().__init__(config, images)
        sizes = (state + action, config.hidden_sizes, 1, config.critic_layernorm)
        self.q1, self.q2 = _mlp(*sizes), _mlp(*sizes)

    def forward(self, image: Tensor | None, vector: Tensor, action: Tensor) -> Tensors:
        x = torch.cat((self.state(image, vector), action), dim=1)
        return self.q1(x).view(-1), self.q2(x).view(-1)


class Buffer:
    """Full transitions, both stacks of each, as CleanRL's copy of SB3's buffer has them."""

    def __init__(self, steps: Iterable[Step], device: str) -> None:
        rows = list(steps)
        self._columns = [
            np.stack([row.image for row in rows]),
            np.stack([row.vector for row in rows]),
            np.stack([row.next_image for row in rows]),
            np.stack([row.next_vector for row in rows]),
            np.stack([row.action for row in rows]),
            np.array([row.reward for row in rows], np.float32),
            np.array([row.terminated for row in rows], np.float32),
        ]
        self._device = device
        self._rng = np.random.default_rng(0)

    def sample(self, batch_size: int) -> Tensors:
        """image, vector, next image, next vector, action, reward, done."""
        rows = self._rng.integers(0, len(self._columns[0]), batch_size)
        return tuple(torch.as_tensor(c[rows]).to(self._device) for c in self._columns)


class CleanRLStyle:
    """The agent: networks, targets, two optimizers, and one update."""

    def __init__(
        self,
        config: AgentConfig,
        vector: int,
        action: int,
        images: bool,
        max_action: float = 1.0,
        device: str = "cpu",
    ) -> None:
        self.config, self.max_action, self.updates = config, max_action, 0
        state = vector + (config.cnn_features if images else 0)
        self.actor = ActorNetwork(config, images, state, action, max_action).to(device)
        self.critic = TwinQ(config, images, state, action).to(device)
        self.actor_target = copy.deepcopy(self.actor)
        self.critic_target = copy.deepcopy(self.critic)
        self.critic_optimizer = optim.Adam(self.critic.parameters(), lr=config.learning_rate)
        self.actor_optimizer = optim.Adam(self.actor.parameters(), lr=config.learning_rate)

    def update(
        self,
        image: Tensor | None,
        vector: Tensor,
        next_image: Tensor | None,
        next_vector: Tensor,
        action: Tensor,
        reward: Tensor,
        done: Tensor,
    ) -> None:
        """One critic update; every second time an actor and target update."""
        config, limit = self.config, self.max_action
        self.updates += 1
        with torch.no_grad():
            noise = torch.randn_like(action) * config.policy_noise * limit
            noise = noise.clamp(-config.noise_clip * limit, config.noise_clip * limit)
            next_action = self.actor_target(next_image, next_vector) + noise
            next_action = next_action.clamp(-limit, limit)
            q1, q2 = self.critic_target(next_image, next_vector, next_action)
            target = reward + (1 - done) * config.discount * torch.min(q1, q2)
        q1, q2 = self.critic(image, vector, action)
        loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        if self.updates % config.policy_freq:
            return
        # As CleanRL writes it: gradients reach the critic too, and are thrown away.
        loss = -self.critic(image, vector, self.actor(image, vector))[0].mean()
        self.actor_optimizer.zero_grad()
        loss.backward()
        self.actor_optimizer.step()
        for network, follower in (
            (self.actor, self.actor_target),
            (self.critic, self.critic_target),
        ):
            for source, weight in zip(network.parameters(), follower.parameters(), strict=True):
                weight.data.copy_(config.tau * source.data + (1 - config.tau) * weight.data)
