# SPDX-License-Identifier: Apache-2.0
"""`td3_driver world --view`: films of the embedded world, written and played back."""

import subprocess
import sys
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.film import pictures, write
from td3_driver.evaluation.filmstrip import Picture
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

COUNT = 40
STEP_S = 0.05


def drive() -> list[Picture]:
    config = WorldConfig(seed=3, traffic=30)
    world = Simulation(config, RoadMap(generate_opendrive(3), "loop_3"))
    return list(islice(pictures(world, seed=3), COUNT))


@pytest.fixture(scope="module")
def shown() -> list[Picture]:
    return drive()


def test_the_same_seed_gives_the_same_film(shown: list[Picture]) -> None:
    assert all(np.array_equal(a, b) for a, b in zip(shown, drive(), strict=True))
    assert len({picture.tobytes() for picture in shown}) == COUNT


def test_others_are_in_the_bird_s_eye_view(shown: list[Picture]) -> None:
    """Their colour is nowhere else."""
    blue, green, red = (shown[-1][:240, -240:, channel].astype(int) for channel in range(3))
    assert np.count_nonzero((blue > 215) & (green < 190) & (red < 110)) > 20


def test_video(shown: list[Picture], tmp_path: Path) -> None:
    file = tmp_path / "film.mp4"
    write(iter(shown), COUNT, STEP_S, file)
    video = cv2.VideoCapture(str(file))
    assert video.get(cv2.CAP_PROP_FPS) == 20.0
    played = 0
    while True:
        more, picture = video.read()
        if not more:
            break
        error = np.abs(picture.astype(int) - shown[played]).mean()
        assert error < 8.0  # of 255, by compression
        played += 1
    assert played == COUNT


@pytest.mark.parametrize("suffix", [".webp", ".gif"])
def test_animation(shown: list[Picture], tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"film{suffix}"
    write(iter(shown), COUNT, STEP_S, file)
    with Image.open(file) as animation:
        assert animation.n_frames == COUNT // 2
        assert animation.size == (shown[0].shape[1], shown[0].shape[0])
        animation.seek(10)
        picture = np.asarray(animation.convert("RGB"))[:, :, ::-1]
    assert np.abs(picture.astype(int) - shown[20]).mean() < 12.0


def test_command(tmp_path: Path) -> None:
    file = tmp_path / "new" / "film.webp"
    command = [sys.executable, "-m", "td3_driver.cli", "world", "--seconds", "1", "--view"]
    done = subprocess.run([*command, file], capture_output=True, text=True, check=True)
    assert f"{file}: 1 s" in done.stdout
    assert file.stat().st_size > 1000
    wrong = subprocess.run([*command, "film.avi"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "td3_driver world: --view film.avi: expected .mp4, .webp, .gif\n"
