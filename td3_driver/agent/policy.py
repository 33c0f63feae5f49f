# SPDX-License-Identifier: Apache-2.0
"""The actor and its CNN alone: the control process runs them, and gets their weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.networks import CNN, Actor, actor_of, joined_state

Observation = Mapping[str, npt.NDArray[Any]] | npt.NDArray[Any]


class ActorSide(Protocol):
    """Anything with an actor and the actor's CNN: an `ActorPolicy` or an agent."""

    actor: Actor
    actor_cnn: CNN | None


def vector_length(state_dim: int, use_dict_buffer: bool, config: AgentConfig) -> int:
    """Return the length of an observation's vector: the state's elements that are not features.

    Raises:
        ValueError: If `state_dim` is smaller than the features alone, or not positive.
    """
    length = state_dim - (config.cnn_features if use_dict_buffer else 0)
    if length < 0 or state_dim < 1:
        raise ValueError(
            f"state_dim: {state_dim} leaves no room for the vector, the state is cnn_features"
            f" ({config.cnn_features if use_dict_buffer else 0}) and the vector's length together"
        )
    return length


def act(
    side: ActorSide,
    observation: Observation,
    noise: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the actor's action for one observation, in training and driving alike.

    Args:
        side: The networks.
        observation: {"image": (C, H, W) uint8, "vector": (V,) float}, or without images the
            (V,) vector alone.
        noise: (A,) exploration noise (`Exploration.sample`), see `Actor.explored`; None: none.

    Returns:
        (A,) float32 in [-max_action, max_action]; with noise TD3's may lie beyond.

    Raises:
        ValueError: If the observation is not of that form.
    """
    weight = next(side.actor.parameters())
    image = None
    if side.actor_cnn is None:
        if isinstance(observation, Mapping):
            raise ValueError("observation: is a mapping, but this agent takes a flat array")
        vector = np.asarray(observation)
    else:
        if not isinstance(observation, Mapping) or not {"image", "vector"} <= {*observation}:
            raise ValueError('observation: is not a mapping with "image" and "vector"')
        pixels, vector = np.asarray(observation["image"]), np.asarray(observation["vector"])
        shape = side.actor_cnn.image_shape
        if pixels.dtype != np.uint8 or pixels.shape != shape:
            raise ValueError(
                f"observation image: {pixels.shape} {pixels.dtype} is not {shape} uint8"
            )
        image = torch.tensor(pixels, device=weight.device).unsqueeze(0)
    if vector.shape != (side.actor.vector_dim,):
        raise ValueError(
            f"observation vector: shape {vector.shape} is not ({side.actor.vector_dim},)"
        )
    with torch.inference_mode():
        row = torch.tensor(vector, device=weight.device, dtype=weight.dtype).unsqueeze(0)
        state = joined_state(side.actor_cnn, image, row)
        if noise is None:
            action = side.actor(state)[0]
        else:
            action = side.actor.explored(state, torch.tensor(noise, device=weight.device))[0]
    array: npt.NDArray[np.float32] = action.float().cpu().numpy()
    return array


def _parameters(side: ActorSide) -> list[nn.Parameter]:
    networks = (side.actor_cnn, side.actor)
    return [weight for network in networks if network for weight in network.parameters()]


def flatten(side: ActorSide) -> npt.NDArray[np.float32]:
    """Return all weights of the actor's CNN and the actor as one (N,) float32 array."""
    pieces: list[Tensor] = [weight.detach().float().flatten() for weight in _parameters(side)]
    flat: npt.NDArray[np.float32] = torch.cat(pieces).cpu().numpy()
    return flat


class ActorPolicy:
    """The actor and its CNN, without critics, optimizers or targets.

    Its weights are arbitrary until `load_flat`; the arguments are those of `ActorCritic`.

    Raises:
        ValueError: If `state_dim` does not fit the configuration.
    """

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        max_action: float,
        use_dict_buffer: bool,
        config: AgentConfig,
    ) -> None:
        vector_dim = vector_length(state_dim, use_dict_buffer, config)
        self.actor = actor_of(state_dim, vector_dim, action_dim, max_action, config)
        self.actor_cnn = CNN(config) if use_dict_buffer else None
        self.actor.eval().requires_grad_(False)
        if self.actor_cnn is not None:
            self.actor_cnn.eval().requires_grad_(False)

    @property
    def parameter_count(self) -> int:
        """Length of the array that `flatten` gives and `load_flat` takes."""
        return sum(weight.numel() for weight in _parameters(self))

    def act(
        self, observation: Observation, noise: npt.NDArray[np.float32] | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the action for one observation; see the function `act`."""
        return act(self, observation, noise)

    def load_flat(self, values: npt.NDArray[np.float32]) -> None:
        """Set the weights from an array that `flatten` returned.

        Raises:
            ValueError: If the number of values is not `parameter_count`.
        """
        if values.shape != (self.parameter_count,):
            raise ValueError(f"values: shape {values.shape} is not ({self.parameter_count},)")
        weights = _parameters(self)
        sizes = [weight.numel() for weight in weights]
        pieces = torch.split_with_sizes(torch.from_numpy(values), sizes)
        for weight, piece in zip(weights, pieces, strict=True):
            weight.copy_(piece.view(weight.shape))
