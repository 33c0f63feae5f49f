# SPDX-License-Identifier: Apache-2.0
"""The measures of an update."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn


class Measures(Mapping[str, float]):
    """Numbers by name that stay on their device until one is read.

    Reading waits until the device has computed them, and fetches all at once. To keep the device
    busy, start the next update before reading.

    Args:
        values: Scalars by name; copied.
    """

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        self._names = tuple(values)
        self._values = torch.stack([*values.values()])
        self._read: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        if self._read is None:
            self._read = dict(zip(self._names, self._values.tolist(), strict=True))
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def gradient_norm(weights: Sequence[nn.Parameter]) -> Tensor:
    """Return the L2 norm of all the weights' gradients, a scalar."""
    return nn.utils.get_total_norm([w.grad for w in weights if w.grad is not None])


def feature_norm(state: Tensor, features: int) -> Tensor:
    """Return the mean L2 norm of a CNN's features, the first numbers of (B, S) states."""
    norms: Tensor = state.detach()[:, :features].norm(dim=1)
    return norms.mean()
