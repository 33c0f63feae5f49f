# SPDX-License-Identifier: Apache-2.0
"""Documents drawn from a small grammar: each is read right, or refused in one line.

Roads of one to four sections that follow each other, or meet in a junction, with lanes of any
type and width that come and go, links that are right, missing or wrong, marks, rules, signals,
and numbers that are none.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from td3_driver.driving.routes.planner import plan_route
from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.routing import random_route
from td3_driver.driving.routes.waypoints import Waypoint
from td3_driver.driving.types import Control
from td3_driver.opendrive.lanes import CAR_LANES
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig
from td3_driver.world.traffic_lights import TrafficLights

from .making import document, lane, road, section, touches

TYPES = (
    *["driving"] * 8, "exit", "onRamp", "bidirectional", "shoulder", "bus", "none", "sidewalk",
)  # fmt: skip
Made = TypeVar("Made")
LENGTHS = st.one_of(
    st.floats(0.5, 60.0), st.floats(60.0, 400.0), st.sampled_from([0.0, 0.004, 20.0, 2048.7])
)
NUMBERS = st.floats(-0.2, 0.2)
NUMBER = re.compile(r'="-?[0-9.e-]+"')


@st.composite
def widths(draw: st.DrawFn) -> str:
    kind = draw(
        st.sampled_from([*["constant"] * 6, "opens", "closes", "border", "none"])
    )
    if kind == "none":
        return ""
    if kind == "border":
        return f'<border sOffset="0" a="{draw(st.floats(-8, 8))}" b="{draw(NUMBERS)}"/>'
    a, b = {"constant": (3.5, 0.0), "opens": (0.0, 0.2), "closes": (3.5, -0.2)}[kind]
    return f'<width sOffset="0" a="{a}" b="{b}" c="0" d="0"/>'


@st.composite
def lanes(draw: st.DrawFn) -> list[str]:
    found = []
    for side in (1, -1):
        for number in range(1, 1 + draw(st.integers(0, 3))):
            lane_id = side * number
            same = draw(st.sampled_from([[lane_id], [lane_id], [lane_id], [], [-lane_id, 9]]))
            marks = draw(st.sampled_from(["", '<roadMark type="solid broken"/>', "<roadMark/>"]))
            found.append(
                lane(
                    lane_id,
                    draw(st.sampled_from(TYPES)),
                    before=same,
                    after=same,
                    widths=draw(widths()),
                    marks=marks,
                )
            )
    return found


@st.composite
def shapes(draw: st.DrawFn) -> str:
    one, other = draw(NUMBERS), draw(NUMBERS)
    return draw(
        st.sampled_from(
            [
                "<line/>",
                "<line/>",
                f'<arc curvature="{one}"/>',
                f'<spiral curvStart="{one}" curvEnd="{other}"/>',
                f'<spiral curvStart="{one}" curvEnd="{one}"/>',
                f'<poly3 a="0" b="0" c="{one}" d="{other}"/>',
                f'<paramPoly3 aU="0" bU="20" cU="{one}" dU="0" aV="0" bV="{other}" cV="1"'
                ' dV="0"/>',
            ]
        )
    )


@st.composite
def signals(draw: st.DrawFn) -> str:
    """A speed limit, and a light that counts for some lanes or all, there or on another road."""
    lanes_told = draw(st.sampled_from(["", '<validity fromLane="-2" toLane="1"/>', "<validity/>"]))
    kind = draw(st.sampled_from(["1000001", "206", "274", "?"]))
    facing = draw(st.sampled_from(["+", "-", "none", "?"]))
    place = f's="{draw(LENGTHS)}" orientation="{facing}"'
    signal_id = draw(st.sampled_from(["a", "b"]))
    limit = draw(st.sampled_from(["", '<speed max="30" unit="mph"/>', '<speed max="?"/>']))
    return (
        f'<type s="{draw(LENGTHS)}">{limit}</type><signals>'
        f'<signal id="{signal_id}" t="-4" type="{kind}" {place}>{lanes_told}</signal>'
        f'<signalReference id="a" {place}>{lanes_told}</signalReference></signals>'
    )


@st.composite
def documents(draw: st.DrawFn) -> str:
    rule = draw(st.sampled_from(["", "", 'rule="LHT"', 'rule="?"']))
    count = draw(st.integers(1, 4))
    parts, x_m = [], 0.0
    for number in range(count):
        length_m = draw(LENGTHS)
        cuts = sorted(draw(st.lists(st.floats(0.0, 1.0), max_size=3)))
        sections = [section(s, *draw(lanes())) for s in [0.0, *(cut * length_m for cut in cuts)]]
        contact = draw(st.sampled_from(["start", "start", "end", "?"]))
        links = ""
        if number < count - 1 or draw(st.booleans()):
            links += touches("successor", (number + 1) % (count + 1), contact)
        if number:
            links += touches("predecessor", number - 1, "end")
        parts.append(
            road(
                draw(st.sampled_from([number, number, number, f"r{number}"])),
                length_m,
                *sections,
                at=(x_m, draw(st.sampled_from([0.0, 0.0, 0.3, 5.0])), 0.0),
                shape="<line/>" if draw(st.booleans()) else draw(shapes()),
                links=links,
                attributes=rule,
                junction=draw(st.sampled_from([-1, -1, -1, 7])),
                offset=f'<laneOffset s="0" a="{draw(NUMBERS)}"/>',
                more='<elevationProfile><elevation s="0"'
                f' b="{draw(NUMBERS)}"/></elevationProfile>' + draw(signals()),
            )
        )
        x_m += length_m
    parts.append(
        '<controller id="c"><control signalId="a"/></controller>'
        '<junction id="7"><controller id="c"/>'
        '<connection incomingRoad="0" connectingRoad="1" contactPoint="start">'
        '<laneLink from="-1" to="-1"/></connection></junction>'
    )
    text = document(*parts)
    if draw(st.integers(0, 7)) == 7:  # one of its numbers is none
        numbers = list(NUMBER.finditer(text))
        spoiled = draw(st.sampled_from(numbers))
        word = draw(st.sampled_from(["", "1,5", "nan", "inf", "x", "1e300", "-1"]))
        text = f'{text[: spoiled.start()]}="{word}"{text[spoiled.end() :]}'
    return text


def check(road_map: RoadMap) -> None:
    """What has to be true of every map that was not refused."""
    assert all("\n" not in note and note.startswith("map fuzz: ") for note in road_map.notes)
    graph = road_map.lane_graph
    for key, each in road_map.lanes.items():
        assert isinstance(key, LaneId)
        assert np.isfinite(each.line_m).all()
        assert np.isfinite(each.height_m).all()
        steps = np.diff(each.line_m, axis=0)
        lengths_m = np.hypot(*steps.T)
        assert lengths_m.max() <= 1.0, "no step over twice the spacing"
        across = each.left_m[:-1] - each.right_m[:-1]
        turned = steps[:, 0] * across[:, 1] - steps[:, 1] * across[:, 0]
        assert turned.min() >= -1e-4, "nowhere backwards"
        at = each.line_m[len(each.line_m) // 2]
        under = road_map.places.lanes_at(at[None])[0]
        assert each.width_m[len(each.line_m) // 2] < 0.1 or under is not None
    for one, other in graph.edges:
        ends = graph.nodes[one]["line_m"][-1], graph.nodes[other]["line_m"][0]
        assert math.dist(*ends) <= 1.0
    for signal in road_map.signals:
        assert math.isfinite(signal.x_m + signal.y_m + signal.z_m + signal.yaw_rad)
        for stop in signal.stops:
            assert 0.0 <= stop.s_m <= road_map.lanes[stop.lane].length_m
    lights = TrafficLights(road_map)
    lights.step(0.1)
    for found in (*lights.lights, *lights.signs):
        assert np.isfinite([*found.trigger.center_m, *found.trigger.half_m]).all()
    refusal, route = outcome(lambda: random_route(road_map, np.random.default_rng(0), 50.0))
    assert refusal.startswith("map fuzz: ") == (route is None)
    if route is not None:
        assert np.hypot(*np.diff(route.points_m, axis=0).T).max() <= 1.0 + 1e-6
    ends = [lane for _, lane in graph.nodes(data="lane")]
    points = [Waypoint(*lane.line_m[len(lane.line_m) // 2]) for lane in (ends[0], ends[-1])]
    refusal, route = outcome(lambda: plan_route(road_map, points))
    assert bool(refusal) == (route is None)
    if route is not None:
        assert np.isfinite(route.points_m).all()
    config = WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),), traffic=2)
    refusal, world = outcome(lambda: Simulation(config, road_map))
    assert refusal.startswith("map fuzz: ") == (world is None)
    if world is not None:
        for _ in range(5):
            world.step(Control(throttle=0.5))


def outcome(make: Callable[[], Made]) -> tuple[str, Made | None]:
    """What was made, or the words with which it was refused."""
    try:
        return "", make()
    except ValueError as error:
        return str(error), None


def read_and_check(text: str) -> None:
    refusal, road_map = outcome(lambda: RoadMap(text, "fuzz"))
    if road_map is not None:
        check(road_map)
    else:
        assert refusal.startswith("map fuzz: ")
        assert "\n" not in refusal


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=60, derandomize=True, **QUIET)
@given(text=documents())
def test_drawn_maps(text: str) -> None:
    read_and_check(text)


@pytest.mark.long
@pytest.mark.timeout(1800)
@settings(max_examples=2000, **QUIET)
@given(text=documents())
def test_two_thousand_drawn_maps(text: str) -> None:
    read_and_check(text)


def test_the_grammar_draws_maps_that_can_be_driven() -> None:
    """Else the two tests above would be about refusals alone."""
    driven: list[bool] = []

    @settings(max_examples=100, derandomize=True, database=None, **QUIET)
    @given(text=documents())
    def draw(text: str) -> None:
        driven.append(outcome(lambda: RoadMap(text, "fuzz"))[1] is not None)

    draw()
    assert set(TYPES) & CAR_LANES
    assert sum(driven) > 0.5 * len(driven)
