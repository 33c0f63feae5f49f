# SPDX-License-Identifier: Apache-2.0
"""A user's mistake gets one clear line and its exit code, never a traceback."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from td3_driver import cli
from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.driving.roles import DrivingConfig
from td3_driver.online.meaning import of_experience
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay

from .running import PATIENCE_S

ROW = DrivingConfig().spaces.row
CLI = [sys.executable, "-m", "td3_driver.cli"]


Run = Callable[..., tuple[int, list[str]]]


def in_processes(*arguments: str) -> tuple[int, list[str]]:
    """The command as a process, and those that it starts: exit code, and all lines."""
    done = subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=2.0 * PATIENCE_S, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr.strip().splitlines()


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The command in this process, where it ends before it starts any: exit code, and lines."""

    def started(*_: object) -> int:
        raise AssertionError("it starts processes")

    def command(*arguments: str) -> tuple[int, list[str]]:
        monkeypatch.setattr("sys.argv", ["td3_driver", *arguments])
        monkeypatch.setattr("td3_driver.ros.train.train.train", started)
        with pytest.raises(SystemExit) as end:
            cli.main()
        said = capsys.readouterr().err
        assert "Traceback" not in said, said
        assert isinstance(end.value.code, int)
        return end.value.code, said.strip().splitlines()

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_a_missing_map(run: Run, folder: Path) -> None:
    code, lines = run("train", "--map", "nowhere.xodr", "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "map nowhere.xodr: no such file" in lines[0]


def test_routes_that_cannot_be_driven(run: Run, folder: Path) -> None:
    data = Path(__file__).parents[1] / "data"
    routes, on = str(data / "routes" / "leaderboard_1.xml"), str(data / "maps" / "plain.xodr")
    out = ("--checkpoint-dir", str(folder))
    code, lines = run("train", "--routes", routes, *out)
    assert (code, len(lines)) == (2, 1)
    assert lines[0].endswith("--routes: needs --map, the OpenDRIVE file of their town")
    for given, reason in (
        ("gone.xml", "routes gone.xml: no such file"),
        (routes, "none of its 5 routes can be driven on map plain; route 0: it is in two_lanes"),
    ):
        code, lines = run("train", "--map", on, "--routes", given, *out)
        assert (code, len(lines)) == (1, 1)
        assert reason in lines[0]
        assert not folder.exists()


@pytest.mark.parametrize("content", [b"", b"<OpenDRIVE>", b"\xff\xfe\x00", b"<html></html>"])
def test_a_malformed_map(run: Run, content: bytes, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "broken.xodr"
    file.write_bytes(content)
    code, lines = run("train", "--map", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "broken" in lines[0]
    assert "OpenDRIVE" in lines[0]


def test_an_unknown_preset(run: Run, folder: Path) -> None:
    code, lines = run("train", "--preset", "fastest", "--checkpoint-dir", str(folder))
    assert code == 2
    assert len(lines) == 1
    assert "fastest" in lines[0]
    assert "default" in lines[0]


@pytest.mark.parametrize("steps", ["-5", "0", "many", "1.5"])
def test_a_step_count_that_is_none(run: Run, steps: str, folder: Path) -> None:
    code, lines = run("train", f"--steps={steps}", "--checkpoint-dir", str(folder))
    assert code == 2
    assert steps in lines[-1]
    assert "--steps" in lines[-1]


def test_a_checkpoint_of_other_shapes(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "td3_1.pth"
    TD3Agent().save_checkpoint(str(file))  # the seed's shapes, not the default preset's
    code, lines = in_processes("train", "--resume", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    said = [line for line in lines if "td3_1.pth" in line or "conv1" in line]
    assert said, lines
    assert not list(folder.glob("*.pth"))


def test_demonstrations_that_mean_something_else(tmp_path: Path, folder: Path) -> None:
    """Of the default preset, for end_to_end, which is told less."""
    file = tmp_path / "drives.replay"
    shown = Replay(16, *ROW, meaning=of_experience(DrivingConfig()))
    frame, vector = np.zeros(ROW[0][1:], np.uint8), np.zeros(ROW[1], np.float32)
    shown.begin(frame, vector)
    shown.add(np.zeros(ROW[2], np.float32), 1.0, frame, vector, False, True)
    replay_file.save(shown, file, shown.rows_written, None)
    options = "--preset", "end_to_end", "--prefill", str(file), "--checkpoint-dir", str(folder)
    code, lines = in_processes("train", *options)
    assert code == 1
    (said,) = [line for line in lines if str(file) in line]
    assert "was saved from a buffer whose columns.vectors[1] is 23 (this run: 31)" in said
    assert said.endswith(f"td3_driver prefill BAG... --out {file} --preset end_to_end")
    assert not list(folder.glob("*.pth"))


def test_a_checkpoint_whose_policy_sees_something_else(tmp_path: Path, folder: Path) -> None:
    """Lateral offset would be read as the next turn."""
    configuration, file = load_configuration("default"), tmp_path / "td3_1.pth"
    agent = TD3Agent(configuration.agent.cnn_features + ROW[1], config=configuration.agent)
    agent.save_checkpoint(file, {"settings": {"preset": "default", **configuration.to_mapping()}})
    other = tmp_path / "other.yaml"
    other.write_text("agent: {vector_scale: []}\ndriving: {end_to_end: true}")
    options = "--config", str(other), "--resume", str(file), "--checkpoint-dir", str(folder)
    code, lines = in_processes("train", *options)
    assert code == 1
    (said,) = [line for line in lines if str(file) in line]
    assert "driving.end_to_end is False (this run: True)" in said
    assert said.endswith("it was saved with preset default: give the same")


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_resume_file_that_is_no_checkpoint(content: bytes, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "td3_1.pth"
    file.write_bytes(content)
    code, lines = in_processes("train", "--resume", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert any("td3_1.pth" in line for line in lines), lines


def test_a_missing_resume_file(run: Run, folder: Path) -> None:
    code, lines = run("train", "--resume", "gone.pth", "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "gone.pth: no such file" in lines[0]


def test_a_checkpoint_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    code, lines = run("train", "--checkpoint-dir", str(tmp_path / "file" / "checkpoints"))
    assert code == 1
    assert len(lines) == 1
    assert "checkpoint folder" in lines[0]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("agent: {learning_rat: 1}", "learning_rat"),
        ("agent: {discount: 2.0}", "discount"),
        ("driving: {episode: {max_steps: -1}}", "driving.episode.max_steps"),
        ("driving: {episode: {max_steps: x}}", "driving.episode.max_steps"),
        ("[1, 2]", "expected a mapping"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_bad_config_file(
    run: Run, content: str, part: str, tmp_path: Path, folder: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    code, lines = run("train", "--config", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "mine.yaml" in lines[0]
    assert part in lines[0]


def test_no_command_and_help(run: Run) -> None:
    assert run()[0] == 2
    for command in ("train", "world"):
        done = subprocess.run(
            [*CLI, command, "--help"], capture_output=True, text=True, check=True
        )
        assert "default" in done.stdout
