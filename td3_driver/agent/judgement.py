# SPDX-License-Identifier: Apache-2.0
"""The values that an agent's critics give to actions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.networks import joined_state


@torch.inference_mode()
def values_of(
    agent: ActorCritic,
    image: npt.NDArray[np.uint8],
    vector: npt.NDArray[np.float32],
    actions: Sequence[npt.NDArray[np.float32]],
) -> list[tuple[float, float]]:
    """Return the smaller of both critics' values and their distance for actions in one state.

    Args:
        agent: an agent with images, on the CPU.
        image: (C, H, W) uint8.
        vector: (V + P,) float32: the vector, then what is the critic's privilege.
        actions: (A,) float32 each.
    """
    images, vectors = torch.from_numpy(image).unsqueeze(0), torch.from_numpy(vector).unsqueeze(0)
    state = joined_state(agent.critic_cnn, images, vectors).expand(len(actions), -1)
    q1, q2 = agent.critic(state, torch.from_numpy(np.stack(actions)))
    smaller, gap = torch.minimum(q1, q2).tolist(), (q1 - q2).abs().tolist()
    return list(zip(smaller, gap, strict=True))
