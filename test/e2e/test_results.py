# SPDX-License-Identifier: Apache-2.0
"""A drive measured in one process, and over topics by its driver and by one who watches."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration
from td3_driver.driving.judging.rules import LEADERBOARD_1
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.course_routes import course_seed
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.evaluate import Entrant, courses, drive_courses
from td3_driver.measures.drives import per_episode, summary
from td3_driver.online.trained import load
from td3_driver.ros.driver.driver_parameters import DriverParameters, run_config
from td3_driver.world.simulation import WorldConfig

from ..carla_server.lit_streets import lit_streets
from .running import Node, Program, ros_args

SEED = 3
RULES = LEADERBOARD_1
WORLD = WorldConfig(traffic=8, lights=True)
LENGTH_M = 40.0
CONFIG = f"driving: {{episode: {{route_length_m: {LENGTH_M}}}}}"


@dataclass(frozen=True)
class Measured:
    """What metrics.json says of the drive, by who measured it."""

    inside: dict[str, Any]
    driver: dict[str, Any]
    watcher: dict[str, Any]
    folder: Path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("measured")
    town = folder / "lit.xodr"
    town.write_text(lit_streets(0))
    config = folder / "straight.yaml"
    config.write_text(CONFIG)
    settings = load_configuration("default", config)
    state_dim = settings.agent.cnn_features + settings.driving.spaces.vector_dim
    agent = TD3Agent(state_dim, config=settings.agent, seed=1)
    checkpoint = folder / "td3_0.pth"
    agent.save_checkpoint(checkpoint, {"settings": settings.to_mapping()})
    shared = (f"rules:={RULES.name}", f"config_file:={config}")
    world = Node(
        "bridge_twin.world_node", f"map:={town}", f"seed:={course_seed(SEED, 0)}",
        f"traffic:={WORLD.traffic}", "lights:=true", "control_patience_s:=20.0",
    )  # fmt: skip
    watcher = Program(
        "-m", "td3_driver.ros.driver.node", "--ros-args", "-r", "__node:=watcher",
        *ros_args(["mode:=observe", f"out:={folder / 'watcher'}", *shared])[1:],
    )  # fmt: skip
    try:
        watcher.wait_for("watching")
        driver = Node(
            "ros.driver.node", "mode:=evaluate", f"resume:={checkpoint}", "episodes:=1",
            f"seed:={SEED}", f"out:={folder / 'driver'}", "world_timeout_s:=60.0", *shared,
        )  # fmt: skip
        try:
            assert driver.wait() == 0, driver.output
        finally:
            driver.kill()
        assert watcher.stop() == 0, watcher.output
    finally:
        watcher.kill()
        world.kill()
    trained = load(checkpoint)
    given = courses(
        RoadMap.from_file(town), 1, purpose=Purpose.EVALUATION, seed=SEED,
        length_m=(LENGTH_M, LENGTH_M), world=WORLD,
    )  # fmt: skip
    entrants = {"agent": Entrant(trained.policy, trained.driving)}
    drives = drive_courses(entrants, given, lambda name, drive: None, rules=RULES)["agent"]
    inside = {**summary(drives), "per_episode": per_episode(drives)}
    inside = json.loads(json.dumps(inside))
    files = (folder / who / "metrics.json" for who in ("driver", "watcher"))
    driver_s, watcher_s = (json.loads(file.read_text()) for file in files)
    return Measured(inside, driver_s, watcher_s, folder)


def test_the_drive_is_worth_measuring(measured: Measured) -> None:
    (drive,) = measured.inside["per_episode"]
    assert drive["distance_m"] > 10.0
    assert drive["mean_abs_steer_change"] > 0.0
    assert "red_light" not in measured.inside["not_measured"]


def test_the_driver_s_numbers_are_those_of_one_process(measured: Measured) -> None:
    assert measured.driver["notes"] == []
    assert {name: measured.driver[name] for name in measured.inside} == measured.inside
    assert measured.driver["seed"] == SEED
    assert measured.driver["checkpoint"] == {"file": "td3_0.pth", "env_steps": 0}
    assert measured.driver["rules"] == RULES.to_mapping()
    assert measured.driver["route_length_m"] == [LENGTH_M, LENGTH_M]


def test_who_watches_has_the_same_numbers(measured: Measured) -> None:
    assert measured.watcher["notes"] == []
    (row,) = measured.inside["per_episode"]
    inside = {**measured.inside, "per_episode": [{**row, "seed": None}]}
    assert {name: measured.watcher[name] for name in inside} == inside
    assert (measured.watcher["policy"], measured.watcher["checkpoint"]) == (
        "driver of ego_vehicle", None,
    )  # fmt: skip


@pytest.mark.parametrize("who", ["driver", "watcher"])
def test_there_is_a_page(measured: Measured, who: str) -> None:
    page = (measured.folder / who / "report.html").read_text()
    assert "CARLA leaderboard 1.0" in page
    assert f"{measured.inside['route_completion'] * 100.0:.1f}" in page


def test_results_of_training_are_refused(tmp_path: Path) -> None:
    given = DriverParameters(mode="train", out=str(tmp_path / "somewhere"))
    with pytest.raises(ValueError, match="somewhere; only mode evaluate has results"):
        run_config(given)
    assert not (tmp_path / "somewhere").exists()


def test_an_observer_needs_a_folder() -> None:
    watcher = Node("ros.driver.node", "mode:=observe")
    try:
        assert watcher.wait() == 1
    finally:
        watcher.kill()
    assert "parameter out: empty; mode observe needs a folder for results" in watcher.output
    assert "Traceback" not in watcher.output
