# SPDX-License-Identifier: Apache-2.0
"""A value as a distribution over fixed atoms, learned by classification.

C51 (Bellemare, Dabney and Munos 2017, "A Distributional Perspective on Reinforcement Learning"),
as FastTD3's critics have it (Seo et al. 2025, arXiv 2505.22642).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Atoms(nn.Module):
    """Equally spaced values from `low` to `high`.

    Args:
        count: N, at least 2.
        low, high: the smallest and the largest value.
    """

    values: Tensor

    def __init__(self, count: int, low: float, high: float) -> None:
        super().__init__()
        # Not saved in checkpoints: they are part of the configuration.
        self.register_buffer("values", torch.linspace(low, high, count), persistent=False)

    def mean(self, logits: Tensor) -> Tensor:
        """Map (B, N) logits to (B,) expected values."""
        return logits.softmax(dim=1) @ self.values

    def projected(self, logits: Tensor, returns: Tensor, bootstrap: Tensor) -> Tensor:
        """Return the (B, N) probabilities of returns + bootstrap * value on these atoms.

        Each moved atom's probability goes to its two neighbours, the nearer one gets more.

        Args:
            logits: (B, N), of the value after the returns.
            returns: (B,).
            bootstrap: (B,), 0 for terminal states.
        """
        low, high, count = self.values[0], self.values[-1], len(self.values)
        moved = returns[:, None] + bootstrap[:, None] * self.values
        place = (moved.clamp(low, high) - low) / (high - low) * (count - 1)
        distance = (place[:, :, None] - torch.arange(count, device=place.device)).abs()
        shares = (1.0 - distance).clamp(min=0.0)
        return (logits.softmax(dim=1)[:, :, None] * shares).sum(dim=1)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the mean cross entropy of (B, N) logits and target probabilities."""
        return F.cross_entropy(logits, target)
