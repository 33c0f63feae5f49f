# SPDX-License-Identifier: Apache-2.0
"""Where the marks of a road let a car change lanes."""

import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.roads.generation import generate_opendrive

from .making import lane, read, road, section, touches

Found = dict[tuple[int, int], list[tuple[float, float]]]


def changes(road_map: RoadMap) -> Found:
    found: Found = {}
    for each in road_map.lane_changes:
        ids = each.lane.key.lane_id, each.other.key.lane_id
        found.setdefault(ids, []).append((round(each.begin_m, 1), round(each.end_m, 1)))
    return found


def between(marks: str, **more: str) -> Found:
    """The changes between two lanes of 100 m whose border has these marks."""
    return changes(read(road(0, 100.0, section(0, lane(-1, marks=marks), lane(-2)), **more)))


BOTH_WAYS = {(-1, -2): [(0.0, 100.0)], (-2, -1): [(0.0, 100.0)]}
OUTWARDS, INWARDS = {(-1, -2): [(0.0, 100.0)]}, {(-2, -1): [(0.0, 100.0)]}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("broken", BOTH_WAYS),
        ("broken broken", BOTH_WAYS),
        ("botts dots", BOTH_WAYS),
        ("none", BOTH_WAYS),
        ("solid", {}),
        ("solid solid", {}),
        ("curb", {}),
        ("grass", {}),
        ("custom", {}),
        # Named from the middle outwards: the nearer line counts.
        ("broken solid", OUTWARDS),
        ("solid broken", INWARDS),
    ],
)
def test_the_kind_of_a_line_says_who_may_cross_it(kind: str, expected: Found) -> None:
    assert between(f'<roadMark type="{kind}"/>') == expected


@pytest.mark.parametrize(
    ("allowed", "expected"),
    # Ids increase to the left.
    [("both", BOTH_WAYS), ("none", {}), ("increase", INWARDS), ("decrease", OUTWARDS)],
)
@pytest.mark.parametrize("kind", ["broken", "solid", "none"])
def test_an_attribute_goes_over_the_kind(kind: str, allowed: str, expected: Found) -> None:
    assert between(f'<roadMark type="{kind}" laneChange="{allowed}"/>') == expected


def test_on_the_other_side_of_the_road_and_where_traffic_keeps_left() -> None:
    marks = '<roadMark type="broken solid"/>'  # from lane 1 to lane 2 alone
    left = read(road(0, 100.0, section(0, lane(1, marks=marks), lane(2))))
    assert changes(left) == {(1, 2): [(0.0, 100.0)]}
    allowed = '<roadMark type="solid" laneChange="increase"/>'
    left = read(road(0, 100.0, section(0, lane(1, marks=allowed), lane(2))))
    assert changes(left) == {(1, 2): [(0.0, 100.0)]}
    assert between(marks, attributes='rule="LHT"') == OUTWARDS
    assert between('<roadMark type="broken solid"/>') == OUTWARDS


def test_a_mark_counts_between_its_beginning_and_the_next() -> None:
    marks = '<roadMark sOffset="0" type="solid"/><roadMark sOffset="30" type="broken"/>'
    marks += '<roadMark sOffset="70" type="broken solid"/>'
    assert between(marks) == {(-1, -2): [(30.0, 100.0)], (-2, -1): [(30.0, 70.0)]}
    # Of lanes that lead the other way, at the same places.
    left = read(road(0, 100.0, section(0, lane(1, marks=marks), lane(2))))
    assert changes(left) == {(1, 2): [(0.0, 70.0)], (2, 1): [(30.0, 70.0)]}


def test_nothing_painted_forbids_nothing() -> None:
    assert between("") == BOTH_WAYS


def test_neither_against_the_traffic_nor_to_lanes_that_are_not_for_cars() -> None:
    dashed = '<roadMark type="broken"/>'
    two_way = read(road(0, 50.0, section(0, lane(1), lane(-1), centre=dashed)))
    assert changes(two_way) == {}
    for kind in ("shoulder", "bus", "parking"):
        beside = section(0, lane(-1, marks=dashed), lane(-2, kind, marks=dashed), lane(-3))
        assert changes(read(road(0, 50.0, beside))) == {}


def test_a_lane_must_be_wide_enough() -> None:
    opens = '<width sOffset="0" a="0" b="0.035" c="0" d="0"/>'
    found = read(road(0, 100.0, section(0, lane(-1), lane(-2, widths=opens))))
    ((begin_m, end_m),) = changes(found)[-1, -2]
    assert begin_m == pytest.approx(1.9 / 0.035, abs=1.0)
    assert end_m == pytest.approx(100.0)


def test_none_in_junctions() -> None:
    straight = section(0, lane(-1, before=[-1]), lane(-2, before=[-2]))
    ways = [road(1, 30.0, straight, junction=9, links=touches("predecessor", 0, "end"))]
    first = road(0, 50.0, section(0, lane(-1), lane(-2)), at=(-50.0, 0.0, 0.0))
    assert {each.lane.key.road_id for each in read(first, *ways).lane_changes} == {0}


def test_generated_streets_of_two_lanes_have_them_and_their_graph_stays() -> None:
    city = RoadMap(generate_opendrive(3, "city"), "city")
    assert len(changes(city)) == 4
    together = {(each.lane.key, each.other.key) for each in city.lane_changes}
    assert not together & set(city.lane_graph.edges)
