# SPDX-License-Identifier: Apache-2.0
import itertools
import math
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenariogeneration import xodr

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import NARROWEST_M, LaneId, RoadMap, RoadMapError
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import (
    START_SPACING_M,
    random_route,
    training_route,
)
from td3_driver.driving.types import Pose
from td3_driver.world.ground.surface import LANE, Surface
from td3_driver.world.roads.generation import generate_opendrive

from ..opendrive.making import lane, read, road, section

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


def test_a_car_that_passes_the_end_is_not_off_the_route() -> None:
    place = CORNER.place(Pose(9.8, 10.4, math.pi / 2), 19.9)
    assert place.s_m == pytest.approx(20.0)
    assert place.lateral_m == pytest.approx(0.2)


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
        assert road_map.places.lane_at(x_m, y_m) is not None


def test_routes_in_a_town_pass_junctions(large_town: RoadMap) -> None:
    rng = np.random.default_rng(0)
    with_junctions = 0
    for _ in range(10):
        route = random_route(large_town, rng, 400.0)
        passed = [large_town.places.lane_at(x, y) for x, y in route.points_m[::5]]
        assert all(place is not None for place in passed)
        with_junctions += any(place.lane.junction_id is not None for place in passed if place)
        headings = np.unwrap(np.arctan2(*np.diff(route.points_m, axis=0).T[::-1]))
        assert np.max(np.abs(np.diff(headings))) < 0.6  # no folds, no jumps
    assert with_junctions >= 5


@pytest.mark.parametrize("purpose", [Purpose.TRAINING, Purpose.EVALUATION])
def test_routes_are_smooth_wherever_they_go(town: RoadMap, purpose: Purpose) -> None:
    """The towns' tightest lane turns at 2.7 m: 0.37 rad a metre. A kink or a gap shows as more."""
    rng = np.random.default_rng(2)
    for _ in range(100):
        steps = np.diff(random_route(town, rng, 500.0, purpose).points_m, axis=0)
        lengths_m = np.hypot(*steps.T)
        assert lengths_m.min() > 0.99
        assert lengths_m.max() < 1.001
        headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        assert np.abs(np.diff(headings)).max() < 0.4


def test_each_purpose_has_starts_of_its_own(large_town: RoadMap) -> None:
    blocks = {purpose: start_blocks(large_town, purpose) for purpose in Purpose}
    for one, other in itertools.combinations(Purpose, 2):
        assert not blocks[one] & blocks[other], (one, other)
    # All blocks but a few that 800 draws miss.
    every = set().union(*blocks.values())
    assert len(every) >= 150
    shares = {purpose: len(found) / len(every) for purpose, found in blocks.items()}
    assert shares == {
        Purpose.TRAINING: pytest.approx(0.7, abs=0.04),
        Purpose.TUNING: pytest.approx(0.05, abs=0.02),
        Purpose.SELECTION: pytest.approx(0.05, abs=0.02),
        Purpose.EVALUATION: pytest.approx(0.2, abs=0.02),
    }


def test_turns_are_counted() -> None:
    def turning(*corners: tuple[float, float]) -> int:
        """Straights of 30 m, each with a bend of this angle and radius after it."""
        x_m = y_m = yaw_rad = 0.0
        points = [(0.0, 0.0)]
        for angle_rad, radius_m in (*corners, (0.0, 1.0)):
            for step_m, step_rad in ((1.0, 0.0),) * 30 + (
                (radius_m * abs(angle_rad) / 20.0, angle_rad / 20.0),
            ) * 20:
                yaw_rad += step_rad
                x_m, y_m = x_m + step_m * math.cos(yaw_rad), y_m + step_m * math.sin(yaw_rad)
                if step_m:
                    points.append((x_m, y_m))
        return Route.along(np.array(points)).turns

    right, left, wide = (-math.pi / 2.0, 6.0), (math.pi / 2.0, 10.0), (math.pi / 2.0, 40.0)
    assert turning() == turning(wide) == 0
    assert turning(left) == turning(right) == turning(wide, left) == 1
    assert turning(left, right, right, wide) == 3


def test_training_begins_before_turns(large_town: RoadMap) -> None:
    def share_that_turns(choices: int) -> float:
        rng = np.random.default_rng(4)
        routes = [training_route(large_town, rng, 300.0, choices) for _ in range(100)]
        return sum(route.bend_rad(50.0) > 1.0 for route in routes) / len(routes)

    assert share_that_turns(1) < 0.5
    assert share_that_turns(4) > share_that_turns(1) + 0.25


def test_a_training_route_is_the_one_of_its_choices_that_bends_most(large_town: RoadMap) -> None:
    one, other = np.random.default_rng(5), np.random.default_rng(5)
    for _ in range(10):
        drawn = [random_route(large_town, one, 300.0) for _ in range(3)]
        chosen = training_route(large_town, other, 300.0, 3)
        bends_rad = [route.bend_rad(50.0) for route in drawn]
        assert np.array_equal(chosen.points_m, drawn[int(np.argmax(bends_rad))].points_m)
    assert one.bit_generator.state == other.bit_generator.state


def test_bends_of_both_sides_add_up() -> None:
    angles = np.concatenate([np.zeros(2), np.linspace(0.0, 1.0, 19), np.linspace(1.0, 0.0, 28)])
    points_m = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], axis=1), axis=0)
    route = Route(points_m)
    assert route.bend_rad(100.0) == pytest.approx(2.0)
    assert route.bend_rad(20.0) == pytest.approx(1.0, abs=0.06)
    assert route.bend_rad(0.0) == 0.0


def start_blocks(road_map: RoadMap, purpose: Purpose) -> set[tuple[LaneId, int]]:
    """The 30 m blocks of lanes in which 800 routes start."""
    rng = np.random.default_rng(3)
    starts = [random_route(road_map, rng, 20.0, purpose).points_m[0] for _ in range(800)]
    lines = {
        lane: data["line_m"]
        for lane, data in road_map.lane_graph.nodes(data=True)
        if data["junction_id"] is None
    }
    blocks = set()
    for start in starts:
        gaps_m = {lane: np.hypot(*(line_m - start).T) for lane, line_m in lines.items()}
        lane = min(gaps_m, key=lambda lane: float(gaps_m[lane].min()))
        if sum(gap_m.min() < 0.1 for gap_m in gaps_m.values()) > 1:
            continue  # where one lane leads into another it may be either's
        steps = np.diff(lines[lane][: int(np.argmin(gaps_m[lane])) + 1], axis=0)
        blocks.add((lane, round(np.sum(np.hypot(*steps.T)) / START_SPACING_M) // 6))
    return blocks


def straight_road(
    lengths_m: list[float], left_lanes: int, right_lanes: int, grade: float = 0.0
) -> RoadMap:
    """Roads one after the other, with dead ends; the first climbs."""
    document = xodr.OpenDrive("short")
    for number, length_m in enumerate(lengths_m):
        road = xodr.create_road(
            [xodr.Line(length_m)], number, left_lanes=left_lanes, right_lanes=right_lanes
        )
        if grade:
            road.add_elevation(s=0.0, a=5.0, b=grade, c=0.0, d=0.0)
        if number > 0:
            road.add_predecessor(xodr.ElementType.road, number - 1, xodr.ContactPoint.end)
        if number < len(lengths_m) - 1:
            road.add_successor(xodr.ElementType.road, number + 1, xodr.ContactPoint.start)
        document.add_road(road)
    document.adjust_roads_and_lanes()
    return RoadMap(ElementTree.tostring(document.get_element(), encoding="unicode"), "short")


def test_dead_ends_belong_to_the_lanes_and_end_routes() -> None:
    road = straight_road(lengths_m=[40.0, 60.0, 20.0], left_lanes=1, right_lanes=1)
    lanes = road.lane_graph
    assert set(lanes) == {LaneId(number, 0, lane) for number in range(3) for lane in (-1, 1)}
    for way in ([0, 1, 2], [2, 1, 0]):
        side = -1 if way[0] == 0 else 1
        edges = list(itertools.pairwise(way))
        assert all(lanes.has_edge(LaneId(a, 0, side), LaneId(b, 0, side)) for a, b in edges)
        assert lanes.out_degree(LaneId(way[-1], 0, side)) == 0
    for key, data in lanes.nodes(data=True):
        assert data["length_m"] == pytest.approx([40.0, 60.0, 20.0][key.road_id], abs=0.6)
    longest_m = max(
        random_route(road, np.random.default_rng(seed), 300.0).length_m for seed in range(5)
    )
    assert 100.0 < longest_m <= 120.0


@pytest.mark.parametrize("lanes", [(1, 0), (0, 1), (1, 1)])
def test_a_road_that_nothing_is_linked_to_is_drivable(lanes: tuple[int, int]) -> None:
    road = straight_road([80.0], *lanes)
    ids = {LaneId(0, 0, 1)} if lanes[0] else set()
    assert set(road.lane_graph) == (ids | {LaneId(0, 0, -1)} if lanes[1] else ids)
    for _, data in road.lane_graph.nodes(data=True):
        assert data["length_m"] == pytest.approx(80.0, abs=1.1)
    surface = Surface(road)
    for key in road.lane_graph:
        assert set(surface.class_at(road.lane_graph.nodes[key]["line_m"][1:-3])) == {LANE}


def test_a_route_on_a_slope_starts_on_the_ground() -> None:
    """CARLA lets a car that is placed below the ground fall for ever."""
    slope = straight_road(lengths_m=[200.0], left_lanes=1, right_lanes=0, grade=0.05)
    heights_m = set()
    for seed in range(10):
        start = random_route(slope, np.random.default_rng(seed), 10.0).start
        assert start.z_m == pytest.approx(5.0 + 0.05 * start.x_m, abs=0.02)
        heights_m.add(round(start.z_m, 1))
    assert len(heights_m) > 3


def test_a_short_road_is_divided_more_finely() -> None:
    short = straight_road(lengths_m=[20.0], left_lanes=0, right_lanes=1)
    rng = np.random.default_rng(0)
    starts_m = [
        {random_route(short, rng, 5.0, purpose).points_m[0, 0] for _ in range(30)}
        for purpose in Purpose
    ]
    assert all(starts_m)
    assert len(set().union(*starts_m)) == sum(map(len, starts_m))


def test_routes_neither_start_nor_end_where_a_lane_is_narrower_than_a_car() -> None:
    """It opens over its first 50 m and closes over its last 50 m, 0.07 m a metre."""
    widths = (
        '<width sOffset="0" a="0" b="0.07"/><width sOffset="50" a="3.5"/>'
        '<width sOffset="150" a="3.5" b="-0.07"/>'
    )
    closing = read(road(0, 200.0, section(0, lane(-1, widths=widths))))
    rng = np.random.default_rng(0)
    routes = [random_route(closing, rng, 300.0) for _ in range(50)]
    assert min(route.points_m[0, 0] for route in routes) >= NARROWEST_M / 0.07
    ends_m = {round(route.points_m[-1, 0]) for route in routes}
    assert max(ends_m) <= 200.0 - NARROWEST_M / 0.07
    assert min(ends_m) > 168.0


def test_a_route_ends_where_lanes_get_narrow_also_in_an_earlier_section() -> None:
    taper = '<width sOffset="0" a="{}" b="-0.07"/>'
    closing = [
        section(0, lane(-1, after=(-1,))),
        section(150, lane(-1, before=(-1,), after=(-1,), widths=taper.format(3.5))),
        section(175, lane(-1, before=(-1,), widths=taper.format(1.75))),
    ]
    roads = read(road(0, 200.0, *closing))
    rng = np.random.default_rng(0)
    ends_m = [random_route(roads, rng, 300.0).points_m[-1, 0] for _ in range(20)]
    assert max(ends_m) <= 150.0 + (3.5 - NARROWEST_M) / 0.07 + 0.5


def test_a_map_too_small_to_be_divided_is_for_training_alone() -> None:
    short = straight_road(lengths_m=[2.5], left_lanes=0, right_lanes=1)
    assert random_route(short, np.random.default_rng(0), 1.0).length_m == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"map short: 3 blocks of 1 m .* at least 4"):
        random_route(short, np.random.default_rng(0), 1.0, Purpose.EVALUATION)
    with pytest.raises(ValueError, match="map short: no drivable stretch of 10 m"):
        random_route(short, np.random.default_rng(0), 300.0)


def test_a_junction_passed_twice_keeps_its_branch() -> None:
    """A figure of eight: at the crossing the other branch is just as near."""
    angles = np.linspace(0.3, 2.0 * math.pi + 0.3, 400)
    eight = Route(60.0 * np.stack([np.sin(angles), np.sin(angles) * np.cos(angles)], axis=1))
    s_m = 0.0
    for wanted_m in np.arange(0.0, eight.length_m, 0.4):
        (x_m, y_m), (ahead_x_m, ahead_y_m) = eight.points_at(np.array([wanted_m, wanted_m + 0.1]))
        yaw_rad = math.atan2(ahead_y_m - y_m, ahead_x_m - x_m)
        place = eight.place(Pose(x_m, y_m, yaw_rad), s_m)
        assert place.s_m == pytest.approx(wanted_m, abs=0.01)
        assert abs(place.heading_error_rad) < 0.1
        s_m = place.s_m


def test_a_map_that_is_none_is_refused_in_one_line() -> None:
    for text in ("", "not xml", "<OpenDRIVE/>", "<html></html>"):
        with pytest.raises(RoadMapError, match="map bad: ") as refused:
            RoadMap(text, "bad")
        assert "\n" not in str(refused.value)


def test_a_turn_at_a_junction_is_announced_and_a_bend_is_not() -> None:
    straight = np.stack([np.arange(0.0, 50.0), np.zeros(50)], axis=1)
    angle = np.linspace(-np.pi / 2, 0.0, 12)
    left = np.stack([49.0 + 8.0 * np.cos(angle), 8.0 + 8.0 * np.sin(angle)], axis=1)[1:]
    on = np.stack([np.full(30, 57.0), np.arange(9.0, 39.0)], axis=1)
    points_m = np.concatenate([straight, left, on])
    route, mirrored = Route(points_m), Route(points_m * (1.0, -1.0))
    assert [route.turn_ahead(s_m) for s_m in (0.0, 20.0, 35.0, 55.0, 75.0)] == [0, 0, 1, 1, 0]
    assert [mirrored.turn_ahead(s_m) for s_m in (20.0, 35.0, 75.0)] == [0, -1, 0]
    bend = np.linspace(0.0, np.pi, 100)
    wide = Route(25.0 * np.stack([np.sin(bend), np.cos(bend)], axis=1))
    assert {wide.turn_ahead(float(s_m)) for s_m in range(75)} == {0}
