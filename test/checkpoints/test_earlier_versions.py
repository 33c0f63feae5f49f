# SPDX-License-Identifier: Apache-2.0
"""A run that an earlier version of this package has saved goes on where it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_agent import same

from td3_driver.agent import TD3Agent
from td3_driver.agent.config import AgentConfig
from td3_driver.checkpoints import checkpoint
from td3_driver.driving.driver import Driver
from td3_driver.driving.roles import DrivingConfig
from td3_driver.interchange.inspection import verify
from td3_driver.learner import resume
from td3_driver.online import trained
from td3_driver.replay.buffer import Replay

ROW = DrivingConfig().spaces.row
SAVED = Path(__file__).parents[1] / "data" / "earlier_run"
EXPECTED = json.loads((SAVED / "expected.json").read_text())
# Processors and versions of torch add up in other orders; a bit for bit comparison is within one.
NEAR: dict[str, Any] = {"rel": 1e-3, "abs": 1e-4}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy, as it could be written to."""
    return Path(shutil.copytree(SAVED, tmp_path / "run")) / "td3_32.pth"


def observation() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, ROW[0], dtype=np.uint8)
    return {"image": image, "vector": rng.normal(size=ROW[1]).astype(np.float32)}


def resumed(file: Path) -> tuple[TD3Agent, Replay]:
    agent, replay = TD3Agent.from_checkpoint(file), Replay(2000, *ROW)
    assert resume.load(agent, file, replay).link is not None
    replay.reopen()
    return agent, replay


def test_it_is_whole(file: Path) -> None:
    assert "replay" in verify(file)


def test_saving_it_again_changes_no_bit(file: Path, tmp_path: Path) -> None:
    agent = TD3Agent.from_checkpoint(file)
    saved = checkpoint.read(file)
    agent.save_checkpoint(tmp_path / "again.pth", run=saved["run"])
    again = checkpoint.read(tmp_path / "again.pth")
    own = {"provenance", "replay"}  # who wrote it when, and what lies beside it
    # A setting that the earlier version did not have is off.
    saved["config"] = AgentConfig().to_mapping() | saved["config"]
    assert saved.keys() - again.keys() <= own
    assert all(same(saved[key], again[key]) for key in saved.keys() - own)


def test_it_drives_as_it_did(file: Path) -> None:
    policy = trained.load(file).policy
    assert policy.agent.select_action(observation()).tolist() == pytest.approx(
        EXPECTED["action"], **NEAR
    )


def test_it_learns_on_as_it_would_have(file: Path) -> None:
    agent, replay = resumed(file)
    for _ in range(20):
        agent.train(replay)
    expected = EXPECTED["updated"]
    assert agent.total_it == expected["total_it"]
    assert agent.select_action(observation()).tolist() == pytest.approx(expected["action"], **NEAR)
    payload = agent.checkpoint_payload()
    found = {
        f"{which}.{name}": [float(tensor.double().sum()), float(tensor.double().norm())]
        for network in ("actor", "critic", "actor_cnn", "critic_cnn")
        for which in (network, f"{network}_target")
        for name, tensor in payload[f"{which}_state_dict"].items()
    }
    assert found.keys() == expected["sum_and_norm"].keys()
    for name, both in expected["sum_and_norm"].items():
        assert found[name] == pytest.approx(both, **NEAR), name


def test_it_goes_on_bit_for_bit(file: Path) -> None:
    """Twenty updates, or ten, a save, and ten."""
    agent, replay = resumed(file)
    for _ in range(20):
        agent.train(replay)
    first, replay = resumed(file)
    for _ in range(10):
        first.train(replay)
    resume.save(first, file.with_name("td3_33.pth"), {}, replay, replay.rows_written)
    second, replay = resumed(file.with_name("td3_33.pth"))
    for _ in range(10):
        second.train(replay)
    one, other = agent.checkpoint_payload(), second.checkpoint_payload()
    assert {key for key in one if not same(one[key], other[key])} <= {"provenance"}


def test_the_driver_stands_where_it_stood(file: Path) -> None:
    saved = checkpoint.read(file)["run"]["driver"]
    config = trained.load(file).driving
    assert isinstance(config, DrivingConfig)
    driver = Driver(config, trained.load(file).policy, None, seed=1)
    driver.restore(saved, redrive=True, recorded=False)
    assert driver.state() == saved
