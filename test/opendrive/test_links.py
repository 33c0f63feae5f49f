# SPDX-License-Identifier: Apache-2.0
"""What lanes lead into: between sections and roads, in junctions, and where links are wrong."""

import pytest

from td3_driver.driving.routes.road_map import LaneId

from .making import edges, keys, lane, read, road, section, touches

BOTH = section(0, lane(1, before=[1], after=[1]), lane(-1, before=[-1], after=[-1]))


def test_roads_lead_into_each_other_both_ways() -> None:
    found = read(
        road(4, 30.0, BOTH, links=touches("successor", 9, "start")),
        road(9, 30.0, BOTH, at=(30.0, 0.0, 0.0), links=touches("predecessor", 4, "end")),
    )
    assert edges(found) == {((4, 0, -1), (9, 0, -1)), ((9, 0, 1), (4, 0, 1))}
    assert found.notes == ()


@pytest.mark.parametrize("told_by", [4, 9])
def test_a_link_that_one_road_alone_tells_counts(told_by: int) -> None:
    links = {4: touches("successor", 9, "start"), 9: touches("predecessor", 4, "end")}
    bare = section(0, lane(1), lane(-1))
    found = read(
        *(
            road(
                number,
                30.0,
                BOTH if number == told_by else bare,
                at=(x_m, 0.0, 0.0),
                links=links[number] if number == told_by else "",
            )
            for number, x_m in ((4, 0.0), (9, 30.0))
        )
    )
    assert edges(found) == {((4, 0, -1), (9, 0, -1)), ((9, 0, 1), (4, 0, 1))}


def test_roads_drawn_towards_each_other() -> None:
    """The second road's reference line comes the other way: its lane +1 goes on from -1."""
    found = read(
        road(
            0,
            30.0,
            section(0, lane(1, after=[-1]), lane(-1, after=[1])),
            links=touches("successor", 1, "end"),
        ),
        road(
            1,
            30.0,
            section(0, lane(1, after=[-1]), lane(-1, after=[1])),
            at=(60.0, 0.0, 3.141592653589793),
            links=touches("successor", 0, "end"),
        ),
    )
    assert edges(found) == {((0, 0, -1), (1, 0, 1)), ((1, 0, -1), (0, 0, 1))}


def test_a_contact_point_that_is_not_said_is_seen_from_where_roads_lie() -> None:
    links = '<successor elementType="road" elementId="1"/>'
    found = read(
        road(0, 30.0, section(0, lane(-1, after=[-1])), links=links),
        road(1, 30.0, section(0, lane(-1)), at=(30.0, 0.0, 0.0)),
    )
    assert edges(found) == {((0, 0, -1), (1, 0, -1))}


def test_a_loop_of_one_road_leads_into_itself() -> None:
    ring = 2.0 * 3.141592653589793 * 20.0
    links = touches("predecessor", 0, "end") + touches("successor", 0, "start")
    found = read(road(0, ring, BOTH, shape='<arc curvature="0.05"/>', links=links))
    assert edges(found) == {((0, 0, -1), (0, 0, -1)), ((0, 0, 1), (0, 0, 1))}


def test_a_lane_that_ends_inside_a_road_leads_nowhere() -> None:
    first = section(0, lane(-1, after=[-1]), lane(-2))
    found = read(road(0, 60.0, first, section(30, lane(-1, before=[-1]))))
    assert edges(found) == {((0, 0, -1), (0, 1, -1))}
    assert keys(found) == {(0, 0, -1), (0, 0, -2), (0, 1, -1)}
    assert found.notes == ()


@pytest.mark.parametrize("kind", ["shoulder", "bus", "parking", "sidewalk", "none"])
def test_a_lane_that_goes_on_as_another_type_ends_there(kind: str) -> None:
    first = section(0, lane(-1, after=[-1]))
    found = read(road(0, 60.0, first, section(30, lane(-1, kind, before=[-1]))))
    assert keys(found) == {(0, 0, -1)}
    assert edges(found) == set()


def test_a_lane_may_part() -> None:
    first = section(0, lane(-1, after=[-1, -2]))
    opening = '<width sOffset="0" a="0" b="0.1" c="0" d="0"/>'
    second = section(30, lane(-1, before=[-1]), lane(-2, before=[-1], widths=opening))
    found = read(road(0, 60.0, first, second))
    assert edges(found) == {((0, 0, -1), (0, 1, -1))}
    assert "road 0 section 0 lane -1 to road 0 section 1 lane -2: a gap of 1.8 m" in found.notes[0]


def test_a_section_without_length_is_passed_over() -> None:
    sections = (
        section(0, lane(-1, after=[-2])),
        section(30, lane(-1), lane(-2, before=[-1], after=[-3])),
        section(30, lane(-1), lane(-2), lane(-3, before=[-2])),
    )
    offset = '<laneOffset s="0" a="0"/><laneOffset s="30" a="7"/>'
    found = read(road(0, 60.0, *sections, offset=offset))
    assert edges(found) == {((0, 0, -1), (0, 2, -3))}


def test_links_that_lie_apart_are_named_and_not_followed() -> None:
    found = read(
        road(
            "here", 30.0, section(0, lane(-1, after=[-1])), links=touches("successor", 1, "start")
        ),
        road(1, 30.0, section(0, lane(-1)), at=(33.0, 0.0, 0.0)),
    )
    assert edges(found) == set()
    assert found.notes == (
        "map made: 1 link left out, no way for a car: "
        "road here section 0 lane -1 to road 1 section 0 lane -1: a gap of 3.0 m",
    )


def test_a_link_around_a_corner_is_none() -> None:
    found = read(
        road(0, 30.0, section(0, lane(-1, after=[-1])), links=touches("successor", 1, "start")),
        road(1, 30.0, section(0, lane(-1)), at=(28.25, -1.75, 1.5707963)),
    )
    assert edges(found) == set()
    assert "a corner of 90 degrees" in found.notes[0]


def test_lanes_that_face_each_other_are_no_way() -> None:
    """Both arrive where they meet: a link from -1 to +1 of a road that goes on."""
    found = read(
        road(0, 30.0, section(0, lane(-1, after=[1])), links=touches("successor", 1, "start")),
        road(1, 30.0, section(0, lane(1)), at=(30.0, 0.0, 0.0)),
    )
    assert edges(found) == set()


CROSSING = (
    '<junction id="{junction}" {kind}><connection id="0" incomingRoad="0" {other}="1"'
    ' contactPoint="start">{links}</connection></junction>'
)


@pytest.mark.parametrize("junction", ["7", "crossing of roads"])
@pytest.mark.parametrize("told_by", ["junction", "road"])
def test_a_junction_joins_roads(junction: str, told_by: str) -> None:
    inside = lane(-1, before=[-1] if told_by == "road" else [], after=[-1])
    links = touches("successor", 2, "start")
    if told_by == "road":
        links += touches("predecessor", 0, "end")
    found = read(
        road(
            0,
            30.0,
            section(0, lane(-1)),
            links=f'<successor elementType="junction" elementId="{junction}"/>',
        ),
        road(1, 10.0, section(0, inside), at=(30.0, 0.0, 0.0), links=links, junction=junction),
        road(2, 30.0, section(0, lane(-1)), at=(40.0, 0.0, 0.0)),
        CROSSING.format(
            junction=junction,
            kind="",
            other="connectingRoad",
            links='<laneLink from="-1" to="-1"/>' if told_by == "junction" else "",
        ),
    )
    assert edges(found) == {((0, 0, -1), (1, 0, -1)), ((1, 0, -1), (2, 0, -1))}
    assert found.lanes[LaneId(1, 0, -1)].junction_id == (7 if junction == "7" else 0)
    assert found.lanes[LaneId(0, 0, -1)].junction_id is None
    assert found.notes == ()


def test_a_direct_junction_joins_roads_both_ways() -> None:
    both = section(0, lane(1), lane(-1))
    links = '<laneLink from="1" to="1"/><laneLink from="-1" to="-1"/>'
    found = read(
        road(0, 30.0, both, links='<successor elementType="junction" elementId="7"/>'),
        road(
            1,
            30.0,
            both,
            at=(30.0, 0.0, 0.0),
            links='<predecessor elementType="junction" elementId="7"/>',
        ),
        CROSSING.format(junction=7, kind='type="direct"', other="linkedRoad", links=links),
    )
    assert edges(found) == {((0, 0, -1), (1, 0, -1)), ((1, 0, 1), (0, 0, 1))}


def test_a_virtual_junction_leaves_the_road_as_it_is() -> None:
    branch = '<predecessor elementType="road" elementId="0" elementS="15" elementDir="+"/>'
    found = read(
        road(0, 30.0, section(0, lane(-1))),
        road(1, 10.0, section(0, lane(-1, before=[-1])), at=(15.0, -3.5, -1.0), links=branch),
        CROSSING.format(
            junction=7,
            kind='type="virtual" mainRoad="0"',
            other="connectingRoad",
            links='<laneLink from="-1" to="-1"/>',
        ),
    )
    assert edges(found) == set()
    assert found.lanes[LaneId(0, 0, -1)].length_m == pytest.approx(30.0)


def test_what_a_junction_names_may_be_missing() -> None:
    found = read(
        road(0, 30.0, section(0, lane(-1)), links=touches("successor", "nowhere", "start")),
        CROSSING.format(junction=7, kind="", other="connectingRoad", links=""),
    )
    assert keys(found) == {(0, 0, -1)}
    assert "road 0: it leads to road nowhere, which is not there" in found.notes[0]
    assert "junction 7: it joins road 1, which is not there" in found.notes[0]


def test_ids_may_be_text_and_look_alike() -> None:
    found = read(*(road(name, 30.0, section(0, lane(-1))) for name in ("1", "01", "A1", "-1")))
    assert [key.road_id for key in found.lanes] == [1, 2, 3, 4]
    assert [each.name.split()[1] for each in found.lanes.values()] == ["1", "01", "A1", "-1"]


def test_u_turns_are_no_part_of_routes_but_are_drawn() -> None:
    """A turn on the spot within 3 m, as SUMO's netconvert writes it; one within 9 m stays."""
    narrow = lane(-1, before=[-1], after=[-1], widths='<width sOffset="0" a="3" b="0" c="0"/>')
    found = read(
        road(0, 30.0, section(0, narrow), links=touches("successor", 1, "start")),
        road(
            1,
            3.0 * 3.141592653589793,
            section(0, narrow),
            at=(30.0, 0.0, 0.0),
            shape=f'<arc curvature="{1 / 3.0}"/>',
            links=touches("successor", 2, "start"),
            junction=5,
        ),
        road(2, 30.0, section(0, narrow), at=(30.0, 6.0, 3.141592653589793)),
    )
    assert found.notes == ()
    tight = read(
        road(0, 30.0, section(0, narrow), links=touches("successor", 1, "start")),
        road(
            1,
            3.141592653589793,
            section(0, lane(-1, before=[-1], after=[-1], widths='<width a="1"/>')),
            at=(30.0, 0.0, 0.0),
            shape='<arc curvature="1.0"/>',
            junction=5,
        ),
    )
    assert set(tight.lane_graph) == {(0, 0, -1)}
    assert keys(tight) == {(0, 0, -1), (1, 0, -1)}
    assert tight.notes == (
        "map made: 1 lane left out of routes, turning more tightly than a car can: "
        "road 1 section 0 lane -1",
    )
