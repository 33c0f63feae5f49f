# SPDX-License-Identifier: Apache-2.0
"""The generated networks, as CARLA's own library reads them."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace

import networkx
import numpy as np
import pytest

from td3_driver import arguments
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import random_route
from td3_driver.world.ground.surface import LANE, OFF_ROAD, Surface
from td3_driver.world.roads.bounds import Network
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY, DIFFICULTIES, generate_opendrive

NETWORKS = [name for name, difficulty in DIFFICULTIES.items() if isinstance(difficulty, Network)]
SEEDS = range(5)


@functools.cache
def maps(difficulty: str) -> list[RoadMap]:
    return [RoadMap(generate_opendrive(seed, difficulty), difficulty) for seed in SEEDS]


@pytest.fixture(params=NETWORKS)
def networks(request: pytest.FixtureRequest) -> list[RoadMap]:
    """Some networks of one difficulty."""
    return maps(request.param)


def heading_changes(points_m: np.ndarray) -> np.ndarray:
    steps = np.diff(points_m, axis=0)
    return np.abs(np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))))


def arms_of_junctions(road_map: RoadMap) -> Counter[int]:
    """How many junctions have so many streets that lead in."""
    entries: dict[int, set[int]] = {}
    graph = road_map.lane_graph
    for lane, data in graph.nodes(data=True):
        if data["junction_id"] is not None:
            roads = {before.road_id for before in graph.predecessors(lane)}
            entries.setdefault(data["junction_id"], set()).update(roads)
    return Counter(len(roads) for roads in entries.values())


def test_every_lane_leads_to_every_other(networks: list[RoadMap]) -> None:
    for road_map in networks:
        assert networkx.is_strongly_connected(road_map.lane_graph)


def test_lanes_meet_without_gaps_or_kinks(networks: list[RoadMap]) -> None:
    for road_map in networks:
        graph = road_map.lane_graph
        for lane, following in graph.edges:
            here, there = graph.nodes[lane]["line_m"], graph.nodes[following]["line_m"]
            assert np.hypot(*(here[-1] - there[0])) < 0.01
        rng = np.random.default_rng(0)
        for _ in range(20):
            route = random_route(road_map, rng, 400.0)
            assert route.length_m == pytest.approx(400.0, abs=0.5)
            assert heading_changes(route.points_m).max() < 1.0 / 4.4  # as tight as they may be


def test_places_are_of_the_kinds_that_the_difficulty_names() -> None:
    town, city = maps("town"), maps("city")
    arms = sum(map(arms_of_junctions, town), Counter())
    assert arms[3] >= 6, "T junctions"
    assert arms[4] >= 2, "crossroads"
    assert set(arms) == {3, 4}
    widest = [max(abs(lane.lane_id) for lane in road_map.lane_graph) for road_map in city]
    assert set(widest) == {2}
    assert any(map(has_roundabout, city))
    assert not any(map(has_roundabout, town))


def has_roundabout(road_map: RoadMap) -> bool:
    """Whether some lanes lead once around to the left, anticlockwise, in less than 150 m."""
    pytest.importorskip("networkx", "3.1")  # whose cycles can be bounded
    graph = road_map.lane_graph
    for cycle in networkx.simple_cycles(graph, length_bound=8):
        line_m = np.concatenate([graph.nodes[lane]["line_m"] for lane in cycle])
        points_m = Route.along(line_m).points_m
        steps = np.diff(points_m, axis=0)
        turned = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
        if len(points_m) < 150 and turned.sum() > 5.5 and turned.min() > -0.01:
            return True
    return False


def test_curvy_is_curvier_than_easy() -> None:
    def sharpest(difficulty: str) -> float:
        lines_m = [
            line_m
            for road_map in maps(difficulty)
            for _, line_m in road_map.lane_graph.nodes("line_m")
        ]
        bends = np.concatenate(
            [heading_changes(Route.along(line_m).points_m) for line_m in lines_m]
        )
        return float(np.quantile(bends, 0.95))

    assert sharpest("curvy") > 1.3 * sharpest("easy")


def test_only_streets_are_asphalt(networks: list[RoadMap]) -> None:
    """Roads are drawn where lanes are, and nothing is where none is."""
    road_map = networks[0]
    surface = Surface(road_map)
    graph = road_map.lane_graph
    lines_m = np.concatenate([line_m for _, line_m in graph.nodes("line_m")])
    assert set(surface.class_at(lines_m)) == {LANE}
    for side in (surface.classes[0], surface.classes[-1]):
        assert set(side) == {OFF_ROAD}
    assert set(surface.classes[:, 0]) | set(surface.classes[:, -1]) == {OFF_ROAD}


def test_text_is_a_function_of_seed_and_difficulty() -> None:
    for name in NETWORKS:
        assert generate_opendrive(4, DIFFICULTIES[name]) == maps(name)[4].opendrive
    assert len({road_map.opendrive for name in DIFFICULTIES for road_map in maps(name)}) == 25


def test_bounds_of_ones_own_are_kept() -> None:
    small = Network(
        columns=(2, 2), rows=(3, 3), spacing_m=90.0, shift_m=5.0, lanes=1, roundabouts=1.0
    )
    road_map = RoadMap(generate_opendrive(0, small), "small")
    assert has_roundabout(road_map)
    assert {abs(lane.lane_id) for lane in road_map.lane_graph} == {1}
    round_bends = replace(DIFFICULTIES["easy"], radius_m=(30.0, 40.0), distance_m=(90.0, 160.0))
    loop = RoadMap(generate_opendrive(0, round_bends), "round")
    for _, line_m in loop.lane_graph.nodes("line_m"):
        assert heading_changes(Route.along(line_m).points_m).max() < 1.0 / 27.0


def test_bounds_that_hold_no_roads_are_refused() -> None:
    town = DIFFICULTIES["town"]
    with pytest.raises(ValueError, match="roads: 3 lanes each way; expected 1 or 2"):
        replace(town, lanes=3)
    with pytest.raises(ValueError, match="expected at least 2 by 3"):
        replace(town, columns=(1, 1))
    impossible = replace(DIFFICULTIES["easy"], length_m=(10.0, 20.0))
    with pytest.raises(ValueError, match=r"roads: none within Loop\(.*; widen its bounds"):
        generate_opendrive(0, impossible)


def test_the_commands_offer_what_there_is() -> None:
    assert tuple(DIFFICULTIES) == arguments.DIFFICULTIES
    assert arguments.DIFFICULTIES[0] == DEFAULT_DIFFICULTY
    with pytest.raises(
        ValueError, match="difficulty 'wild': no such difficulty; choose from easy"
    ):
        generate_opendrive(0, "wild")
