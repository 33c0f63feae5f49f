# SPDX-License-Identifier: Apache-2.0
"""One world and its driver, which drive for the fleet's learner. It knows nothing of Ray."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from td3_driver.agent.exploration import Exploration
from td3_driver.agent.policy import ActorPolicy
from td3_driver.configuration import Configuration
from td3_driver.driving.driver import Driver
from td3_driver.evaluation.closed_loop import drive
from td3_driver.fleet.blocks import Outgoing
from td3_driver.fleet.messages import Delivery
from td3_driver.online.actor import OnlineActor
from td3_driver.online.session import episode_scalars
from td3_driver.replay.buffer import Replay
from td3_driver.world.roads.generation import roads_of
from td3_driver.world.simulation import Simulation, WorldConfig

BLOCK_STEPS = 32  # of a delivery
_KEPT_ROWS = 1024
_SEEDS = 1_000_003  # apart, so that those of one collector's parts are no other's
_ATTEMPTS = 17


@dataclass(frozen=True)
class CollectorSpec:
    """The settings of one collector.

    Attributes:
        number: its number, from 0.
        configuration: what is seen, rewarded, and how the policy looks.
        world: camera and surroundings; its seed is the run's.
        maps: OpenDRIVE files and difficulties, side by side; empty: generated roads.
        difficulty: of generated roads.
        noise_scale: by what its exploration noise is multiplied.
        attempt: differs whenever it begins anew, so that it does not drive the same again.
    """

    number: int
    configuration: Configuration
    world: WorldConfig
    maps: tuple[str, ...]
    difficulty: str
    noise_scale: float
    attempt: int = 0

    @property
    def seed(self) -> int:
        """The collector's own seed."""
        return own_seed(self.world.seed, self.number, self.attempt)


def own_seed(seed: int, number: int, attempt: int = 0) -> int:
    """Return a collector's seed from the run's; see `CollectorSpec`."""
    return seed + _SEEDS * number + _ATTEMPTS * attempt


def noise_scales(worlds: int) -> list[float]:
    """Return how far each collector explores: 2 to 1/2 in equal ratios, 1 for a single one.

    After the ladder of Ape-X (Horgan et al. 2018, "Distributed Prioritized Experience Replay").
    """
    if worlds == 1:
        return [1.0]
    return [2.0 ** (1.0 - 2.0 * number / (worlds - 1)) for number in range(worlds)]


class Collector:
    """Drives in a world of its own, as `td3_driver train` does, frame by frame.

    Args:
        spec: see there.

    Raises:
        ValueError, OSError: a map cannot be used.
    """

    def __init__(self, spec: CollectorSpec) -> None:
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        agent, driving = spec.configuration.agent, spec.configuration.driving
        spaces, seed = driving.spaces, spec.seed
        state_dim = agent.cnn_features + spaces.vector_dim
        self._policy = ActorPolicy(state_dim, spaces.action_dim, 1.0, True, agent)
        self._actor = OnlineActor(
            self._policy, Exploration(agent, spaces.action_dim, seed + 1)
        )
        self._actor.noise_scale = spec.noise_scale
        replay = Replay(_KEPT_ROWS, *spaces.row)
        self._outgoing = Outgoing(replay)
        self._version = -1
        # Generated roads have numbers; each collector has its own.
        road = spec.world.seed + spec.number * max(len(spec.maps), 1)
        roads = roads_of(spec.maps, road, spec.difficulty)
        driver = Driver(driving, self._actor, replay, seed + 2)
        self._frames = drive(driver, Simulation(replace(spec.world, seed=seed), roads))

    @property
    def version(self) -> int:
        """The version of the weights that it drives with; -1: none yet."""
        return self._version

    def take(self, version: int, weights: NDArray[np.float32], env_steps: int) -> None:
        """Drive with these weights, and with the noise that is due at this step of the fleet."""
        self._policy.load_flat(weights.copy())  # what comes from others may be read only
        self._version, self._actor.env_steps = version, env_steps

    def drive(self, steps: int) -> Delivery:
        """Drive a number of environment steps, and as many frames between episodes as it takes."""
        driven, ended = 0, list[dict[str, float]]()
        while driven < steps:
            report = next(self._frames).report
            driven += report.outcome is not None
            if report.ended is not None:
                ended.append(episode_scalars(report.ended))
        block = self._outgoing.take()
        return Delivery(block, driven, self._version, tuple(ended), self._outgoing.dropped)
