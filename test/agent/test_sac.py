# SPDX-License-Identifier: Apache-2.0
"""SAC: its densities and losses, that it learns, and its checkpoints."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from td3_driver.agent import CheckpointError, Replay, TD3Agent, algorithm
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.networks import joined_state
from td3_driver.agent.policy import ActorPolicy, flatten
from td3_driver.agent.sac import SACAgent, log_density
from td3_driver.agent.snapshot import with_settings
from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.inspection import describe, missing

SAC: dict[str, Any] = {"algorithm": "sac", "policy_freq": 1, "exploration_sigma": 1.0}


@pytest.fixture
def settings(small: dict[str, Any]) -> AgentConfig:
    return AgentConfig.from_mapping({**small, **SAC})


def test_there_is_an_agent_for_each_algorithm_that_can_be_asked_for(
    settings: AgentConfig,
) -> None:
    allowed = AgentConfig.__dataclass_fields__["algorithm"].metadata["allowed"]
    assert allowed == " or ".join(f'"{name}"' for name in algorithm.ALGORITHMS)
    for name in algorithm.ALGORITHMS:
        agent = algorithm.create(replace(settings, algorithm=name), 21, 2)
        assert agent.algorithm == name


def test_the_density_is_that_of_a_squashed_gaussian() -> None:
    torch.manual_seed(0)
    mean, log_std, noise = torch.randn(3, 50, 2, dtype=torch.float64)
    pre_tanh = mean + log_std.exp() * noise
    gaussian = torch.distributions.Normal(mean, log_std.exp())
    squash = torch.distributions.TanhTransform(cache_size=1)
    expected = torch.distributions.TransformedDistribution(gaussian, squash)
    action = squash(pre_tanh)
    assert torch.allclose(log_density(pre_tanh, noise, log_std), expected.log_prob(action).sum(1))
    # Where tanh rounds to 1.
    assert log_density(torch.full((1, 2), 40.0), torch.zeros(1, 2), torch.zeros(1, 2)).isfinite()


def test_an_update_is_the_papers(settings: AgentConfig, make_batch: Any) -> None:
    """Losses and targets written anew, from the noise that the agent draws."""
    agent = algorithm.create(settings, 21, 2)
    assert isinstance(agent, SACAgent)
    with torch.no_grad():  # targets of their own
        for network in (agent.critic_target, agent.critic_cnn_target):
            for weight in network.parameters():
                weight.mul_(1.5)
    batch = make_batch(np.random.default_rng(0), size=8)
    before = copy.deepcopy(agent)
    noise = torch.empty(2, 8, 2).normal_(generator=before.noise_generator)
    measures = agent.update(batch)

    def numbers(name: str) -> torch.Tensor:
        return torch.from_numpy(getattr(batch, name))

    def drawn(side: SACAgent, images: str, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        vectors = numbers("vectors" if images == "images" else "next_vectors")
        mean, log_std = side.actor.gaussian(joined_state(side.actor_cnn, numbers(images), vectors))
        policy = torch.distributions.Normal(mean, log_std.exp())
        sample = mean + log_std.exp() * noise[index]
        action = torch.tanh(sample)
        density = policy.log_prob(sample) - torch.log1p(-action.square())
        return action, density.sum(1)

    with torch.no_grad():
        action, density = drawn(before, "next_images", 0)
        seen = numbers("next_images"), numbers("next_vectors")
        state = joined_state(before.critic_cnn_target, *seen)
        value = torch.minimum(*before.critic_target(state, action)) - 0.1 * density
        target = numbers("returns") + numbers("bootstrap") * value
        assert measures["target_mean"] == pytest.approx(float(target.mean()), rel=1e-4)
        seen = numbers("images"), numbers("vectors")
        q1, q2 = before.critic(joined_state(before.critic_cnn, *seen), numbers("actions"))
        loss = (q1 - target).square().mean() + (q2 - target).square().mean()
        assert measures["critic_loss"] == pytest.approx(float(loss), rel=1e-4)
        # The actor is judged by the critics as they are after their step.
        action, density = drawn(before, "images", 1)
        judged = torch.minimum(*agent.critic(joined_state(agent.critic_cnn, *seen), action))
        loss = (0.1 * density - judged).mean()
        assert measures["actor_loss"] == pytest.approx(float(loss), rel=1e-4)
        assert measures["entropy"] == pytest.approx(-float(density.mean()), rel=1e-4)
    # One Adam step against the surplus of entropy over -2.
    change = agent.temperature.log_alpha.detach() - before.temperature.log_alpha.detach()
    assert float(change) == pytest.approx(-3e-4, rel=1e-3)
    for name in ("critic", "critic_cnn"):
        pairs = zip(
            getattr(before, f"{name}_target").parameters(),
            getattr(agent, name).parameters(),
            getattr(agent, f"{name}_target").parameters(),
            strict=True,
        )
        for old, new, averaged in pairs:
            assert torch.allclose(averaged, old + 0.005 * (new - old), atol=1e-7)


def test_the_actors_loss_leaves_the_critics_gradients_alone(
    settings: AgentConfig, make_batch: Any
) -> None:
    batch = make_batch(np.random.default_rng(0))
    delayed = algorithm.create(replace(settings, policy_freq=1000), 21, 2)
    eager = algorithm.create(settings, 21, 2)
    delayed.update(batch)
    eager.update(batch)
    for name in ("critic", "critic_cnn"):
        pairs = zip(
            getattr(delayed, name).parameters(), getattr(eager, name).parameters(), strict=True
        )
        assert all(torch.equal(one.grad, other.grad) for one, other in pairs)
    for name in ("actor", "actor_cnn", "temperature"):
        assert all(weight.grad is None for weight in getattr(delayed, name).parameters())
        assert all(weight.grad is not None for weight in getattr(eager, name).parameters())


def test_it_learns_the_better_action_and_keeps_its_entropy() -> None:
    """A one-step task: the reward falls with the distance to 0.5 and -0.5."""
    config = AgentConfig.from_mapping(
        {
            **SAC,
            "hidden_sizes": [32, 32],
            "learning_rate": 1e-2,
            "tau": 0.05,
            "exploration_sigma_final": 1.0,
        }
    )
    agent = algorithm.create(config, 3, 2, use_dict_buffer=False)
    assert isinstance(agent, SACAgent)
    replay, state = Replay(2000, None, 3, 2), np.zeros(3, np.float32)
    best = np.array([0.5, -0.5], np.float32)
    entropies = []
    for _ in range(500):
        replay.begin(None, state)
        action = agent.select_action(state, explore=True)
        replay.add(action, -float(np.square(action - best).sum()), None, state, True, False)
        entropies.append(agent.train(replay, 32)["entropy"])
    assert agent.select_action(state) == pytest.approx(best, abs=0.15)
    assert np.mean(entropies[:50]) > -1.0
    assert np.mean(entropies[-100:]) == pytest.approx(-2.0, abs=0.2), "not its goal"


def test_exploring_is_drawing_from_the_policy(settings: AgentConfig) -> None:
    agent = algorithm.create(replace(settings, exploration_sigma_final=1.0), 21, 2)
    assert isinstance(agent, SACAgent)
    policy = ActorPolicy(21, 2, 1.0, True, settings)
    policy.load_flat(flatten(agent))
    image, vector = np.full((4, 36, 36), 99, np.uint8), np.linspace(-1, 1, 5, dtype=np.float32)
    seen = {"image": image, "vector": vector}
    assert np.array_equal(policy.act(seen), agent.select_action(seen))
    state = joined_state(agent.actor_cnn, *(torch.from_numpy(seen[key])[None] for key in seen))
    mean, log_std = agent.actor.gaussian(state)
    assert np.allclose(agent.select_action(seen), torch.tanh(mean[0]).detach())
    drawn = np.arctanh([agent.select_action(seen, explore=True) for _ in range(400)])
    assert drawn.mean(0) == pytest.approx(mean[0].detach().numpy(), abs=0.1)
    assert drawn.std(0) == pytest.approx(log_std[0].exp().detach().numpy(), rel=0.15)


def test_a_file_builds_its_agent_whatever_the_algorithm(
    settings: AgentConfig, small: dict[str, Any], filled: Callable[..., Replay], tmp_path: Path
) -> None:
    path, old = tmp_path / "td3_4.pth", tmp_path / "td3_0.pth"
    agent = algorithm.create(settings, 21, 2)
    for _ in range(4):
        agent.train(filled(), 8)
    agent.save_checkpoint(path)
    found = algorithm.load(path)
    assert type(found) is SACAgent
    for name in agent.components:
        one, other = (part.state_dict() for part in (getattr(agent, name), getattr(found, name)))
        assert repr(one) == repr(other)
    text = describe(path)
    assert "temperature.log_alpha" in text
    assert missing(checkpoint.read(path)) == [
        "replay: none was saved, a resumed run starts with an empty one"
    ]
    # As it was before there was a choice.
    payload = TD3Agent(21, config=small).checkpoint_payload()
    assert "algorithm" not in payload["config"]
    checkpoint.write(old, payload)
    assert type(algorithm.load(old)) is TD3Agent
    payload["config"]["algorithm"] = "ppo"
    checkpoint.write(old, payload)
    with pytest.raises(CheckpointError, match=r"td3_0.pth: algorithm: 'ppo' is not \"td3\" or"):
        algorithm.load(old)


@pytest.mark.parametrize("name", ["td3", "sac"])
def test_the_other_algorithms_file_is_refused(
    name: str, settings: AgentConfig, tmp_path: Path
) -> None:
    agent = algorithm.create(replace(settings, algorithm=name), 21, 2)
    (other,) = {*algorithm.ALGORITHMS} - {name}
    path = tmp_path / "td3_0.pth"
    algorithm.create(replace(settings, algorithm=other), 21, 2).save_checkpoint(path)
    before = flatten(agent)
    with pytest.raises(CheckpointError) as refused:
        agent.load_checkpoint(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert str(refused.value).endswith(f"config algorithm is {other}, the agent's is {name}")
    assert np.array_equal(before, flatten(agent))
    with pytest.raises(CheckpointError, match=rf"td3_0.pth: algorithm: '{other}' is not '{name}'"):
        type(agent).from_checkpoint(path)


def test_a_runs_learning_rate_is_the_temperatures_too(settings: AgentConfig) -> None:
    agent = algorithm.create(settings, 21, 2)
    changed = with_settings(agent.checkpoint_payload(), replace(settings, learning_rate=1e-5))
    agent.restore(changed)
    rates = [
        getattr(agent, name).param_groups[0]["lr"]
        for name in agent.components
        if name.endswith("_optimizer")
    ]
    assert rates == [1e-5] * 5
