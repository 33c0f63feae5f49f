# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver benchmark`: drives a policy through a benchmark and writes its table."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import torch

from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route_files import PlannedRoute, plan_routes, read_route_file
from td3_driver.evaluation.benchmark import table
from td3_driver.evaluation.benchmark.protocols import (
    CONDITIONS,
    TOWNS,
    WEATHERS,
    Condition,
    Protocol,
    Task,
)
from td3_driver.evaluation.command import drive_with_bar, entrants_of
from td3_driver.evaluation.evaluate import Course, FilmedDrive
from td3_driver.measures.drives import per_episode, summary
from td3_driver.online.folder import prepare_folder
from td3_driver.reports import page
from td3_driver.reports.results import write_text
from td3_driver.world.simulation import WorldConfig

# Neither training nor `evaluate` draws with such seeds; each has so many drives at most.
_FIRST_SEED, _DRIVES_PER_SEED = 10_000_000, 100_000


@dataclass(frozen=True)
class Options:
    """The options of the command line.

    Attributes:
        protocol: the benchmark.
        checkpoint: file to drive, or None.
        policy: a name of `BASELINES` where there is no checkpoint.
        towns: a map and a file of routes for each town, one or two.
        tasks, weathers: names of those to drive.
        seed: seed of the traffic and of the random policy.
        out: folder for metrics.json and report.html.
    """

    protocol: Protocol
    checkpoint: Path | None
    policy: str
    towns: tuple[tuple[Path, Path], ...]
    tasks: tuple[str, ...]
    weathers: tuple[str, ...]
    seed: int
    out: Path


class Town(NamedTuple):
    """A town: its roads and the routes over them; `new` if it is not that of training."""

    road_map: RoadMap
    routes: tuple[PlannedRoute, ...]
    new: bool


@dataclass(frozen=True)
class Cell:
    """A field of the table: what is driven for a task in some conditions, or why nothing is."""

    condition: Condition
    task: Task
    weathers: tuple[str, ...] = ()
    routes: tuple[PlannedRoute, ...] = ()
    road_map: RoadMap | None = None
    why_not: str = ""


def execute(options: Options) -> str:
    """Drive, write the files, and return the table.

    Raises:
        ValueError, OSError, CheckpointError: a file cannot be used; one line says why.
    """
    torch.set_num_threads(1)  # as `evaluate`
    cv2.setNumThreads(1)
    protocol = options.protocol
    prepare_folder(options.out, "--out")
    name, entrants, checkpoint = entrants_of(
        options.checkpoint, options.policy, options.seed, lights=True
    )
    towns, notes = _towns(options.towns)
    for note in notes:
        print(note, file=sys.stderr)
    cells = _cells(options, towns)
    places = [place for cell in cells for place in _places(cell)]
    given = (course for cell in cells for course in _courses(cell, protocol, options.seed))
    if not places:
        raise ValueError(f"nothing to drive: {'; '.join({cell.why_not: '' for cell in cells})}")
    drives = drive_with_bar({name: entrants[name]}, given, len(places), rules=protocol.rules)[name]
    driven = iter(drives)
    metrics: dict[str, Any] = {
        "benchmark": protocol.name,
        "title": protocol.title,
        "policy": name,
        "checkpoint": checkpoint,
        "measured_in": "the embedded world of td3_driver",
        "towns": [
            {"map": town.road_map.name, "new": town.new, "routes": len(town.routes)}
            for town in towns
        ],
        "notes": notes,
        "seed": options.seed,
        "definition": {"success": protocol.success, "rules": protocol.rules.name},
        "published": {
            "paper": protocol.paper,
            "methods": list(protocol.methods),
            "measured_in": "CARLA",
        },
        "remarks": list(protocol.remarks),
        "results": [
            _result(protocol, cell, [next(driven) for _ in _places(cell)]) for cell in cells
        ],
        "per_episode": [
            {**place, **row, **place}
            for place, row in zip(places, per_episode(drives), strict=True)
        ],
    }
    text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
    write_text(options.out / "metrics.json", text)
    rows = zip(metrics["results"], table.rows(metrics), strict=True)
    report = page.render(
        "benchmark.html.jinja",
        metrics=metrics,
        legend=table.legend(metrics),
        header=table.header(metrics),
        rows=list(rows),
    )
    write_text(options.out / "report.html", report)
    files = f"{options.out / 'metrics.json'}, {options.out / 'report.html'}"
    return f"{table.markdown(metrics)}\n\n{files}"


def _towns(given: Sequence[tuple[Path, Path]]) -> tuple[list[Town], list[str]]:
    """The towns, and what is to be said of them.

    Raises:
        ValueError, OSError: a map or a file of routes cannot be used, or both are of one town.
    """
    towns: list[Town] = []
    notes: list[str] = []
    for number, (map_file, route_file) in enumerate(given):
        road_map = RoadMap.from_file(map_file)
        notes += road_map.notes
        known = road_map.name.removesuffix("_Opt")
        place = TOWNS.index(known) if known in TOWNS else number
        if known not in TOWNS:
            notes.append(
                f"map {road_map.name}: neither {TOWNS[0]} nor {TOWNS[1]}; it is driven as the"
                f" {'new' if place else 'training'} town, among as many as in {TOWNS[place]}"
            )
        planned = plan_routes(read_route_file(route_file), road_map)
        notes += planned.notes
        towns.append(Town(road_map, planned.routes, new=bool(place)))
    if len({town.new for town in towns}) < len(towns):
        both = " ".join(town.road_map.name for town in towns)
        raise ValueError(
            f"--map {both}: both would be the {'new' if towns[0].new else 'training'} town;"
            f" expected one of each, such as {TOWNS[0]} and {TOWNS[1]}"
        )
    return towns, notes


def _cells(options: Options, towns: Sequence[Town]) -> list[Cell]:
    """The fields of the table, in its order."""
    of = {town.new: town for town in towns}
    return [
        _cell(options, condition, task, of.get(condition.new_town))
        for condition in CONDITIONS
        for task in options.protocol.tasks
    ]


def _cell(options: Options, condition: Condition, task: Task, town: Town | None) -> Cell:
    asked = options.protocol.weathers[condition.new_weather]
    weathers = tuple(weather for weather in asked if weather in options.weathers)
    if town is None:
        return Cell(condition, task, why_not=f"no --map of {TOWNS[condition.new_town]}")
    if task.name not in options.tasks or not weathers:
        option = "--weathers" if task.name in options.tasks else "--tasks"
        return Cell(condition, task, why_not=f"left out by {option}")
    routes = tuple(route for route in town.routes if task.fits(route.route.turns))
    if not routes:
        return Cell(condition, task, why_not=f"no route in {town.road_map.name} is such a one")
    return Cell(condition, task, weathers, routes, town.road_map)


def _places(cell: Cell) -> list[dict[str, str]]:
    """What tells a field's drives apart, one each, as in metrics.json."""
    return [
        {
            "conditions": cell.condition.title,
            "task": cell.task.title,
            "weather": weather,
            "route": given.route_id,
        }
        for weather in cell.weathers
        for given in cell.routes
    ]


def _courses(cell: Cell, protocol: Protocol, seed: int) -> Iterator[Course]:
    """The courses of a field; what each is like does not depend on which others are driven."""
    if cell.road_map is None:
        return
    new = cell.condition.new_town
    field = len(protocol.tasks) * CONDITIONS.index(cell.condition)
    field += protocol.tasks.index(cell.task)
    for weather in cell.weathers:
        block = field * len(protocol.all_weathers) + protocol.all_weathers.index(weather)
        for number, given in enumerate(cell.routes):
            drawn = _FIRST_SEED + _DRIVES_PER_SEED * seed + 1000 * block + number
            config = WorldConfig(
                seed=drawn,
                traffic=cell.task.vehicles[new],
                pedestrians=cell.task.pedestrians[new],
                lights=True,
            )
            yield Course(
                cell.road_map,
                config,
                given.route.length_m,
                route=given.route,
                name=f"{given.route_id}, {cell.task.title}, {weather}",
                weather=WEATHERS[weather],
            )


def _result(protocol: Protocol, cell: Cell, drives: Sequence[FilmedDrive]) -> dict[str, Any]:
    """A field as in metrics.json."""
    published = protocol.published[cell.condition.title][cell.task.title]
    result: dict[str, Any] = {
        "conditions": cell.condition.title,
        "task": cell.task.title,
        "published": dict(zip(protocol.methods, published, strict=True)),
        "why_not_driven": cell.why_not,
    }
    if cell.road_map is None:
        return result
    new = cell.condition.new_town
    return {
        **result,
        "map": cell.road_map.name,
        "weathers": list(cell.weathers),
        "vehicles": cell.task.vehicles[new],
        "pedestrians": cell.task.pedestrians[new],
        "lights_crossed": sum(drive.trace.lights_crossed for drive in drives),
        "lights_on_red": sum(
            each.kind is Kind.RED_LIGHT for drive in drives for each in drive.trace.infractions
        ),
        **summary(drives),
    }
