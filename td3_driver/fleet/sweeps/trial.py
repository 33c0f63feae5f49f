# SPDX-License-Identifier: Apache-2.0
"""One run of learning to drive, in one process, judged as it goes.

The same driver, replay and agent as `td3_driver train`, step by step without ROS, so that many
runs fit on a small machine; what a run learns depends on its seed and not on the machine's load.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from td3_driver.agent import algorithm
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.demonstrations import Demonstrations
from td3_driver.agent.exploration import Exploration
from td3_driver.agent.policy import Observation, act
from td3_driver.configuration import Configuration, load_configuration
from td3_driver.driving.driver import Driver
from td3_driver.driving.observation import Situation, Vector
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.routing import RandomRoutes
from td3_driver.driving.view import WHOLE_VIEW, Picture, ViewConfig
from td3_driver.evaluation.closed_loop import drive
from td3_driver.measures import standard
from td3_driver.online.meaning import of_experience
from td3_driver.online.update_debt import UpdateDebt
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay
from td3_driver.world.roads.generation import generate_opendrive, road_seed, roads_of
from td3_driver.world.simulation import Simulation, WorldConfig


@dataclass(frozen=True)
class Trial:
    """What is learned, where, and how often it is judged.

    Attributes:
        name: of the run, in its rows.
        preset, overlay: the settings; the overlay is a YAML file's path, or what one holds.
        seed: of everything random.
        steps: environment steps.
        every: steps between evaluations.
        episodes: of an evaluation, on each of its maps.
        maps: OpenDRIVE files and difficulties to learn on, side by side; empty: generated roads.
        judge_maps: OpenDRIVE files to evaluate on; empty: generated roads that nobody learns on.
        prefill: demonstrations to learn from too, or None.
        vector_only: learn from the vector alone.
        surroundings: of `WorldConfig`, to learn and to be judged with.
        appearance: the light while learning; the judge has the plain one.
    """

    name: str
    preset: str = "default"
    overlay: Path | Mapping[str, Any] | None = None
    seed: int = 0
    steps: int = 5000
    every: int = 1000
    episodes: int = 4
    maps: tuple[str, ...] = ()
    judge_maps: tuple[str, ...] = ()
    prefill: Path | None = None
    vector_only: bool = False
    surroundings: Mapping[str, Any] = field(default_factory=dict)
    appearance: str = "mixed"

    def rows(self, save: Path | None = None) -> Iterator[dict[str, Any]]:
        """Learn; give what each evaluation measured, as plain data.

        Args:
            save: folder for a checkpoint at each evaluation, or None.

        Raises:
            ValueError, OSError: a setting or a file cannot be used.
        """
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        configuration = load_configuration(self.preset, self.overlay)
        view = configuration.driving.view
        worlds = unseen_worlds(self.judge_maps, view, **self.surroundings)
        world = WorldConfig(seed=self.seed, appearance=self.appearance, **self.surroundings)
        began_s, spent_s = time.monotonic(), 0.0
        roads = roads_of(self.maps, self.seed, "easy")
        learning = learn(
            configuration,
            roads,
            self.seed,
            world.through(view),
            vector_only=self.vector_only,
            shown=self.prefill,
        )
        for agent in learning:
            if agent.env_steps % self.every and agent.env_steps < self.steps:
                continue
            paused_s = time.monotonic()
            found = judge(_Learning(agent, None), configuration.driving, worlds, self.episodes)
            if save is not None:
                agent.save_checkpoint(save / f"{self.name}_{self.seed}_{agent.env_steps}.pth")
            spent_s += time.monotonic() - paused_s
            minutes = round((time.monotonic() - began_s - spent_s) / 60.0, 2)
            where = {"name": self.name, "seed": self.seed, "steps": agent.env_steps}
            yield where | {"minutes": minutes} | found
            if agent.env_steps >= self.steps:
                return


class _Learning:
    """The agent as a driving policy, exploring or greedy."""

    def __init__(self, agent: ActorCritic, noise: Exploration | None) -> None:
        self._agent = agent
        self._noise = noise

    def begin_episode(self) -> None:
        if self._noise is not None:
            self._noise.reset()

    def act(self, situation: Situation) -> Action:
        seen = situation.observation
        state: Observation = seen.vector
        if self._agent.use_dict_buffer:
            state = {"image": seen.image, "vector": seen.vector}
        noise = self._noise.sample(self._agent.env_steps) if self._noise is not None else None
        return act(self._agent, state, noise)


class _VectorOnly:
    """Records the vector alone."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def begin(self, frame: Picture, vector: Vector) -> None:
        self._replay.begin(None, vector)

    def add(
        self,
        action: Action,
        reward: float,
        next_frame: Picture,
        next_vector: Vector,
        terminated: bool,
        truncated: bool,
        intervention: bool = False,
    ) -> None:
        self._replay.add(
            action, reward, None, next_vector, terminated, truncated, intervention
        )


def learn(
    configuration: Configuration,
    road_map: RoadMap,
    seed: int,
    world: WorldConfig,
    *,
    vector_only: bool = False,
    shown: Path | None = None,
) -> Iterator[ActorCritic]:
    """Learn for ever, with `vector_only` without images; gives the agent after every step.

    Half of each batch are the demonstrations of the file `shown`.

    Raises:
        CheckpointError: the demonstrations cannot be read, or do not fit.
    """
    config = configuration.agent
    spaces = configuration.driving.spaces
    stack, stored_dim, action_dim = spaces.row
    state_dim = spaces.vector_dim + (0 if vector_only else config.cnn_features)
    images = not vector_only
    agent = algorithm.create(config, state_dim, action_dim, use_dict_buffer=images, seed=seed)
    shape = None if vector_only else stack
    replay = Replay(config.replay_capacity, shape, stored_dim, action_dim)
    store = _VectorOnly(replay) if vector_only else replay
    demonstrations = None
    if shown is not None:
        kept = replay_file.load(shown, *spaces.row, of_experience(configuration.driving))
        demonstrations = Demonstrations(kept, 0.5, torch.device("cpu"))
    policy = _Learning(agent, Exploration(config, action_dim, seed + 1))
    driver = Driver(configuration.driving, policy, store, seed + 2)
    debt = UpdateDebt(config, replay)
    for frame in drive(driver, Simulation(world, road_map)):
        if frame.report.outcome is None:
            continue
        agent.env_steps += 1
        debt.step()
        due = debt.whole
        debt.pay(due)
        for _ in range(due):
            agent.train(replay, demonstrations=demonstrations)
        yield agent


def judge(
    policy: Policy, driving: DrivingConfig, worlds: Sequence[Simulation], episodes: int
) -> dict[str, Any]:
    """Greedy episodes in each world, from starts for tuning, judged as `evaluate` does.

    Their length and time limit are the configuration's. Gives means over all.
    """
    summaries, changes, last = [], [], None
    ran: Counter[str] = Counter()
    driven_m = 0.0
    for number, world in enumerate(worlds):
        episode, step_s = driving.episode, world.config.fixed_delta_s
        limits = replace(
            standard.limits(episode.route_length_m, step_s, standard.SPEED_LIMIT_MPS),
            max_steps=episode.max_steps,
        )
        routes = RandomRoutes(limits.route_length_m, Purpose.TUNING)
        driver = Driver(driving, policy, None, 999 + number, routes=routes, judged_by=limits)
        ended = 0
        for frame in drive(driver, world):
            outcome = frame.report.outcome
            if outcome is None:
                last = None
            else:
                ran[outcome.ran] += 1
                driven_m += max(frame.ego.speed_mps, 0.0) * step_s
            steer = frame.command.control.steer / standard.STEER_UNIT
            if last is not None:
                changes.append(abs(steer - last))
            last = steer
            if frame.report.ended is not None:
                summaries.append(frame.report.ended)
                ended += 1
                if ended == episodes:
                    break

    def mean(name: str) -> float:
        return round(float(np.mean([getattr(summary, name) for summary in summaries])), 4)

    return {
        "completion": mean("completion"),
        "success": mean("success"),
        "return": round(mean("total_reward"), 1),
        "rmse_m": mean("lateral_rmse_m"),
        "speed_mps": mean("mean_speed_mps"),
        "steer_change": round(float(np.mean(changes)), 4) if changes else 0.0,
        "red_lights_per_km": round(ran["red_light"] / max(driven_m / 1000.0, 1e-3), 2),
        "never_started": sum(summary.completion < 0.01 for summary in summaries),
        "reasons": [summary.reason for summary in summaries],
    }


def unseen_worlds(
    files: Sequence[str], view: ViewConfig = WHOLE_VIEW, **surroundings: Any
) -> list[Simulation]:
    """The given maps, or two generated ones that nobody learns, selects or evaluates on."""
    maps = [RoadMap.from_file(file) for file in files]
    if not maps:
        seeds = [road_seed(Purpose.TUNING, number) for number in range(2)]
        maps = [RoadMap(generate_opendrive(seed), f"generated_{seed}") for seed in seeds]
    config = WorldConfig(seed=7, **surroundings).through(view)
    return [Simulation(config, map_) for map_ in maps]
