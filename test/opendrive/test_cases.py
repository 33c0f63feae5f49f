# SPDX-License-Identifier: Apache-2.0
"""Small maps of the kinds that other tools write, read and driven with other vehicles about."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.evaluate import Entrant, courses, drive_courses
from td3_driver.evaluation.policies import BASELINES
from td3_driver.measures import standard
from td3_driver.measures.drives import summary
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import WorldConfig

MAPS = Path(__file__).resolve().parents[1] / "data" / "maps"


class Case(NamedTuple):
    lanes: int
    links: int
    km: float
    note: str = ""


CASES = {
    "circle": Case(2, 2, 0.6283),
    "dangling_junction": Case(2, 0, 0.4006, "junction 9: it joins road 77, which is not there"),
    "direct_junction": Case(2, 1, 0.3506),
    "into_bus": Case(5, 2, 0.7017),
    "into_exit": Case(6, 3, 0.9021),
    "into_parking": Case(5, 2, 0.7017),
    "into_shoulder": Case(5, 2, 0.7017),
    "lane_add": Case(5, 2, 0.8018),
    "lane_drop": Case(5, 2, 0.7017),
    "lane_drop_left": Case(5, 2, 0.8018),
    "lane_ends_before": Case(4, 0, 0.4006),
    "lht": Case(2, 0, 0.4026),
    "lht_left_only_800": Case(2, 0, 1.6),
    "longer_than_2048": Case(2, 0, 5),
    "no_roadmark": Case(2, 0, 0.4026),
    "no_roadmark_center_only": Case(2, 0, 0.4026),
    "no_roadmark_outer_only": Case(2, 0, 0.4026),
    "plain": Case(2, 0, 0.4026),
    "spiral_equal": Case(2, 0, 0.4006),
    "two_sections": Case(4, 2, 0.6014),
}


def test_every_file_is_expected_to_do_something() -> None:
    assert {file.stem for file in MAPS.glob("*.xodr")} == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_lanes_are_read(name: str) -> None:
    case, road_map = CASES[name], RoadMap.from_file(MAPS / f"{name}.xodr")
    graph = road_map.lane_graph
    assert (len(road_map.lanes), graph.number_of_edges()) == (case.lanes, case.links)
    total_km = sum(lane.length_m for lane in road_map.lanes.values()) / 1000.0
    assert total_km == pytest.approx(case.km, rel=0.01)
    assert case.note in "".join(road_map.notes)
    assert bool(case.note) == bool(road_map.notes)
    for lane in road_map.lanes.values():
        steps_m = np.hypot(*np.diff(lane.line_m, axis=0).T)
        assert 0.0 < steps_m.min() <= steps_m.max() < 0.6
        assert lane.fault is None


@pytest.mark.parametrize("name", CASES)
def test_pure_pursuit_drives_it_among_others(name: str) -> None:
    world = WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),), traffic=3)
    given = courses(
        RoadMap.from_file(MAPS / f"{name}.xodr"),
        3,
        purpose=Purpose.EVALUATION,
        seed=0,
        length_m=(20.0, 80.0),
        world=world,
    )
    policy = BASELINES["pure_pursuit"](standard.DRIVING, 0)
    entrants = {"pure_pursuit": Entrant(policy, standard.DRIVING)}
    (drives,) = drive_courses(entrants, given, lambda *_: None).values()
    told = summary(drives)
    assert told["infractions"] == {}
    assert told["success_rate"] == 1.0
    assert told["lateral_rmse_m"] < 0.1
