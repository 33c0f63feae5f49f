# SPDX-License-Identifier: Apache-2.0
"""The route that is found for a drive, against the route that was driven."""

import numpy as np
import pytest

from td3_driver.driving.routes.map_matching import driven_route
from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import random_route
from td3_driver.world.roads.generation import generate_opendrive

from ..opendrive.making import lane, read, road, section


def swerved(route: Route, rng: np.random.Generator) -> np.ndarray:
    """A drive along a route: up to 0.7 m beside it, positions 3 cm wrong."""
    s_m = np.arange(0.0, route.length_m, 0.4)
    points_m = route.points_at(s_m)
    ahead = np.gradient(points_m, axis=0)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.hypot(*ahead.T)[:, None]
    offsets_m = 0.6 * np.sin(s_m / 11.0 + rng.uniform(0.0, 6.0)) + rng.normal(0.0, 0.03, len(s_m))
    return points_m + offsets_m[:, None] * left


def gaps_m(points_m: np.ndarray, route: Route) -> np.ndarray:
    """Distances of points from a route."""
    dense_m = route.points_at(np.arange(0.0, route.length_m, 0.1))
    return np.array([np.hypot(*(dense_m - point_m).T).min() for point_m in points_m])


def test_the_lanes_that_were_followed_are_found(town: RoadMap) -> None:
    """Junctions included, where lanes cross and overlap."""
    rng = np.random.default_rng(0)
    for _ in range(8):
        route = random_route(town, rng, 300.0)
        found = driven_route(swerved(route, rng), town)
        assert found is not None
        # Without the last metres, which may be the beginning of any way out of a junction.
        assert gaps_m(route.points_m[:-5], found).max() < 0.2
        assert found.length_m > route.length_m + 20.0  # and the road ahead of its end


def test_beyond_a_dead_end_there_is_no_route() -> None:
    """All of it is nearest to the lane's last point."""
    town = read(road(0, 50.0, section(0, lane(-1))))
    end_m = town.lane_graph.nodes[LaneId(0, 0, -1)]["line_m"][-1]
    beyond_m = np.array([0.5, 1.0, 1.5, 2.0, 2.5, 3.0])[:, None] * (1.0, 0.0)
    assert driven_route(end_m + beyond_m, town) is None


def test_a_change_of_lanes_is_a_diagonal() -> None:
    """On a road of one lane each way: over to the other one, which leads the other way."""
    loop = RoadMap(generate_opendrive(3), "loop")
    lane_m = loop.lane_graph.nodes[LaneId(0, 0, -1)]["line_m"]
    drive_m = swerved(Route(lane_m[:120]), np.random.default_rng(1))
    ahead = np.gradient(drive_m, axis=0)
    left = np.stack([-ahead[:, 1], ahead[:, 0]], axis=1) / np.hypot(*ahead.T)[:, None]
    over_m = 8.0 / (1.0 + np.exp(-(np.arange(len(drive_m)) - len(drive_m) / 2) / 6.0))
    found = driven_route(drive_m + over_m[:, None] * left, loop)
    assert found is not None
    steps = np.diff(found.points_m, axis=0)
    turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
    assert np.abs(turns).max() < 1.2  # no jump sideways, nor back
    assert gaps_m(drive_m[:40], found).max() < 1.0


def test_without_a_map_the_drive_is_its_own_route() -> None:
    drive_m = np.cumsum(np.full((50, 2), 0.5), axis=0)
    found = driven_route(drive_m, None)
    assert found is not None
    assert gaps_m(drive_m, found).max() < 0.8


@pytest.mark.parametrize("points", [np.zeros((100, 2)), np.array([[0.0, 0.0], [1.5, 0.0]])])
def test_a_car_that_stands_has_no_route(points: np.ndarray) -> None:
    assert driven_route(points, None) is None
