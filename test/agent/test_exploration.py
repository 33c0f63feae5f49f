# SPDX-License-Identifier: Apache-2.0
"""Exploration noise: its statistics, its schedule, and that it can be continued."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from td3_driver.agent import AgentConfig
from td3_driver.agent.exploration import Exploration


def noise(steps: int = 20_000, env_steps: int = 5000, **settings: Any) -> np.ndarray:
    exploration = Exploration(AgentConfig(**settings), 2, seed=0)
    return np.array([exploration.sample(env_steps) for _ in range(steps)], np.float64)


def lag_one(samples: np.ndarray) -> float:
    return float(np.corrcoef(samples[:-1, 0], samples[1:, 0])[0, 1])


def test_gaussian_noise_is_white() -> None:
    samples = noise(exploration_sigma=0.3, exploration_sigma_final=0.3)
    assert samples.std(axis=0) == pytest.approx([0.3, 0.3], rel=0.02)
    assert abs(lag_one(samples)) < 0.03
    assert abs(float(np.corrcoef(samples.T)[0, 1])) < 0.03


def test_ou_noise_has_the_stationary_spread_and_correlation() -> None:
    samples = noise(exploration="ou", exploration_sigma_final=0.1)
    expected = 0.1 / np.sqrt(0.15 * (2 - 0.15))
    assert samples.std(axis=0) == pytest.approx([expected, expected], rel=0.06)
    assert lag_one(samples) == pytest.approx(0.85, abs=0.02)


def test_the_schedule() -> None:
    config = AgentConfig(
        exploration_sigma=0.3,
        exploration_sigma_final=0.1,
        exploration_decay_steps=10_000,
        warmup_sigma_factor=1.5,
        learning_starts=1000,
    )
    exploration = Exploration(config, 2, seed=0)
    sigmas = [exploration.sigma(step) for step in (0, 999, 1000, 5000, 10_000, 99_999)]
    assert sigmas == pytest.approx([0.45, 0.42003, 0.28, 0.2, 0.1, 0.1])


def test_it_continues_from_its_state() -> None:
    config = AgentConfig(exploration="ou")
    one, other = Exploration(config, 2, seed=0), Exploration(config, 2, seed=1)
    for step in range(5):
        one.sample(step)
    other.restore(json.loads(json.dumps(one.state())))
    for step in range(5, 10):
        assert np.array_equal(one.sample(step), other.sample(step))


def test_a_reset_forgets_the_past() -> None:
    one = Exploration(AgentConfig(exploration="ou"), 2, seed=0)
    one.sample(0)
    one.reset()
    assert one.state()["noise"] == [0.0, 0.0]


def test_a_state_of_another_size_is_refused() -> None:
    exploration = Exploration(AgentConfig(), 2, seed=0)
    before = exploration.state()
    with pytest.raises(ValueError, match=r"shape \(3,\), must be \(2,\)"):
        exploration.restore(Exploration(AgentConfig(), 3, seed=0).state())
    assert exploration.state() == before
