# SPDX-License-Identifier: Apache-2.0
"""Settings: checked, named in every refusal, and the same after a round trip."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from td3_driver.agent import AgentConfig, TD3Agent


def test_defaults_are_the_origins() -> None:
    config = AgentConfig()
    assert config.conv_layers == ((32, 8, 4), (64, 4, 2), (64, 3, 1))
    assert (config.cnn_features, config.hidden_sizes) == (512, (256, 256))
    assert (config.discount, config.tau, config.policy_freq) == (0.99, 0.005, 2)
    agent = TD3Agent()
    assert [name for name, _ in agent.actor_cnn.named_children()] == [
        "conv1",
        "conv2",
        "conv3",
        "fc",
    ]
    assert agent.actor_cnn.fc.weight.shape == (512, 3136)
    assert agent.vector_dim == 23


def test_the_origin_preset_is_plain_td3() -> None:
    preset = Path(__file__).parents[2] / "config" / "presets" / "origin.yaml"
    config = AgentConfig.from_mapping(yaml.safe_load(preset.read_text())["agent"])
    assert (config.trunk, config.orthogonal_init) == ("relu", False)
    assert not config.critic_layernorm
    assert (config.n_step, config.random_shift, config.updates_per_step) == (1, 0, 1.0)
    assert (config.gradient_clip, config.pre_tanh_penalty) == (0.0, 0.0)
    assert config.exploration_sigma == config.exploration_sigma_final
    assert config.warmup_sigma_factor == 1.0


def test_layernorm_in_the_critic_is_one_flag(small: dict[str, Any]) -> None:
    for flag in (False, True):
        agent = TD3Agent(21, config={**small, "critic_layernorm": flag})
        norms = [m for m in agent.critic.modules() if isinstance(m, torch.nn.LayerNorm)]
        assert len(norms) == (4 if flag else 0)
        assert not any(isinstance(m, torch.nn.LayerNorm) for m in agent.actor.modules())


def test_a_round_trip_through_plain_data() -> None:
    config = AgentConfig(action_bias=(0.0, 0.5), conv_layers=((16, 8, 4),), exploration="ou")
    mapping = json.loads(json.dumps(config.to_mapping()))
    assert AgentConfig.from_mapping(mapping) == config
    with pytest.raises(FrozenInstanceError):
        config.tau = 0.1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("tau", 0.0, "a number in (0, 1]"),
        ("tau", True, "a number in (0, 1]"),
        ("discount", float("nan"), "a number in [0, 1]"),
        ("learning_rate", "3e-4", "a number > 0"),
        ("policy_noise", -0.1, "a number >= 0"),
        ("policy_freq", 2.0, "an integer >= 1"),
        ("batch_size", 0, "an integer >= 1"),
        ("trunk", "tanh", '"relu" or "layernorm_tanh"'),
        ("orthogonal_init", 1, "true or false"),
        ("hidden_sizes", [], "a non-empty list of integers >= 1"),
        ("hidden_sizes", 256, "a non-empty list of integers >= 1"),
        ("vector_scale", [1.0, "2"], "a list of finite numbers, or an empty list"),
        ("conv_layers", [[32, 8]], "a non-empty list of [out_channels, kernel, stride]"),
        ("conv_layers", [[8, 90, 1]], "use smaller kernels or strides"),
        ("random_shift", 84, "image_size"),
    ],
)
def test_a_refused_value_is_named_with_what_is_allowed(key: str, value: Any, allowed: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: ") as caught:
        AgentConfig.from_mapping({key: value})
    message = str(caught.value)
    assert allowed in message
    assert "\n" not in message
    assert (str(value) if not isinstance(value, str) else value) in message


def test_an_unknown_key_is_named() -> None:
    with pytest.raises(ValueError, match=r"^learning_rates: 1 is set, .* learning_rate,"):
        AgentConfig.from_mapping({"learning_rates": 1})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"state_dim": 500}, "state_dim: 500 leaves no room"),
        ({"state_dim": 0, "use_dict_buffer": False}, "state_dim: 0"),
        ({"config": {"action_bias": [0.5]}}, "action_bias: has 1 values, but the action has 2"),
        (
            {"config": {"vector_scale": [1.0]}},
            "vector_scale: has 1 factors, but the vector has 23",
        ),
    ],
)
def test_sizes_that_do_not_fit(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TD3Agent(**arguments)


def test_the_first_action_is_the_configured_bias(small: dict[str, Any]) -> None:
    config = {**small, "actor_output_scale": 0.0, "action_bias": [0.0, 0.5]}
    agent = TD3Agent(21, max_action=2.0, config=config)
    image = np.zeros((4, 36, 36), np.uint8)
    action = agent.select_action({"image": image, "vector": np.ones(5, np.float32)})
    assert action.dtype == np.float32
    assert action == pytest.approx([0.0, 2.0 * np.tanh(0.5)])


def test_initial_weights_depend_on_the_seed_alone(small: dict[str, Any]) -> None:
    one, two, other = (TD3Agent(21, config=small, seed=seed) for seed in (1, 1, 2))
    assert (one.critic.q1[0].weight == two.critic.q1[0].weight).all()
    assert not (one.critic.q1[0].weight == other.critic.q1[0].weight).all()
    assert not (one.critic.q1[0].weight == one.critic.q2[0].weight).all()


@pytest.mark.parametrize(
    ("observation", "match"),
    [
        (np.zeros(21, np.float32), "is not a mapping"),
        ({"image": np.zeros((4, 36, 36), np.uint8)}, "is not a mapping"),
        ({"image": np.zeros((4, 36, 36)), "vector": np.zeros(5)}, "float64 is not"),
        (
            {"image": np.zeros((36, 36), np.uint8), "vector": np.zeros(5)},
            r"uint8 is not \(4, 36, 36\)",
        ),
        (
            {"image": np.zeros((4, 36, 36), np.uint8), "vector": np.zeros((1, 5))},
            r"vector: shape \(1, 5\) is not \(5,\)",
        ),
    ],
)
def test_a_malformed_observation(small: dict[str, Any], observation: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        TD3Agent(21, config=small).select_action(observation)
