# SPDX-License-Identifier: Apache-2.0
"""The agent's networks: a CNN for images, an actor, and a twin critic."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.value_distribution import Atoms

Network = TypeVar("Network", bound=nn.Module)
_LOG_STD = (-5.0, 2.0)  # bounds of a policy's log standard deviation, before tanh
_IN_CACHE = 32  # samples; one of 4 x 84 x 84 float32 takes 113 kB


def to_pixels(image: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert bytes 0..255 to numbers in [-1, 1], channels last.

    Args:
        image: (B, C, H, W) uint8.
        dtype: dtype of the result.

    Returns:
        (B, C, H, W) `dtype`, in the layout that is fastest for convolutions.
    """
    pixels = torch.empty(
        image.shape, dtype=dtype, device=image.device, memory_format=torch.channels_last
    )
    return write_pixels(image, pixels)


def write_pixels(image: Tensor, pixels: Tensor) -> Tensor:
    """Write `to_pixels` into an existing (B, C, H, W) channels-last tensor and return it."""
    if image.is_cuda:
        low = torch.full((), -1.0, dtype=pixels.dtype, device=image.device)
        return torch.add(low, image, alpha=1.0 / 127.5, out=pixels)  # one pass
    # One channel at a time, since torch converts layout and type number by number; and a few
    # samples at a time, so that they stay in the cache for all passes.
    for start in range(0, len(image), _IN_CACHE):
        part, source = pixels[start : start + _IN_CACHE], image[start : start + _IN_CACHE]
        for channel in range(image.shape[1]):
            part[:, channel] = source[:, channel]
        part.div_(127.5).sub_(1.0)
    return pixels


def joined_state(cnn: CNN | None, image: Tensor | None, vector: Tensor) -> Tensor:
    """Return the input of an actor or critic: its own CNN's features, then the vector.

    Args:
        cnn: The network's own CNN, None where there are no images.
        image: (B, C, H, W) uint8, or float already in [-1, 1]; unused without a CNN. For
            bfloat16 the CNN computes in that type.
        vector: (B, V) float.

    Returns:
        (B, F + V) float; the vector alone without a CNN.
    """
    if cnn is None:
        return vector
    assert image is not None
    if image.dtype != torch.bfloat16:
        return torch.cat((cnn(image), vector), dim=1)
    with torch.autocast(image.device.type, torch.bfloat16, cache_enabled=False):
        features = cnn(image)
    return torch.cat((features.to(vector.dtype), vector), dim=1)


def target_of(network: Network) -> Network:
    """Return a copy for a target, which has no gradients."""
    return copy.deepcopy(network).requires_grad_(False)


def _orthogonal(module: nn.Module) -> None:
    """Set orthogonal weights and zero biases, as in DrQ-v2 (Yarats et al. 2021)."""
    if isinstance(module, nn.Conv2d):
        nn.init.orthogonal_(module.weight, gain=math.sqrt(2.0))
    elif isinstance(module, nn.Linear):
        nn.init.orthogonal_(module.weight)
    else:
        return
    if module.bias is not None:
        nn.init.zeros_(module.bias)


class CNN(nn.Module):
    """Convolutions conv1, conv2, ... with ReLU, then one fully connected layer `fc`.

    The trunk after `fc` is ReLU (Mnih et al. 2015), or LayerNorm (`norm`) and tanh, which keeps
    features bounded (Yarats et al. 2021).
    """

    def __init__(self, config: AgentConfig) -> None:
        super().__init__()
        channels = config.image_channels
        self.image_shape = (channels, config.image_size, config.image_size)
        self._depth = len(config.conv_layers)
        for index, (out_channels, kernel, stride) in enumerate(config.conv_layers, start=1):
            self.add_module(f"conv{index}", nn.Conv2d(channels, out_channels, kernel, stride))
            channels = out_channels
        self.fc = nn.Linear(channels * config.conv_output_side() ** 2, config.cnn_features)
        self.norm = nn.LayerNorm(config.cnn_features) if config.trunk != "relu" else None
        if config.orthogonal_init:
            self.apply(_orthogonal)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, image: Tensor) -> Tensor:
        """(B, C, H, W) uint8, or float already in [-1, 1], to (B, F) features."""
        x = to_pixels(image, self.fc.weight.dtype) if image.dtype == torch.uint8 else image
        for index in range(1, self._depth + 1):
            x = self.get_submodule(f"conv{index}")(x)
            if index == self._depth:
                x = x.contiguous()  # in the layout that fc and the ReLU's gradient need
            x = F.relu(x, inplace=True)
        x = self.fc(x.flatten(1))
        return F.relu(x) if self.norm is None else torch.tanh(self.norm(x))


def _mlp(inputs: int, hidden: Sequence[int], outputs: int, layernorm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size in hidden:
        layers.append(nn.Linear(inputs, size))
        if layernorm:
            layers.append(nn.LayerNorm(size))
        layers.append(nn.ReLU())
        inputs = size
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))


class _StateInput(nn.Module):
    """Scales the state's vector part by the configured factors; features pass unchanged.

    Args:
        features: Number of features.
        vector_dim: Length of the policy's vector.
        privileged: Number of the critic's elements after it.
        config: Has the factors of both.
    """

    scale: Tensor | None

    def __init__(
        self, features: int, vector_dim: int, privileged: int, config: AgentConfig
    ) -> None:
        super().__init__()
        factors, elements = config.vector_scale, vector_dim + config.privileged
        if factors and len(factors) != elements:
            raise ValueError(
                f"vector_scale: has {len(factors)} factors, but the vector has {elements}"
                " elements; give one factor each, or none"
            )
        own = factors[: vector_dim + privileged]
        scale = torch.tensor([1.0] * features + list(own)) if factors else None
        # Not saved in checkpoints: it is part of the configuration.
        self.register_buffer("scale", scale, persistent=False)

    def forward(self, state: Tensor) -> Tensor:
        return state if self.scale is None else state * self.scale


class Actor(nn.Module):
    """The policy: state to action, tanh-bounded.

    Args:
        state_dim: Features and vector together.
        vector_dim: Length of the vector, the state's last elements.
        action_dim: Length of the action.
        max_action: Bound of every action element.
        config: Sizes and initial weights.

    Raises:
        ValueError: If `action_bias` or `vector_scale` has the wrong length.
    """

    def __init__(
        self,
        state_dim: int,
        vector_dim: int,
        action_dim: int,
        max_action: float,
        config: AgentConfig,
    ) -> None:
        super().__init__()
        self.max_action = max_action
        self.vector_dim = vector_dim
        self.input = _StateInput(state_dim - vector_dim, vector_dim, 0, config)
        self.layers = _mlp(state_dim, config.hidden_sizes, action_dim, layernorm=False)
        if config.orthogonal_init:
            self.apply(_orthogonal)
        output = self.layers[-1]
        assert isinstance(output, nn.Linear)
        bias = config.action_bias
        if bias and len(bias) != action_dim:
            raise ValueError(
                f"action_bias: has {len(bias)} values, but the action has {action_dim}"
                " elements; give one value each, or none"
            )
        with torch.no_grad():
            output.weight.mul_(config.actor_output_scale)
            if bias:
                output.bias.copy_(torch.tensor(bias))

    def pre_tanh(self, state: Tensor) -> Tensor:
        """Map (B, state_dim) to (B, action_dim), unbounded; beyond about 10 tanh is saturated."""
        output: Tensor = self.layers(self.input(state))
        return output

    def squash(self, pre_tanh: Tensor) -> Tensor:
        """Map unbounded outputs to actions in [-max_action, max_action]."""
        return self.max_action * torch.tanh(pre_tanh)

    def forward(self, state: Tensor) -> Tensor:
        """Map (B, state_dim) to (B, action_dim) in [-max_action, max_action]."""
        return self.squash(self.pre_tanh(state))

    def explored(self, state: Tensor, noise: Tensor) -> Tensor:
        """Return the action plus noise (A,), a fraction of `max_action`; may exceed the bounds."""
        action: Tensor = self(state)
        return action + self.max_action * noise


class GaussianActor(Actor):
    """SAC's policy: a Gaussian, then tanh. Without exploration its mean is the action."""

    def __init__(
        self,
        state_dim: int,
        vector_dim: int,
        action_dim: int,
        max_action: float,
        config: AgentConfig,
    ) -> None:
        super().__init__(state_dim, vector_dim, action_dim, max_action, config)
        self.log_std = nn.Linear(config.hidden_sizes[-1], action_dim)
        if config.orthogonal_init:
            self.log_std.apply(_orthogonal)
        with torch.no_grad():  # as the mean's: at first the same deviation everywhere
            self.log_std.weight.mul_(config.actor_output_scale)

    def gaussian(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, state_dim) to mean and log std before tanh, (B, action_dim) each."""
        hidden = self.layers[:-1](self.input(state))
        low, high = _LOG_STD
        log_std = low + 0.5 * (high - low) * (1.0 + torch.tanh(self.log_std(hidden)))
        return self.layers[-1](hidden), log_std

    def explored(self, state: Tensor, noise: Tensor) -> Tensor:
        """Return the action with noise (A,), in standard deviations of the policy."""
        mean, log_std = self.gaussian(state)
        return self.squash(mean + log_std.exp() * noise)


def actor_of(
    state_dim: int, vector_dim: int, action_dim: int, max_action: float, config: AgentConfig
) -> Actor:
    """Create the actor of the configured algorithm; arguments and errors as of `Actor`."""
    kind = GaussianActor if config.algorithm == "sac" else Actor
    return kind(state_dim, vector_dim, action_dim, max_action, config)


class Critic(nn.Module):
    """Two independent Q-values of one state and action, for clipped double Q-learning.

    Its state is the policy's, of `state_dim` numbers, and then the `config.privileged` numbers
    that the policy is not told (asymmetric actor-critic, Pinto et al. 2017).
    """

    def __init__(
        self, state_dim: int, vector_dim: int, action_dim: int, config: AgentConfig
    ) -> None:
        super().__init__()
        inputs = state_dim + config.privileged + action_dim
        features = state_dim - vector_dim
        self.input = _StateInput(features, vector_dim, config.privileged, config)
        outputs = config.critic_atoms or 1
        self.q1 = _mlp(inputs, config.hidden_sizes, outputs, config.critic_layernorm)
        self.q2 = _mlp(inputs, config.hidden_sizes, outputs, config.critic_layernorm)
        self.atoms = Atoms(outputs, *config.critic_range) if config.critic_atoms else None
        if config.orthogonal_init:
            self.apply(_orthogonal)

    def forward(
        self,
        state: Tensor,
        action: Tensor,
        beside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Tensor, Tensor]:
        """Map (B, state_dim + privileged) and (B, action_dim) to both values, (B,) each.

        The second is computed within `beside()`, so that a GPU can do both at once.
        """
        first, second = self.outputs(state, action, beside)
        return self.value(first), self.value(second)

    def outputs(
        self,
        state: Tensor,
        action: Tensor,
        beside: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> tuple[Tensor, Tensor]:
        """Return both values as (B, 1), or as (B, N) logits where there are `critic_atoms`."""
        x = torch.cat((self.input(state), action), dim=1)
        with beside():
            second = self.q2(x)
        return self.q1(x), second

    def value(self, output: Tensor) -> Tensor:
        """Return the (B,) values of one of the `outputs`."""
        return output.squeeze(1) if self.atoms is None else self.atoms.mean(output)

    def first(self, state: Tensor, action: Tensor) -> Tensor:
        """Return only the first value, (B,), which is all that the actor's loss needs."""
        x = torch.cat((self.input(state), action), dim=1)
        return self.value(self.q1(x))
