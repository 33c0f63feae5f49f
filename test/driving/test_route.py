# SPDX-License-Identifier: Apache-2.0
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from td3_driver.driving.road_map import RoadMap, RoadMapError
from td3_driver.driving.route import Route, random_route
from td3_driver.driving.types import Pose
from td3_driver.world.roads import generate_opendrive

CORNER = Route(np.array([(0.0, 0.0), (10.0, 0.0), (10.0, 10.0)]))


@given(s_m=st.floats(0.0, 9.0), lateral_m=st.floats(-3.0, 3.0), turn=st.floats(-3.0, 3.0))
def test_place_on_a_straight_is_exact(s_m: float, lateral_m: float, turn: float) -> None:
    straight = Route(np.array([(0.0, 0.0), (5.0, 5.0), (20.0, 20.0)]))
    along, left = np.array([1.0, 1.0]) / math.sqrt(2), np.array([-1.0, 1.0]) / math.sqrt(2)
    x_m, y_m = s_m * along + lateral_m * left
    place = straight.place(Pose(x_m, y_m, math.pi / 4 + turn), near_s_m=s_m)
    assert place.s_m == pytest.approx(s_m, abs=1e-9)
    assert place.lateral_m == pytest.approx(lateral_m, abs=1e-9)
    assert place.heading_error_rad == pytest.approx(turn, abs=1e-9)


def test_left_of_the_route_is_positive() -> None:
    assert CORNER.place(Pose(5.0, 1.0, 0.0), 5.0).lateral_m == pytest.approx(1.0)
    assert CORNER.place(Pose(11.0, 5.0, 0.0), 15.0).lateral_m == pytest.approx(-1.0)


def test_a_route_that_repeats_itself_keeps_its_lap() -> None:
    angles = np.linspace(0.0, 4 * math.pi, 201)[:-1]
    laps = Route(20.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    lap_m = laps.length_m / 2
    pose = Pose(*laps.points_m[50], math.pi)
    assert laps.place(pose, near_s_m=0.25 * lap_m).s_m < lap_m
    assert laps.place(Pose(*laps.points_m[150], 0.0), near_s_m=1.49 * lap_m).s_m > lap_m


def test_points_go_straight_on_beyond_the_end() -> None:
    points = CORNER.points_at(np.array([19.0, 22.0, 30.0]))
    assert points == pytest.approx(np.array([(10.0, 9.0), (10.0, 12.0), (10.0, 20.0)]))


@pytest.mark.parametrize("points", [[(0.0, 0.0)], [(0.0, 0.0), (0.0, 0.0)], [0.0, 1.0]])
def test_bad_points_are_refused(points: list[object]) -> None:
    with pytest.raises(ValueError, match="route: "):
        Route(np.array(points, dtype=np.float64))


@pytest.mark.parametrize("seed", range(5))
def test_random_routes_stay_on_lanes_and_repeat(seed: int) -> None:
    road_map = RoadMap(generate_opendrive(seed), "generated")
    route = random_route(road_map, np.random.default_rng(seed), 300.0)
    again = random_route(road_map, np.random.default_rng(seed), 300.0)
    assert np.array_equal(route.points_m, again.points_m)
    assert route.length_m == pytest.approx(300.0, abs=1.5)
    assert np.all(np.hypot(*np.diff(route.points_m, axis=0).T) < 1.5)
    for x_m, y_m in route.points_m[::10]:
        assert road_map.waypoint_at(x_m, y_m) is not None


def test_routes_in_town01_pass_junctions(town01: RoadMap) -> None:
    rng = np.random.default_rng(0)
    with_junctions = 0
    for _ in range(10):
        route = random_route(town01, rng, 400.0)
        waypoints = [town01.waypoint_at(x, y) for x, y in route.points_m[::5]]
        assert all(waypoint is not None for waypoint in waypoints)
        with_junctions += any(waypoint.is_junction for waypoint in waypoints if waypoint)
        headings = np.unwrap(np.arctan2(*np.diff(route.points_m, axis=0).T[::-1]))
        assert np.max(np.abs(np.diff(headings))) < 0.6  # no folds, no jumps
    assert with_junctions >= 5


def test_a_map_that_is_none_is_refused_in_one_line() -> None:
    for text in ("", "not xml", "<OpenDRIVE/>", "<html></html>"):
        with pytest.raises(RoadMapError, match="map bad: ") as refused:
            RoadMap(text, "bad")
        assert "\n" not in str(refused.value)
