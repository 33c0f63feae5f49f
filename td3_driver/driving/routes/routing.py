# SPDX-License-Identifier: Apache-2.0
"""Where routes come from: drawn at random on a road map, or given."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import networkx
import numpy as np

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.forks import forks
from td3_driver.driving.routes.road_map import NARROWEST_M, Lane, LaneId, RoadMap
from td3_driver.driving.routes.route import FloatArray, Route, distances
from td3_driver.driving.routes.turning import too_tight

# Routes start at this spacing along each lane, in blocks that each have one purpose.
START_SPACING_M = 5.0
SHORTEST_M = 10.0  # shortest route, where lanes end before the wanted length
BLOCK_M = 30.0
# One block in this many is for the purpose; the others are for training.
HELD_OUT = {Purpose.EVALUATION: 5, Purpose.SELECTION: 20, Purpose.TUNING: 20}

# For training, of several routes the one that bends most in its first metres is taken.
BEND_WITHIN_M = 50.0
_Link = tuple[LaneId, LaneId, float]  # a lane, the next one, and the distance driven before it, m


class NoRouteError(ValueError):
    """There is no route on these roads; one line says why."""


class RouteSource(Protocol):
    """Where a driver's routes come from, one for each episode."""

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        """Return the next route.

        Args:
            road_map: the roads.
            rng: decides all that is not given; the same state gives the same route, by which a
                resumed run goes on as it would have.

        Raises:
            NoRouteError: there is none on these roads.
        """


@dataclass(frozen=True)
class RandomRoutes:
    """Random routes that start where only drives of one purpose do.

    Attributes:
        length_m: wanted length, m; see `random_route`.
        purpose: see `random_route`; for training, routes are those of `training_route`.
        choices: see `training_route`.
    """

    length_m: float
    purpose: Purpose
    choices: int = 1

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        """Return a random route; see `RouteSource`."""
        if self.purpose is Purpose.TRAINING:
            return training_route(road_map, rng, self.length_m, self.choices)
        return random_route(road_map, rng, self.length_m, self.purpose)


@dataclass(frozen=True)
class GivenRoutes:
    """Routes that are known beforehand, one or more, drawn at random."""

    routes: Sequence[Route]

    def draw(self, road_map: RoadMap, rng: np.random.Generator) -> Route:
        """Return one of the routes; see `RouteSource`."""
        return self.routes[int(rng.integers(len(self.routes)))]


def random_route(
    road_map: RoadMap,
    rng: np.random.Generator,
    length_m: float,
    purpose: Purpose = Purpose.TRAINING,
) -> Route:
    """Return a random route of about `length_m` that starts on a lane outside junctions.

    Starts are divided by purpose: lanes are cut into blocks of `BLOCK_M`, shorter on a small map,
    each for one purpose and always the same one on a map, also on one that was put side by side
    with others: `HELD_OUT`. The rest of a route may pass blocks of any purpose.

    Args:
        road_map: the roads.
        rng: draws the start and the turns; the same state gives the same route.
        length_m: wanted length, m; the route is shorter where lanes end.
        purpose: purpose of the blocks to start in.

    Raises:
        NoRouteError: the map has no drivable stretch of `SHORTEST_M`, or it is too small to have a
            block for this purpose.
    """
    return _drawn(road_map, _starts(road_map, purpose), rng, length_m)


def training_route(
    road_map: RoadMap, rng: np.random.Generator, length_m: float, choices: int
) -> Route:
    """Return, of `choices` random routes, the one that bends most soon after its start.

    A town has long straight lanes and few turns, most of which a beginner never reaches, as it
    fails at an earlier one. Starts before turns show it all of them from the beginning.

    Args:
        road_map: the roads.
        rng: draws the routes.
        length_m: see `random_route`, which also raises NoRouteError.
        choices: number of routes to choose from; 1 for starts spread evenly over the lanes.
    """
    starts = _starts(road_map, Purpose.TRAINING)
    routes = [_drawn(road_map, starts, rng, length_m) for _ in range(choices)]
    return max(routes, key=lambda route: route.bend_rad(BEND_WITHIN_M))


def _drawn(
    road_map: RoadMap,
    starts: tuple[tuple[LaneId, float], ...],
    rng: np.random.Generator,
    length_m: float,
) -> Route:
    """Return a random route from one of the starts."""
    graph = road_map.lane_graph
    best: FloatArray = np.empty((0, 2))
    best_m = start_z_m = 0.0
    links: list[_Link] = []
    for _ in range(50):
        lane, offset_m = starts[int(rng.integers(len(starts)))]
        line_m, drivable_m, taken = _walk(graph, rng, lane, offset_m, length_m)
        driven_m = min(drivable_m, length_m)
        if driven_m > best_m and too_tight(_until(line_m, driven_m)):
            continue  # although each of its lanes alone is not
        if driven_m > best_m:
            best, best_m, links = line_m, driven_m, taken
            start_z_m = _height_m(graph, lane, offset_m)
        if best_m >= length_m:
            break
    least_m = min(length_m, SHORTEST_M)
    if best_m < least_m:
        raise NoRouteError(f"map {road_map.name}: no drivable stretch of {least_m:.0f} m")
    return Route.along(best, best_m, start_z_m, forks(road_map, links))


@functools.lru_cache(maxsize=8)
def _starts(road_map: RoadMap, purpose: Purpose) -> tuple[tuple[LaneId, float], ...]:
    """Return the starts for a purpose: lanes and distances from their beginnings, m.

    Of maps side by side each has those that it has alone.
    """
    found: list[tuple[LaneId, float]] = []
    failure = None
    for part in sorted({road_map.part_of(lane.road_id) for lane in road_map.lane_graph}):
        try:
            found += _starts_in(road_map, part, purpose)
        except NoRouteError as error:
            failure = error
    if failure is not None and not found:
        raise failure
    return tuple(found)


def _starts_in(road_map: RoadMap, part: int, purpose: Purpose) -> list[tuple[LaneId, float]]:
    """Return the starts for a purpose in one of the maps that were put side by side."""
    # Finer on a small map.
    for spacing_m, block_m in (
        (START_SPACING_M, BLOCK_M),
        (START_SPACING_M, START_SPACING_M),
        (1.0, 1.0),
    ):
        starts = _places_to_start(road_map, part, spacing_m)
        block_of = {start: (start[0], start[1] // block_m * block_m) for start in starts}
        blocks = set(block_of.values())
        if len(blocks) >= len(Purpose):
            break
    # By rank, not by value: so every map of four blocks or more has some for each purpose.
    ranked = sorted(blocks, key=functools.partial(_hash_of, road_map))
    shares = HELD_OUT if len(ranked) >= len(Purpose) else {}
    chosen: set[tuple[LaneId, float]] = set()
    for other, one_in in shares.items():
        count = max(len(ranked) // one_in, 1)
        if other is purpose:
            chosen = set(ranked[:count])
        ranked = ranked[count:]
    if purpose is Purpose.TRAINING:
        chosen = set(ranked)
    if not chosen:
        raise NoRouteError(
            f"map {road_map.name}: {len(blocks)} blocks of {block_m:g} m of lanes outside "
            f"junctions; expected at least {1 if purpose is Purpose.TRAINING else len(Purpose)} "
            f"to start routes for {purpose.value} in"
        )
    return [start for start in sorted(starts) if block_of[start] in chosen]


def _places_to_start(
    road_map: RoadMap, part: int, spacing_m: float
) -> list[tuple[LaneId, float]]:
    """Return all starts of routes, for any purpose."""
    graph = road_map.lane_graph
    wide = [
        (lane, start_m)
        for lane, data in graph.nodes(data=True)
        if data["junction_id"] is None and road_map.part_of(lane.road_id) == part
        for start_m in np.arange(0.0, data["length_m"], spacing_m).tolist()
        if np.interp(start_m, data["lane"].along_m, data["lane"].width_m) >= NARROWEST_M
    ]
    # Just before a dead end there is nothing to drive; on a tiny road that is everywhere.
    with_room = [
        (lane, start_m)
        for lane, start_m in wide
        if graph.out_degree(lane) or graph.nodes[lane]["length_m"] - start_m >= SHORTEST_M
    ]
    return with_room or wide


def _hash_of(road_map: RoadMap, block: tuple[LaneId, float]) -> bytes:
    """Return a hash that is as good as random, and the same in every process."""
    (road, section, lane), begin_m = block
    own = road_map.own_id(road)
    return hashlib.sha256(f"{own} {section} {lane} {begin_m:g}".encode()).digest()


def _walk(
    graph: networkx.DiGraph,
    rng: np.random.Generator,
    lane: LaneId,
    offset_m: float,
    length_m: float,
) -> tuple[FloatArray, float, list[_Link]]:
    """Return a random way from a place.

    The way has at least `length_m`, unless the lanes end; there it ends where they get narrow.

    Returns:
        Its (N, 2) points; the length that a car can follow, m; and the links of lanes taken.
    """
    lines = [_from(graph.nodes[lane]["line_m"], offset_m)]
    links: list[_Link] = []
    taken = [lane]
    driven_m = _length(lines[0])
    while driven_m < length_m:
        ways = list(graph.successors(lane))
        if not ways:
            narrow_m = _narrow_end_m([graph.nodes[key]["lane"] for key in taken])
            return np.concatenate(lines), driven_m - narrow_m, links
        following = ways[int(rng.integers(len(ways)))] if len(ways) > 1 else ways[0]
        links.append((lane, following, driven_m))
        lane = following
        taken.append(lane)
        lines.append(graph.nodes[lane]["line_m"])
        driven_m += graph.nodes[lane]["length_m"]
    return np.concatenate(lines), driven_m, links


def _until(line_m: FloatArray, length_m: float) -> FloatArray:
    """Return the beginning of a line."""
    return line_m[: int(np.searchsorted(distances(line_m), length_m)) + 1]


def _narrow_end_m(lanes: Sequence[Lane]) -> float:
    """Return the length of the end of lanes in a row that is too narrow for a car, m."""
    narrow_m = 0.0
    for lane in reversed(lanes):
        wide = np.flatnonzero(lane.width_m >= NARROWEST_M)
        if len(wide):
            return narrow_m + lane.length_m - float(lane.along_m[wide[-1]])
        narrow_m += lane.length_m
    return 0.0  # nowhere is it wide enough


def _height_m(graph: networkx.DiGraph, lane: LaneId, offset_m: float) -> float:
    data = graph.nodes[lane]
    return float(np.interp(offset_m, distances(data["line_m"]), data["height_m"]))


def _length(line_m: FloatArray) -> float:
    return float(distances(line_m)[-1])


def _from(line_m: FloatArray, offset_m: float) -> FloatArray:
    """Return the rest of a line from a distance on."""
    s_m = distances(line_m)
    first = [np.interp(offset_m, s_m, line_m[:, axis]) for axis in (0, 1)]
    return np.concatenate([[first], line_m[s_m > offset_m]])
