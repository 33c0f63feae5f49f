# SPDX-License-Identifier: Apache-2.0
"""Route files of the CARLA leaderboard: read right, or refused in one line."""

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from td3_driver.driving.routes import route_files
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route_files import (
    FileRoutes,
    RouteFile,
    RouteFileError,
    RouteRecord,
    Weather,
    plan_routes,
    read_route_file,
)
from td3_driver.driving.routes.turning import too_tight
from td3_driver.driving.routes.waypoints import Waypoint

from ..towns import MAPS, town_of

DATA = Path(__file__).parents[1] / "data" / "routes"
SHARED = MAPS.parent / "routes"
V1, V2 = DATA / "leaderboard_1.xml", DATA / "leaderboard_2.xml"
POINTS = '<waypoint x="10" y="1.75" z="0"/><waypoint x="90" y="1.75" z="0"/>'


@pytest.fixture(scope="module")
def road_map() -> RoadMap:
    return RoadMap.from_file(DATA / "two_lanes.xodr")


def test_version_1_0_in_the_ros_map_frame() -> None:
    file = read_route_file(V1)
    assert [record.route_id for record in file.records] == ["0", "1", "solid", "3", "4"]
    assert [record.town for record in file.records[:3]] == ["two_lanes", "Town07", "two_lanes"]
    assert file.notes == ()
    first = file.records[0]
    assert first.waypoints[0] == Waypoint(10.0, -1.75, 0.0, 0.0)
    assert first.waypoints[1] == pytest.approx((90.0, -5.25, 0.0, -2.0 * math.pi))
    assert first.weather == Weather(cloudiness=80.0, precipitation=60.0, sun_altitude_deg=20.0)
    assert file.records[1].weather is None


def test_version_2_x_with_the_weather_of_its_start_and_without_scenarios() -> None:
    file = read_route_file(V2)
    (record,) = file.records
    assert record.waypoints[0] == Waypoint(10.0, -1.7, 0.0, None)
    assert len(record.waypoints) == 3
    assert record.weather == Weather(cloudiness=5.0, sun_altitude_deg=-20.0)
    (note,) = file.notes
    assert "2 scenarios left out" in note
    assert note.endswith("ParkingExit, Accident")


def test_routes_that_cannot_be_driven_are_named_and_the_others_stay(road_map: RoadMap) -> None:
    planned = plan_routes(read_route_file(V1), road_map)
    (found,) = planned.routes
    assert found.route_id == "0"
    assert found.route.points_m[0] == pytest.approx((10.0, -1.75))
    assert found.route.points_m[-1] == pytest.approx((90.0, -5.25), abs=1.0)
    assert [note.removeprefix(f"routes {V1}: left out ") for note in planned.notes] == [
        "route 1: it is in Town07; expected two_lanes",
        "route solid: from its point 1 to 2 it needs a lane change that the markings forbid",
        "route 3: its point 1 is 34.8 m from the middle of the nearest lane; expected at most 4 m",
        "route 4: no way along the lanes leads from its point 1 to 2",
    ]
    ((again,), notes) = plan_routes(read_route_file(V2), road_map).routes, planned.notes
    assert again.route.length_m == pytest.approx(170.0, abs=1.0)
    assert all(len(note.splitlines()) == 1 for note in notes)


def test_a_file_of_another_town_alone_is_refused(road_map: RoadMap) -> None:
    file = read_route_file(V1)
    of_others = replace(file, records=file.records[1:2])
    with pytest.raises(RouteFileError) as refused:
        plan_routes(of_others, road_map)
    assert str(refused.value) == (
        f"routes {V1}: none of its 1 routes can be driven on map two_lanes; "
        "route 1: it is in Town07; expected two_lanes"
    )


@pytest.mark.parametrize(
    ("town", "map_name"),
    [
        ("Town01", "Carla/Maps/Town01"),
        ("/Game/Carla/Maps/Town01", "Town01"),
        ("town01", "Town01.xodr"),
        ("Town01_Opt", "Town01"),
        ("Town01", "Town01_Opt"),
    ],
)
def test_names_of_one_town(town: str, map_name: str, road_map: RoadMap) -> None:
    named = RoadMap(road_map.opendrive, map_name)
    record = RouteRecord("7", town, (Waypoint(10.0, -1.75), Waypoint(90.0, -1.75)), None)
    assert len(plan_routes(RouteFile("f", (record,), ()), named).routes) == 1


def test_the_driver_s_draws_repeat_or_go_in_order(road_map: RoadMap) -> None:
    points = [(Waypoint(10.0, -1.75), Waypoint(60.0 + 10 * n, -1.75)) for n in range(4)]
    records = tuple(RouteRecord(str(n), "two_lanes", each, None) for n, each in enumerate(points))
    file = RouteFile("f", records, ())

    def lengths(routes: FileRoutes, rng: np.random.Generator, count: int) -> list[int]:
        return [round(routes.draw(road_map, rng).length_m) for _ in range(count)]

    drawn = lengths(FileRoutes(file), np.random.default_rng(3), 40)
    assert set(drawn) == {50, 60, 70, 80}
    assert drawn == lengths(FileRoutes(file), np.random.default_rng(3), 40)
    # A resumed run goes on by the generator alone.
    rng = np.random.default_rng(3)
    lengths(FileRoutes(file), rng, 11)
    assert lengths(FileRoutes(file), rng, 29) == drawn[11:]
    in_order = FileRoutes(file, in_order=True)
    assert lengths(in_order, rng, 6) == [50, 60, 70, 80, 50, 60]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "not readable as XML (no element found"),
        ("routes", "not readable as XML (syntax error"),
        ("<routes><route>", "not readable as XML (no element found"),
        ("<OpenDRIVE/>", "its root element is <OpenDRIVE>; expected <routes>"),
        ("<routes/>", "it has no <route>; expected one or more"),
        (f'<routes><route town="T">{POINTS}</route></routes>', "route number 1: it has no id"),
        (f'<routes><route id="1">{POINTS}</route></routes>', "route 1: it has no town; expected"),
        (
            f'<routes><route id="1" town="T">{POINTS}</route>'
            f'<route id="1" town="T">{POINTS}</route></routes>',
            "route 1: another route has the same id; expected one of its own",
        ),
        (
            '<routes><route id="1" town="T"><waypoint x="1" y="2"/></route></routes>',
            "route 1: it has one point; expected two or more",
        ),
        (
            '<routes><route id="1" town="T"><point x="1" y="2"/></route></routes>',
            "route 1: it has neither of two kinds of points; expected <waypoint> elements",
        ),
        (
            f'<routes><route id="1" town="T">{POINTS}<waypoints><position x="1" y="2"/>'
            "</waypoints></route></routes>",
            "route 1: it has both of two kinds of points; expected <waypoint> elements",
        ),
        (
            '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>'
            f'<routes><route id="&b;" town="T">{POINTS}</route></routes>',
            "not readable as XML (it has a <!DOCTYPE>",
        ),
        (
            '<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
            f'<routes><route id="1" town="&a;">{POINTS}</route></routes>',
            "not readable as XML (it has a <!DOCTYPE>",
        ),
        (
            '<?xml version="1.0" encoding="no-such"?><routes/>',
            "not readable as XML (unknown encoding",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(content: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.xml"
    file.write_text(content)
    with pytest.raises(RouteFileError) as refused:
        read_route_file(file)
    message = str(refused.value)
    assert message.startswith(f"routes {file}: {reason}")
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("value", ["", "abc", "nan", "inf", "-1e300", "1_0", "٣"])
@pytest.mark.parametrize("name", ["x", "y", "z", "yaw"])
def test_numbers_that_are_none(name: str, value: str, tmp_path: Path) -> None:
    file = tmp_path / "routes.xml"
    rest = " ".join(f'{other}="1"' for other in ("x", "y", "z", "yaw") if other != name)
    bad = f'<waypoint {name}="{value}" {rest}/>'
    file.write_text(f'<routes><route id="8" town="T">{POINTS}{bad}</route></routes>', "utf-8")
    expected = f"routes {file}: route 8: a <waypoint> has {name}={value!r}; expected a number"
    with pytest.raises(RouteFileError, match=re.escape(expected)):
        read_route_file(file)


def test_files_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match=r"routes .*gone\.xml: no such file; expected"):
        read_route_file(tmp_path / "gone.xml")
    with pytest.raises(RouteFileError, match="not a file; expected"):
        read_route_file(tmp_path)
    monkeypatch.setattr(route_files, "_LARGEST_BYTES", 1000)
    with pytest.raises(RouteFileError, match="0 MB; expected at most 0 MB"):
        read_route_file(V1)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    version=st.sampled_from([V1, V2]),
    at=st.floats(0.0, 1.0),
    length=st.integers(0, 30),
    text=st.one_of(
        st.sampled_from(["", '"', "<", "/>", "NaN", "-", "&a;", "<route/>", "<waypoint/>"]),
        st.text(max_size=8),
        st.floats().map(str),
    ),
)
def test_mutated_files_are_read_or_refused_in_a_line(
    version: Path, at: float, length: int, text: str, road_map: RoadMap, tmp_path: Path
) -> None:
    whole = version.read_text()
    start = round(at * len(whole))
    file = tmp_path / "mutated.xml"
    mutated = whole[:start] + text + whole[start + length :]
    file.write_bytes(mutated.encode(errors="surrogatepass"))
    message, planned = "", None
    try:
        planned = plan_routes(read_route_file(file), road_map)
    except RouteFileError as error:
        message = str(error)
    assert message.isprintable()
    if planned is None:
        assert message.startswith(f"routes {file}: ")
    else:
        assert all(np.isfinite(each.route.points_m).all() for each in planned.routes)
        assert all(note.isprintable() for note in planned.notes)


@pytest.mark.parametrize(("name", "count"), [("Town01", 10), ("Town02", 6)])
def test_the_leaderboard_s_own_routes(name: str, count: int) -> None:
    file = SHARED / f"leaderboard1_{name.lower()}.xml"
    town = town_of(name)
    if not file.is_file():
        pytest.skip(f"the leaderboard's routes are not at {file}; not part of the project")
    read = read_route_file(file)
    planned = plan_routes(read, town)
    assert (len(planned.routes), planned.notes) == (count, ())
    for record, found in zip(read.records, planned.routes, strict=True):
        straight_m = sum(
            math.dist(one[:2], other[:2])
            for one, other in zip(record.waypoints, record.waypoints[1:], strict=False)
        )
        assert straight_m <= found.route.length_m + 2.0 < 1.08 * straight_m
        assert not too_tight(found.route.points_m)
        for waypoint in record.waypoints:
            gaps_m = np.hypot(*(found.route.points_m - waypoint[:2]).T)
            assert gaps_m.min() < 1.2
