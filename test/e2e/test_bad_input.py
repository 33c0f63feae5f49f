# SPDX-License-Identifier: Apache-2.0
"""A user's mistake gets one clear line and its exit code, never a traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from td3_driver.agent import TD3Agent

CLI = [sys.executable, "-m", "td3_driver.cli"]


def run(*arguments: str) -> tuple[int, list[str]]:
    """Exit code, and the lines that are no log of a node."""
    done = subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=90.0, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr.strip().splitlines()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def test_a_missing_map(folder: Path) -> None:
    code, lines = run("train", "--map", "nowhere.xodr", "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "map nowhere.xodr: no such file" in lines[0]


@pytest.mark.parametrize("content", [b"", b"<OpenDRIVE>", b"\xff\xfe\x00", b"<html></html>"])
def test_a_malformed_map(content: bytes, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "broken.xodr"
    file.write_bytes(content)
    code, lines = run("train", "--map", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "broken" in lines[0]
    assert "OpenDRIVE" in lines[0]


def test_an_unknown_preset(folder: Path) -> None:
    code, lines = run("train", "--preset", "fast", "--checkpoint-dir", str(folder))
    assert code == 2
    assert len(lines) == 1
    assert "fast" in lines[0]
    assert "default" in lines[0]


@pytest.mark.parametrize("steps", ["-5", "0", "many", "1.5"])
def test_a_step_count_that_is_none(steps: str, folder: Path) -> None:
    code, lines = run("train", f"--steps={steps}", "--checkpoint-dir", str(folder))
    assert code == 2
    assert steps in lines[-1]
    assert "--steps" in lines[-1]


def test_a_checkpoint_of_other_shapes(tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "td3_1.pth"
    TD3Agent().save_checkpoint(str(file))  # the seed's shapes, not the default preset's
    code, lines = run("train", "--resume", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    said = [line for line in lines if "td3_1.pth" in line or "conv1" in line]
    assert said, lines
    assert not list(folder.glob("*.pth"))


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all"])
def test_a_resume_file_that_is_no_checkpoint(content: bytes, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "td3_1.pth"
    file.write_bytes(content)
    code, lines = run("train", "--resume", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert any("td3_1.pth" in line for line in lines), lines


def test_a_missing_resume_file(folder: Path) -> None:
    code, lines = run("train", "--resume", "gone.pth", "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "gone.pth: no such file" in lines[0]


def test_a_checkpoint_folder_that_cannot_be_written(tmp_path: Path) -> None:
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
def test_a_bad_config_file(content: str, part: str, tmp_path: Path, folder: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(content)
    code, lines = run("train", "--config", str(file), "--checkpoint-dir", str(folder))
    assert code == 1
    assert len(lines) == 1
    assert "mine.yaml" in lines[0]
    assert part in lines[0]


def test_no_command_and_help() -> None:
    assert run()[0] == 2
    for command in ("train", "world"):
        done = subprocess.run(
            [*CLI, command, "--help"], capture_output=True, text=True, check=True
        )
        assert "default" in done.stdout
