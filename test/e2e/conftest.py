# SPDX-License-Identifier: Apache-2.0
"""Runs the real command with real processes, and keeps what it left for several tests."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .faulty_world import FaultyWorld
from .running import RunningTrain


@dataclass(frozen=True)
class Finished:
    folder: Path
    code: int
    output: str


def train(folder: Path, *options: str, evaluated: bool = True) -> Finished:
    """Run `td3_driver train` to its end.

    Args:
        folder: of the run.
        options: of the command.
        evaluated: its checkpoints are driven, too. Else that process is killed when it starts: it
            only looks on, for longer than such a short run takes.
    """
    running = RunningTrain(folder, *options)
    try:
        while not evaluated and running.process.poll() is None:
            if "evaluator" in (found := running.descendants()):
                os.kill(found["evaluator"], signal.SIGKILL)
                break
            time.sleep(0.2)
        code = running.wait()
    finally:
        running.kill_everything()
    return Finished(folder, code, running.output)


QUICK = ("--config", str(Path(__file__).resolve().parents[1] / "data" / "quick_run.yaml"))
FINISHED = ("--steps", "440", "--save-freq", "220", "--seed", "3", *QUICK)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """A run that has learned, with two checkpoints."""
    return train(tmp_path_factory.mktemp("finished") / "run", *FINISHED)


@pytest.fixture(scope="module")
def world() -> Iterator[FaultyWorld]:
    """One for all tests of a module."""
    world = FaultyWorld()
    yield world
    world.close()
