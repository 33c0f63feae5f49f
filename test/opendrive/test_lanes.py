# SPDX-License-Identifier: Apache-2.0
"""Where lanes lie: reference lines, widths, sections, sides, marks."""

import math

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import LaneId, RoadMapError
from td3_driver.opendrive.lane import Marking

from .making import WIDTH_M, edges, keys, lane, only, read, road, section

HALF_M = WIDTH_M / 2.0
ONE_LANE = section(0, lane(-1))


def test_a_straight_lane_lies_beside_its_road() -> None:
    found = only(read(road(0, 20.3, ONE_LANE, at=(5.0, 7.0, math.pi / 2.0))))
    assert found.length_m == pytest.approx(20.3)
    assert found.line_m[0] == pytest.approx([5.0 + HALF_M, 7.0])
    assert found.line_m[-1] == pytest.approx([5.0 + HALF_M, 27.3])
    assert found.left_m[0] == pytest.approx([5.0, 7.0])
    assert found.right_m[0] == pytest.approx([5.0 + WIDTH_M, 7.0])
    assert np.hypot(*np.diff(found.line_m, axis=0).T).max() <= 0.5


def test_an_arc_is_a_circle() -> None:
    shape = '<arc curvature="-0.05"/>'
    found = only(read(road(0, 30.0, section(0, lane(1)), shape=shape)))
    assert found.key == LaneId(0, 0, 1)
    radii = np.hypot(*(found.line_m - [0.0, -20.0]).T)
    assert radii == pytest.approx(np.full(len(radii), 20.0 + HALF_M), abs=1e-9)
    assert found.line_m[-1] == pytest.approx([0.0, HALF_M]), "it ends where the road begins"


@pytest.mark.parametrize("ends", [(0.0, 0.05), (0.05, 0.0), (0.05, 0.05), (0.0, 0.0), (-0.1, 0.2)])
def test_a_spiral_s_curvature_grows_evenly(ends: tuple[float, float]) -> None:
    first, last = ends
    shape = f'<spiral curvStart="{first}" curvEnd="{last}"/>'
    found = only(read(road(0, 40.0, ONE_LANE, shape=shape)))
    steps = np.diff(found.left_m, axis=0)  # the reference line
    step_m = 40.0 / len(steps)
    assert np.hypot(*steps.T) == pytest.approx(np.full(len(steps), step_m), abs=1e-3)
    yaws = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    s_m = step_m * (0.5 + np.arange(len(yaws)))
    wanted = first * s_m + (last - first) / 40.0 * s_m**2 / 2.0
    assert yaws == pytest.approx(wanted, abs=2e-3)


def test_polynomials_of_both_kinds_are_the_same_curve() -> None:
    """v = u²/40, as poly3, and as paramPoly3 by either range."""
    length_m = 21.0
    s_m = np.linspace(0.0, 30.0, 300_001)
    along = np.cumsum(np.hypot(np.diff(s_m), np.diff(s_m**2 / 40.0)))
    end_u = float(np.interp(length_m, along, s_m[1:]))
    lines = []
    for shape in (
        '<poly3 a="0" b="0" c="0.025" d="0"/>',
        f'<paramPoly3 aU="0" bU="{end_u}" cU="0" dU="0" aV="0" bV="0" cV="{end_u**2 / 40.0}"'
        ' dV="0" pRange="normalized"/>',
        f'<paramPoly3 aU="0" bU="{end_u / length_m}" cU="0" dU="0" aV="0" bV="0"'
        f' cV="{(end_u / length_m) ** 2 / 40.0}" dV="0" pRange="arcLength"/>',
    ):
        lines.append(only(read(road(0, length_m, ONE_LANE, shape=shape))).left_m)
    for line_m in lines:
        assert line_m[:, 1] == pytest.approx(line_m[:, 0] ** 2 / 40.0, abs=1e-6)
        assert line_m[-1, 0] == pytest.approx(end_u, abs=1e-3)
        assert line_m == pytest.approx(lines[0], abs=2e-3)


def test_left_hand_traffic_keeps_left() -> None:
    both = section(0, lane(1), lane(-1))
    right, left = (read(road(0, 50.7, both, attributes=rule)) for rule in ("", 'rule="LHT"'))
    for lane_id in (1, -1):
        one, other = right.lanes[LaneId(0, 0, lane_id)], left.lanes[LaneId(0, 0, lane_id)]
        assert np.array_equal(one.line_m, other.line_m[::-1])
        assert np.array_equal(one.left_m, other.right_m[::-1])
        assert (one.edge_on_left, other.edge_on_left) == (False, True)
    forwards = left.lanes[LaneId(0, 0, 1)]
    assert forwards.line_m[0] == pytest.approx([0.0, HALF_M])
    assert forwards.line_m[-1] == pytest.approx([50.7, HALF_M])
    assert forwards.length_m == pytest.approx(50.7)


def test_a_lane_against_the_rule() -> None:
    found = only(read(road(0, 30.0, section(0, lane(-1, attributes='direction="reversed"')))))
    assert found.line_m[0] == pytest.approx([30.0, -HALF_M])
    assert found.edge_on_left


def test_widths_and_offsets_change_along_the_road() -> None:
    """A second lane opens over 20 m while the road's middle moves."""
    growing = lane(-2, widths='<width sOffset="0" a="0" b="0.175" c="0" d="0"/>')
    offset = '<laneOffset s="0" a="1" b="0.05" c="0" d="0"/>'
    found = read(road(0, 20.0, section(0, lane(-1), growing), offset=offset))
    outer = found.lanes[LaneId(0, 0, -2)]
    assert outer.width_m[[0, -1]] == pytest.approx([0.0, WIDTH_M])
    assert outer.line_m[0] == pytest.approx([0.0, 1.0 - WIDTH_M])
    assert outer.line_m[-1] == pytest.approx([20.0, 2.0 - 1.5 * WIDTH_M])
    inner = found.lanes[LaneId(0, 0, -1)]
    assert np.array_equal(inner.right_m, outer.left_m)


def test_borders_say_where_a_lane_ends() -> None:
    bordered = [
        lane(n, widths=f'<border sOffset="0" a="{a}" b="0" c="0" d="0"/>')
        for n, a in ((-1, -3.0), (-2, -7.0))
    ]
    found = read(road(0, 20.0, section(0, *bordered)))
    assert [each.width_m[0] for each in found.lanes.values()] == pytest.approx([3.0, 4.0])
    assert found.lanes[LaneId(0, 0, -2)].line_m[0, 1] == pytest.approx(-5.0)


def test_a_record_that_begins_at_a_section_s_end_does_not_reach_into_it() -> None:
    """The middle jumps where the sections meet; each lane is straight."""
    offset = '<laneOffset s="0" a="0"/><laneOffset s="50.0004" a="3.5"/>'
    sections = section(0, lane(-1, after=[-2])), section(50.0, lane(-1), lane(-2, before=[-1]))
    found = read(road(0, 100.0, *sections, offset=offset))
    assert keys(found) == {(0, 0, -1), (0, 1, -1), (0, 1, -2)}
    for key, each in found.lanes.items():
        assert np.ptp(each.line_m[:, 1]) < 1e-9, key
    assert edges(found) == {((0, 0, -1), (0, 1, -2))}


def test_a_one_sided_section_leaves_the_other_side_as_it_is() -> None:
    first = section(0, lane(1, before=[], after=[1]), lane(-1))
    second = section(40, lane(1, before=[1]), lane(2), attributes='singleSide="true"')
    found = read(road(0, 100.0, first, second))
    assert keys(found) == {(0, 0, 1), (0, 0, -1), (0, 1, 1), (0, 1, 2)}
    assert found.lanes[LaneId(0, 0, -1)].length_m == pytest.approx(100.0)
    assert np.hypot(*np.diff(found.lanes[LaneId(0, 0, -1)].line_m, axis=0).T).min() > 0.1
    assert found.lanes[LaneId(0, 0, 1)].length_m == pytest.approx(40.0)
    assert edges(found) == {((0, 1, 1), (0, 0, 1))}


@pytest.mark.parametrize(
    "kind",
    ["driving", "bidirectional", "entry", "exit", "onRamp", "offRamp", "connectingRamp",
     "slipLane", "mwyEntry", "mwyExit"],
)  # fmt: skip
def test_types_that_cars_may_use(kind: str) -> None:
    assert keys(read(road(0, 20.0, section(0, lane(-1, kind), lane(-2, "bus"))))) == {(0, 0, -1)}


def test_a_map_without_a_lane_for_cars_says_which_it_has() -> None:
    with pytest.raises(RoadMapError) as refused:
        read(road(0, 20.0, section(0, lane(-1, "bus"), lane(-2, "sidewalk"))))
    assert "map made: it has no lane that a car can drive on" in str(refused.value)
    assert "its lanes are of type bus, sidewalk" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_corners_between_straight_pieces_are_rounded() -> None:
    """A polyline of 15 degrees each 4 m, as LGSVL writes bends: lanes neither jump nor fold."""
    plan, x_m, y_m = "", 0.0, 0.0
    for number in range(12):
        heading = math.radians(15.0) * number
        plan += (
            f'<geometry s="{4 * number}" x="{x_m}" y="{y_m}" hdg="{heading}" length="4">'
            "<line/></geometry>"
        )
        x_m, y_m = x_m + 4.0 * math.cos(heading), y_m + 4.0 * math.sin(heading)
    wide = '<width sOffset="0" a="6.5" b="0" c="0" d="0"/>'
    sides = section(0, lane(1, widths=wide), lane(-1, widths=wide))
    found = read(road(0, 48.0, sides, plan=plan))
    assert found.notes == ()
    for each in found.lanes.values():
        steps = np.diff(each.line_m, axis=0)
        assert np.hypot(*steps.T).max() < 0.8
        turns = np.diff(np.unwrap(np.arctan2(steps[:, 1], steps[:, 0])))
        assert np.abs(turns).max() < 0.4


def test_lanes_that_no_car_can_follow_are_left_out_by_name() -> None:
    """Inside of a bend that is tighter than the lane is far from the road's middle it folds."""
    inside = section(0, lane(1), lane(2), lane(3), lane(-1))
    found = read(road(17, 12.0, inside, shape='<arc curvature="0.2"/>'))
    assert LaneId(17, 0, 3) not in found.lanes
    assert LaneId(17, 0, -1) in found.lanes
    (note,) = (note for note in found.notes if "not drivable" in note)
    assert note.startswith("map made: ")
    assert "road 17 section 0 lane 3: its middle runs backwards at" in note


def test_marks_are_those_of_the_lane_s_edges() -> None:
    """Solid inside, broken outside from 30 m on; doubles are named from the middle outwards."""
    outer = '<roadMark sOffset="0" type="solid"/><roadMark sOffset="30" type="broken solid"/>'
    centre = '<roadMark type="solid broken" color="yellow"/>'
    marked = [lane(n, marks=outer) for n in (1, -1)]
    found = read(road(0, 100.0, section(0, *marked, centre=centre)))
    right, left = found.lanes[LaneId(0, 0, -1)], found.lanes[LaneId(0, 0, 1)]
    assert [line.kind for line in right.right_lines] == [Marking.SOLID, Marking.BROKEN_SOLID]
    assert [line.begin_m for line in right.right_lines] == pytest.approx([0.0, 30.0])
    assert [(line.kind, line.color) for line in right.left_lines] == [
        (Marking.SOLID_BROKEN, "yellow")
    ]
    # The other lane drives the other way: its lines come in the other order, 70 m first.
    assert [line.kind for line in left.right_lines] == [Marking.BROKEN_SOLID, Marking.SOLID]
    assert [line.end_m for line in left.right_lines] == pytest.approx([70.0, 100.0])
    assert [line.kind for line in left.left_lines] == [Marking.BROKEN_SOLID]


@pytest.mark.parametrize("kind", ["", "none", "curb", "edge", "no such mark"])
def test_lanes_without_marks_or_with_strange_ones(kind: str) -> None:
    marks = f'<roadMark type="{kind}"/>' if kind else ""
    lines = only(read(road(0, 20.0, section(0, lane(-1, marks=marks))))).right_lines
    expected = {"": [], "none": [Marking.NONE], "curb": [Marking.CURB]}
    assert [line.kind for line in lines] == expected.get(kind, [Marking.OTHER])


@pytest.mark.parametrize(("grade", "driven"), [(0.35, True), (0.5, False), (2.0, False)])
def test_a_road_that_no_car_can_climb_is_left_out(grade: float, driven: bool) -> None:
    slope = f'<elevationProfile><elevation s="0" b="{grade}"/></elevationProfile>'
    found = read(road(0, 50.0, ONE_LANE), road(1, 50.0, ONE_LANE, at=(0.0, 9.0, 0.0), more=slope))
    assert (LaneId(1, 0, -1) in found.lanes) == driven
    assert ("road 1 section 0 lane -1: it climbs by" in "".join(found.notes)) != driven


def test_a_step_in_a_road_is_no_way() -> None:
    step = '<elevationProfile><elevation s="0"/><elevation s="25" a="3"/></elevationProfile>'
    found = read(road(0, 50.0, ONE_LANE), road(1, 50.0, ONE_LANE, at=(0.0, 9.0, 0.0), more=step))
    assert keys(found) == {(0, 0, -1)}


def test_of_several_records_at_one_place_the_last_counts() -> None:
    twice = '<width sOffset="0" a="9"/><width sOffset="0" a="3"/>'
    offset = '<laneOffset s="0" a="5"/><laneOffset s="0" a="0"/>'
    found = only(read(road(0, 20.0, section(0, lane(-1, widths=twice)), offset=offset)))
    assert found.line_m[0] == pytest.approx([0.0, -1.5])


def test_a_lane_on_the_middle_of_its_own_bend_is_no_line() -> None:
    """Its reference line turns around the lane's middle: all of its points are one."""
    bend = f'<arc curvature="{1 / HALF_M}"/>'
    found = read(road(0, 50.0, ONE_LANE), road(1, 4.0, section(0, lane(1)), shape=bend))
    assert "road 1 section 0 lane 1: its middle is a point" in found.notes[0]
