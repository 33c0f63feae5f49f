# SPDX-License-Identifier: Apache-2.0
"""Seeded street networks with T junctions, crossroads and roundabouts, written as OpenDRIVE.

A network is a grid of places with some streets left out, so that two to four meet at each place.
Streets are clothoids between the places' arms; scenariogeneration writes them and the junctions.
Traffic drives on the right.
"""

from __future__ import annotations

import itertools
import math
import random
from dataclasses import dataclass

import networkx
import numpy as np
import numpy.typing as npt
import pyclothoids
from scenariogeneration import xodr
from shapely.geometry import LineString

from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.world.roads.bounds import Network
from td3_driver.world.roads.junctions import Arm, Junctions, join
from td3_driver.world.roads.opendrive import (
    drawn_centre,
    drawn_edges,
    mark,
    paint,
    reproducible_text,
)

FloatArray = npt.NDArray[np.float64]

_TILT_RAD = 0.15  # how far a place's arms may be turned together
_REACH_M = {1: 17.0, 2: 22.0}  # from a junction's middle to the ends of its streets, by lanes
_ROUNDABOUT_REACH_M = 34.0
_MIN_RADIUS_M = 4.5  # of the tightest lane: what a car's steering still follows
_MIN_APART_M = 14.0  # middles of streets that do not lead into each other


_Cell = tuple[int, int]


@dataclass(frozen=True)
class _Place:
    """A grid point: its position, the rotation of its arms, and the kind of junction at it."""

    cell: _Cell
    x_m: float
    y_m: float
    tilt_rad: float
    kind: str  # "bend" of two streets, "junction" or "roundabout"
    neighbours: tuple[_Cell, ...]

    def outward_rad(self, neighbour: _Cell) -> float:
        """The direction in which the street to a neighbour leaves, rad."""
        arm_rad = self._arm_rad(neighbour)
        if self.kind != "bend":
            return arm_rad
        (other,) = (self._arm_rad(cell) for cell in self.neighbours if cell != neighbour)
        return math.atan2(math.sin(arm_rad) - math.sin(other), math.cos(arm_rad) - math.cos(other))

    def _arm_rad(self, neighbour: _Cell) -> float:
        east, north = neighbour[0] - self.cell[0], neighbour[1] - self.cell[1]
        return math.atan2(north, east) + self.tilt_rad


def draw_network(rng: random.Random, network: Network, name: str) -> str | None:
    """Draw a network; its OpenDRIVE text, or None if it cannot be driven."""
    grid = _draw_grid(rng, network)
    places = {cell: _draw_place(rng, network, grid, cell) for cell in grid}
    lanes = _draw_lanes(rng, network, grid)
    narrowest_m, widest_m = network.lane_width_m
    width_m = rng.uniform(narrowest_m, widest_m) if narrowest_m < widest_m else widest_m
    document = xodr.OpenDrive(name)
    arms: dict[_Cell, list[Arm]] = {cell: [] for cell in grid}
    for road_id, (start, end) in enumerate(grid.edges):
        reach_m = _reach_m(places[start], network), _reach_m(places[end], network)
        count = lanes[frozenset((start, end))]
        street = _street(road_id, places[start], places[end], reach_m, count, width_m)
        for arm, cell in zip(street, (start, end), strict=True):
            arms[cell].append(arm)
        if network.varied_paint:
            road = street[0].road
            road.lanes.lanesections[0].centerlane.roadmark = [drawn_centre(rng)]
            paint(road, drawn_edges(rng))
        document.add_road(arms[start][-1].road)
    junctions = Junctions(document, grid.number_of_edges(), width_m)
    for cell, place in places.items():
        if place.kind == "bend":
            join(*arms[cell])
        elif place.kind == "junction":
            junctions.add_crossing(arms[cell])
        else:
            junctions.add_roundabout((place.x_m, place.y_m), arms[cell])
    document.adjust_roads_and_lanes()
    text = reproducible_text(document)
    return text if _is_drivable(RoadMap(text, name), list(grid.edges)) else None


def _draw_grid(rng: random.Random, network: Network) -> networkx.Graph:
    """A grid with a few streets left out; every street lies on a ring: there are no dead ends."""
    grid = networkx.grid_2d_graph(rng.randint(*network.columns), rng.randint(*network.rows))
    streets = list(grid.edges)
    rng.shuffle(streets)
    for street in streets[: rng.randint(0, len(streets) // 4)]:
        grid.remove_edge(*street)
        if networkx.has_bridges(grid) or sum(degree > 2 for _, degree in grid.degree) < 2:
            grid.add_edge(*street)
    return grid


def _draw_place(rng: random.Random, network: Network, grid: networkx.Graph, cell: _Cell) -> _Place:
    x_m, y_m = (
        network.spacing_m * index + rng.uniform(-network.shift_m, network.shift_m)
        for index in cell
    )
    tilt_rad = rng.uniform(-_TILT_RAD, _TILT_RAD)
    round_about = rng.random() < network.roundabouts
    neighbours = tuple(sorted(grid.neighbors(cell)))
    kind = "bend" if len(neighbours) == 2 else "roundabout" if round_about else "junction"
    return _Place(cell, x_m, y_m, tilt_rad, kind, neighbours)


def _draw_lanes(
    rng: random.Random, network: Network, grid: networkx.Graph
) -> dict[frozenset[_Cell], int]:
    """Draw the number of lanes each way of every street; it is the same for joined streets."""
    chains = networkx.Graph()
    chains.add_nodes_from(map(frozenset, grid.edges))
    for cell in grid:
        if grid.degree(cell) == 2:
            chains.add_edge(*(frozenset(street) for street in grid.edges(cell)))
    return {
        street: lanes
        for chain in networkx.connected_components(chains)
        for lanes in [rng.randint(1, network.lanes)]
        for street in chain
    }


def _reach_m(place: _Place, network: Network) -> float:
    """The distance from a place's middle to the ends of its streets, m."""
    if place.kind == "bend":
        return 0.0
    return _ROUNDABOUT_REACH_M if place.kind == "roundabout" else _REACH_M[network.lanes]


def _street(
    road_id: int,
    start: _Place,
    end: _Place,
    reach_m: tuple[float, float],
    lanes: int,
    lane_width_m: float,
) -> tuple[Arm, Arm]:
    """Build a street between two places; returns its two ends."""
    leave_rad, arrive_rad = start.outward_rad(end.cell), end.outward_rad(start.cell) + math.pi
    x_m = start.x_m + reach_m[0] * math.cos(leave_rad), end.x_m - reach_m[1] * math.cos(arrive_rad)
    y_m = start.y_m + reach_m[0] * math.sin(leave_rad), end.y_m - reach_m[1] * math.sin(arrive_rad)
    pieces = pyclothoids.SolveG2(x_m[0], y_m[0], leave_rad, 0.0, x_m[1], y_m[1], arrive_rad, 0.0)
    road = xodr.create_road(
        [xodr.Spiral(piece.KappaStart, piece.KappaEnd, length=piece.length) for piece in pieces],
        id=road_id,
        left_lanes=lanes,
        right_lanes=lanes,
        lane_width=lane_width_m,
        center_road_mark=mark(xodr.RoadMarkType.broken, xodr.RoadMarkColor.yellow),
    )
    paint(road)
    road.planview.set_start_point(x_m[0], y_m[0], leave_rad)
    return (
        Arm(road, True, x_m[0], y_m[0], leave_rad + math.pi, lanes),
        Arm(road, False, x_m[1], y_m[1], arrive_rad, lanes),
    )


def _is_drivable(road_map: RoadMap, streets: list[tuple[_Cell, _Cell]]) -> bool:
    """Whether every lane leads to every other, none bends too much, and streets keep apart."""
    lanes = road_map.lane_graph
    lines_m = {lane: Route.along(data["line_m"]).points_m for lane, data in lanes.nodes(data=True)}
    if not networkx.is_strongly_connected(lanes) or any(
        _sharpest_per_m(line_m) > 1.0 / _MIN_RADIUS_M for line_m in lines_m.values()
    ):
        return False
    middles = [LineString(lines_m[LaneId(road, 0, -1)]) for road in range(len(streets))]
    return all(
        middles[one].distance(middles[other]) > _MIN_APART_M
        for one, other in itertools.combinations(range(len(streets)), 2)
        if set(streets[one]).isdisjoint(streets[other])
    )


def _sharpest_per_m(points_m: FloatArray) -> float:
    """The largest change of heading, rad/m, along (N, 2) points that are 1 m apart."""
    steps = np.diff(points_m, axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return float(np.max(np.abs(np.diff(headings)), initial=0.0))
