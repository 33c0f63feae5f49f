# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.evaluation.closed_loop import Frame
from td3_driver.online.trained import Trained, load
from td3_driver.replay.buffer import Replay

from .making import drive_into


@dataclass(frozen=True)
class Drive:
    """A checkpoint, its drive as a bag, what was driven, and what was stored of it."""

    checkpoint: Path
    trained: Trained
    bag: Path
    frames: list[Frame]
    replay: Replay

    @property
    def actions(self) -> np.ndarray:
        """Stored ones, one for each transition, episode after episode."""
        rows = self.replay.arrays()["flags"][: self.replay.rows_written] != 0
        return self.replay.arrays()["actions"][: self.replay.rows_written][rows]


@pytest.fixture(scope="session")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Drive:
    """A policy that has learned nothing: it turns, leaves the road, and is put back to it."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("drive")
    settings = load_configuration("default")
    state_dim = settings.agent.cnn_features + settings.driving.spaces.vector_dim
    agent = TD3Agent(state_dim, config=settings.agent, seed=1)
    checkpoint = folder / "td3_0.pth"
    agent.save_checkpoint(checkpoint, {"settings": settings.to_mapping()})
    trained = load(checkpoint)
    replay = Replay(2000, *settings.driving.spaces.row)
    frames = drive_into(
        folder / "bag", 300, trained.policy, config=trained.driving, recorder=replay
    )
    return Drive(checkpoint, trained, folder / "bag", frames, replay)
