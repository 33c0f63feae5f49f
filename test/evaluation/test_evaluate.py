# SPDX-License-Identifier: Apache-2.0
"""`td3_driver evaluate`: real drives in the embedded world, real files."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver import cli
from td3_driver.agent import TD3Agent
from td3_driver.driving.observation import Situation
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route_files import plan_routes, read_route_file
from td3_driver.driving.routes.routing import GivenRoutes
from td3_driver.driving.types import Control
from td3_driver.evaluation.closed_loop import drive_route
from td3_driver.evaluation.command import Options, execute
from td3_driver.evaluation.evaluate import Course, courses, courses_of
from td3_driver.evaluation.policies import BASELINES, Pursuit
from td3_driver.measures.metrics import measure
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

from ..towns import MAPS, town_of
from .steady_driver import steady_driver

ROUTES = Path(__file__).parents[1] / "data" / "routes"
CONTRACT = {
    "episodes", "success_rate", "route_completion", "driving_score", "collisions_per_km",
    "lateral_rmse_m", "mean_speed_mps", "jerk_rms_mps3", "steer_rate_rms", "policy", "map",
    "per_episode",
}  # fmt: skip
MEANS = CONTRACT - {"episodes", "policy", "map", "per_episode"}


def evaluate(out: Path, **options: Any) -> dict[str, Any]:
    usual = Options(
        checkpoint=None, policy="", episodes=2, map_file=None, seed=0, length_m=(40.0, 60.0),
        out=out,
    )  # fmt: skip
    execute(replace(usual, **options))
    metrics: dict[str, Any] = json.loads((out / "metrics.json").read_text())
    return metrics


def test_pure_pursuit_reaches_the_end_and_the_contract_is_kept(tmp_path: Path) -> None:
    found = evaluate(tmp_path, policy="pure_pursuit", episodes=3)
    assert set(found) >= CONTRACT
    assert found["success_rate"] == found["route_completion"] == found["driving_score"] == 1.0
    assert found["never_started"] == found["collisions_per_km"] == 0
    assert found["infractions"] == found["comparison"] == {}
    assert 0.0 < found["lateral_rmse_m"] < 0.2
    assert 2.0 < found["mean_speed_mps"] < 8.33
    assert found["policy"] == "pure_pursuit"
    assert found["map"] == "generated"
    assert len(found["per_episode"]) == found["episodes"] == 3
    assert len({row["map"] for row in found["per_episode"]}) == 3
    assert all(38.0 < row["route_length_m"] < 62.0 for row in found["per_episode"])
    for name in MEANS:
        low, high = found["confidence_95"][name]
        assert low <= found[name] <= high


def test_the_same_command_writes_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "other"):
        evaluate(tmp_path / name, policy="random", seed=3)
    one, other = ((tmp_path / name / "metrics.json").read_bytes() for name in ("one", "other"))
    assert one == other


def test_a_stopped_car_succeeds_nowhere(tmp_path: Path) -> None:
    found = evaluate(tmp_path, policy="stopped")
    assert found["success_rate"] == found["route_completion"] == found["score"] == 0.0
    assert found["never_started"] == 2
    assert found["infractions"] == {"stuck": 2}


def test_a_checkpoint_is_compared_over_the_same_routes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = steady_driver(tmp_path / "td3_7.pth", (0.0, 0.5))
    found = evaluate(tmp_path, checkpoint=file)
    assert set(found["comparison"]) == {"pure_pursuit", "informed_pursuit", "random", "stopped"}
    alone = evaluate(tmp_path / "alone", policy="pure_pursuit")
    together = found["comparison"]["pure_pursuit"]
    assert together == {name: alone[name] for name in together}
    assert found["checkpoint"] == {"file": "td3_7.pth", "env_steps": 7}
    assert found["mean_speed_mps"] > 1.0  # its throttle is open
    # Made by no run of ours, it says nothing about driving.
    assert "td3_7.pth: holds no driving configuration; that of the default" in (
        capsys.readouterr().err
    )
    page = (tmp_path / "report.html").read_text()
    sources = re.findall(r'src="([^"]{30})', page)
    assert len(sources) >= 5
    assert all(source.startswith("data:image/") for source in sources)
    assert not re.search(r"<script|<link|https?://(?!www\.w3\.org)", page)
    for name in ("td3_7.pth", "pure_pursuit", "informed_pursuit", "random", "stopped"):
        assert f"<td>{name}</td>" in page


def test_courses_are_apart_from_training_and_repeat(town_file: Path) -> None:
    options = {"purpose": Purpose.EVALUATION, "seed": 2, "length_m": (200.0, 700.0)}
    first = list(courses(None, 2, **options))
    assert [course.road_map.name for course in first] == ["easy_3002000", "easy_3002001"]
    again = list(courses(None, 2, **options))
    assert [course.road_map.opendrive for course in again] == [
        course.road_map.opendrive for course in first
    ]
    in_town = list(courses(RoadMap.from_file(town_file), 20, **options))
    lengths = [course.length_m for course in in_town]
    assert {course.road_map.name for course in in_town} == {town_file.stem}
    assert 200.0 <= min(lengths) < 350.0 < 550.0 < max(lengths) <= 700.0


class BangBang(Pursuit):
    """Full throttle to a bit over the limit, the wheel thrown left or right: it arrives, badly."""

    def act(self, situation: Situation) -> Action:
        wanted = super().act(situation)
        fast = situation.ego.speed_mps > 9.0
        return np.array([0.6 * np.sign(wanted[0]), 0.0 if fast else 1.0], np.float32)


def test_bang_bang_at_full_speed_arrives_but_does_not_win() -> None:
    config = DrivingConfig()
    course = Course(RoadMap(generate_opendrive(3), "loop_3"), WorldConfig(seed=3), 250.0)

    def driven(policy: Policy) -> Any:
        return measure(drive_route(config, policy, course.world(), course.length_m, course.seed))

    good, bad = driven(BASELINES["pure_pursuit"](config, 0)), driven(BangBang(config))
    assert bad.completion > 0.95
    assert bad.mean_abs_steer_change > 0.08
    assert bad.mean_speed_mps > good.mean_speed_mps
    assert good.score > 0.8
    assert bad.score < 0.2 * good.score


def test_a_file_s_routes_are_driven_in_order_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of five is on the lanes, in the town, and asks for no forbidden change of lanes."""
    found = evaluate(
        tmp_path, policy="pure_pursuit", episodes=None, length_m=None, weather=True,
        map_file=ROUTES / "two_lanes.xodr", routes=ROUTES / "leaderboard_1.xml",
    )  # fmt: skip
    (row,) = found["per_episode"]
    assert (row["route"], row["reason"], row["completion"]) == ("0", "route_end", 1.0)
    assert row["route_length_m"] == pytest.approx(80.0, abs=1.5)  # of the longer way to the side
    assert row["lateral_max_m"] < 0.5
    assert found["routes"] == "leaderboard_1.xml"
    page = (tmp_path / "report.html").read_text()
    assert "of leaderboard_1.xml, seed 0" in page
    assert "that training never starts on" not in page
    assert found["surroundings"]["appearance"] == "weather"
    assert found["route_length_m"] == pytest.approx([row["route_length_m"]] * 2)
    error = capsys.readouterr().err
    assert [note in error for note in found["notes"]] == [True] * 4
    assert "two_lanes route 0: pure_pursuit 100 % of 80 m, route_end" in error


def test_a_file_s_weather_is_seen() -> None:
    road_map = RoadMap.from_file(ROUTES / "two_lanes.xodr")
    routes = [
        *plan_routes(read_route_file(ROUTES / "leaderboard_1.xml"), road_map).routes,
        *plan_routes(read_route_file(ROUTES / "leaderboard_2.xml"), road_map).routes,
    ]

    def brightness(weather: bool) -> list[float]:
        given = courses_of(routes, road_map, seed=0, world=WorldConfig(), weather=weather)
        return [course.world().step(Control()).image.mean() for course in given]

    rain, night = brightness(weather=True)
    assert night < 0.7 * rain < 0.7 * min(brightness(weather=False))


def test_a_pursuit_drives_a_route_of_the_leaderboard_s() -> None:
    town = town_of("Town01")
    file = MAPS.parent / "routes" / "leaderboard1_town01.xml"
    if not file.is_file():
        pytest.skip(f"the leaderboard's routes are not at {file}; not part of the project")
    route = plan_routes(read_route_file(file), town).routes[1].route
    world = Simulation(WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),)), town)
    policy = BASELINES["informed_pursuit"](DrivingConfig(), 0)
    trace = drive_route(
        DrivingConfig(), policy, world, route.length_m, 0, routes=GivenRoutes([route])
    )
    assert (trace.reason, trace.completion) == ("route_end", 1.0)
    assert np.abs(trace.lateral_m).max() < 0.5


def said_by(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """The command, in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["td3_driver", "evaluate", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_mistakes_get_one_line_and_their_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.xodr").write_text("<html></html>")
    (tmp_path / "broken.pth").write_bytes(b"no checkpoint")
    (tmp_path / "file").touch()
    flat = TD3Agent(23, 2, use_dict_buffer=False)
    flat.save_checkpoint(str(tmp_path / "flat.pth"))
    out, pursuit = tmp_path / "out", ("--policy", "pure_pursuit")
    first = str(ROUTES / "leaderboard_1.xml")
    routes = (*pursuit, "--map", str(ROUTES / "two_lanes.xodr"), "--routes")
    other_map = (*pursuit, "--map", str(ROUTES.parent / "maps" / "plain.xodr"))
    monkeypatch.chdir(tmp_path)
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("--checkpoint", "gone.pth"), 1, "gone.pth: there is no such checkpoint file"),
        (("--checkpoint", str(tmp_path / "broken.pth")), 1, "broken.pth: is damaged"),
        (("--checkpoint", str(tmp_path / "flat.pth")), 1, "flat.pth: its actor takes no image"),
        ((*pursuit, "--map", "gone.xodr"), 1, "map gone.xodr: no such file"),
        ((*pursuit, "--map", str(tmp_path / "broken.xodr")), 1, "OpenDRIVE"),
        ((*pursuit, "--out", str(tmp_path / "file" / "x")), 1, "cannot write there"),
        ((*pursuit, "--route-length", "90", "60"), 2, "--route-length"),
        ((*pursuit, "--checkpoint", "gone.pth"), 2, "not allowed with argument"),
        (("--policy", "fast"), 2, "invalid choice: 'fast'"),
        ((), 1, "there is no runs/latest: train first"),
        ((*pursuit, "--episodes", "0"), 2, "not a positive whole number"),
        ((*pursuit, "--routes", first), 2, "--routes: needs --map"),
        ((*routes, first, "--route-length", "50"), 2, "--route-length: the --routes"),
        ((*routes, "gone.xml"), 1, "routes gone.xml: no such file"),
        ((*routes, str(tmp_path / "broken.xodr")), 1, "its root element is <html>"),
        ((*other_map, "--routes", first), 1, "none of its 5 routes can be driven on map plain;"),
    ]
    capfd.readouterr()
    for arguments, code, reason in cases:
        assert said_by(["--out", str(out), *arguments], monkeypatch) == code, arguments
        error = capfd.readouterr().err
        lines = [line for line in error.splitlines() if not line.startswith(("usage", " "))]
        assert len(lines) == 1, error
        assert reason in lines[0]
        assert not (out / "metrics.json").exists()
