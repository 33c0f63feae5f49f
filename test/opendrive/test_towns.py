# SPDX-License-Identifier: Apache-2.0
"""CARLA's own towns: our lanes are those of CARLA's own library, and pure pursuit drives them."""

import math

import numpy as np
import pytest

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.evaluate import Entrant, courses, drive_courses
from td3_driver.evaluation.policies import BASELINES
from td3_driver.measures import standard
from td3_driver.measures.drives import summary
from td3_driver.opendrive.document import read_document
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import WorldConfig

from ..towns import STREETS, town_of

carla = pytest.importorskip("carla", reason="compares with CARLA's own road library")


@pytest.mark.parametrize("name", [STREETS, "Town01", "Town02", "Town03", "easy", "city"])
def test_lanes_are_those_of_carla_s_library(name: str) -> None:
    """Every seventh point of each lane: place, height, width and direction."""
    generated = name in ("easy", "city")
    road_map = RoadMap(generate_opendrive(3, name), name) if generated else town_of(name)
    theirs = carla.Map(name, road_map.opendrive)
    roads = {int(key): road for key, road in read_document(road_map.opendrive).roads.items()}
    compared = 0
    for key, lane in road_map.lanes.items():
        road = roads[key.road_id]
        begin_m = road.sections[key.section_id].s_m
        ends = [*(section.s_m for section in road.sections), road.length_m]
        s_m = np.linspace(begin_m, ends[key.section_id + 1], len(lane.line_m))
        if key.lane_id > 0:
            s_m = s_m[::-1]
        for index in range(1, len(s_m) - 1, 7):
            there = theirs.get_waypoint_xodr(key.road_id, key.lane_id, float(s_m[index]))
            if there is None:  # not of the type driving, the only one that it tells
                continue
            compared += 1
            location, at_m = there.transform.location, lane.line_m[index]
            assert math.dist(at_m, (location.x, -location.y)) < 2e-4
            assert lane.height_m[index] == pytest.approx(location.z, abs=1e-3)
            assert lane.width_m[index] == pytest.approx(there.lane_width, abs=1e-3)
            dx_m, dy_m = lane.line_m[index + 1] - lane.line_m[index - 1]
            yaw_rad = -math.radians(there.transform.rotation.yaw)
            assert abs(math.remainder(math.atan2(dy_m, dx_m) - yaw_rad, math.tau)) < 0.03
    assert compared > 300


@pytest.mark.parametrize("name", [STREETS, "Town01", "Town02"])
def test_links_are_those_of_carla_s_library(name: str) -> None:
    """Its topology, which is right in these towns: no road of theirs has several sections."""
    road_map = town_of(name)
    theirs = {
        tuple((at.road_id, at.section_id, at.lane_id) for at in pair)
        for pair in carla.Map(name, road_map.opendrive).get_topology()
    }
    assert {(tuple(a), tuple(b)) for a, b in road_map.lane_graph.edges} == theirs


@pytest.mark.parametrize("name", [STREETS, "Town01", "Town02", "Town03"])
def test_nothing_of_a_town_is_left_out(name: str) -> None:
    road_map = town_of(name)
    assert road_map.notes == ()
    graph = road_map.lane_graph
    assert len(graph) == len(road_map.lanes)
    for one, other in graph.edges:
        gap_m = math.dist(graph.nodes[one]["line_m"][-1], graph.nodes[other]["line_m"][0])
        assert gap_m < 0.5


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [STREETS, "Town01", "Town02", "Town03"])
def test_pure_pursuit_drives_the_towns(name: str) -> None:
    """Fifty routes of 200 to 700 m, 97 % of them to their end."""
    given = courses(
        town_of(name),
        50,
        purpose=Purpose.EVALUATION,
        seed=0,
        length_m=(200.0, 700.0),
        world=WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),)),
    )
    policy = BASELINES["pure_pursuit"](standard.DRIVING, 0)
    entrants = {"pure_pursuit": Entrant(policy, standard.DRIVING)}
    (drives,) = drive_courses(entrants, given, lambda *_: None).values()
    assert summary(drives)["success_rate"] >= 0.97
