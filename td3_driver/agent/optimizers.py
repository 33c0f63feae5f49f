# SPDX-License-Identifier: Apache-2.0
"""Adam, in the kernel that a device has for it, and steps that are left out."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn


def adam_of(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """An Adam for one network, one kernel for all its parameters where the device has that."""
    fused = has_fused_adam(next(network.parameters()).device)
    return torch.optim.Adam(
        network.parameters(), learning_rate, fused=fused, foreach=None if fused else True
    )


@functools.cache
def has_fused_adam(device: torch.device) -> bool:
    """Whether Adam's fused kernel runs on a device: torch says so at the first step only."""
    weight = nn.Parameter(torch.zeros(1, device=device))
    weight.grad = torch.zeros_like(weight)
    try:
        torch.optim.Adam([weight], fused=True).step()
    except RuntimeError:
        return False
    return True


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """One step, or none where the number in `skip` is 1: all then stays as it was.

    A fused kernel looks at the number itself, as at AMP's flag: no branch, for a CUDA graph has
    none. Others know no such flag.
    """
    if optimizer.param_groups[0]["fused"]:
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.step()
    elif not skip:
        optimizer.step()
