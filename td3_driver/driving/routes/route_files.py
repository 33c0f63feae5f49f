# SPDX-License-Identifier: Apache-2.0
"""Reads the CARLA leaderboard's route files, of its versions 1.0 and 2.x.

In 1.0 a `<route>` has `<waypoint>` elements with yaw and perhaps a `<weather>`; in 2.x it has
`<waypoints>` of `<position>` elements, `<weathers>`, and `<scenarios>`, which are left out. Files
are in CARLA's left-handed axes and degrees; all that is returned is in the ROS map frame.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, NoReturn
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from td3_driver.driving.routes.planner import plan_route
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.waypoints import RouteError, Waypoint
from td3_driver.opendrive.elements import OpenDriveError, number
from td3_driver.text import shown

_LARGEST_BYTES = 64_000_000  # fifty times the leaderboard's own
_NAMED = 3
_BOTH = "expected <waypoint> elements (leaderboard 1.0) or <waypoints> of <position> (2.x)"
_LAYERED = "_opt"  # of the same towns, their buildings in layers


class RouteFileError(ValueError):
    """A route file cannot be used; the message is a line that names it."""


@dataclass(frozen=True)
class Weather:
    """A weather of CARLA's; see `world.camera.weather.look_of_weather`, whose arguments it has."""

    cloudiness: float = 0.0
    precipitation: float = 0.0
    precipitation_deposits: float = 0.0
    wetness: float = 0.0
    fog_density: float = 0.0
    fog_distance_m: float = 0.0
    sun_azimuth_deg: float = 0.0
    sun_altitude_deg: float = 0.0


# What a file's weather has if it says nothing, by the leaderboard's versions.
_BASE_1, _BASE_2 = Weather(), Weather(cloudiness=50.0, sun_altitude_deg=70.0)
_ATTRIBUTES = {
    "cloudiness": "cloudiness",
    "precipitation": "precipitation",
    "precipitation_deposits": "precipitation_deposits",
    "wetness": "wetness",
    "fog_density": "fog_density",
    "fog_distance": "fog_distance_m",
    "sun_azimuth_angle": "sun_azimuth_deg",
    "sun_altitude_angle": "sun_altitude_deg",
}


@dataclass(frozen=True)
class RouteRecord:
    """A `<route>` as a file has it.

    Attributes:
        route_id: its id, a text.
        town: the map's name.
        waypoints: two or more.
        weather: the one at its start; None if it has none.
    """

    route_id: str
    town: str
    waypoints: tuple[Waypoint, ...]
    weather: Weather | None


@dataclass(frozen=True)
class RouteFile:
    """A route file: its name, its routes in order, and a line about what is left out."""

    name: str
    records: tuple[RouteRecord, ...]
    notes: tuple[str, ...]


class PlannedRoute(NamedTuple):
    """A route of a file on the lanes of a map."""

    route_id: str
    route: Route
    weather: Weather | None


@dataclass(frozen=True)
class PlannedRoutes:
    """The routes of a file that lead over a map, one or more, and a line for each other one."""

    routes: tuple[PlannedRoute, ...]
    notes: tuple[str, ...]


@dataclass
class FileRoutes:
    """Draws the routes of a file: at random, or in order, again and again.

    Attributes:
        file: the routes.
        in_order: see above.
    """

    file: RouteFile
    in_order: bool = False
    _drawn: int = 0
    _planned: tuple[RoadMap, PlannedRoutes] | None = field(default=None, repr=False)

    def on(self, road_map: RoadMap) -> PlannedRoutes:
        """Return the routes on a map; see `plan_routes`."""
        if self._planned is None or self._planned[0] is not road_map:
            self._planned = road_map, plan_routes(self.file, road_map)
        return self._planned[1]

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        """Return the next route; see `RouteSource`."""
        routes = self.on(road_map).routes
        number = self._drawn % len(routes) if self.in_order else int(rng.integers(len(routes)))
        self._drawn += 1
        return routes[number].route


def read_route_file(path: str | Path) -> RouteFile:
    """Read a route file.

    Raises:
        FileNotFoundError: there is no such file.
        RouteFileError: it is no route file, or a route in it cannot be read.
    """
    path = Path(path)
    name = shown(path)
    if not path.exists():
        raise FileNotFoundError(f"routes {name}: no such file; expected a leaderboard's .xml file")
    if not path.is_file():
        raise RouteFileError(f"routes {name}: not a file; expected a leaderboard's .xml file")
    size = path.stat().st_size
    if size > _LARGEST_BYTES:
        raise RouteFileError(
            f"routes {name}: {size / 1e6:.0f} MB; expected at most {_LARGEST_BYTES / 1e6:.0f} MB"
        )
    parser = ElementTree.XMLParser(target=_WithoutEntities())
    try:
        root = ElementTree.fromstring(path.read_bytes(), parser)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RouteFileError(
            f"routes {name}: not readable as XML ({shown(error)}); expected a leaderboard's "
            "route file"
        ) from error
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = element.tag.rpartition("}")[2]
    if root.tag != "routes":
        raise RouteFileError(
            f"routes {name}: its root element is <{shown(root.tag)}>; expected <routes>"
        )
    records: dict[str, RouteRecord] = {}
    scenarios: Counter[str] = Counter()
    for element in root.iter("route"):
        route_id = element.get("id", "").strip()
        try:
            if not route_id:
                raise OpenDriveError("it has no id; expected one that no other has")
            if route_id in records:
                raise OpenDriveError("another route has the same id; expected one of its own")
            records[route_id] = _record(element, route_id)
        except OpenDriveError as error:
            where = f"route {shown(route_id)}" if route_id else f"route number {len(records) + 1}"
            raise RouteFileError(f"routes {name}: {where}: {error}") from error
        scenarios.update(
            shown(each.get("type") or each.get("name") or "unnamed")
            for each in element.iterfind("scenarios/scenario")
        )
    if not records:
        raise RouteFileError(f"routes {name}: it has no <route>; expected one or more")
    return RouteFile(name, tuple(records.values()), _left_out(name, scenarios))


class _WithoutEntities(ElementTree.TreeBuilder):
    """Refuses what entities are declared in: a small file may stand for gigabytes by them."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise ValueError("it has a <!DOCTYPE>, which route files do without")


def _left_out(name: str, scenarios: Counter[str]) -> tuple[str, ...]:
    if not scenarios:
        return ()
    kinds = list(scenarios)
    more = f" and {len(kinds) - _NAMED} kinds more" if len(kinds) > _NAMED else ""
    count = sum(scenarios.values())
    return (
        f"routes {name}: {count} scenario{'' if count == 1 else 's'} left out, which the embedded "
        f"world does not play: {', '.join(kinds[:_NAMED])}{more}",
    )


def _record(element: Element, route_id: str) -> RouteRecord:
    town = (element.get("town") or element.get("map") or "").strip()
    if not town:
        raise OpenDriveError("it has no town; expected the map's name, such as town='Town01'")
    waypoints, positions = element.findall("waypoint"), element.findall("waypoints/position")
    if bool(waypoints) == bool(positions):
        has = "both" if waypoints else "neither"
        raise OpenDriveError(f"it has {has} of two kinds of points; {_BOTH}")
    points = tuple(map(_waypoint, waypoints or positions))
    if len(points) < 2:
        raise OpenDriveError("it has one point; expected two or more")
    weathers = element.findall("weather") or sorted(
        element.iterfind("weathers/weather"),
        key=lambda each: number(each, "route_percentage", 0.0),
    )
    base = _BASE_1 if waypoints else _BASE_2
    return RouteRecord(route_id, town, points, _weather(weathers[0], base) if weathers else None)


def _waypoint(element: Element) -> Waypoint:
    """A point of a route, in the ROS map frame."""
    return Waypoint(
        number(element, "x"),
        -number(element, "y"),
        None if element.get("z") is None else number(element, "z"),
        None if element.get("yaw") is None else -math.radians(number(element, "yaw")),
    )


def _weather(element: Element, base: Weather) -> Weather:
    return Weather(
        **{
            name: number(element, attribute, getattr(base, name))
            for attribute, name in _ATTRIBUTES.items()
        }
    )


def plan_routes(file: RouteFile, road_map: RoadMap) -> PlannedRoutes:
    """Plan the routes of a file on a map; those that cannot be driven get a line each.

    Raises:
        RouteFileError: none of them can be driven.
    """
    planned: list[PlannedRoute] = []
    refused: list[str] = []
    for record in file.records:
        try:
            if _town(record.town) != _town(road_map.name):
                raise RouteError(f"it is in {shown(record.town)}; expected {road_map.name}")
            route = plan_route(road_map, record.waypoints)
        except RouteError as error:
            refused.append(f"route {shown(record.route_id)}: {error}")
        else:
            planned.append(PlannedRoute(record.route_id, route, record.weather))
    if not planned:
        raise RouteFileError(
            f"routes {file.name}: none of its {len(refused)} routes can be driven on map "
            f"{road_map.name}; {refused[0]}"
        )
    left_out = (f"routes {file.name}: left out {each}" for each in refused)
    return PlannedRoutes(tuple(planned), (*file.notes, *left_out))


def _town(name: str) -> str:
    """A town's name without what tells no towns apart: folders, suffix, case, layers."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].casefold()
    return last.removesuffix(".xodr").removesuffix(_LAYERED)
