# SPDX-License-Identifier: Apache-2.0
"""The learner, served in this process: what it answers, and in which order."""

from __future__ import annotations

import io
import multiprocessing
import pickle
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.policy import ActorPolicy
from td3_driver.learner.messages import Event, Load, Loaded, Save, Saved, Stop, Train, Trained
from td3_driver.learner.process import NONFINITE_LIMIT, Learner, LearnerSpec
from td3_driver.learner.reach import Reach
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.weights import SharedWeights
from td3_driver.replay.buffer import Replay

CONFIG = AgentConfig(
    conv_layers=((4, 8, 4), (4, 4, 2)), cnn_features=8, hidden_sizes=(16, 16), image_size=36,
    batch_size=8,
)  # fmt: skip
IMAGE, VECTOR, ACTION = (4, 36, 36), 5, 2


class Served:
    """A learner, what it is asked, and what it has answered."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(0)
        self.replay = Replay(64, IMAGE, VECTOR, ACTION)
        self.replay.begin(np.zeros(IMAGE[1:], np.uint8), np.zeros(VECTOR, np.float32))
        for _ in range(40):
            frame = rng.integers(0, 256, IMAGE[1:], dtype=np.uint8)
            vector = rng.normal(size=VECTOR).astype(np.float32)
            self.replay.add(rng.uniform(-1, 1, ACTION), 1.0, frame, vector, False, False)
        policy = ActorPolicy(CONFIG.cnn_features + VECTOR, ACTION, 1.0, True, CONFIG)
        spec = LearnerSpec(
            settings=RunSettings(CONFIG, {}, {}), state_dim=CONFIG.cnn_features + VECTOR,
            action_dim=ACTION, device="cpu", seed=0, threads=1, log_dir=None, keep_last=0,
            keep_every=0, replay=self.replay, weights=SharedWeights(policy.parameter_count),
            reach=Reach(folder), run="",
        )  # fmt: skip
        self._ours: Connection
        self._ours, theirs = multiprocessing.Pipe()
        self._learner = Learner(spec, theirs.send)
        assert isinstance(self._ours.recv(), Loaded)  # its greeting

    def ask(self, *requests: Any) -> list[Event]:
        """The answers to requests that are made all at once."""
        stream = io.BytesIO()
        for request in (*requests, Stop()):
            pickle.dump(request, stream)
        stream.seek(0)
        self._learner.serve(stream)
        return [self._ours.recv() for _ in requests]

    def close(self) -> None:
        self._learner.close()


@pytest.fixture
def learner(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.close()


def test_a_load_waits_for_the_saves_that_were_asked_for_before_it(
    learner: Served, tmp_path: Path
) -> None:
    """Files are written beside the training; the one to be loaded may be still to come."""
    files = [tmp_path / f"td3_{step}.pth" for step in (10, 20, 30)]
    saves = [Save(file, int(file.stem[4:]), 1, {}) for file in files]
    *saved, loaded = learner.ask(*saves, Load(files[-1], replay=False))
    assert [type(event) for event in saved] == [Saved] * 3
    assert isinstance(loaded, Loaded), loaded
    assert (loaded.path, loaded.env_steps) == (files[-1], 30)


def test_what_is_finite_again_is_learned_from_again(learner: Served) -> None:
    """Learning ends after so many updates in a row that are not finite, not after so many."""
    rewards = learner.replay.arrays()["rewards"]
    for poison in (np.nan, 1.0, np.nan):
        rewards[:] = poison
        (told,) = learner.ask(Train(NONFINITE_LIMIT - 1, None))
        assert isinstance(told, Trained)
        assert not told.halted
    assert told.discarded == 2 * (NONFINITE_LIMIT - 1)
    (told,) = learner.ask(Train(1, None))
    assert isinstance(told, Trained)
    assert told.halted
    rewards[:] = 1.0
    before = told.total_it
    (told,) = learner.ask(Train(5, None))
    assert isinstance(told, Trained)
    assert (told.total_it, told.halted) == (before, True)
