# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver evaluate`: drives a policy beside others and writes the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import torch
from tqdm import tqdm

from td3_driver.bags.writing import check_new
from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.judging.rules import RULES, STRICT, Rules
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route_files import plan_routes, read_route_file
from td3_driver.evaluation.drive_films import films
from td3_driver.evaluation.evaluate import (
    Course,
    Entrant,
    FilmedDrive,
    courses,
    courses_of,
    drive_courses,
)
from td3_driver.evaluation.policies import BASELINES
from td3_driver.measures import standard
from td3_driver.measures.drives import Drive
from td3_driver.online.folder import prepare_folder
from td3_driver.online.trained import load
from td3_driver.reports.results import METRICS, REPORT, Evaluation, write_files
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY
from td3_driver.world.simulation import WorldConfig

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} drives [{elapsed}<{remaining}{postfix}]"
EPISODES = 10
COLUMNS = {
    "success": ("success_rate", 100.0, "{:.0f} %"),
    "completion": ("route_completion", 100.0, "{:.1f} %"),
    "penalty": ("infraction_penalty", 1.0, "{:.2f}"),
    "driving score": ("driving_score", 100.0, "{:.1f}"),
    "lateral RMSE": ("lateral_rmse_m", 1.0, "{:.3f} m"),
    "speed": ("mean_speed_mps", 1.0, "{:.2f} m/s"),
    "|Δsteer|": ("mean_abs_steer_change", 1.0, "{:.4f}"),
    "collisions/km": ("collisions_per_km", 1.0, "{:.2f}"),
    "red lights/km": (Kind.RED_LIGHT.value, 1.0, "{:.2f}"),
}
SURROUNDINGS = ("traffic", "pedestrians", "scenery", "lights", "appearance")


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Attributes:
        checkpoint: file to drive, or None.
        policy: a name of `BASELINES` where there is no checkpoint.
        episodes: routes to drive; None: all of the file, else `EPISODES`.
        map_file: OpenDRIVE file, or None for generated roads.
        seed: seed of roads, routes and the random policy.
        length_m: shortest and longest route, m; None: as the policy's configuration says.
        out: folder for metrics.json and report.html.
        record: new folder for a bag of each drive, or None.
        difficulty: difficulty of generated roads.
        world: camera, traffic, appearance.
        routes: route file of the leaderboard to drive on the map; None for random routes.
        weather: drive a file's routes in their weather, not in the world's appearance.
        rules: a name of `judging.rules.RULES`.
    """

    checkpoint: Path | None
    policy: str
    episodes: int | None
    map_file: Path | None
    seed: int
    length_m: tuple[float, float] | None
    out: Path
    record: Path | None = None
    difficulty: str = DEFAULT_DIFFICULTY
    world: WorldConfig = field(default_factory=WorldConfig)
    routes: Path | None = None
    weather: bool = False
    rules: str = STRICT.name


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
    name, entrants, checkpoint = entrants_of(
        options.checkpoint, options.policy, options.seed, lights=options.world.lights
    )
    usual_m = entrants[name].driving.episode.route_length_m
    length_m = options.length_m or (usual_m, usual_m)
    road_map = None if options.map_file is None else RoadMap.from_file(options.map_file)
    notes = () if road_map is None else road_map.notes
    count = options.episodes or EPISODES
    if road_map is not None and options.routes is not None:
        planned = plan_routes(read_route_file(options.routes), road_map)
        notes += planned.notes
        routes = planned.routes[: options.episodes]
        lengths_m = [each.route.length_m for each in routes]
        count, length_m = len(routes), (min(lengths_m), max(lengths_m))
        given = courses_of(
            routes, road_map, seed=options.seed, world=options.world, weather=options.weather
        )
    else:
        given = courses(
            road_map,
            count,
            purpose=Purpose.EVALUATION,
            seed=options.seed,
            length_m=length_m,
            difficulty=options.difficulty,
            world=options.world,
        )
    for note in notes:
        print(note, file=sys.stderr)
    rules = RULES[options.rules]
    drives = drive_with_bar(entrants, given, count, options.record, rules=rules)
    weathers = options.routes is not None and options.weather
    evaluation = Evaluation(
        policy=name,
        checkpoint=checkpoint,
        town=road_map.name if road_map else None,
        routes=None if options.routes is None else options.routes.name,
        notes=notes,
        seed=options.seed,
        length_m=length_m,
        rules=rules,
        difficulty=options.difficulty,
        surroundings={name: getattr(options.world, name) for name in SURROUNDINGS}
        | ({"appearance": "weather"} if weathers else {}),
    )
    others = {other: drives[other] for other in entrants if other != name}
    metrics = evaluation.metrics(drives[name], others)
    write_files(options.out, metrics, drives[name], films(drives[name]))
    return _table(metrics) + f"\n  {options.out / METRICS}, {options.out / REPORT}"


def entrants_of(
    checkpoint: Path | None, policy: str, seed: int, *, lights: bool
) -> tuple[str, dict[str, Entrant], dict[str, Any] | None]:
    """The name of the evaluated policy, all entrants by name, and the checkpoint's description.

    Args:
        checkpoint: file of the policy, or None.
        policy: a name of `BASELINES` where there is no checkpoint.
        seed: seed of the random policy.
        lights: whether the world has traffic lights.

    Raises:
        OSError, CheckpointError: the file cannot be used.
    """
    driving = replace(standard.DRIVING, regulations=lights)
    baselines = {
        name: Entrant(make(driving, seed), driving)
        for name, make in BASELINES.items()
    }
    if checkpoint is None:
        return policy, {policy: baselines[policy]}, None
    trained = load(checkpoint)
    if trained.note:
        print(trained.note, file=sys.stderr)
    name = checkpoint.name
    about = {"file": name, "env_steps": trained.env_steps}
    own = {name: Entrant(trained.policy, trained.driving)}
    return name, own | {other: baselines[other] for other in baselines if other != name}, about


def drive_with_bar(
    entrants: Mapping[str, Entrant],
    given: Iterator[Course],
    count: int,
    record: Path | None = None,
    rules: Rules = STRICT,
) -> dict[str, list[FilmedDrive]]:
    """As `drive_courses`, showing on stderr how many of the `count` courses are driven."""
    terminal = sys.stderr.isatty()
    total = count * len(entrants)
    with tqdm(total=total, bar_format=BAR, dynamic_ncols=True, disable=not terminal) as bar:

        def show(name: str, drive: Drive) -> None:
            bar.update()
            route = f" route {drive.name}" if drive.name else ""
            line = f"{drive.road_map.name}{route}: {name} {_outcome(drive)}"
            if terminal:
                bar.set_postfix_str(line)
            else:
                print(line, file=sys.stderr)

        return drive_courses(entrants, given, show, record, rules=rules)


def _outcome(drive: Drive) -> str:
    metrics = drive.metrics
    percent = 100.0 * metrics.completion
    return f"{percent:.0f} % of {metrics.route_length_m:.0f} m, {metrics.reason}"


def _table(metrics: Mapping[str, Any]) -> str:
    rows = [("", *COLUMNS), _row(metrics["policy"], metrics)]
    rows += [_row(name, values) for name, values in metrics["comparison"].items()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  " + _aligned(row, widths) for row in rows)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    return "  ".join([first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)])


def _row(name: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    values = {**values, **values["infractions_per_km"]}
    cells = (
        "–" if values[key] is None else form.format(scale * values[key])
        for key, scale, form in COLUMNS.values()
    )
    return (name, *cells)
