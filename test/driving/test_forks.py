# SPDX-License-Identifier: Apache-2.0
"""What is said of a route tells it from every other that begins on the same lane."""

from __future__ import annotations

import numpy as np
import pytest

from td3_driver.driving.routes.forks import forks
from td3_driver.driving.routes.planner import plan_route
from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import TURN_AHEAD_M, Fork, Route
from td3_driver.driving.routes.routing import random_route
from td3_driver.driving.routes.waypoints import Waypoint
from td3_driver.world.roads.generation import DIFFICULTIES, generate_opendrive

from ..towns import town_of

BEFORE_M = 2.0


def way(road_map: RoadMap, lanes: list[LaneId]) -> Route:
    graph = road_map.lane_graph
    while graph.nodes[lanes[1]]["length_m"] < 60.0 and len(lanes) < 8:
        lanes = [*lanes, next(iter(graph.successors(lanes[-1])), lanes[-1])]
    line_m = np.concatenate([graph.nodes[lane]["line_m"] for lane in lanes])
    ends_m = np.cumsum([graph.nodes[lane]["length_m"] for lane in lanes])
    links = zip(lanes, lanes[1:], ends_m.tolist(), strict=False)
    return Route.along(line_m, None, 0.0, forks(road_map, links))


@pytest.mark.parametrize("name", ["town", "city", "varied", "Town01", "Town03"])
def test_no_two_ways_are_told_alike(name: str) -> None:
    road_map = (
        RoadMap(generate_opendrive(3, name), name) if name in DIFFICULTIES else town_of(name)
    )
    graph = road_map.lane_graph
    looked_at = told = 0
    for lane in graph:
        following = list(graph.successors(lane))
        at_m = graph.nodes[lane]["length_m"]
        if len(following) < 2 or at_m < BEFORE_M:
            continue
        routes = [way(road_map, [lane, each]) for each in following]
        for place, one in enumerate(routes):
            for other in routes[:place]:
                reach_m = np.array([min(at_m + 25.0, one.length_m, other.length_m)])
                gap_m = np.hypot(*(one.points_at(reach_m) - other.points_at(reach_m))[0])
                if gap_m < 1.6:
                    continue  # which may part further on
                looked_at += 1
                said = one.turn_ahead(at_m - BEFORE_M), other.turn_ahead(at_m - BEFORE_M)
                told += said[0] != said[1]
    assert looked_at > 10
    # Of three ways side by side the one in the middle is told by nothing.
    assert told >= 0.99 * looked_at


def test_a_navigation_system_says_so_before_the_fork_and_until_the_ways_are_apart() -> None:
    line_m = np.stack([np.arange(0.0, 100.0), np.zeros(100)], axis=1)
    route = Route.along(line_m, forks=[Fork(50.0, -1)])
    said = [route.turn_ahead(s_m) for s_m in (29.0, 31.0, 50.0, 59.0, 61.0)]
    assert said == [0.0, -0.5, -0.5, -0.5, 0.0]
    rest = route.rest(40.0)
    assert rest.turn_ahead(0.0) == rest.turn_ahead(19.0) == -0.5
    assert rest.turn_ahead(21.0) == 0.0


def test_a_planned_route_says_the_same_as_a_random_one_along_the_same_lanes() -> None:
    road_map = RoadMap(generate_opendrive(3, "city"), "city")
    rng = np.random.default_rng(1)
    compared = 0
    for _ in range(20):
        route = random_route(road_map, rng, 300.0)
        if not route.forks:
            continue
        points_m = route.points_m[5:-5:15]
        planned = plan_route(road_map, [Waypoint(x_m, y_m) for x_m, y_m in points_m.tolist()])
        if abs(planned.length_m - (route.length_m - 20.0)) > 15.0:
            continue  # it went another way
        for fork in route.forks:
            if TURN_AHEAD_M < fork.s_m < route.length_m - 40.0:
                compared += 1
                assert Fork(pytest.approx(fork.s_m - 5.0, abs=3.0), fork.side) in planned.forks
    assert compared > 3
