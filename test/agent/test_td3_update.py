# SPDX-License-Identifier: Apache-2.0
"""One update against a straight-line TD3 written from the paper, and against mutants of ours."""

from __future__ import annotations

import inspect
import types
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from td3_driver.agent import TD3Agent, actor_critic, td3
from td3_driver.replay.batch import Batch
from td3_driver.replay.buffer import Replay

NAMES = ("actor", "critic", "actor_cnn", "critic_cnn")
PLAIN: dict[str, Any] = {"tau": 0.05, "learning_rate": 1e-3}
FULL: dict[str, Any] = {
    **PLAIN,
    "trunk": "layernorm_tanh",
    "critic_layernorm": True,
    "orthogonal_init": True,
    "actor_output_scale": 0.5,
    "action_bias": [0.0, 0.5],
    "vector_scale": [2.0, 3.5, 0.25, 1.0, 5.0],
    "gradient_clip": 0.5,
    "pre_tanh_penalty": 0.01,
    "smoothness_penalty": 0.5,
    "policy_freq": 3,
}


class Reference:
    """TD3 as in Fujimoto et al. 2018, algorithm 1, with explicit loops and no modules."""

    def __init__(self, agent: TD3Agent) -> None:
        self.settings = agent.config
        self.noise = torch.Generator()
        self.noise.set_state(agent.noise_generator.get_state())
        self.step = 0
        self.weights = {name: self._copy(getattr(agent, name)) for name in NAMES}
        self.targets = {name: self._copy(getattr(agent, f"{name}_target")) for name in NAMES}
        self.moments: dict[str, Any] = {name: {} for name in NAMES}

    @staticmethod
    def _copy(network: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {key: w.detach().double().clone() for key, w in network.named_parameters()}

    def features(self, w: dict[str, torch.Tensor], image: np.ndarray) -> torch.Tensor:
        x = torch.tensor(image, dtype=torch.float64) / 255 * 2 - 1
        for index, (_, _, stride) in enumerate(self.settings.conv_layers, start=1):
            weight, bias = w[f"conv{index}.weight"], w[f"conv{index}.bias"]
            x = F.conv2d(x, weight, bias, stride=stride).clamp(min=0)
        x = x.reshape(x.shape[0], -1) @ w["fc.weight"].T + w["fc.bias"]
        if self.settings.trunk == "relu":
            return x.clamp(min=0)
        return torch.tanh(self.layernorm(x, w["norm.weight"], w["norm.bias"]))

    @staticmethod
    def layernorm(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        centred = x - x.mean(1, keepdim=True)
        return centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt() * weight + bias

    def state(self, w: dict[str, torch.Tensor], image: np.ndarray, vector: np.ndarray) -> Any:
        scale = torch.tensor(self.settings.vector_scale or [1.0] * vector.shape[1]).double()
        return torch.cat((self.features(w, image), torch.tensor(vector).double() * scale), 1)

    def mlp(self, w: dict[str, torch.Tensor], prefix: str, x: torch.Tensor) -> torch.Tensor:
        keys = [key[:-7] for key in w if key.startswith(prefix) and key.endswith(".weight")]
        linears = [key for key in keys if w[f"{key}.weight"].ndim == 2]
        for key in keys:
            weight, bias = w[f"{key}.weight"], w[f"{key}.bias"]
            x = self.layernorm(x, weight, bias) if weight.ndim == 1 else x @ weight.T + bias
            following = keys.index(key) + 1
            normed = following < len(keys) and keys[following] not in linears
            if key != keys[-1] and not normed:
                x = x.clamp(min=0)
        return x

    def q(self, w: dict[str, torch.Tensor], which: str, state: Any, action: Any) -> torch.Tensor:
        return self.mlp(w, which, torch.cat((state, action), 1))[:, 0]

    def adam(self, name: str, gradients: dict[str, torch.Tensor]) -> None:
        """Kingma and Ba 2015, algorithm 1, after clipping the network's gradient norm."""
        limit = self.settings.gradient_clip
        norm = sum(float(g.square().sum()) for g in gradients.values()) ** 0.5
        factor = min(1.0, limit / (norm + 1e-6)) if limit else 1.0
        for key, gradient in gradients.items():
            g = gradient * factor
            t, m, v = self.moments[name].get(key, (0, torch.zeros_like(g), torch.zeros_like(g)))
            t, m, v = t + 1, 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
            self.moments[name][key] = (t, m, v)
            step = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
            self.weights[name][key] = self.weights[name][key] - self.settings.learning_rate * step

    def descend(self, loss: torch.Tensor, live: dict[str, dict[str, torch.Tensor]]) -> None:
        inputs = [w for weights in live.values() for w in weights.values()]
        gradients = iter(torch.autograd.grad(loss, inputs))
        for name, weights in live.items():
            self.adam(name, {key: next(gradients) for key in weights})

    def live(self, *names: str) -> dict[str, dict[str, torch.Tensor]]:
        return {
            n: {k: w.clone().requires_grad_() for k, w in self.weights[n].items()} for n in names
        }

    def update(self, batch: Batch) -> None:
        self.step += 1
        s = self.settings
        old = self.targets
        noise = torch.randn(batch.actions.shape, generator=self.noise, dtype=torch.float64)
        noise = (noise * s.policy_noise).clamp(-s.noise_clip, s.noise_clip)
        actor_state = self.state(old["actor_cnn"], batch.next_images, batch.next_vectors)
        following = torch.tanh(self.mlp(old["actor"], "layers", actor_state))
        action = (following + noise).clamp(-1, 1)
        critic_state = self.state(old["critic_cnn"], batch.next_images, batch.next_vectors)
        q1 = self.q(old["critic"], "q1", critic_state, action)
        q2 = self.q(old["critic"], "q2", critic_state, action)
        y = []
        for i in range(len(batch.returns)):
            clipped = min(float(q1[i]), float(q2[i]))
            y.append(float(batch.returns[i]) + float(batch.bootstrap[i]) * clipped)

        live = self.live("critic", "critic_cnn")
        state = self.state(live["critic_cnn"], batch.images, batch.vectors)
        action = torch.tensor(batch.actions).double()
        loss = torch.zeros((), dtype=torch.float64)
        for which in ("q1", "q2"):
            q = self.q(live["critic"], which, state, action)
            loss = loss + sum((q[i] - y[i]) ** 2 for i in range(len(y))) / len(y)
        self.descend(loss, live)

        if self.step % s.policy_freq:
            return
        live = self.live("actor", "actor_cnn")
        state = self.state(self.weights["critic_cnn"], batch.images, batch.vectors)
        own = self.state(live["actor_cnn"], batch.images, batch.vectors)
        pre = self.mlp(live["actor"], "layers", own)
        action = torch.tanh(pre)
        loss = -self.q(self.weights["critic"], "q1", state, action).mean()
        loss = loss + s.pre_tanh_penalty * pre.square().mean()
        loss = loss + s.smoothness_penalty * (action - following).square().mean()
        self.descend(loss, live)
        for name in NAMES:
            for key, w in self.weights[name].items():
                self.targets[name][key] = s.tau * w + (1 - s.tau) * self.targets[name][key]

    def distance(self, agent: TD3Agent) -> float:
        """Largest difference of any weight or target weight."""
        largest = 0.0
        for name in NAMES:
            for own, network in (
                (self.weights[name], getattr(agent, name)),
                (self.targets[name], getattr(agent, f"{name}_target")),
            ):
                for key, weight in network.named_parameters():
                    gap = (own[key] - weight.detach().double()).abs().max()
                    largest = max(largest, float(gap))
        return largest


def double(agent: TD3Agent) -> TD3Agent:
    for name in NAMES:
        getattr(agent, name).double()
        getattr(agent, f"{name}_target").double()
    return agent


def run(agent: TD3Agent, make_batch: Any, updates: int) -> float:
    reference = Reference(agent)
    rng = np.random.default_rng(1)
    for _ in range(updates):
        batch = make_batch(rng)
        agent.update(batch)
        reference.update(batch)
    return reference.distance(agent)


@pytest.mark.parametrize("extra", [PLAIN, FULL], ids=["plain", "full"])
def test_fifty_updates_in_double_precision_are_the_papers(
    small: dict[str, Any], make_batch: Any, extra: dict[str, Any]
) -> None:
    agent = double(TD3Agent(21, config={**small, **extra}))
    assert run(agent, make_batch, 50) < 1e-10


def test_updates_in_single_precision_stay_close(small: dict[str, Any], make_batch: Any) -> None:
    # Adam turns rounding of a near-zero gradient into a step of full size, hence the small rate.
    agent = TD3Agent(21, config={**small, **PLAIN, "learning_rate": 1e-6})
    assert run(agent, make_batch, 50) < 1e-5


MUTANTS = {
    "the critic judges actor_cnn features": (
        "critic_state = joined_state(self.critic_cnn,",
        "critic_state = joined_state(self.actor_cnn,",
    ),
    "the actor sees critic_cnn features": (
        "actor_state = self._actor_state(self.actor_cnn,",
        "actor_state = self._actor_state(self.critic_cnn,",
    ),
    "the target actor sees critic_cnn_target features": (
        "self._actor_state(self.actor_cnn_target,",
        "self._actor_state(self.critic_cnn_target,",
    ),
    "the target critic sees actor_cnn_target features": (
        "joined_state(self.critic_cnn_target,",
        "joined_state(self.actor_cnn_target,",
    ),
    "the target actor has no target CNN": (
        "self._actor_state(self.actor_cnn_target,",
        "self._actor_state(self.actor_cnn,",
    ),
    "the target critic has no target CNN": (
        "joined_state(self.critic_cnn_target,",
        "joined_state(self.critic_cnn,",
    ),
    "the critic learns from actor_cnn features": (
        "        state = joined_state(self.critic_cnn,",
        "        state = joined_state(self.actor_cnn,",
    ),
    "terminal states are bootstrapped": (
        "data.bootstrap * torch.minimum",
        "self.discount * torch.minimum",
    ),
    "the larger value is taken": ("torch.minimum(q1, q2)", "torch.maximum(q1, q2)"),
    "the actor is not delayed": ("self.total_it % self.policy_freq == 0", "True"),
    "target CNNs are not averaged": (
        "for name in snapshot.NETWORKS:",
        'for name in ("actor", "critic"):',
    ),
    "actor_cnn is not trained": (
        'self._descend(loss, "actor", "actor_cnn")',
        'self._descend(loss, "actor")',
    ),
    "critic_cnn is trained by the actor": (
        'self._descend(loss, "actor", "actor_cnn")',
        'self._descend(loss, "actor", "actor_cnn", "critic")',
    ),
    "target noise is not clipped": (".clamp_(-self.noise_clip, self.noise_clip)", ""),
}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_crossed_update_is_caught(name: str, small: dict[str, Any], make_batch: Any) -> None:
    original, mutation = MUTANTS[name]
    # What TD3 shares and what is its own, as one module.
    source = inspect.getsource(actor_critic) + inspect.getsource(td3).replace(
        "from __future__ import annotations", ""
    ).replace("from td3_driver.agent.actor_critic import ActorCritic", "")
    assert source.count(original) == 1, "the mutant no longer fits the source"
    mutant = types.ModuleType("td3_mutant")
    exec(compile(source.replace(original, mutation), "td3_mutant.py", "exec"), mutant.__dict__)
    config = {**small, **PLAIN, "policy_noise": 0.5}
    agent = double(mutant.TD3Agent(21, config=config))
    assert run(agent, make_batch, 12) > 1e-8


def gradients(agent: TD3Agent, name: str) -> list[torch.Tensor | None]:
    return [weight.grad for weight in getattr(agent, name).parameters()]


def test_the_actors_loss_leaves_the_critics_gradients_alone(
    small: dict[str, Any], make_batch: Any
) -> None:
    batch = make_batch(np.random.default_rng(0))
    delayed = TD3Agent(21, config={**small, "policy_freq": 1000})
    eager = TD3Agent(21, config={**small, "policy_freq": 1})
    delayed.update(batch)
    eager.update(batch)
    for name in ("critic", "critic_cnn"):
        pairs = zip(gradients(delayed, name), gradients(eager, name), strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)
    for name in ("actor", "actor_cnn"):
        assert all(gradient is None for gradient in gradients(delayed, name))
        assert all(gradient is not None for gradient in gradients(eager, name))


def test_the_actors_cnn_learns_through_the_action_alone(
    small: dict[str, Any], make_batch: Any
) -> None:
    config = {**small, "policy_freq": 1, "actor_output_scale": 0.0}
    agent = TD3Agent(21, config=config)  # the action does not depend on the features
    agent.update(make_batch(np.random.default_rng(0)))
    assert all(float(g.abs().max()) == 0.0 for g in gradients(agent, "actor_cnn"))
    assert float(agent.actor.layers[-1].weight.grad.abs().max()) > 0.0


def test_a_float_image_is_taken_as_it_is(small: dict[str, Any]) -> None:
    agent = TD3Agent(21, config=small)
    image = torch.randint(0, 256, (2, 4, 36, 36), dtype=torch.uint8)
    assert torch.allclose(agent.actor_cnn(image), agent.actor_cnn(image / 127.5 - 1), atol=1e-6)


@pytest.mark.parametrize("n_step", [1, 3])
def test_the_smoothness_penalty_looks_n_steps_ahead(small: dict[str, Any], n_step: int) -> None:
    """At the target's action there; at the episode's last observation where it ends before."""
    rows = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)
    replay = Replay(64, None, 5, 2)
    replay.begin(None, rows[0])
    for row in rows[1:]:
        replay.add(np.zeros(2, np.float32), 0.0, None, row, False, row is rows[-1])
    losses = []
    for penalty in (0.0, 0.5):
        settings = {"smoothness_penalty": penalty, "n_step": n_step, "policy_freq": 1}
        agent = TD3Agent(5, use_dict_buffer=False, config={**small, **settings})
        with torch.no_grad():  # a target of its own
            for weight in agent.actor_target.parameters():
                weight.mul_(1.5)
        rng = np.random.Generator(np.random.PCG64())
        rng.bit_generator.state = agent.sampler.bit_generator.state
        starts = replay.sample(64, rng, n_step).vectors
        with torch.no_grad():
            now = [int(np.flatnonzero((rows == start).all(1))[0]) for start in starts]
            later = [min(index + n_step, len(rows) - 1) for index in now]
            here, there = torch.from_numpy(rows[now]), torch.from_numpy(rows[later])
            jump = F.mse_loss(agent.actor(here), agent.actor_target(there))
        losses.append(float(agent.train(replay, 64)["actor_loss"]))
    assert losses[1] - losses[0] == pytest.approx(0.5 * float(jump), rel=1e-3)
    assert float(jump) > 0.01
