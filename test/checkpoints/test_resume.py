# SPDX-License-Identifier: Apache-2.0
"""N updates, a save, a new process and M updates are N + M updates, bit for bit."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from small_agent import ACTION, IMAGE, SMALL, VECTOR

from td3_driver.agent import Replay, TD3Agent, checkpoint, replay_file
from td3_driver.agent.replay_log import ReplayLink

CONFIG: dict[str, Any] = {**SMALL, "exploration": "ou", "n_step": 3, "random_shift": 2}
CAPACITY = 64
EPISODE = 9
TOTAL = 145
# Before, at and after an episode's end; odd and even, for the policy delay; around the ring's end
# at row 64 and 128, where a row is overwritten with each step.
SAVES = (26, 27, 57, 58, 115, 140)


class Loop:
    """Acts, stores and learns in lock-step; what happens depends on the step's number alone."""

    def __init__(self, agent: TD3Agent) -> None:
        self.agent = agent
        self.replay = Replay(CAPACITY, IMAGE, VECTOR, ACTION)
        self.link: ReplayLink | None = None

    def run(self, until: int) -> None:
        agent, replay = self.agent, self.replay
        while agent.env_steps < until:
            step = agent.env_steps
            rng = np.random.default_rng(step)
            frame = rng.integers(0, 256, IMAGE[1:], dtype=np.uint8)
            vector = rng.normal(size=VECTOR).astype(np.float32)
            if step % EPISODE == 0:
                agent.exploration.reset()
                replay.begin(frame, vector)
            else:
                stack = np.broadcast_to(frame, IMAGE).copy()
                action = agent.select_action({"image": stack, "vector": vector}, explore=True)
                replay.add(action, float(vector[0]), frame, vector, step % 2 == 0, False)
                if step % 2 == 0:
                    replay.begin(frame, vector)
                agent.episodes += step % EPISODE == EPISODE - 1
            agent.env_steps += 1
            if step > 15:
                agent.train(replay, 8)

    def save(self, path: Path) -> None:
        rows = self.replay.rows_written
        self.link = replay_file.save(self.replay, path.with_suffix(".replay"), rows, self.link)
        payload = {**self.agent.checkpoint_payload(), "replay": self.link.to_mapping()}
        checkpoint.write(path, payload)


def resume(folder: Path) -> None:
    """Go on from each save, as the process that it came from did."""
    torch.set_num_threads(1)
    for step in SAVES:
        path = folder / f"td3_{step}.pth"
        loop = Loop(TD3Agent.from_checkpoint(path))
        link = ReplayLink.from_mapping(checkpoint.read(path)["replay"])
        replay_file.restore(loop.replay, folder, link)
        loop.replay.reopen()
        loop.run(TOTAL)
        loop.agent.save_checkpoint(folder / f"resumed_{step}.pth")


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path: Path) -> None:
    loop = Loop(TD3Agent(21, config=CONFIG))
    for step in SAVES:
        loop.run(step)
        loop.save(tmp_path / f"td3_{step}.pth")
    loop.run(TOTAL)
    expected = {**loop.agent.checkpoint_payload(), "provenance": None}
    child = multiprocessing.get_context("spawn").Process(target=resume, args=(tmp_path,))
    child.start()
    child.join(120)
    assert child.exitcode == 0
    for step in SAVES:
        found = {**checkpoint.read(tmp_path / f"resumed_{step}.pth"), "provenance": None}
        assert found["total_it"] == expected["total_it"] > 100
        assert same(expected, found), f"resumed at step {step}"
