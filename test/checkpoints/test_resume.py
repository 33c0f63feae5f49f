# SPDX-License-Identifier: Apache-2.0
"""N updates, a save, a new process and M updates are N + M updates, bit for bit."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_agent import ACTION, IMAGE, SMALL, VECTOR, fill, same

from td3_driver.agent import CheckpointError, Replay, TD3Agent, algorithm, snapshot
from td3_driver.agent.actor_critic import ActorCritic
from td3_driver.agent.config import AgentConfig
from td3_driver.checkpoints import checkpoint
from td3_driver.learner import resume
from td3_driver.learner.resume import RunSettings
from td3_driver.replay.log import ReplayLink

CONFIG = AgentConfig.from_mapping({**SMALL, "exploration": "ou", "n_step": 3, "random_shift": 2})
CAPACITY = 64
EPISODE = 9
TOTAL = 145
# Before, at and after an episode's end; odd and even, for the policy delay; around the ring's end
# at row 64 and 128, where a row is overwritten with each step.
SAVES = (26, 27, 57, 58, 115, 140)


class Loop:
    """Acts, stores and learns in lock-step; what happens depends on the step's number alone."""

    def __init__(self, agent: ActorCritic) -> None:
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
        self.link = resume.save(self.agent, path, {}, self.replay, rows, self.link)


def go_on(folder: Path, config: AgentConfig, saves: tuple[int, ...]) -> None:
    """Go on from each save, as the process that it came from did."""
    torch.set_num_threads(1)
    for step in saves:
        loop = Loop(algorithm.create(config, 21, ACTION, seed=9))
        assert resume.load(loop.agent, folder / f"td3_{step}.pth", loop.replay).link
        loop.replay.reopen()
        loop.run(TOTAL)
        loop.agent.save_checkpoint(folder / f"resumed_{step}.pth")


@pytest.mark.parametrize(("name", "saves"), [("td3", SAVES), ("sac", SAVES[-2:])])
def test_a_resumed_run_is_the_uninterrupted_one(
    name: str, saves: tuple[int, ...], tmp_path: Path
) -> None:
    config = replace(CONFIG, algorithm=name)
    loop = Loop(algorithm.create(config, 21, ACTION))
    for step in saves:
        loop.run(step)
        loop.save(tmp_path / f"td3_{step}.pth")
    loop.run(TOTAL)
    expected = {**loop.agent.checkpoint_payload(), "provenance": None}
    child = multiprocessing.get_context("spawn").Process(
        target=go_on, args=(tmp_path, config, saves)
    )
    child.start()
    child.join(240)
    assert child.exitcode == 0
    for step in saves:
        found = {**checkpoint.read(tmp_path / f"resumed_{step}.pth"), "provenance": None}
        assert found["total_it"] == expected["total_it"] > 100
        assert same(expected, found), f"resumed at step {step}"


def agent_and_replay(seed: int) -> tuple[TD3Agent, Replay]:
    return TD3Agent(21, config=SMALL, seed=seed), fill(200, seed)


def contents(agent: TD3Agent, replay: Replay) -> Any:
    arrays = {name: torch.from_numpy(a.copy()) for name, a in replay.arrays().items()}
    return {**agent.checkpoint_payload(), "provenance": None}, arrays


def saved_run(folder: Path) -> tuple[Path, TD3Agent, Replay]:
    agent, replay = agent_and_replay(0)
    path = folder / "td3_1.pth"
    link = resume.save(agent, path, {"clock": 1.5}, replay, replay.rows_written)
    assert link is not None
    assert (folder / "latest.pth").samefile(path)
    return path, agent, replay


def test_checkpoint_and_replay_together(tmp_path: Path) -> None:
    path, agent, replay = saved_run(tmp_path)
    other, buffer = TD3Agent(21, config=SMALL, seed=3), Replay(256, IMAGE, VECTOR, ACTION)
    resumed = resume.load(other, path, buffer)
    assert resumed.run == {"clock": 1.5}
    assert resumed.lost == ""
    assert resumed.link is not None
    assert same(contents(agent, replay)[0], contents(other, buffer)[0])
    assert agent.train(replay, 8) == other.train(buffer, 8)
    rows = buffer.rows_written
    again = resume.save(other, tmp_path / "td3_2.pth", {}, buffer, rows, resumed.link)
    assert again is not None
    assert again.bytes > resumed.link.bytes
    assert (tmp_path / "td3_2.replay").samefile(tmp_path / "td3_1.replay")


def test_experience_is_left_alone_if_not_asked_for(tmp_path: Path) -> None:
    path, agent, _ = saved_run(tmp_path)
    other, buffer = agent_and_replay(5)
    before = contents(other, buffer)
    resumed = resume.load(other, path)
    assert (resumed.link, resumed.lost) == (None, "")
    assert same(before[1], contents(other, buffer)[1])
    assert same(contents(agent, buffer)[0], contents(other, buffer)[0])


def test_given_settings_take_the_place_of_the_saved_ones(tmp_path: Path) -> None:
    """Also in the optimizers, whose states bring their own learning rate."""
    path, agent, _ = saved_run(tmp_path)
    other, buffer = agent_and_replay(5)
    given = replace(agent.config, learning_rate=1.25e-4, discount=0.9)
    resumed = resume.load(other, path, None, RunSettings(given))
    assert resumed.changed == (
        f"agent.learning_rate 0.000125 (saved: {agent.config.learning_rate})",
        f"agent.discount 0.9 (saved: {agent.config.discount})",
    )
    assert other.config == given
    assert other.discount == 0.9
    rates = {
        component.param_groups[0]["lr"]
        for _, component in snapshot.components(other)
        if isinstance(component, torch.optim.Optimizer)
    }
    assert rates == {1.25e-4}
    assert same(agent.actor.state_dict(), other.actor.state_dict())
    assert resume.load(other, path, None, RunSettings(agent.config)).changed == ()
    assert same(contents(agent, buffer)[0], contents(other, buffer)[0])


def test_what_is_lost_is_said(tmp_path: Path) -> None:
    path, agent, _ = saved_run(tmp_path)
    other, buffer = agent_and_replay(5)
    before = contents(other, buffer)
    (tmp_path / "td3_1.replay").unlink()
    resumed = resume.load(other, path, buffer)
    assert resumed.link is None
    assert "td3_1.replay is not there, experience is collected anew" in resumed.lost
    assert same(before[1], contents(other, buffer)[1])
    assert resume.save(agent, path, {}) is None
    assert "was saved without its replay" in resume.load(other, path, buffer).lost


@pytest.mark.parametrize("fault", ["replay", "checkpoint", "shape", "capacity"])
def test_all_or_nothing(tmp_path: Path, fault: str) -> None:
    path, _, _ = saved_run(tmp_path)
    other, buffer = agent_and_replay(5)
    if fault in ("replay", "checkpoint"):
        broken = path.with_suffix(".replay") if fault == "replay" else path
        content = bytearray(broken.read_bytes())
        content[-40] ^= 1
        broken.write_bytes(content)
    elif fault == "shape":
        other = TD3Agent(22, config=SMALL)
    else:
        buffer = Replay(64, IMAGE, VECTOR, ACTION)
    before = contents(other, buffer)
    with pytest.raises(CheckpointError) as caught:
        resume.load(other, path, buffer)
    assert "\n" not in str(caught.value)
    assert same(before, contents(other, buffer))
