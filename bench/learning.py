# SPDX-License-Identifier: Apache-2.0
"""`python -m bench.learning`: one run of learning to drive, in one process, judged as it goes.

The same driver, replay and agent as `td3_driver train`, step by step without ROS, so that many
runs fit on a small machine; what a run learns depends on its seed and not on the machine's load.
Appends one JSON line for each greedy evaluation on roads that the run never learns from.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from td3_driver.agent import algorithm
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.demonstrations import Demonstrations
from td3_driver.agent.exploration import Exploration
from td3_driver.agent.policy import act
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
from td3_driver.world.camera.appearance import APPEARANCES
from td3_driver.world.roads.generation import generate_opendrive, road_seed
from td3_driver.world.simulation import Simulation, WorldConfig


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
        images = self._agent.use_dict_buffer
        state = {"image": seen.image, "vector": seen.vector} if images else seen.vector
        noise = self._noise.sample(self._agent.env_steps) if self._noise is not None else None
        return act(self._agent, state, noise)


class _Blind:
    """Records the vector alone."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    def begin(self, frame: Picture, vector: Vector) -> None:
        self._replay.begin(None, vector)

    def add(
        self, action: Action, reward: float, frame: Picture, vector: Vector, *ends: bool
    ) -> None:
        self._replay.add(action, reward, None, vector, *ends)


def roads(file: Path | None, number: int, purpose: Purpose = Purpose.TRAINING) -> RoadMap:
    """The given map, or generated roads."""
    if file is not None:
        return RoadMap.from_file(file)
    seed = road_seed(purpose, number)
    return RoadMap(generate_opendrive(seed), f"generated_{seed}")


def learn(
    configuration: Configuration,
    road_map: RoadMap,
    seed: int,
    world: WorldConfig,
    *,
    blind: bool = False,
    shown: Path | None = None,
) -> Iterator[ActorCritic]:
    """Learn for ever, `blind` from the vector alone; gives the agent after every step.

    Half of each batch are the demonstrations of the file `shown`.
    """
    config = configuration.agent
    spaces = configuration.driving.spaces
    stack, stored_dim, action_dim = spaces.row
    state_dim = spaces.vector_dim + (0 if blind else config.cnn_features)
    agent = algorithm.create(config, state_dim, action_dim, use_dict_buffer=not blind, seed=seed)
    shape = None if blind else stack
    replay = Replay(config.replay_capacity, shape, stored_dim, action_dim)
    store = _Blind(replay) if blind else replay
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
        due = debt.step()
        debt.pay(due)
        for _ in range(due):
            agent.train(replay, demonstrations=demonstrations)
        yield agent


def judge(
    policy: Policy, driving: DrivingConfig, worlds: list[Simulation], episodes: int
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
    files: list[Path] | None, view: ViewConfig = WHOLE_VIEW, **surroundings: Any
) -> list[Simulation]:
    """The given maps, or two generated ones that nobody learns, selects or evaluates on."""
    maps = [roads(file, 0) for file in files or []]
    maps = maps or [roads(None, number, Purpose.TUNING) for number in range(2)]
    config = WorldConfig(seed=7, **surroundings).through(view)
    return [Simulation(config, map_) for map_ in maps]


def main() -> None:
    """One run."""
    parser = argparse.ArgumentParser(prog="python -m bench.learning", description=__doc__)
    add = parser.add_argument
    add("--name", default="default", help="of the run, in its lines")
    add("--preset", default="default")
    add("--config", type=Path, help="YAML laid over the preset")
    add("--seed", type=int, default=0)
    add("--steps", type=int, default=5000)
    add("--every", type=int, default=1000, help="steps between evaluations")
    add("--episodes", type=int, default=4, help="of an evaluation, on each of its maps")
    add("--map", type=Path, help="OpenDRIVE file to learn on; default: generated roads")
    add("--judge-map", type=Path, action="append", help="OpenDRIVE file to evaluate on")
    add("--prefill", type=Path, help="demonstrations to learn from, too")
    add("--appearance", choices=APPEARANCES, default="mixed", help="while learning")
    add("--blind", action="store_true", help="learn from the vector alone")
    add("--traffic", type=int, default=0, help="other vehicles, to learn and to evaluate with")
    add("--lights", action="store_true", help="traffic lights, to learn and to evaluate with")
    add("--out", type=Path, required=True, help="file that the JSON lines are appended to")
    add("--save", type=Path, help="folder for a checkpoint at each evaluation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    configuration = load_configuration(args.preset, args.config)
    surroundings = {"traffic": args.traffic, "lights": args.lights}
    view = configuration.driving.view
    worlds = unseen_worlds(args.judge_map, view, **surroundings)
    world = WorldConfig(seed=args.seed, appearance=args.appearance, **surroundings).through(view)
    began = time.monotonic()
    spent = 0.0
    road_map = roads(args.map, args.seed)
    learning = learn(
        configuration, road_map, args.seed, world, blind=args.blind, shown=args.prefill
    )
    for agent in learning:
        if agent.env_steps % args.every:
            continue
        paused = time.monotonic()
        found = judge(_Learning(agent, None), configuration.driving, worlds, args.episodes)
        where = {"name": args.name, "seed": args.seed, "steps": agent.env_steps}
        if args.save:
            agent.save_checkpoint(args.save / f"{args.name}_{args.seed}_{agent.env_steps}.pth")
        spent += time.monotonic() - paused
        minutes = round((time.monotonic() - began - spent) / 60.0, 2)
        with args.out.open("a") as file:
            file.write(json.dumps(where | {"minutes": minutes} | found) + "\n")
        if agent.env_steps >= args.steps:
            return


if __name__ == "__main__":
    main()
