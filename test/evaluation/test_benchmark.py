# SPDX-License-Identifier: Apache-2.0
"""`td3_driver benchmark`: short drives in a town of our own that is named as CARLA's."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver import cli
from td3_driver.driving.judging.collisions import LastingCollisions
from td3_driver.driving.judging.infractions import Impact, Kind, Moment
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import random_route
from td3_driver.driving.types import EgoState, Pose
from td3_driver.evaluation.benchmark import command
from td3_driver.evaluation.benchmark.protocols import (
    CONDITIONS,
    CORL2017,
    NOCRASH,
    PROTOCOLS,
    WEATHERS,
    Protocol,
)
from td3_driver.world.roads.bounds import Network
from td3_driver.world.roads.generation import generate_opendrive

_BLOCKS = Network(
    columns=(2, 2), rows=(3, 3), spacing_m=70.0, shift_m=5.0, lanes=1, roundabouts=0.0
)
OPENDRIVE = generate_opendrive(0, _BLOCKS)
ROADS = RoadMap(OPENDRIVE, "Town01")

LINE = Route.along(np.array([[0.0, 0.0], [100.0, 0.0]]))


def written(routes: Sequence[Route], town: str) -> str:
    """A file of the leaderboard 1.0 with a waypoint every 5 m or so."""
    lines = []
    for number, route in enumerate(routes):
        places = np.linspace(0.0, route.length_m, math.ceil(route.length_m / 5.0))
        points = "".join(
            f'<waypoint x="{x_m}" y="{-y_m}" z="0"/>' for x_m, y_m in route.points_at(places)
        )
        lines.append(f'<route id="{number}" town="{town}">{points}</route>')
    return f"<routes>{''.join(lines)}</routes>"


def with_turns(count: int, length_m: float) -> Route:
    routes = (random_route(ROADS, np.random.default_rng(seed), length_m) for seed in range(200))
    return next(route for route in routes if route.turns == count)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A map and its routes: one without a turn, one with one."""
    folder = tmp_path_factory.mktemp("town")
    (folder / "Town01.xodr").write_text(OPENDRIVE)
    routes = with_turns(0, 20.0), with_turns(1, 25.0)
    (folder / "routes.xml").write_text(written(routes, "Town01"))
    return folder / "Town01.xodr", folder / "routes.xml"


def benchmark(
    monkeypatch: pytest.MonkeyPatch, out: Path, *arguments: str | Path
) -> int | str | None:
    words = ["td3_driver", "benchmark", *map(str, arguments), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def moment(second: float, x_m: float = 0.0, impacts: tuple[Impact, ...] = ()) -> Moment:
    return Moment(EgoState(round(second * 1e9), Pose(x_m, 0.0, 0.0), 5.0), impacts=impacts)


def results(out: Path) -> dict[tuple[str, str], dict[str, Any]]:
    found = json.loads((out / "metrics.json").read_text())["results"]
    return {(each["conditions"], each["task"]): each for each in found}


def test_nocrash_drives_each_route_in_each_weather(
    town: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = benchmark(
        monkeypatch, tmp_path, "nocrash", "--policy", "pure_pursuit", "--map", town[0],
        "--routes", town[1], "--tasks", "empty", "--weathers", "ClearNoon", "WetSunset",
    )  # fmt: skip
    assert code == 0
    shown = capsys.readouterr()
    found = results(tmp_path)
    assert list(found) == [
        (condition.title, task.title) for condition in CONDITIONS for task in NOCRASH.tasks
    ]
    driven = {"training conditions": "ClearNoon", "new weather": "WetSunset"}
    for conditions, weather in driven.items():
        empty = found[conditions, "Empty"]
        assert empty["success_rate"] == 1.0
        assert empty["episodes"] == 2
        assert empty["weathers"] == [weather]
        assert (empty["vehicles"], empty["pedestrians"]) == (0, 0)
        assert not empty["why_not_driven"]
    assert found["new weather", "Dense"]["why_not_driven"] == "left out by --tasks"
    assert found["new town", "Empty"]["why_not_driven"] == "no --map of Town02"
    assert found["training conditions", "Dense"]["published"]["CILRS"] == "42 ± 2"
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["measured_in"] == "the embedded world of td3_driver"
    assert metrics["published"]["measured_in"] == "CARLA"
    assert metrics["definition"]["rules"] == "nocrash"
    assert [(row["weather"], row["route"]) for row in metrics["per_episode"]] == [
        ("ClearNoon", "0"), ("ClearNoon", "1"), ("WetSunset", "0"), ("WetSunset", "1"),
    ]  # fmt: skip
    row = next(line for line in shown.out.splitlines() if "| training conditions | Empty" in line)
    assert [cell.strip() for cell in row.split("|")[3:10]] == [
        "79 ± 1", "81 ± 1", "84 ± 1", "92 ± 1", "97 ± 2", "100 [34, 100]", "2",
    ]  # fmt: skip
    assert "Town01 route 1, Empty, WetSunset: pure_pursuit 100 % of" in shown.err
    page = (tmp_path / "report.html").read_text()
    assert "100 [34, 100]" in page
    assert "measured in CARLA by Codevilla et al. 2019" in page
    assert not re.search(r"<script|<link|https?://", page)


def test_corl_sorts_routes_by_their_turns(
    town: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = benchmark(
        monkeypatch, tmp_path, "corl2017", "--policy", "pure_pursuit", "--map", town[0],
        "--routes", town[1], "--weathers", "SoftRainSunset",
    )  # fmt: skip
    assert code == 0
    found = results(tmp_path)
    assert [found["new weather", task]["episodes"] for task in ("Straight", "One turn")] == [1, 1]
    assert found["new weather", "Straight"]["success_rate"] == 1.0
    for task in ("Navigation", "Nav. dynamic"):
        why = found["new weather", task]["why_not_driven"]
        assert why == "no route in Town01 is such a one"
    rows = json.loads((tmp_path / "metrics.json").read_text())["per_episode"]
    assert [(row["task"], row["route"]) for row in rows] == [("Straight", "0"), ("One turn", "1")]


@pytest.mark.parametrize(("protocol", "time_s"), [(NOCRASH, 92.0), (CORL2017, 36.0)])
def test_a_car_that_stands_is_too_late(protocol: Protocol, time_s: float) -> None:
    ends = protocol.rules.ends
    assert ends is not None
    judge = ends(ROADS, LINE, 10.0)
    for second in range(round(time_s) + 1):
        assert judge.step(moment(float(second)), []) is None
    end = judge.step(moment(time_s + 0.1), [])
    assert end is not None
    assert end.kind is Kind.TIME_OUT


def test_collisions_end_nocrash_and_only_count_in_corl() -> None:
    hit = [Kind.VEHICLE]
    for protocol, reason in ((NOCRASH, "collision"), (CORL2017, "")):
        assert protocol.rules.ends is not None
        judge = protocol.rules.ends(ROADS, LINE, 10.0)
        end = judge.step(moment(0.0), hit)
        assert (end.reason if end else "") == reason
    end = judge.step(moment(1.0, 99.0), hit)
    assert end is None, "the way there is missing"
    for s_m in range(100):
        end = judge.step(moment(2.0, float(s_m)), hit)
    assert end is not None
    assert end.reason == "route_end"


def test_a_contact_that_lasts_counts_every_two_seconds() -> None:
    counting = LastingCollisions(2.0)
    wall = (Impact(0, 1.0),)
    counted = [
        second
        for second in np.arange(0.0, 6.0, 0.5).tolist()
        for _ in counting.step(moment(second, impacts=wall if second != 3.0 else ()))
    ]
    assert counted == [0.0, 2.0, 4.0]


def test_the_worlds_are_those_of_the_papers(town: tuple[Path, Path]) -> None:
    options = command.Options(
        NOCRASH, None, "stopped", (town,), NOCRASH.task_names, NOCRASH.all_weathers, 3, Path()
    )
    towns, notes = command._towns(options.towns)
    assert notes == []
    cells = command._cells(options, towns)
    worlds = [
        (course.config.traffic, course.config.pedestrians, course.config.lights, course.weather)
        for course in command._courses(cells[2], NOCRASH, 3)
    ]
    assert worlds == [
        (100, 250, True, WEATHERS[weather])
        for weather in ("ClearNoon", "WetNoon", "HardRainNoon", "ClearSunset")
        for _ in range(2)
    ]
    seeds = [course.seed for cell in cells for course in command._courses(cell, NOCRASH, 3)]
    assert len(set(seeds)) == len(seeds) == 3 * 6 * 2
    fewer = replace(options, tasks=("empty",), weathers=("WetSunset",))
    alone = [
        course.seed
        for cell in command._cells(fewer, towns)
        for course in command._courses(cell, NOCRASH, 3)
    ]
    assert alone == seeds[24:26], "the same drives, whatever else is driven"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--tasks", "navigation"], 2, "--tasks: NoCrash has no navigation; expected empty, reg"),
        (["--weathers", "Snow"], 2, "--weathers: NoCrash has no Snow; expected ClearNoon, Wet"),
        (["--map", "a.xodr", "b.xodr"], 2, "--map and --routes: give one file of each, or two"),
        (["--map", "a.xodr"], 1, "map a.xodr: no such file"),
        (["--routes", "a.xml"], 1, "routes a.xml: no such file"),
    ],
)
def test_what_cannot_be_driven_is_refused_in_a_line(
    arguments: list[str],
    code: int,
    said: str,
    town: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: tuple[str | Path, ...] = (
        "--policy", "stopped", "--map", town[0], "--routes", town[1], *arguments,
    )  # fmt: skip
    assert benchmark(monkeypatch, tmp_path, "nocrash", *given) == code
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"td3_driver benchmark: {said}")


def test_towns_of_other_names_are_taken_in_their_order(
    town: tuple[Path, Path], tmp_path: Path
) -> None:
    other = tmp_path / "harbour.xodr", tmp_path / "harbour.xml"
    other[0].write_text(town[0].read_text())
    other[1].write_text(town[1].read_text().replace("Town01", "harbour"))
    towns, notes = command._towns((town, other))
    assert [each.new for each in towns] == [False, True]
    assert notes == [
        "map harbour: neither Town01 nor Town02; it is driven as the new town, among as many as in"
        " Town02"
    ]
    with pytest.raises(ValueError, match=r"--map Town01 Town01: both would be the training town"):
        command._towns((town, town))


def test_nothing_to_drive_is_said(town: tuple[Path, Path], tmp_path: Path) -> None:
    routes = tmp_path / "routes.xml"
    routes.write_text(written([with_turns(0, 20.0)], "Town01"))
    options = command.Options(
        CORL2017, None, "stopped", ((town[0], routes),), ("navigation",), ("ClearNoon",), 0,
        tmp_path,
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"nothing to drive: .*no route in Town01 is such a one"):
        command.execute(options)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_field_of_the_papers_tables_is_there(protocol: Protocol) -> None:
    for condition in CONDITIONS:
        for task in protocol.tasks:
            row = protocol.published[condition.title][task.title]
            assert len(row) == len(protocol.methods)
    assert set(protocol.all_weathers) <= set(WEATHERS)


def test_the_weathers_are_carlas() -> None:
    carla = pytest.importorskip("carla", reason="has the presets")
    for name, ours in WEATHERS.items():
        theirs = getattr(carla.WeatherParameters, name)
        assert np.allclose(
            astuple(ours),
            (
                theirs.cloudiness,
                theirs.precipitation,
                theirs.precipitation_deposits,
                theirs.wetness,
                theirs.fog_density,
                theirs.fog_distance,
                theirs.sun_azimuth_angle,
                theirs.sun_altitude_angle,
            ),
        ), name
