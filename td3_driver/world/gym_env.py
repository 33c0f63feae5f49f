# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a Gymnasium environment, for other libraries' agents.

`gymnasium.make("td3_driver.world.gym_env:td3_driver/Driving-v0")`. Observation, reward, routes,
resets and ends of episodes are those of `driver_node`: the same `Driver` runs inside.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np

from td3_driver.driving.driver import Driver
from td3_driver.driving.observation import Situation
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import Command, DrivingConfig, Report
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.spaces import Spaces
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.driving.view import Picture
from td3_driver.world.loop import advance
from td3_driver.world.roads.generation import generate_opendrive, road_seed
from td3_driver.world.simulation import Simulation, WorldConfig

Seen = dict[str, Any]


class _Outside:
    """Stands in the driver for an agent that is outside."""

    def __init__(self, spaces: Spaces) -> None:
        self.action: Action = np.zeros(spaces.action_dim, np.float32)

    def begin_episode(self) -> None:
        """Nothing to do: the agent outside learns of it from `reset`."""

    def act(self, situation: Situation) -> Action:
        """The action that `step` was given."""
        return self.action


def _told(report: Report) -> Seen:
    assert report.seen is not None
    return {"image": report.seen.image, "vector": report.seen.vector}


class DrivingEnv(gymnasium.Env[Seen, Action]):
    """Follow routes in the embedded world.

    Observation: a dictionary of `image` (4, 84, 84) uint8, or as `driving.view` says, and `vector`
    (23,) float32, (26,) where regulations count, see `driving.observation.Observation`. Action
    (2,) float32 in [-1, 1]: steer (+1 right) and throttle/brake. A step is 0.05 s. `info` holds
    the reward's terms under `terms`, and when an episode ends its `EpisodeSummary` under
    `summary`.

    Args:
        map: OpenDRIVE file; None: roads generated from `world_seed`.
        world_seed: seed of generated roads and textures.
        driving: episodes, reward and limits; None for the defaults.
        world: camera and step; None for the defaults with `world_seed`.
        render_mode: None, or "rgb_array" for pictures (height, width, 3) uint8 RGB.
    """

    metadata: ClassVar[dict[str, Any]] = {  # type: ignore[misc]  # as Gymnasium uses it
        "render_modes": ["rgb_array"],
        "render_fps": 20,
    }

    def __init__(
        self,
        map: str | Path | None = None,
        world_seed: int = 0,
        driving: DrivingConfig | None = None,
        world: WorldConfig | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode {render_mode!r}; expected None or 'rgb_array'")
        self.render_mode = render_mode
        driving = driving or DrivingConfig()
        image_shape, vector_dim, action_dim = driving.spaces.policy
        self.observation_space = gymnasium.spaces.Dict(
            {
                "image": gymnasium.spaces.Box(0, 255, image_shape, np.uint8),
                "vector": gymnasium.spaces.Box(-np.inf, np.inf, (vector_dim,), np.float32),
            }
        )
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (action_dim,), np.float32)
        road_map = (
            RoadMap(
                generate_opendrive(road_seed(Purpose.TRAINING, world_seed)),
                f"generated_{world_seed}",
            )
            if map is None
            else RoadMap.from_file(Path(map))
        )
        world = world or WorldConfig(seed=world_seed).through(driving.view)
        self._world = Simulation(world, road_map)
        self._outside = _Outside(driving.spaces)
        self._driver = Driver(driving, self._outside, None, 0)
        self._driver.set_map(road_map)
        self._picture: Picture = np.zeros((1, 1, 4), np.uint8)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Seen, dict[str, Any]]:
        """Go to the start of the next route; `seed` begins a new series of routes."""
        super().reset(seed=seed)
        if seed is not None:
            self._driver.rng = np.random.default_rng(seed)
        self._driver.abandon_episode()
        command = Command(FULL_BRAKE)
        while True:
            tick, report = advance(self._world, self._driver, command)
            self._picture = tick.image
            if self._driver.episode is not None:
                return _told(report), {}
            command = self._driver.decide()

    def step(self, action: Action) -> tuple[Seen, float, bool, bool, dict[str, Any]]:
        """Drive for 0.05 s.

        Raises:
            gymnasium.error.ResetNeeded: no episode is running.
        """
        if self._driver.episode is None:
            raise gymnasium.error.ResetNeeded("step: no episode is running; call reset first")
        self._outside.action = np.asarray(action, np.float32)
        tick, report = advance(self._world, self._driver, self._driver.decide())
        self._picture = tick.image
        outcome = report.outcome
        assert outcome is not None
        info: dict[str, Any] = {"terms": outcome.terms}
        if report.ended is not None:
            info["summary"] = report.ended
        return _told(report), outcome.reward, outcome.terminated, outcome.truncated, info

    def render(self) -> Any:
        """The camera's picture of the last step, RGB, with render_mode "rgb_array"."""
        return self._picture[:, :, 2::-1].copy() if self.render_mode == "rgb_array" else None


gymnasium.register("td3_driver/Driving-v0", entry_point=f"{__name__}:DrivingEnv")
