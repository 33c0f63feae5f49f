# SPDX-License-Identifier: Apache-2.0
"""Routes planned through waypoints: the shortest, in the right lanes, smooth enough to drive."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest

from td3_driver.driving.routes.planner import plan_route
from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import random_route
from td3_driver.driving.routes.turning import too_tight
from td3_driver.driving.routes.waypoints import RouteError, Waypoint
from td3_driver.world.roads.generation import generate_opendrive

from ..opendrive.making import lane, read, road, section, touches
from ..towns import town_of

BROKEN, SOLID = '<roadMark type="broken"/>', '<roadMark type="solid"/>'


def lanes_of(mark: str, count: int = 2, **links: Sequence[int]) -> list[str]:
    """Lanes beside each other, which each lead into the one of the same number."""
    return [
        lane(-n, marks=mark, **{tag: [-n] for tag in links if links[tag]})
        for n in range(1, count + 1)
    ]


def straight(mark: str, *, length_m: float = 200.0, count: int = 2) -> RoadMap:
    return read(road(0, length_m, section(0, *lanes_of(mark, count))))


def check_smooth(route: Route) -> None:
    steps_m = np.hypot(*np.diff(route.points_m, axis=0).T)
    assert 0.5 < steps_m.min() <= steps_m.max() < 1.001
    assert not too_tight(route.points_m)


def test_the_shortest_route_is_no_longer_than_any_other(town: RoadMap) -> None:
    rng = np.random.default_rng(4)
    for _ in range(20):
        found = random_route(town, rng, 300.0)
        places = [town.places.lane_at(*point) for point in found.points_m]
        outside = [place is not None and place.lane.junction_id is None for place in places]
        # In a junction several lanes pass through a place, and any of them may be meant.
        end = max(i for i in range(10, len(outside)) if all(outside[i - 5 : i + 5]))
        start, goal = found.points_m[0], found.points_m[end]
        shortest = plan_route(town, [Waypoint(*start), Waypoint(*goal)])
        assert shortest.length_m <= end + 2.0
        assert np.hypot(*(shortest.points_m[0] - start)) < 0.5
        assert np.hypot(*(shortest.points_m[-1] - goal)) < 1.5
        assert np.hypot(*np.diff(shortest.points_m, axis=0).T).max() < 1.001


def test_a_route_follows_the_traffic() -> None:
    """A goal just behind the start lies a whole lap ahead; nothing leads to the other lane."""
    loop = RoadMap(generate_opendrive(3), "loop")
    line_m = loop.lane_graph.nodes[LaneId(0, 0, -1)]["line_m"]
    behind, ahead = Waypoint(*line_m[10]), Waypoint(*line_m[30])
    assert plan_route(loop, [behind, ahead]).length_m == pytest.approx(10.0, abs=1.1)
    lap_m = sum(
        data["length_m"] for lane, data in loop.lane_graph.nodes(data=True) if lane.lane_id == -1
    )
    around = plan_route(loop, [ahead, behind])
    assert around.length_m == pytest.approx(lap_m - 10.0, abs=1.5)
    other = Waypoint(*loop.lane_graph.nodes[LaneId(0, 0, 1)]["line_m"][5])
    with pytest.raises(RouteError, match="no way along the lanes leads from its point 1 to 2"):
        plan_route(loop, [ahead, other])
    with pytest.raises(RouteError, match="all of its points are at the same place"):
        plan_route(loop, [ahead, ahead])


def test_a_random_route_is_found_again_from_points_on_it(town: RoadMap) -> None:
    """With every 40th metre given, in junctions too, no other way is left."""
    rng = np.random.default_rng(8)
    for _ in range(10):
        found = random_route(town, rng, 500.0)
        yaws = np.arctan2(*np.diff(found.points_m, axis=0).T[::-1])
        given = [*range(0, len(yaws), 40), len(yaws) - 1]
        points = [Waypoint(*found.points_m[at], None, float(yaws[at])) for at in given]
        again = plan_route(town, points)
        assert again.length_m == pytest.approx(found.length_m - 1.0, abs=2.5)
        for point in found.points_m[:-2]:
            assert np.hypot(*(again.points_m - point).T).min() < 0.75


def test_without_yaw_the_lane_is_meant_that_makes_the_route_short(town: RoadMap) -> None:
    """A point in the middle of a junction lies on lanes that lead to everywhere."""
    rng, tried = np.random.default_rng(1), 0
    while tried < 5:
        found = random_route(town, rng, 120.0)
        places = [town.places.lane_at(*point) for point in found.points_m]
        inside = [at for at, place in enumerate(places) if place and place.lane.junction_id]
        if not inside or not 20 < inside[0] < inside[-1] < len(places) - 20:
            continue
        tried += 1
        middle = inside[len(inside) // 2]
        points = [Waypoint(*found.points_m[at]) for at in (0, middle, len(places) - 1)]
        assert plan_route(town, points).length_m == pytest.approx(found.length_m, abs=2.5)


@pytest.mark.parametrize(("start", "goal"), [(-1, -2), (-2, -1), (-1, -4), (-4, -2)])
def test_lane_changes_are_smooth_and_no_turns(start: int, goal: int) -> None:
    wide = straight(BROKEN, count=4)
    route = plan_route(
        wide, [Waypoint(5.0, 3.5 * start + 1.75), Waypoint(195.0, 3.5 * goal + 1.75)]
    )
    check_smooth(route)
    changes = abs(goal - start)
    y_m = route.points_m[:, 1]
    assert y_m[0] == pytest.approx(3.5 * start + 1.75)
    assert y_m[-1] == pytest.approx(3.5 * goal + 1.75, abs=0.01)  # within the last metre
    # 30 m each, in which the car is between two lanes.
    between = np.abs((y_m - 1.75) / 3.5 - np.rint((y_m - 1.75) / 3.5)) > 1e-6
    assert 25 * changes <= between.sum() <= 36 * changes
    assert {route.turn_ahead(s_m) for s_m in route.distances_m} == {0}


@pytest.mark.parametrize("room_m", [15.0, 25.0])
def test_a_change_takes_the_room_that_the_line_leaves(room_m: float) -> None:
    broken = '<roadMark type="solid"/><roadMark sOffset="80" type="broken"/>'
    broken += f'<roadMark sOffset="{80 + room_m}" type="solid"/>'
    route = plan_route(straight(broken), [Waypoint(5.0, -1.75), Waypoint(195.0, -5.25)])
    check_smooth(route)
    x_m, y_m = route.points_m.T
    between = x_m[(y_m < -1.76) & (y_m > -5.24)]
    assert 79.5 <= between.min() < between.max() <= 80.5 + room_m
    assert between.max() - between.min() > 8.0


def test_a_change_goes_on_in_the_next_section_and_road() -> None:
    """Sections of 10 m each, on two roads: no lane alone has room."""
    first = [section(at, *lanes_of(BROKEN, before=[at > 0], after=[1])) for at in range(0, 50, 10)]
    second = [section(at, *lanes_of(BROKEN, before=[1])) for at in (0, 20)]
    joined = read(
        road(0, 50.0, *first, links=touches("successor", 1, "start")),
        road(1, 50.0, *second, at=(50.0, 0.0, 0.0), links=touches("predecessor", 0, "end")),
    )
    route = plan_route(joined, [Waypoint(38.0, -1.75), Waypoint(75.0, -5.25)])
    check_smooth(route)
    assert route.length_m > 36.5
    beside = (route.points_m[:, 1] < -1.76) & (route.points_m[:, 1] > -5.24)
    assert beside.sum() >= 25


def test_a_forbidden_change_is_said_whether_or_not_there_is_a_way_around() -> None:
    points = [Waypoint(10.0, -1.75), Waypoint(90.0, -5.25)]
    forbidden = "from its point 1 to 2 it needs a lane change that the markings forbid"
    with pytest.raises(RouteError, match=f"^{forbidden}$"):
        plan_route(straight(SOLID, length_m=100.0), points)
    with pytest.raises(RouteError, match=f"^{forbidden}$"):  # the other way it is allowed
        plan_route(straight('<roadMark type="solid broken"/>', length_m=100.0), points)
    ring = read(
        road(0, 100.0, section(0, *lanes_of(SOLID, before=[1], after=[1])),
             links=touches("predecessor", 3, "end") + touches("successor", 1, "start")),
        road(1, 157.08, section(0, *lanes_of(SOLID, before=[1], after=[1])),
             at=(100.0, 0.0, 0.0), shape='<arc curvature="0.02"/>',
             links=touches("predecessor", 0, "end") + touches("successor", 2, "start")),
        road(2, 100.0, section(0, *lanes_of(BROKEN, before=[1], after=[1])),
             at=(100.0, 100.0, math.pi),
             links=touches("predecessor", 1, "end") + touches("successor", 3, "start")),
        road(3, 157.08, section(0, *lanes_of(SOLID, before=[1], after=[1])),
             at=(0.0, 100.0, math.pi), shape='<arc curvature="0.02"/>',
             links=touches("predecessor", 2, "end") + touches("successor", 0, "start")),
    )  # fmt: skip
    with pytest.raises(RouteError, match=f"^{forbidden}; the way around is [0-9]+ m longer$"):
        plan_route(ring, points)
    # Half the ring away it is no detour.
    assert plan_route(ring, [points[0], Waypoint(0.0, 105.25)]).length_m < 400.0


def test_a_waypoint_in_the_middle_of_a_change_is_passed_beside() -> None:
    """Waypoints 8 m apart on two lanes, as leaderboard files have them at changes."""
    points = [(5.0, -1.75), (92.0, -1.75), (100.0, -5.25), (150.0, -5.25)]
    route = plan_route(straight(BROKEN), [Waypoint(*point) for point in points])
    check_smooth(route)
    assert route.length_m == pytest.approx(145.5, abs=1.0)
    with pytest.raises(RouteError, match="no way along the lanes leads from its point 1 to 2"):
        plan_route(straight(BROKEN), [Waypoint(92.0, -1.75), Waypoint(100.0, -5.25)])


def test_points_off_the_lanes_and_above_each_other() -> None:
    with pytest.raises(RouteError, match=r"its point 2 is 10\.0 m from the middle of the nearest"):
        plan_route(straight(SOLID), [Waypoint(5.0, -1.75), Waypoint(90.0, 8.25)])
    deck = '<elevationProfile><elevation s="0" a="6"/></elevationProfile>'
    one = section(0, lane(-1))
    crossing = read(
        road(0, 100.0, one),
        road(1, 100.0, one, at=(50.0, -50.0, math.pi / 2.0), more=deck),
    )
    above, below = Waypoint(51.75, -1.75, 6.0), Waypoint(51.75, -1.75, 0.0)
    assert plan_route(crossing, [below, Waypoint(90.0, -1.75)]).start.yaw_rad == 0.0
    over = plan_route(crossing, [above, Waypoint(51.75, 40.0)]).start
    assert (over.yaw_rad, over.z_m) == (pytest.approx(math.pi / 2.0), pytest.approx(6.0))


def test_dense_and_doubled_points_are_one_line() -> None:
    points = [Waypoint(x / 2.0, -1.75) for x in range(10, 300) for _ in (0, 1)]
    route = plan_route(straight(BROKEN), points)
    check_smooth(route)
    assert route.length_m == pytest.approx(144.5, abs=1.0)


@pytest.mark.parametrize("name", ["Town03", "city"])
def test_changes_between_any_lanes_of_a_town(name: str) -> None:
    city = name == "city"
    roads = RoadMap(generate_opendrive(3, name), name) if city else town_of(name)
    rng, planned = np.random.default_rng(2), 0
    pairs = {(each.lane.key, each.other.key) for each in roads.lane_changes}
    lanes = [roads.lanes[key] for key in sorted({key for pair in pairs for key in pair})]
    for _ in range(12):
        ends = [lanes[int(rng.integers(len(lanes)))] for _ in range(2)]
        points = [Waypoint(*end.line_m[len(end.line_m) // 2]) for end in ends]
        try:
            route = plan_route(roads, points)
        except RouteError:
            continue
        planned += 1
        check_smooth(route)
        for waypoint, point in zip(points, route.points_m[[0, -1]], strict=True):
            assert math.dist(waypoint[:2], point) < 1.5
        assert all(
            roads.places.lane_at(*point) for point in itertools.islice(route.points_m, 0, None, 9)
        )
    assert planned >= 8
