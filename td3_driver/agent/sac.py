# SPDX-License-Identifier: Apache-2.0
"""SAC (Haarnoja et al. 2018, "Algorithms and Applications") on the networks of TD3."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from td3_driver.agent.actor_critic import ActorCritic, adam_of
from td3_driver.agent.networks import GaussianActor, joined_state
from td3_driver.agent.staging import TensorBatch

# At temperature 1 entropy would long outweigh our rewards, which are at most 1 a step.
_INITIAL_TEMPERATURE = 0.1


class Temperature(nn.Module):
    """The worth of a nat of the policy's entropy, in reward; its logarithm is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.log_alpha = nn.Parameter(torch.tensor(math.log(_INITIAL_TEMPERATURE)))

    def forward(self) -> Tensor:
        """Return the temperature, a scalar."""
        alpha: Tensor = self.log_alpha.exp()
        return alpha


def log_density(pre_tanh: Tensor, noise: Tensor, log_std: Tensor) -> Tensor:
    """Return the (B,) log density of the actions tanh(pre_tanh), in [-1, 1].

    Args:
        pre_tanh: (B, A) mean + exp(log_std) * noise.
        noise: (B, A) standard normal.
        log_std: (B, A) log standard deviation of the Gaussian before tanh.
    """
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    # log(1 - tanh(x)^2), which in this form would round to log(0).
    slope = 2.0 * (math.log(2.0) - pre_tanh - F.softplus(-2.0 * pre_tanh))
    return (gaussian - slope).sum(dim=1)


class SACAgent(ActorCritic):
    """Learns a stochastic policy and its temperature; without exploration its mean is the action.

    Arguments, attributes and errors are those of `ActorCritic`. The actor has no target, and
    `policy_noise` and `noise_clip` have no effect. The target entropy is -A nats, of actions as a
    fraction of `max_action`; an n-step return contains entropy only at its end.
    """

    algorithm = "sac"
    components = (
        *("actor", "actor_optimizer", "critic", "critic_target", "critic_optimizer"),
        *("actor_cnn", "actor_cnn_optimizer"),
        *("critic_cnn", "critic_cnn_target", "critic_cnn_optimizer"),
        *("temperature", "temperature_optimizer"),
    )
    noises = 2  # for the next action, in the target, and for the actor's, in its loss
    actor: GaussianActor

    def _build_networks(self, seed: int) -> None:
        super()._build_networks(seed)
        self.temperature = Temperature().to(self.device)
        self.temperature_optimizer = adam_of(self.temperature, self.config.learning_rate)

    def _target_value(self, data: TensorBatch) -> Tensor:
        """R + bootstrap * (min(Q1', Q2')(s', a') - alpha log pi(a'|s')), a' by the policy."""
        with self._target_twin.working():
            state = joined_state(self.critic_cnn_target, data.next_images, data.next_vectors)
        actor_state = self._actor_state(self.actor_cnn, data.next_images, data.next_vectors)
        mean, log_std = self.actor.gaussian(actor_state)
        data.following.copy_(self.actor.squash(mean))
        pre_tanh = mean + log_std.exp() * data.noise[0]
        cost: Tensor = self.temperature() * log_density(pre_tanh, data.noise[0], log_std)
        self._target_twin.join()
        q1, q2 = self.critic_target(state, self.actor.squash(pre_tanh), self._target_twin.working)
        self._target_twin.join()
        return data.returns + data.bootstrap * (torch.minimum(q1, q2) - cost)

    def _update_actor(self, data: TensorBatch) -> dict[str, Tensor]:
        with self._aside.working(), torch.no_grad():
            critic_state = joined_state(self.critic_cnn, data.images, data.vectors)
        actor_state = self._actor_state(self.actor_cnn, data.images, data.vectors)
        mean, log_std = self.actor.gaussian(actor_state)
        pre_tanh = mean + log_std.exp() * data.noise[1]
        density = log_density(pre_tanh, data.noise[1], log_std)
        self._aside.join()
        q1, q2 = self.critic(critic_state, self.actor.squash(pre_tanh))
        loss = (self.temperature().detach() * density - torch.minimum(q1, q2)).mean()
        loss = self._regularised(loss, mean, self.actor.squash(mean), data, critic_state)
        norms = self._descend(loss, "actor", "actor_cnn")
        surplus = self.action_dim - density.detach().mean()  # entropy above its target
        norms |= self._descend(self.temperature.log_alpha * surplus, "temperature")
        self._update_targets()
        return {
            **norms,
            **self._actor_measures(loss, mean, actor_state),
            "temperature": self.temperature().detach(),
            "entropy": -density.detach().mean(),
        }
