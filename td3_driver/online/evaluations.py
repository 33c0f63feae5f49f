# SPDX-License-Identifier: Apache-2.0
"""`evaluations.jsonl` beside the checkpoints: one line for each evaluated checkpoint."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from td3_driver.checkpoints.checkpoint import NUMBERED
from td3_driver.checkpoints.durable_file import sync_folder

FILE = "evaluations.jsonl"
LAST_EVALUATION_S = 180.0  # how long a run that is over waits for the last one
LOWEST_PRIORITY = 19  # of processes that evaluate beside a run, as of nice(1)
_NEEDED = {"run", "score", "driving_score", "written_ns"}


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """The checkpoints td3_<step>.pth in a folder with their times, ns, in the order of writing."""
    found = []
    for path in folder.glob("td3_*.pth"):
        if NUMBERED.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                found.append((path.stat().st_mtime_ns, path))
    return sorted(found)


def append(folder: Path, row: Mapping[str, Any]) -> None:
    """Append a line to the file and flush it to disk.

    Raises:
        OSError: it cannot be written.
    """
    with (folder / FILE).open("a+b") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(end - 1, 0))
        # A killed process may have left half a line, which must not spoil this one.
        broken = end > 0 and file.read(1) != b"\n"
        file.write(b"\n" * broken + json.dumps(row).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    sync_folder(folder)


def newest_run(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of the run that wrote last, in their order; none if unreadable."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = [row for row in map(_parsed, lines) if row is not None]
    return [row for row in rows if row["run"] == rows[-1]["run"]]


def worth(row: Mapping[str, Any]) -> float:
    """Return mean score times mean driving score, by which the best checkpoint is chosen.

    The mean score alone lets a smooth policy that fails one route in five win over one that
    completes them all.
    """
    return float(row["score"]) * float(row["driving_score"])


def best(rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the line of the checkpoint that `best.pth` is a copy of."""
    return max(rows, key=worth, default=None)


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and row.keys() >= _NEEDED else None
