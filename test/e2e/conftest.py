# SPDX-License-Identifier: Apache-2.0
"""Runs the real command with real processes, and keeps what it left for several tests."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .faulty_world import FaultyWorld
from .running import TRAIN


@dataclass(frozen=True)
class Finished:
    folder: Path
    code: int
    output: str


def train(folder: Path, *options: str, timeout_s: float = 240.0) -> Finished:
    """Run `td3_driver train` to its end."""
    done = subprocess.run(
        [*TRAIN, "--checkpoint-dir", str(folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    return Finished(folder, done.returncode, done.stdout)


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
