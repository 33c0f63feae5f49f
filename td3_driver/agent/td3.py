# SPDX-License-Identifier: Apache-2.0
"""TD3 (Fujimoto, van Hoof and Meger 2018) from images and a vector."""

from __future__ import annotations

import torch
from torch import Tensor

from td3_driver.agent import snapshot
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.networks import CNN, Actor, joined_state, target_of
from td3_driver.agent.staging import TensorBatch


class TD3Agent(ActorCritic):
    """Learns a deterministic policy; arguments, attributes and errors as of `ActorCritic`."""

    algorithm = "td3"
    components = tuple(
        f"{name}{part}" for name in snapshot.NETWORKS for part in ("", "_target", "_optimizer")
    )
    actor_target: Actor
    actor_cnn_target: CNN | None

    def _build_networks(self, seed: int) -> None:
        super()._build_networks(seed)
        self.actor_target = target_of(self.actor)
        self.actor_cnn_target = target_of(self.actor_cnn) if self.actor_cnn else None

    def _target_value(self, data: TensorBatch) -> Tensor:
        """R + bootstrap * min(Q1', Q2')(s', pi'(s') + clipped noise), y in the paper.

        With `critic_atoms` the probabilities of that, by the distribution of smaller mean.
        """
        with self._target_twin.working():
            state = joined_state(self.critic_cnn_target, data.next_images, data.next_vectors)
        actor_state = self._actor_state(self.actor_cnn_target, data.next_images, data.next_vectors)
        action = data.following.copy_(self.actor_target(actor_state))
        noise = (data.noise[0] * self.policy_noise).clamp_(-self.noise_clip, self.noise_clip)
        action = (action + noise).clamp_(-self.max_action, self.max_action)
        self._target_twin.join()
        outputs = self.critic_target.outputs(state, action, self._target_twin.working)
        self._target_twin.join()
        q1, q2 = (self.critic_target.value(output) for output in outputs)
        if (atoms := self.critic_target.atoms) is not None:
            smaller = torch.where((q1 < q2)[:, None], *outputs)
            return atoms.projected(smaller, data.returns, data.bootstrap)
        return data.returns + data.bootstrap * torch.minimum(q1, q2)

    def _update_actor(self, data: TensorBatch) -> dict[str, Tensor]:
        # The actor's loss must not change the critic's features.
        with self._aside.working(), torch.no_grad():
            critic_state = joined_state(self.critic_cnn, data.images, data.vectors)
        actor_state = self._actor_state(self.actor_cnn, data.images, data.vectors)
        pre_tanh = self.actor.pre_tanh(actor_state)
        action = self.actor.squash(pre_tanh)
        self._aside.join()
        loss = -self.critic.first(critic_state, action).mean()
        loss = self._regularised(loss, pre_tanh, action, data, critic_state)
        norms = self._descend(loss, "actor", "actor_cnn")
        self._update_targets()
        return norms | self._actor_measures(loss, pre_tanh, actor_state)
