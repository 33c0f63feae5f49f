# SPDX-License-Identifier: Apache-2.0
"""Exploration noise whose size follows a schedule of environment steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from td3_driver.agent.config import AgentConfig


class Exploration:
    """Ornstein-Uhlenbeck noise (Lillicrap et al. 2015), or white Gaussian noise.

    One step is `x <- (1 - theta) * x + sigma * N(0, 1)`; Gaussian noise is the case theta = 1.
    The noise is a fraction of `max_action`, for SAC of the policy's standard deviation.
    Ornstein-Uhlenbeck noise settles at a standard deviation of `sigma / sqrt(theta * (2 -
    theta))`, 1.9 sigma for theta 0.15.

    Args:
        config: The exploration settings and `learning_starts`.
        action_dim: Length of the noise.
        seed: Seed of this object's own random generator.
    """

    def __init__(self, config: AgentConfig, action_dim: int, seed: int) -> None:
        self._config = config
        self._theta = config.ou_theta if config.exploration == "ou" else 1.0
        self._noise: npt.NDArray[np.float64] = np.zeros(action_dim)
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def sigma(self, env_steps: int) -> float:
        """Return the standard deviation of one step's noise, as a fraction of `max_action`."""
        config = self._config
        done = min(env_steps / config.exploration_decay_steps, 1.0)
        start, final = config.exploration_sigma, config.exploration_sigma_final
        warmup = config.warmup_sigma_factor if env_steps < config.learning_starts else 1.0
        return warmup * (start + done * (final - start))

    def sample(self, env_steps: int) -> npt.NDArray[np.float32]:
        """Return the next noise, (action_dim,) float32, as a fraction of `max_action`."""
        kick = self.sigma(env_steps) * self._generator.standard_normal(self._noise.shape)
        self._noise = (1.0 - self._theta) * self._noise + kick
        return self._noise.astype(np.float32)

    def reset(self) -> None:
        """Forget the correlated part; call it when an episode starts."""
        self._noise = np.zeros_like(self._noise)

    def state(self) -> dict[str, Any]:
        """Return everything that the next samples depend on, in plain Python types."""
        return {"noise": self._noise.tolist(), "generator": self._generator.bit_generator.state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state()`.

        Raises:
            ValueError: If the state is not one of this noise; nothing has changed then.
        """
        noise = np.asarray(state["noise"], dtype=np.float64)
        if noise.shape != self._noise.shape:
            raise ValueError(f"noise has shape {noise.shape}, must be {self._noise.shape}")
        self._generator.bit_generator.state = state["generator"]
        self._noise = noise
