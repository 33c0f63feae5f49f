# SPDX-License-Identifier: Apache-2.0
"""The preset end_to_end over real topics: its camera, its demonstrations, its blind twin."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.online.meaning import of_experience
from td3_driver.replay import file as replay_file

from .conftest import train
from .running import Node

MAPS = ("--map", "easy", "town")  # side by side
SMALL = "agent: {learning_starts: 20, batch_size: 16}\n"


@pytest.mark.parametrize("fov", [90.0, 130.0])
def test_a_camera_of_another_angle_is_named(tmp_path: Path, fov: float) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SMALL)
    world = Node("bridge_twin.world_node", "control_patience_s:=10.0", f"fov:={fov}")
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", f"config_file:={config}", "steps:=40",
        "preset:=end_to_end", "world_timeout_s:=30.0",
    )  # fmt: skip
    try:
        assert driver.wait() == 0, driver.output
        said = "90 degrees wide, but the policy's view is 130; set fov"
        assert driver.output.count(said) == (1 if fov == 90.0 else 0), driver.output
    finally:
        driver.kill()
        world.kill()


def test_it_learns_from_demonstrations_through_its_own_camera(tmp_path: Path) -> None:
    shown, config = tmp_path / "drives.replay", tmp_path / "config.yaml"
    config.write_text(SMALL)
    command = [sys.executable, "-m", "td3_driver.cli", "demonstrate", "--preset", "end_to_end"]
    done = subprocess.run(
        [*command, *MAPS, "--steps", "100", "--out", str(shown)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    options = [*MAPS, "--preset", "end_to_end", "--prefill", str(shown), "--config", str(config)]
    run = train(tmp_path / "run", *options, "--steps", "60", "--save-freq", "60")
    assert "degrees wide" not in run.output
    assert (run.folder / "best.pth").is_file()
    payload = checkpoint.read(run.folder / "td3_60.pth")
    spaces = load_configuration("end_to_end").driving.spaces
    assert payload["config"]["privileged"] == len(spaces.privileged)
    inputs = payload["critic_state_dict"]["q1.0.weight"].shape[1]
    seen = payload["actor_state_dict"]["layers.0.weight"].shape[1]
    assert inputs - seen == len(spaces.privileged) + spaces.action_dim
    assert payload["run"]["meaning"]["vector"] == list(spaces.vector)


def test_its_blind_twin_sees_black(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(SMALL)
    options = "--blind", "--save-replay", "--config", str(config)
    run = train(tmp_path / "run", *options, "--steps", "60", "--save-freq", "60")
    driving = load_configuration("default", blind=True).driving
    settings = checkpoint.read(run.folder / "td3_60.pth")["run"]["settings"]
    assert settings["driving"]["view"]["blind"]
    replay = replay_file.load(
        run.folder / "td3_60.replay", *driving.spaces.row, of_experience(driving)
    )
    images = replay.sample(30, np.random.default_rng(0)).images
    assert images is not None
    assert not np.asarray(images).any()
