# SPDX-License-Identifier: Apache-2.0
"""The common part of actor-critic algorithms that learn from a replay; see `td3` and `sac`.

Each network has a CNN of its own: the critic sees only critic_cnn's features, the actor only
actor_cnn's, and each target only its own target CNN's. The actor's loss reaches the actor and
actor_cnn through the action alone.
"""

from __future__ import annotations

import functools
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from td3_driver.agent import snapshot
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.cuda import DeviceFrames, DeviceStaging, SideStream, recorded
from td3_driver.agent.demonstrations import Demonstrations, imitation_loss
from td3_driver.agent.exploration import Exploration
from td3_driver.agent.measures import Measures, feature_norm, gradient_norm
from td3_driver.agent.networks import CNN, Critic, actor_of, joined_state, target_of
from td3_driver.agent.policy import Observation, act, vector_length
from td3_driver.agent.staging import Staging, TensorBatch, pixels_of
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.replay.batch import Batch
from td3_driver.replay.buffer import Replay

_LOG = logging.getLogger(__name__)
_SATURATED = math.atanh(0.98)

Agent = TypeVar("Agent", bound="ActorCritic")


class ActorCritic(ABC):
    """An agent that learns a policy from a replay; subclasses define its targets and losses.

    Args:
        state_dim: CNN features and vector together; without images the vector alone. It is what
            the policy sees; the critic also sees `config.privileged` numbers more.
        action_dim: Length of the action.
        max_action: Bound of every action element.
        use_dict_buffer: True for observations of an image and a vector, False for a vector; then
            `actor_cnn` and `critic_cnn`, their targets and optimizers are None.
        config: An `AgentConfig`, a mapping for `AgentConfig.from_mapping`, or None for defaults;
            its `algorithm` is the class's.
        device: Device of the networks, as torch names it.
        seed: Seed of initial weights and all random draws. The process's own random state is
            neither used nor changed.

    Attributes:
        algorithm: Its name, as in `AgentConfig`.
        components: Attribute names of every network, target and optimizer, in a file's order.
            Those of CNNs are None without images.
        noises: Number of (B, A) standard normal arrays that an update needs.
        total_it: Critic updates made.
        env_steps: Environment steps experienced; the caller counts them.
        episodes: Episodes driven; the caller counts them.
        exploration: The noise that `select_action` adds; `reset` it when an episode starts.

    Raises:
        ValueError: If a size does not fit the configuration, or a setting is not allowed.
    """

    algorithm: ClassVar[str]
    components: ClassVar[tuple[str, ...]]
    noises: ClassVar[int] = 1

    def __init__(
        self,
        state_dim: int = 535,
        action_dim: int = 2,
        max_action: float = 1.0,
        *,
        use_dict_buffer: bool = True,
        config: AgentConfig | Mapping[str, Any] | None = None,
        device: str | torch.device = "cpu",
        seed: int = 0,
    ) -> None:
        if not isinstance(config, AgentConfig):
            config = AgentConfig.from_mapping(config or {})
        if config.algorithm != self.algorithm:
            raise ValueError(
                f"algorithm: {config.algorithm!r} is not {self.algorithm!r}, as this agent learns"
            )
        self.config = config
        self.state_dim, self.action_dim, self.max_action = state_dim, action_dim, max_action
        self.vector_dim = vector_length(state_dim, use_dict_buffer, config)
        self.use_dict_buffer = use_dict_buffer
        self.device = torch.device(device)
        self.discount, self.tau, self.policy_freq = config.discount, config.tau, config.policy_freq
        self.policy_noise, self.noise_clip = config.policy_noise, config.noise_clip
        self.total_it = self.env_steps = self.episodes = 0
        self._build_networks(seed)
        sampler_seed, noise_seed, exploration_seed = (
            int(child.generate_state(1)[0]) for child in np.random.SeedSequence(seed).spawn(3)
        )
        self.sampler = np.random.Generator(np.random.PCG64(sampler_seed))
        # On the CPU whatever the device, so that a run and its checkpoints do not depend on it.
        self.noise_generator = torch.Generator().manual_seed(noise_seed)
        self.exploration = Exploration(config, action_dim, exploration_seed)
        on_cuda = self.device.type == "cuda"
        self._staging = (
            DeviceStaging(self.device, self.noises) if on_cuda else Staging(self.noises)
        )
        self._aside, self._twin, self._target_twin = (SideStream(self.device) for _ in range(3))
        self._frames: DeviceFrames | None = None
        # Walking through modules for their weights takes a millisecond an update.
        parts = {name: getattr(self, name) for name in self.components}
        self._weights = {
            name: [*part.parameters()]
            for name, part in parts.items()
            if isinstance(part, nn.Module)
        }
        self._prepare_steps()

    def _prepare_steps(self) -> None:
        self._pixels = pixels_of(self.config.precision, self.device)
        names = (name for name in self.components if name.endswith("_optimizer"))
        optimizers = [getattr(self, name) for name in names]
        self._critic_step = recorded(self._update_critic, self.device, optimizers)
        self._actor_step = recorded(self._update_actor, self.device, optimizers)

    def _build_networks(self, seed: int) -> None:
        sizes = (self.state_dim, self.vector_dim, self.action_dim)
        config, images = self.config, self.use_dict_buffer
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            self.actor = actor_of(*sizes, self.max_action, config).to(self.device)
            self.critic = Critic(*sizes, config).to(self.device)
            self.actor_cnn = CNN(config).to(self.device) if images else None
            self.critic_cnn = CNN(config).to(self.device) if images else None
        self.critic_target = target_of(self.critic)
        self.critic_cnn_target = target_of(self.critic_cnn) if self.critic_cnn else None
        rate = config.learning_rate
        self.actor_optimizer = adam_of(self.actor, rate)
        self.critic_optimizer = adam_of(self.critic, rate)
        self.actor_cnn_optimizer = adam_of(self.actor_cnn, rate) if self.actor_cnn else None
        self.critic_cnn_optimizer = adam_of(self.critic_cnn, rate) if self.critic_cnn else None

    def select_action(
        self, observation: Observation, explore: bool = False
    ) -> npt.NDArray[np.float32]:
        """Return an observation's action, (action_dim,) float32 in [-max_action, max_action].

        Args:
            observation: See `policy.act`, which also raises ValueError if it is malformed.
            explore: Add exploration noise of the size due at `env_steps`, and clip.
        """
        if not explore:
            return act(self, observation)
        action = act(self, observation, self.exploration.sample(self.env_steps))
        return action.clip(-self.max_action, self.max_action)

    # Learning.

    def train(
        self,
        replay: Replay,
        batch_size: int | None = None,
        rows: int | None = None,
        demonstrations: Demonstrations | None = None,
    ) -> Measures:
        """Make one update from the replay.

        Args:
            replay: The buffer to sample from.
            batch_size: Transitions in the batch; None for the configured number.
            rows: Sample from the replay's first `rows` rows only, the `head` of `Replay.sample`.
            demonstrations: A second replay, from which a share of the batch comes.

        Returns:
            What `update` returns.

        Raises:
            ValueError: If the replay holds no transition.
        """
        if self.device.type == "cuda" and (not self._frames or self._frames.replay is not replay):
            self._frames = DeviceFrames(replay, self.device)
        size = self.config.batch_size if batch_size is None else batch_size
        shown = demonstrations.count(size) if demonstrations else 0
        draw = (self.sampler, self.config.n_step, self.discount)
        batch = replay.sample(size - shown, *draw, rows, self._frames)
        if demonstrations:
            batch = demonstrations.added_to(batch, shown, *draw)
        return self.update(batch)

    def update(self, batch: Batch) -> Measures:
        """Make one critic update, and every `policy_freq`-th time an actor and target update.

        Returns:
            critic_loss, q1_mean, q2_mean, q_disagreement (mean |Q1 - Q2|), target_mean; with an
            actor update also actor_loss, pre_tanh_abs_mean and saturated_share (of the action's
            elements, beyond 0.98 of their bound); of each updated network <name>_grad_norm before
            clipping, of each CNN <name>_feature_norm. A step that is not finite is skipped.
        """
        self.total_it += 1
        dtype, shift = next(self.critic.parameters()).dtype, self.config.random_shift
        data = self._staging.fill(batch, dtype, shift, self.noise_generator, self._pixels)
        measures = dict(self._critic_step(data))
        if self.total_it % self.policy_freq == 0:
            measures |= self._actor_step(data)
        return Measures(measures)

    @abstractmethod
    def _target_value(self, data: TensorBatch) -> Tensor:
        """Return targets for both critics' values of (s, a), and set `data.following`.

        (B,) numbers, or with `critic_atoms` (B, N) probabilities.
        """

    @abstractmethod
    def _update_actor(self, data: TensorBatch) -> dict[str, Tensor]:
        """Make one step of the actor and its CNN, then of the targets; return its measures."""

    def _update_critic(self, data: TensorBatch) -> dict[str, Tensor]:
        with self._aside.working(), torch.no_grad():
            target = self._target_value(data)
        state = joined_state(self.critic_cnn, data.images, data.vectors)
        outputs = self.critic.outputs(state, data.actions, self._twin.working)
        self._twin.join()
        self._aside.join()
        q1, q2 = (self.critic.value(output) for output in outputs)
        if (atoms := self.critic.atoms) is None:
            loss = F.mse_loss(q1, target) + F.mse_loss(q2, target)
        else:
            loss = atoms.loss(outputs[0], target) + atoms.loss(outputs[1], target)
            target = target @ atoms.values
        norms = self._descend(loss, "critic", "critic_cnn")
        q1, q2 = q1.detach(), q2.detach()
        return {
            **norms,
            **self._feature_norm("critic_cnn", state),
            "critic_loss": loss.detach(),
            "q1_mean": q1.mean(),
            "q2_mean": q2.mean(),
            "q_disagreement": (q1 - q2).abs().mean(),
            "target_mean": target.mean(),
        }

    def _actor_state(
        self, cnn: CNN | None, images: Tensor | None, vectors: Tensor
    ) -> Tensor:
        """Return the state as the policy sees it, without what is the critic's privilege."""
        return joined_state(cnn, images, vectors[:, : self.vector_dim])

    def _regularised(
        self,
        loss: Tensor,
        pre_tanh: Tensor,
        action: Tensor,
        data: TensorBatch,
        critic_state: Tensor,
    ) -> Tensor:
        """Return the actor's loss plus the configured penalties."""
        if self.config.imitation_weight:
            unlike = imitation_loss(action, data, self.critic, critic_state, self.config.advised)
            loss = loss + self.config.imitation_weight * unlike
        if self.config.pre_tanh_penalty:
            loss = loss + self.config.pre_tanh_penalty * pre_tanh.square().mean()
        if self.config.smoothness_penalty:
            jump = F.mse_loss(action, data.following)
            loss = loss + self.config.smoothness_penalty * jump
        return loss

    def _actor_measures(self, loss: Tensor, pre_tanh: Tensor, state: Tensor) -> dict[str, Tensor]:
        magnitude = pre_tanh.detach().abs()
        return {
            **self._feature_norm("actor_cnn", state),
            "actor_loss": loss.detach(),
            "pre_tanh_abs_mean": magnitude.mean(),
            "saturated_share": (magnitude > _SATURATED).to(magnitude.dtype).mean(),
        }

    def _feature_norm(self, cnn: str, state: Tensor) -> dict[str, Tensor]:
        if getattr(self, cnn) is None:
            return {}
        return {f"{cnn}_feature_norm": feature_norm(state, self.config.cnn_features)}

    def _descend(self, loss: Tensor, *names: str) -> dict[str, Tensor]:
        """Make one Adam step of the named networks only; return their gradients' norms."""
        networks = {name: self._weights[name] for name in names if name in self._weights}
        inputs = [weight for weights in networks.values() for weight in weights]
        for weight in inputs:
            weight.grad = None
        loss.backward(inputs=inputs)  # type: ignore[no-untyped-call]
        norms = {f"{name}_grad_norm": gradient_norm(weights) for name, weights in networks.items()}
        skip = (~(loss.detach() + sum(norms.values())).isfinite()).to(torch.float32)
        streams = (self._aside, self._twin, self._target_twin)[: len(norms)]
        for stream, (name, weights), norm in zip(
            streams, networks.items(), norms.values(), strict=True
        ):
            with stream.working():
                if clip := self.config.gradient_clip:
                    nn.utils.clip_grads_with_norm_(weights, clip, norm)
                step_unless(skip, getattr(self, f"{name}_optimizer"))
        for stream in streams:
            stream.join()
        return norms

    @torch.no_grad()
    def _update_targets(self) -> None:
        """Average all targets (Polyak): target <- target + tau * (network - target)."""
        targets: list[Tensor] = []
        sources: list[Tensor] = []
        for name in snapshot.NETWORKS:
            if name in self._weights and f"{name}_target" in self._weights:
                sources.extend(self._weights[name])
                targets.extend(self._weights[f"{name}_target"])
        torch._foreach_lerp_(targets, sources, self.tau)

    # Persistence.

    def checkpoint_payload(self, run: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a copy of everything that learning depends on, as `save_checkpoint` writes it."""
        return snapshot.take(self, run or {})

    def mismatches(self, payload: Mapping[str, Any]) -> list[str]:
        """Return every reason why `restore` would refuse a payload; empty if it would not."""
        return snapshot.mismatches(self, payload)

    def restore(self, payload: Mapping[str, Any]) -> None:
        """Continue from a `checkpoint_payload`, with its learning settings, bit for bit.

        Raises:
            CheckpointError: If it does not fit this agent; the agent is unchanged then.
        """
        snapshot.restore(self, payload)
        self._prepare_steps()  # the recorded graphs use the optimizers' former state

    def save_checkpoint(self, filepath: str | Path, run: Mapping[str, Any] | None = None) -> None:
        """Write a checkpoint file, atomically; folders are created.

        Args:
            filepath: For example `runs/mine/td3_1000.pth`.
            run: Plain data of the caller's to save with it.

        Raises:
            CheckpointError: If it cannot be written; a file already there is unchanged.
        """
        checkpoint.write(filepath, self.checkpoint_payload(run))
        self._log_components("saved")
        _LOG.info("Checkpoint saved to %s (update %d)", filepath, self.total_it)

    def load_checkpoint(self, filepath: str | Path) -> None:
        """Continue from a checkpoint file, bit for bit.

        Raises:
            FileNotFoundError: If there is no such file.
            CheckpointError: If it is damaged or does not fit; the agent is unchanged then.
        """
        payload = checkpoint.read(filepath)
        try:
            self.restore(payload)
        except CheckpointError as error:
            raise CheckpointError(f"{filepath}: {error}") from None
        self._log_components("restored")
        _LOG.info("Checkpoint loaded from %s (update %d)", filepath, self.total_it)

    @classmethod
    def from_checkpoint(
        cls: type[Agent], filepath: str | Path, device: str | torch.device = "cpu"
    ) -> Agent:
        """Build the agent that a checkpoint file holds; errors as in `load_checkpoint`."""
        return cls.from_payload(checkpoint.read(filepath), filepath, device)

    @classmethod
    def from_payload(
        cls: type[Agent],
        payload: Mapping[str, Any],
        filepath: str | Path,
        device: str | torch.device = "cpu",
    ) -> Agent:
        """Build the agent from a checkpoint file's payload that was read already."""
        dimensions: dict[str, Any] = {name: payload.get(name) for name in snapshot.DIMENSIONS}
        try:
            agent = cls(**dimensions, config=payload.get("config"), device=device)
            agent.restore(payload)
        except (CheckpointError, TypeError, ValueError) as error:
            raise CheckpointError(f"{filepath}: {error}") from None
        return agent

    def _log_components(self, done: str) -> None:
        for key, component in snapshot.components(self):
            if component is not None:
                _LOG.info("  %s %s", key, done)


def adam_of(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Return an Adam for one network, fused into one kernel if the device has that."""
    fused = has_fused_adam(next(network.parameters()).device)
    return torch.optim.Adam(
        network.parameters(), learning_rate, fused=fused, foreach=None if fused else True
    )


@functools.cache
def has_fused_adam(device: torch.device) -> bool:
    """Whether Adam's fused kernel runs on a device; torch raises only at the first step."""
    weight = nn.Parameter(torch.zeros(1, device=device))
    weight.grad = torch.zeros_like(weight)
    try:
        torch.optim.Adam([weight], fused=True).step()
    except RuntimeError:
        return False
    return True


def step_unless(skip: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Make an optimizer step unless the number in `skip` is 1; then nothing changes.

    A fused kernel reads the number itself, like AMP's flag, since a CUDA graph cannot branch.
    Other kernels have no such flag.
    """
    if optimizer.param_groups[0]["fused"]:
        optimizer.found_inf = skip  # type: ignore[attr-defined]
        optimizer.step()
    elif not skip:
        optimizer.step()
