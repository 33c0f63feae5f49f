# SPDX-License-Identifier: Apache-2.0
"""CNNs that compute in bfloat16 while learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import AgentConfig, Replay, TD3Agent
from td3_driver.agent.staging import pixels_of


def learned(small: dict[str, Any], filled: Any, kind: str, updates: int = 6) -> TD3Agent:
    agent = TD3Agent(21, config={**small, "random_shift": 2, "precision": kind})
    replay: Replay = filled()
    for _ in range(updates):
        agent.train(replay, 8)
    return agent


def test_it_learns_nearly_the_same_and_the_same_every_time(
    small: dict[str, Any], filled: Any
) -> None:
    exact, one, other = (learned(small, filled, kind) for kind in ("float32", "bf16", "bf16"))
    observation = {"image": np.full((4, 36, 36), 90, np.uint8), "vector": np.ones(5, np.float32)}
    actions = [agent.select_action(observation) for agent in (exact, one, other)]
    assert np.array_equal(actions[1], actions[2])
    assert not np.array_equal(actions[0], actions[1])
    assert actions[1] == pytest.approx(actions[0], abs=0.05)


def test_weights_and_driving_stay_float32(small: dict[str, Any], filled: Any) -> None:
    agent = learned(small, filled, "bf16")
    assert agent.actor_cnn is not None
    assert {weight.dtype for weight in agent.actor_cnn.parameters()} == {torch.float32}
    exact = TD3Agent(21, config=small)
    exact.actor.load_state_dict(agent.actor.state_dict())
    exact.actor_cnn.load_state_dict(agent.actor_cnn.state_dict())  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    observation = {
        "image": rng.integers(0, 256, (4, 36, 36), np.uint8),
        "vector": np.ones(5, np.float32),
    }
    assert np.array_equal(exact.select_action(observation), agent.select_action(observation))


def test_pictures_are_rounded_once(small: dict[str, Any], make_batch: Any) -> None:
    agent = TD3Agent(21, config=small)
    batch = make_batch(np.random.default_rng(0))
    fill = agent._staging.fill
    exact = fill(batch, torch.float32, 0, torch.Generator()).images.clone()
    rounded = fill(batch, torch.float32, 0, torch.Generator(), torch.bfloat16)
    assert torch.equal(rounded.images, exact.bfloat16())
    assert rounded.vectors.dtype == torch.float32


def test_auto_is_what_the_processor_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for has, expected in (({"avx512_bf16": True}, torch.bfloat16), ({}, None)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda has=has: has)
        assert pixels_of("auto", cpu) == expected
    assert pixels_of("float32", cpu) is None
    assert pixels_of("bf16", cpu) is torch.bfloat16
    assert AgentConfig().precision == "float32"
