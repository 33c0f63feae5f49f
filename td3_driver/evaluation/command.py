# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver evaluate`: drives a policy beside others and writes the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch
from tqdm import tqdm

from td3_driver.bags.writing import check_new
from td3_driver.checkpoints import durable_file
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation import standard
from td3_driver.evaluation.evaluate import (
    Drive,
    Entrant,
    courses,
    drive_courses,
    per_episode,
    summary,
)
from td3_driver.evaluation.policies import BASELINES
from td3_driver.evaluation.report import report
from td3_driver.online.folder import prepare_folder
from td3_driver.online.trained import load
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY
from td3_driver.world.simulation import WorldConfig

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} drives [{elapsed}<{remaining}{postfix}]"
COLUMNS = {
    "success": ("success_rate", 100.0, "{:.0f} %"),
    "completion": ("route_completion", 100.0, "{:.1f} %"),
    "driving score": ("driving_score", 100.0, "{:.1f}"),
    "lateral RMSE": ("lateral_rmse_m", 1.0, "{:.3f} m"),
    "speed": ("mean_speed_mps", 1.0, "{:.2f} m/s"),
    "|Δsteer|": ("mean_abs_steer_change", 1.0, "{:.4f}"),
    "collisions/km": ("collisions_per_km", 1.0, "{:.2f}"),
}
SURROUNDINGS = ("traffic", "pedestrians", "scenery", "appearance")


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Attributes:
        checkpoint: file to drive, or None.
        policy: a name of `BASELINES` where there is no checkpoint.
        episodes: routes to drive.
        map_file: OpenDRIVE file, or None for generated roads.
        seed: seed of roads, routes and the random policy.
        length_m: shortest and longest route, m; None: as the policy's configuration says.
        out: folder for metrics.json and report.html.
        record: new folder for a bag of each drive, or None.
        difficulty: difficulty of generated roads.
        world: camera, traffic, appearance.
    """

    checkpoint: Path | None
    policy: str
    episodes: int
    map_file: Path | None
    seed: int
    length_m: tuple[float, float] | None
    out: Path
    record: Path | None = None
    difficulty: str = DEFAULT_DIFFICULTY
    world: WorldConfig = field(default_factory=WorldConfig)


def execute(options: Options) -> str:
    """Drive, write the files, and return a summary of a few lines.

    Raises:
        ValueError, OSError, CheckpointError: a file cannot be used; one line says why.
    """
    # One thread each: pictures and networks are small, and sums keep their order.
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    prepare_folder(options.out, "--out")
    if options.record is not None:
        check_new(options.record)
    name, entrants, checkpoint = _entrants(options)
    usual_m = entrants[name].driving.episode.route_length_m
    length_m = options.length_m or (usual_m, usual_m)
    road_map = None if options.map_file is None else RoadMap.from_file(options.map_file)
    notes = () if road_map is None else road_map.notes
    for note in notes:
        print(note, file=sys.stderr)
    drives = _drive(entrants, options, road_map, length_m)
    metrics = {
        "policy": name,
        "checkpoint": checkpoint,
        "map": road_map.name if road_map else "generated",
        "notes": list(notes),
        "difficulty": None if road_map else options.difficulty,
        "surroundings": {name: getattr(options.world, name) for name in SURROUNDINGS},
        "seed": options.seed,
        "route_length_m": list(length_m),
        "standard": standard.to_mapping(),
        **summary(drives[name]),
        "comparison": {other: summary(drives[other]) for other in entrants if other != name},
        "per_episode": per_episode(drives[name]),
    }
    text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
    _write(options.out / "metrics.json", text)
    _write(options.out / "report.html", report(metrics, drives[name]))
    return _table(metrics) + f"\n  {options.out / 'metrics.json'}, {options.out / 'report.html'}"


def _entrants(options: Options) -> tuple[str, dict[str, Entrant], dict[str, Any] | None]:
    """The name of the evaluated policy, all entrants by name, and the checkpoint's description."""
    baselines = {
        name: Entrant(make(standard.DRIVING, options.seed), standard.DRIVING)
        for name, make in BASELINES.items()
    }
    if options.checkpoint is None:
        return options.policy, {options.policy: baselines[options.policy]}, None
    trained = load(options.checkpoint)
    if trained.note:
        print(trained.note, file=sys.stderr)
    name = options.checkpoint.name
    about = {"file": name, "env_steps": trained.env_steps}
    own = {name: Entrant(trained.policy, trained.driving)}
    return name, own | {other: baselines[other] for other in baselines if other != name}, about


def _drive(
    entrants: Mapping[str, Entrant],
    options: Options,
    road_map: RoadMap | None,
    length_m: tuple[float, float],
) -> dict[str, list[Drive]]:
    terminal = sys.stderr.isatty()
    total = options.episodes * len(entrants)
    with tqdm(total=total, bar_format=BAR, dynamic_ncols=True, disable=not terminal) as bar:

        def show(name: str, drive: Drive) -> None:
            bar.update()
            line = f"{drive.course.road_map.name}: {name} {_outcome(drive)}"
            if terminal:
                bar.set_postfix_str(line)
            else:
                print(line, file=sys.stderr)

        given = courses(
            road_map,
            options.episodes,
            purpose=Purpose.EVALUATION,
            seed=options.seed,
            length_m=length_m,
            difficulty=options.difficulty,
            world=options.world,
        )
        return drive_courses(entrants, given, show, options.record)


def _outcome(drive: Drive) -> str:
    metrics = drive.metrics
    percent = 100.0 * metrics.completion
    return f"{percent:.0f} % of {metrics.route_length_m:.0f} m, {metrics.reason}"


def _write(path: Path, text: str) -> None:
    durable_file.replace(path, lambda file: file.write(text.encode()))


def _table(metrics: Mapping[str, Any]) -> str:
    rows = [("", *COLUMNS), _row(metrics["policy"], metrics)]
    rows += [_row(name, values) for name, values in metrics["comparison"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + _aligned(row, widths) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])


def _row(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    cells = (
        "–" if values[key] is None else form.format(scale * values[key])
        for key, scale, form in COLUMNS.values()
    )
    return (name, *cells)
