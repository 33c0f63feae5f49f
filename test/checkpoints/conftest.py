# SPDX-License-Identifier: Apache-2.0
"""Small agents and buffers for the checkpoint tests, shared with test/agent."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "agent"))

from small_agent import SMALL, fill

from td3_driver.agent import TD3Agent

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def trained() -> TD3Agent:
    """An agent with moments in every optimizer; tests must not change it."""
    agent = TD3Agent(21, config=SMALL)
    replay = fill()
    for _ in range(4):
        agent.train(replay, 8)
    agent.env_steps, agent.episodes = 40, 3
    return agent


@pytest.fixture
def saved(trained: TD3Agent, tmp_path: Path) -> Path:
    """A checkpoint file of `trained`, alone in a folder."""
    path = tmp_path / "td3_40.pth"
    trained.save_checkpoint(path)
    return path
