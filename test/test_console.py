# SPDX-License-Identifier: Apache-2.0
"""Commands whose reader leaves, as `head` does: they end at once and say nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from td3_driver.console import READER_LEFT

from .evaluation.steady_driver import steady_driver

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("console")
    for number in (7, 8):
        steady_driver(folder / f"td3_{number}.pth", (0.0, 0.1 * number))
    return folder


def ended(
    folder: Path, arguments: list[str], *closed: str, unbuffered: str = ""
) -> subprocess.CompletedProcess[bytes]:
    """The command with pipes whose other end is closed before it begins."""
    reader, writer = os.pipe()
    os.close(reader)
    streams: dict[str, int] = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    streams |= dict.fromkeys(closed, writer)
    try:
        return subprocess.run(
            [sys.executable, "-m", "td3_driver.cli", *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
            timeout=240,
            check=False,
            **streams,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["evaluate", "--help"],
        ["checkpoint", "inspect", "td3_7.pth"],
        ["checkpoint", "verify", "td3_7.pth", "td3_8.pth"],
        ["checkpoint", "diff", "td3_7.pth", "td3_8.pth"],
        ["evaluate", "--policy", "stopped", "--episodes", "1", "--route-length", "30"],
        ["doctor", "--seconds", "1"],
        ["world", "--view", "film.gif", "--seconds", "1"],
    ],
    ids=" ".join,
)
def test_a_closed_pipe_ends_a_command_quietly(folder: Path, arguments: list[str]) -> None:
    done = ended(folder, arguments, "stdout")
    said = done.stderr.decode()
    progress = [line for line in said.splitlines() if not line.startswith("easy_")]
    assert progress == []
    assert done.returncode == READER_LEFT == 141


@pytest.mark.parametrize(
    "arguments",
    [
        ["evaluate"],
        ["checkpoint", "inspect", "gone.pth"],
        ["checkpoint", "verify", "gone.pth"],
        ["evaluate", "--policy", "stopped", "--episodes", "1", "--route-length", "30"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_so_does_one_for_errors(folder: Path, arguments: list[str], unbuffered: str) -> None:
    done = ended(folder, arguments, "stderr", unbuffered=unbuffered)
    assert done.stdout == b""
    assert done.returncode == READER_LEFT


def test_who_reads_on_gets_all_of_it(folder: Path) -> None:
    done = ended(folder, ["checkpoint", "inspect", "td3_7.pth"])
    assert done.returncode == 0
    assert b"actor_cnn" in done.stdout
    assert done.stderr == b""
