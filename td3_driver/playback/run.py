# SPDX-License-Identifier: Apache-2.0
"""`td3_driver replay`: reads a bag, asks a policy, writes the files."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from td3_driver.checkpoints import durable_file
from td3_driver.online.folder import prepare_folder
from td3_driver.online.trained import load
from td3_driver.playback.metrics import metrics, regressions
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import Reading
from td3_driver.playback.replay import replay
from td3_driver.playback.report import report

_TABLE = (
    ("frames", "frames"),
    ("steer MAE", "steer_mae"),
    ("throttle/brake MAE", "throttle_brake_mae"),
    ("steer correlation", "steer_correlation"),
    ("Q mean", "q_mean"),
    ("|Q1 - Q2| mean", "q_disagreement_mean"),
    ("latency p50, ms", "latency_ms_p50"),
    ("latency p99, ms", "latency_ms_p99"),
)


@dataclass(frozen=True)
class Options:
    """What the command line said.

    Attributes:
        bag: rosbag2 folder or file.
        checkpoint: whose policy is asked.
        out: folder of metrics.json and report.html.
        reading: how to read the bag.
        baseline: an earlier metrics.json to compare with, or None.
        max_regression: how much worse, as a share, is still good enough.
    """

    bag: Path
    checkpoint: Path
    out: Path
    reading: Reading
    baseline: Path | None
    max_regression: float


def run(options: Options) -> int:
    """Replay, write the files, say in a few lines what came of it; the exit code.

    Raises:
        ValueError, OSError, CheckpointError: a file cannot be used; one line says why.
    """
    torch.set_num_threads(1)  # as in driving; sums keep their order
    cv2.setNumThreads(1)
    trained = load(options.checkpoint)
    prepare_folder(options.out, "--out")
    with Progress() as progress:
        replayed = replay(
            options.bag, trained.policy, trained.driving, options.reading, progress
        )
    found = metrics(replayed)
    for line in [trained.note, *found["notes"]]:
        if line:
            print(line, file=sys.stderr)
    head = {"policy": options.checkpoint.name, "bag": options.bag.name}
    text = json.dumps({**head, **found}, indent=2, allow_nan=False) + "\n"
    title = f"{options.checkpoint.name} on the drive {options.bag.name}"
    _write(options.out / "metrics.json", text)
    _write(options.out / "report.html", report(title, found, replayed))
    print(_table(found, options.out))
    if options.baseline is None:
        return 0
    worse = regressions(found, options.baseline, options.max_regression)
    for line in worse:
        print(f"td3_driver replay: worse: {line}", file=sys.stderr)
    return 1 if worse else 0


def _write(path: Path, text: str) -> None:
    durable_file.replace(path, lambda file: file.write(text.encode()))


def _table(found: dict[str, Any], out: Path) -> str:
    lines = []
    for name, key in _TABLE:
        value = found[key]
        text = "not known" if value is None else f"{value:.4g}" if key != "frames" else f"{value}"
        lines.append(f"  {name:<20} {text}")
    return "\n".join([*lines, f"  {out / 'metrics.json'}, {out / 'report.html'}"])
