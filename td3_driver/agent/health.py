# SPDX-License-Identifier: Apache-2.0
"""Health of learning: ranges of an update's measures, and the remedy if one leaves its range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    """The healthy range of a number, and the remedy if it is left."""

    low: float
    high: float
    advice: str


_DEAD = "the network sees nothing; use trunk layernorm_tanh and a learning_rate of at most 3e-4"
_BURST = "learning is about to diverge; lower learning_rate or set gradient_clip"

# Beyond 10 before tanh the action's gradient vanishes (8e-9). The other limits are wide guesses to
# catch collapse and divergence: values are at most 1 / (1 - discount) = 100 with our reward, and
# 64 tanh features have a norm of at most 8.
RANGES: Mapping[str, Range] = {
    "pre_tanh_abs_mean": Range(
        0.0, 10.0, "the actor has saturated; raise pre_tanh_penalty, lower learning_rate"
    ),
    "saturated_share": Range(
        0.0, 0.9, "the policy is bang-bang; raise pre_tanh_penalty or the reward's comfort_weight"
    ),
    "q_disagreement": Range(
        0.0, 20.0, "the twin critics disagree; use critic_layernorm, lower updates_per_step"
    ),
    "critic_grad_norm": Range(0.0, 1e4, _BURST),
    "critic_cnn_grad_norm": Range(0.0, 1e4, _BURST),
    "actor_grad_norm": Range(0.0, 1e4, _BURST),
    "actor_cnn_grad_norm": Range(0.0, 1e4, _BURST),
    "critic_cnn_feature_norm": Range(1e-3, 1e3, _DEAD),
    "actor_cnn_feature_norm": Range(1e-3, 1e3, _DEAD),
}


def complaints(measures: Mapping[str, float]) -> dict[str, str]:
    """Return a line for each measure of an update that is out of its range, by its name."""
    found = {}
    for name, healthy in RANGES.items():
        value = measures.get(name, healthy.low)
        if not math.isfinite(value) or not healthy.low <= value <= healthy.high:
            expected = f"{healthy.low:g} to {healthy.high:g}"
            found[name] = f"{name} is {value:.3g}, expected {expected}: {healthy.advice}"
    return found
