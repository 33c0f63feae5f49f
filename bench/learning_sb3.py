# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.learning_sb3`: Stable-Baselines3 on the same job as `bench.learning`.

Same world, observation, reward, evaluation, and the preset's networks, batch, noise and
rates wherever SB3 has them. What SB3 lacks stays away: n-step returns with images and vectors,
LayerNorm in the critic, gradient clipping, random shifts, shrinking noise, the throttle bias and
the small last layer of the actor, and the penalties on saturation and on jumps.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from stable_baselines3 import SAC, TD3
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.noise import OrnsteinUhlenbeckActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.networks import CNN
from td3_driver.configuration import load_configuration
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.safety import ACTION_DIM
from td3_driver.fleet.sweeps.trial import judge, unseen_worlds
from td3_driver.world.gym_env import DrivingEnv
from td3_driver.world.simulation import WorldConfig

SIGMA = 0.3  # SB3's noise has no schedule; ours shrinks from 0.4 to 0.05


class Features(BaseFeaturesExtractor):
    """The preset's CNN, and the vector with the preset's scale."""

    def __init__(self, space: Any, config: AgentConfig) -> None:
        (vector_dim,) = space["vector"].shape
        super().__init__(space, config.cnn_features + vector_dim)
        self._cnn = CNN(config)
        # What only our critic is told comes behind what the policy is told.
        scale = (config.vector_scale or [1.0] * vector_dim)[:vector_dim]
        self.register_buffer("_scale", torch.tensor(scale))

    def forward(self, seen: dict[str, torch.Tensor]) -> torch.Tensor:
        """(B, F + V)."""
        image = seen["image"].float() / 127.5 - 1.0
        return torch.cat((self._cnn(image), seen["vector"] * self._scale), dim=1)


class _Greedy:
    def __init__(self, model: Any) -> None:
        self._model = model

    def begin_episode(self) -> None:
        pass

    def act(self, situation: Situation) -> Action:
        seen = situation.observation
        action = self._model.predict(
            {"image": seen.image, "vector": seen.vector}, deterministic=True
        )[0]
        return np.asarray(action, np.float32)


class _Judge(BaseCallback):
    def __init__(self, args: argparse.Namespace, driving: Any) -> None:
        super().__init__()
        self._args, self._driving = args, driving
        self._worlds = unseen_worlds((), driving.view)
        self._began, self._spent = time.monotonic(), 0.0

    def _on_step(self) -> bool:
        if self.num_timesteps % self._args.every == 0:
            paused = time.monotonic()
            found = judge(_Greedy(self.model), self._driving, self._worlds, self._args.episodes)
            self._spent += time.monotonic() - paused
            minutes = round((time.monotonic() - self._began - self._spent) / 60.0, 2)
            where = {
                "name": f"sb3_{self._args.algorithm}_{self._args.preset}",
                "seed": self._args.seed,
                "steps": self.num_timesteps,
                "minutes": minutes,
            }
            with self._args.out.open("a") as file:
                file.write(json.dumps(where | found) + "\n")
        return True


def model(algorithm: str, env: DrivingEnv, config: AgentConfig, seed: int) -> Any:
    """SB3's TD3 or SAC, set up as the preset as far as it goes."""
    common: dict[str, Any] = {
        "policy": "MultiInputPolicy",
        "env": env,
        "learning_rate": config.learning_rate,
        "buffer_size": 20_000,
        "learning_starts": config.learning_starts,
        "batch_size": config.batch_size,
        "tau": config.tau,
        "gamma": config.discount,
        "train_freq": 1,
        "gradient_steps": 1,
        "seed": seed,
        "device": "cpu",
        "policy_kwargs": {
            "features_extractor_class": Features,
            "features_extractor_kwargs": {"config": config},
            "normalize_images": False,
            "net_arch": list(config.hidden_sizes),
        },
    }
    if algorithm == "sac":  # explores by itself
        return SAC(**common)
    sigma = SIGMA * np.ones(ACTION_DIM)
    noise = OrnsteinUhlenbeckActionNoise(np.zeros(ACTION_DIM), sigma, config.ou_theta, dt=1.0)
    return TD3(
        **common,
        policy_delay=config.policy_freq,
        target_policy_noise=config.policy_noise,
        target_noise_clip=config.noise_clip,
        action_noise=noise,
    )


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning_sb3", description=__doc__)
    add = parser.add_argument
    add("algorithm", choices=("td3", "sac"))
    add("--preset", default="default")
    add("--seed", type=int, default=0)
    add("--steps", type=int, default=8000)
    add("--every", type=int, default=1000)
    add("--episodes", type=int, default=4)
    add("--out", type=Path, required=True)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    configuration = load_configuration(args.preset)
    view = configuration.driving.view
    world = WorldConfig(seed=args.seed, appearance="mixed").through(view)  # as there
    env = DrivingEnv(world_seed=args.seed, driving=configuration.driving, world=world)
    agent = model(args.algorithm, env, configuration.agent, args.seed)
    agent.learn(args.steps, callback=_Judge(args, configuration.driving))


if __name__ == "__main__":
    main()
