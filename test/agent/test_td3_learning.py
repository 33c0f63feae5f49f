# SPDX-License-Identifier: Apache-2.0
"""Training from replay: with and without images, augmentation, and that it learns at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import Replay, TD3Agent
from td3_driver.agent.health import complaints
from td3_driver.agent.staging import random_shift, shifted_at_once

KEYS = {
    "critic_loss", "q1_mean", "q2_mean", "q_disagreement", "target_mean",
    "critic_grad_norm", "critic_cnn_grad_norm", "critic_cnn_feature_norm",
}  # fmt: skip
ACTOR_KEYS = {
    "actor_loss", "pre_tanh_abs_mean", "saturated_share",
    "actor_grad_norm", "actor_cnn_grad_norm", "actor_cnn_feature_norm",
}  # fmt: skip


def test_what_training_reports(small: dict[str, Any], filled: Callable[..., Replay]) -> None:
    agent = TD3Agent(21, config=small)
    replay = filled()
    assert agent.train(replay, 8).keys() == KEYS
    measures = agent.train(replay)
    assert measures.keys() == KEYS | ACTOR_KEYS
    assert all(type(value) is float and np.isfinite(value) for value in measures.values())
    assert agent.total_it == 2


def test_gradient_norms_are_those_before_clipping(
    small: dict[str, Any], filled: Callable[..., Replay]
) -> None:
    free, clipped = (
        TD3Agent(21, config={**small, "gradient_clip": clip}).train(filled(), 8)
        for clip in (0.0, 1e-6)
    )
    assert free["critic_grad_norm"] == clipped["critic_grad_norm"] > 1e-3


def test_a_saturated_actor_is_reported_with_what_to_do(
    small: dict[str, Any], filled: Callable[..., Replay]
) -> None:
    agent, replay = TD3Agent(21, config=small), filled()
    agent.train(replay)
    assert complaints(agent.train(replay)) == {}
    with torch.no_grad():
        for weight in agent.actor.parameters():
            weight.mul_(100.0)
    agent.train(replay)
    lines = complaints(agent.train(replay))
    assert "raise pre_tanh_penalty" in lines["pre_tanh_abs_mean"]
    assert lines["saturated_share"].startswith("saturated_share is 1, ")


def test_nothing_to_train_on(small: dict[str, Any]) -> None:
    agent = TD3Agent(21, config=small)
    with pytest.raises(ValueError, match="no transition to sample"):
        agent.train(Replay(64, (4, 36, 36), 5, 2), 8)
    assert agent.total_it == 0


def test_training_is_the_same_every_time(
    small: dict[str, Any], filled: Callable[..., Replay]
) -> None:
    results = []
    for _ in range(2):
        torch.manual_seed(len(results))  # the process's own generator plays no part
        agent = TD3Agent(21, config={**small, "random_shift": 3, "n_step": 2})
        replay = filled()
        results.append([agent.train(replay, 8, rows=100) for _ in range(4)])
    assert results[0] == results[1]


def test_it_learns_without_images_to_prefer_the_better_action() -> None:
    """A one-step task: the reward falls with the distance to 0.5 and -0.5."""
    config = {"hidden_sizes": [32, 32], "learning_rate": 3e-3, "exploration_sigma": 0.5}
    agent = TD3Agent(3, 2, config=config, use_dict_buffer=False)
    names = ("actor_cnn", "critic_cnn", "actor_cnn_target", "critic_cnn_optimizer")
    assert all(getattr(agent, name) is None for name in names)
    replay = Replay(2000, None, 3, 2)
    state = np.zeros(3, np.float32)
    best = np.array([0.5, -0.5], np.float32)
    for _ in range(300):
        agent.exploration.reset()
        replay.begin(None, state)
        action = agent.select_action(state, explore=True)
        replay.add(action, -float(np.square(action - best).sum()), None, state, True, False)
        agent.train(replay, 32)
    assert agent.select_action(state) == pytest.approx(best, abs=0.1)
    payload = agent.checkpoint_payload()
    assert payload["critic_cnn_state_dict"] is None
    twin = TD3Agent(3, 2, config=config, use_dict_buffer=False, seed=8)
    twin.restore(payload)
    assert np.array_equal(twin.select_action(state), agent.select_action(state))


def test_exploring_actions_stay_in_bounds(small: dict[str, Any]) -> None:
    agent = TD3Agent(21, max_action=2.0, config={**small, "exploration_sigma": 5.0})
    observation = {"image": np.zeros((4, 36, 36), np.uint8), "vector": np.ones(5, np.float32)}
    actions = np.array([agent.select_action(observation, explore=True) for _ in range(50)])
    assert actions.dtype == np.float32
    assert np.abs(actions).max() == 2.0
    assert np.array_equal(agent.select_action(observation), agent.select_action(observation))


def test_a_shift_moves_a_sample_as_a_whole_and_repeats_the_edge() -> None:
    images = torch.randint(0, 256, (64, 4, 12, 12), dtype=torch.uint8)
    shifted = random_shift(images, 3, torch.Generator().manual_seed(0))
    assert shifted.shape == images.shape
    assert shifted.dtype == torch.uint8
    padded = torch.nn.functional.pad(images.double(), (3, 3, 3, 3), mode="replicate").byte()
    found = set()
    for index in range(64):
        matches = [
            (y, x)
            for y in range(7)
            for x in range(7)
            if torch.equal(padded[index, :, y : y + 12, x : x + 12], shifted[index])
        ]
        assert len(matches) == 1
        found.add(matches[0])
    assert len(found) > 25, "samples move alike"
    assert {y for y, _ in found} == {x for _, x in found} == set(range(7))
    offsets = torch.randint(7, (2, 64), generator=torch.Generator().manual_seed(0))
    assert torch.equal(shifted, shifted_at_once(images, 3, offsets)), "a device shifts otherwise"
