# SPDX-License-Identifier: Apache-2.0
"""Other drivers to learn from: their transitions beside one's own, and what they would do.

A share of each batch is theirs, as in RLPD (Ball et al. 2023).
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from td3_driver.agent.cuda import DeviceFrames
from td3_driver.agent.networks import Critic
from td3_driver.agent.staging import TensorBatch
from td3_driver.replay.batch import Batch
from td3_driver.replay.buffer import Replay


class Demonstrations:
    """A replay that nobody writes to, and the share of each batch that comes from it.

    Of a replay that marks some transitions as shown only these are to be imitated, else all.

    Args:
        replay: the demonstrations.
        share: share of a batch, in (0, 1); at least one transition comes from each replay.
        device: device of the batches.

    Raises:
        ValueError: the share is out of range, or the replay has no transition.
    """

    def __init__(self, replay: Replay, share: float, device: torch.device) -> None:
        if not 0.0 < share < 1.0:
            raise ValueError(f"share of demonstrations: {share} is not in (0, 1)")
        if not replay.transitions:
            raise ValueError("demonstrations: the replay holds no transition")
        self._replay, self._share = replay, share
        self._all_shown = not replay.has_shown
        self._frames = DeviceFrames(replay, device) if device.type == "cuda" else None

    def count(self, batch_size: int) -> int:
        """Return how many of a batch's transitions are demonstrations."""
        return min(max(round(self._share * batch_size), 1), batch_size - 1)

    def added_to(
        self, batch: Batch, count: int, rng: np.random.Generator, n_step: int, discount: float
    ) -> Batch:
        """Append `count` demonstrations to a batch; arguments as of `Replay.sample`."""
        shown = self._replay.sample(count, rng, n_step, discount, None, self._frames)
        if self._all_shown:
            shown = replace(shown, shown=np.ones(count, np.float32))
        return Batch(
            **{
                item.name: _joined(getattr(batch, item.name), getattr(shown, item.name))
                for item in fields(Batch)
            }
        )


def imitation_loss(
    action: Tensor, data: TensorBatch, critic: Critic, state: Tensor, advised: bool
) -> Tensor:
    """Return the mean square distance of an actor's actions to what was advised, or shown.

    Advice on the policy's own observations is DAgger's (Ross, Gordon and Bagnell 2011); where an
    action was shown, that counts instead. Without advice only those shown actions count that the
    critic finds better: the Q-filter of Nair et al. 2018, "Overcoming Exploration in
    Reinforcement Learning with Demonstrations".

    Args:
        action: (B, A), with gradients.
        data: the batch; its last numbers of each vector are the advice.
        critic: the critic, and its (B, S) `state`.
        advised: there is advice.
    """
    if advised:
        advice = data.vectors[:, -action.shape[1] :]
        return F.mse_loss(action, torch.where(data.shown[:, None] > 0.0, data.actions, advice))
    with torch.no_grad():
        shown, own = (critic.first(state, chosen) for chosen in (data.actions, action))
        counted = data.shown * (shown > own)
    return ((action - data.actions).square().mean(dim=1) * counted).mean()


def _joined(one: Any, other: Any) -> Any:
    """Concatenate two columns of a batch."""
    if one is None:
        return None
    return torch.cat((one, other)) if isinstance(one, Tensor) else np.concatenate((one, other))
