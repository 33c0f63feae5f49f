# SPDX-License-Identifier: Apache-2.0
"""Returns on Gymnasium tasks: our agent, Stable-Baselines3's TD3 and a loop like CleanRL's.

All three get the same hyperparameters, seeds and steps. Action scaling: SB3 learns in [-1, 1] and
scales at the environment; CleanRL and we learn in the environment's own units, up to max_action.
Target noise is absolute in our settings, so it is multiplied by max_action here, as CleanRL's
code does; exploration noise is a fraction of max_action in all three.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
import torch

from bench.cleanrl_style import CleanRLStyle
from bench.report import Section
from td3_driver.agent import AgentConfig, Replay, TD3Agent

Act = Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]

TASKS = {"Pendulum-v1": 9_000, "InvertedPendulum-v5": 6_000}  # in thirds
SEEDS = 5
_EPISODES = 10
_POINTS = 3  # evaluations on the way, the last at the end
_T_95 = 2.776  # Student's t for five seeds
_SIGMA = 0.1
_SETTINGS: dict[str, Any] = {
    "hidden_sizes": [256, 256],
    "learning_rate": 1e-3,
    "batch_size": 256,
    "learning_starts": 1000,
    "exploration_sigma": _SIGMA,
    "exploration_sigma_final": _SIGMA,
}


@dataclass(frozen=True)
class _Run:
    agent: str
    task: str
    seed: int


def _evaluate(task: str, act: Act) -> float:
    """Mean return of greedy episodes that start alike for everyone."""
    env = gymnasium.make(task)
    returns = []
    for episode in range(_EPISODES):
        observation, _ = env.reset(seed=10_000 + episode)
        total, over = 0.0, False
        while not over:
            action = act(observation.astype(np.float32))
            observation, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            over = terminated or truncated
        returns.append(total)
    return float(np.mean(returns))


def _limit(task: str) -> tuple[int, int, float]:
    env = gymnasium.make(task)
    assert isinstance(env.action_space, gymnasium.spaces.Box)
    assert isinstance(env.observation_space, gymnasium.spaces.Box)
    sizes = env.observation_space.shape[0], env.action_space.shape[0]
    return *sizes, float(env.action_space.high[0])


def _config(limit: float) -> AgentConfig:
    noise = {"policy_noise": 0.2 * limit, "noise_clip": 0.5 * limit}
    return AgentConfig.from_mapping({**_SETTINGS, **noise})


def _ours(run: _Run) -> list[float]:
    observation_dim, action_dim, limit = _limit(run.task)
    steps, config = TASKS[run.task], _config(limit)
    agent = TD3Agent(
        observation_dim, action_dim, limit, use_dict_buffer=False, config=config, seed=run.seed
    )
    replay = Replay(2 * steps, None, observation_dim, action_dim)
    env = gymnasium.make(run.task)
    env.action_space.seed(run.seed)
    observation, _ = env.reset(seed=run.seed)
    replay.begin(None, observation.astype(np.float32))
    curve = []
    for step in range(1, steps + 1):
        if step <= config.learning_starts:
            action = env.action_space.sample()
        else:
            action = agent.select_action(observation, explore=True)
        observation, reward, terminated, truncated, _ = env.step(action)
        replay.add(
            action, float(reward), None, observation.astype(np.float32), terminated, truncated
        )
        agent.env_steps += 1
        if terminated or truncated:
            observation, _ = env.reset()
            replay.begin(None, observation.astype(np.float32))
            agent.exploration.reset()
        if step > config.learning_starts:
            agent.train(replay)
        if step % (steps // _POINTS) == 0:
            curve.append(_evaluate(run.task, agent.select_action))
    return curve


def _cleanrl(run: _Run) -> list[float]:
    observation_dim, action_dim, limit = _limit(run.task)
    steps, config = TASKS[run.task], AgentConfig.from_mapping(_SETTINGS)
    torch.manual_seed(run.seed)
    rng = np.random.default_rng(run.seed)
    agent = CleanRLStyle(config, observation_dim, action_dim, images=False, max_action=limit)
    wide = {"s": observation_dim, "n": observation_dim, "a": action_dim, "r": 0, "d": 0}
    columns = {k: np.zeros((steps, n) if n else (steps,), np.float32) for k, n in wide.items()}

    def greedy(observation: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.no_grad():
            action: npt.NDArray[np.float32]
            action = agent.actor(None, torch.as_tensor(observation[None]))[0].numpy()
        return action

    env = gymnasium.make(run.task)
    env.action_space.seed(run.seed)
    observation, _ = env.reset(seed=run.seed)
    curve = []
    for step in range(1, steps + 1):
        if step <= config.learning_starts:
            action = env.action_space.sample()
        else:
            noise = rng.normal(0.0, _SIGMA * limit, action_dim)
            action = (greedy(observation.astype(np.float32)) + noise).clip(-limit, limit)
        after, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        row = {"s": observation, "n": after, "a": action, "r": reward, "d": terminated}
        for key, value in row.items():
            columns[key][step - 1] = value
        observation = env.reset()[0] if terminated or truncated else after
        if step > config.learning_starts:
            rows = rng.integers(0, step, config.batch_size)
            s, n, a, r, d = (torch.as_tensor(column[rows]) for column in columns.values())
            agent.update(None, s, None, n, a, r, d)
        if step % (steps // _POINTS) == 0:
            curve.append(_evaluate(run.task, greedy))
    return curve


def _sb3(run: _Run) -> list[float]:
    from stable_baselines3 import TD3
    from stable_baselines3.common.noise import NormalActionNoise

    _, action_dim, _ = _limit(run.task)
    steps = TASKS[run.task]
    sigma = np.full(action_dim, _SIGMA)
    agent = TD3(
        "MlpPolicy",
        gymnasium.make(run.task),
        learning_rate=_SETTINGS["learning_rate"],
        buffer_size=steps,
        learning_starts=_SETTINGS["learning_starts"],
        batch_size=_SETTINGS["batch_size"],
        train_freq=1,
        gradient_steps=1,
        action_noise=NormalActionNoise(np.zeros(action_dim), sigma),
        policy_kwargs={"net_arch": _SETTINGS["hidden_sizes"]},
        seed=run.seed,
        device="cpu",
    )
    curve = []
    for _ in range(_POINTS):
        agent.learn(steps // _POINTS, reset_num_timesteps=False)
        act: Act = lambda observation: agent.predict(observation, deterministic=True)[0]  # noqa: E731
        curve.append(_evaluate(run.task, act))
    return curve


_AGENTS = {"ours": _ours, "SB3 TD3": _sb3, "CleanRL style": _cleanrl}


def _curve(run: _Run) -> list[float]:
    torch.set_num_threads(1)
    curve = _AGENTS[run.agent](run)
    print(f"{run.task}, {run.agent}, seed {run.seed}: {[round(x, 1) for x in curve]}", flush=True)
    return curve


def measure(processes: int) -> Section:
    """Train every agent on every task with every seed."""
    section = Section(
        "Returns on Gymnasium tasks",
        f"Mean return of {_EPISODES} greedy episodes after the last step; mean over {SEEDS} seeds"
        " ± half of its 95 % interval (Student's t), then the standard deviation over seeds, the"
        " seeds, and the mean on the way.",
        ["task", "steps", "agent", "return", "std", "each seed", "after ⅓ and ⅔ of the steps"],
    )
    runs = [_Run(a, t, s) for t in TASKS for s in range(SEEDS) for a in _AGENTS]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        curves = dict(zip(runs, pool.map(_curve, runs, chunksize=1), strict=True))
    for task, steps in TASKS.items():
        for agent in _AGENTS:
            table = np.array([curves[_Run(agent, task, seed)] for seed in range(SEEDS)])
            final = table[:, -1]
            half = _T_95 * final.std(ddof=1) / math.sqrt(SEEDS)
            section.add(
                task,
                steps,
                agent,
                f"**{final.mean():.0f} ± {half:.0f}**",
                f"{final.std(ddof=1):.0f}",
                ", ".join(f"{value:.0f}" for value in final),
                ", ".join(f"{value:.0f}" for value in table.mean(axis=0)[:-1]),
            )
    return section
