# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a Gymnasium environment."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from td3_driver.configuration import load_configuration
from td3_driver.driving.episode import EpisodeConfig
from td3_driver.driving.roles import DrivingConfig
from td3_driver.world.gym_env import DrivingEnv
from td3_driver.world.simulation import WorldConfig

NAME = "td3_driver.world.gym_env:td3_driver/Driving-v0"


def made(**arguments: Any) -> DrivingEnv:
    env = gymnasium.make(NAME, **arguments).unwrapped
    assert isinstance(env, DrivingEnv)
    return env


def test_gymnasium_accepts_it() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".*Box observation space (max|min)imum value")
        check_env(made(render_mode="rgb_array"))


def test_the_same_seed_and_actions_give_the_same_drive() -> None:
    drives = []
    for _ in range(2):
        env = made(world_seed=3)
        actions = np.random.default_rng(0).uniform(-0.2, 0.8, (60, 2)).astype(np.float32)
        seen, _ = env.reset(seed=11)
        drive = [seen["image"].tobytes()]
        for action in actions:
            seen, reward, *ended, _ = env.step(action)
            drive.append((seen["image"].tobytes(), seen["vector"].tobytes(), reward, *ended))
            if any(ended):
                break
        drives.append(drive)
    assert drives[0] == drives[1]


def test_an_episode_ends_with_its_last_observation_and_a_summary() -> None:
    env = made()
    env.reset(seed=0)
    seen: list[dict[str, Any]] = []
    ends = (False, False)
    while not any(ends):
        observation, _, *ends, info = env.step(np.array([1.0, 1.0], np.float32))
        seen.append(observation)
    assert ends == [True, False]
    assert not np.array_equal(seen[-2]["vector"], seen[-1]["vector"])
    assert np.array_equal(seen[-2]["image"][1:], seen[-1]["image"][:-1])
    assert info["summary"].steps == len(seen)
    assert info["summary"].reason in ("off_road", "wrong_way")
    with pytest.raises(gymnasium.error.ResetNeeded, match="call reset first"):
        env.step(np.zeros(2, np.float32))


def test_a_standing_car_is_cut_off_not_terminated() -> None:
    env = made(driving=DrivingConfig(EpisodeConfig(stuck_steps=5)))
    env.reset(seed=0)
    ends = [env.step(np.array([0.0, -1.0], np.float32))[2:4] for _ in range(5)]
    assert ends == [(False, False)] * 4 + [(False, True)]


def test_it_drives_on_a_given_map(town_file: Path) -> None:
    env = made(map=town_file, render_mode="rgb_array")
    env.reset(seed=1)
    assert env.render().shape == (120, 160, 3)


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="rgb_array"):
        DrivingEnv(render_mode="human")


def test_its_observations_are_those_of_the_configuration() -> None:
    driving = load_configuration("urban").driving
    env = made(driving=driving, world=WorldConfig(lights=True))
    assert env.observation_space["vector"].shape == (26,)
    seen, _ = env.reset(seed=0)
    assert env.observation_space.contains(seen)
    # Generated roads have no line to stop at.
    assert seen["vector"][-3:-1].tolist() == [1.0, 0.0]
    seen, *_ = env.step(np.zeros(2, np.float32))
    assert env.observation_space.contains(seen)

