# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver replay`: plays a bag back to a policy and writes the report."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

from td3_driver.online.folder import prepare_folder
from td3_driver.online.trained import load
from td3_driver.playback.metrics import metrics, read_baseline, regressions
from td3_driver.playback.open_loop import play_back
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions
from td3_driver.playback.report import report
from td3_driver.reports.results import write_text

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
    """The options of the command line.

    Attributes:
        bag: rosbag2 folder or file.
        checkpoint: file of the policy.
        out: folder for metrics.json and report.html.
        reading: how to read the bag.
        baseline: an earlier metrics.json to compare with, or None.
        max_regression: by which share an error may exceed that of `baseline`.
    """

    bag: Path
    checkpoint: Path
    out: Path
    reading: ReadOptions
    baseline: Path | None
    max_regression: float


def execute(options: Options) -> int:
    """Play the bag back, write the files, print a summary; returns the exit code.

    Raises:
        ValueError, OSError, CheckpointError: a file cannot be used; one line says why.
    """
    torch.set_num_threads(1)  # as in driving; sums keep their order
    cv2.setNumThreads(1)
    # First: it may be the file that is about to be replaced.
    before = None if options.baseline is None else read_baseline(options.baseline)
    trained = load(options.checkpoint)
    prepare_folder(options.out, "--out")
    with Progress() as progress:
        playback = play_back(
            options.bag, trained.policy, trained.driving, options.reading, progress
        )
    found = metrics(playback)
    for line in [trained.note, *found["notes"]]:
        if line:
            print(line, file=sys.stderr)
    head = {"policy": options.checkpoint.name, "bag": options.bag.name}
    text = json.dumps({**head, **found}, indent=2, allow_nan=False) + "\n"
    title = f"{options.checkpoint.name} on the drive {options.bag.name}"
    write_text(options.out / "metrics.json", text)
    write_text(options.out / "report.html", report(title, found, playback))
    print(_table(found, options.out))
    if before is None:
        return 0
    worse = regressions(found, before, options.max_regression)
    for line in worse:
        print(f"td3_driver replay: worse: {line}", file=sys.stderr)
    return 1 if worse else 0


def _table(found: dict[str, Any], out: Path) -> str:
    lines = []
    for name, key in _TABLE:
        value = found[key]
        text = "not known" if value is None else f"{value:.4g}" if key != "frames" else f"{value}"
        lines.append(f"  {name:<20} {text}")
    return "\n".join([*lines, f"  {out / 'metrics.json'}, {out / 'report.html'}"])
