# SPDX-License-Identifier: Apache-2.0
"""A run over topics that sees small frames in colour, as its configuration says."""

from pathlib import Path

import numpy as np
import pytest

from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.online.meaning import of_experience
from td3_driver.replay import file as replay_file

from .conftest import Finished, train

VIEW = """\
agent: {learning_starts: 40, batch_size: 8, replay_capacity: 1000}
driving: {episode: {max_steps: 60}, view: {size_px: 48, colour: rgb}}
"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("config") / "colour.yaml"
    file.write_text(VIEW)
    return file


@pytest.fixture(scope="module")
def coloured(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    options = "--steps", "120", "--save-freq", "120", "--seed", "3", "--save-replay"
    return train(tmp_path_factory.mktemp("run") / "run", *options, "--config", str(config))


def test_it_learns_and_is_evaluated(coloured: Finished, config: Path) -> None:
    assert coloured.code == 0, coloured.output
    assert "Traceback" not in coloured.output
    assert (coloured.folder / "best.pth").is_file()  # the evaluator drove it
    payload = checkpoint.read(coloured.folder / "td3_120.pth")
    assert payload["total_it"] > 60
    assert payload["actor_cnn_state_dict"]["conv1.weight"].shape[1] == 12
    driving = load_configuration("default", config).driving
    file = coloured.folder / "td3_120.replay"
    replay = replay_file.load(file, *driving.spaces.row, of_experience(driving))
    frames = replay.arrays()["frames"][: replay.rows_written]
    assert frames.shape[1:] == (3, 48, 48)
    assert not np.array_equal(frames[:, 0], frames[:, 2])


def test_going_on_with_other_frames_is_refused_in_a_line(coloured: Finished) -> None:
    file = coloured.folder / "td3_120.pth"
    done = train(coloured.folder, "--resume", str(file), "--steps", "160", evaluated=False)
    assert done.code == 1
    assert "Traceback" not in done.output
    (said,) = [line for line in done.output.splitlines() if f"{file}: does not fit" in line]
    assert "driving.view.size_px is 48 (this run: 84)" in said
    assert "driving.view.colour is rgb (this run: grey)" in said
    assert "give the same" in said
