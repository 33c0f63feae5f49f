# SPDX-License-Identifier: Apache-2.0
"""Finding routes on a road map: at random, or from a start to a goal."""

from __future__ import annotations

import functools
import hashlib
import itertools
import math

import networkx
import numpy as np

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import NARROWEST_M, Lane, LaneId, RoadMap
from td3_driver.driving.routes.route import STEP_M, FloatArray, Route, distances
from td3_driver.driving.routes.turning import too_tight

# Routes start at this spacing along each lane, in blocks that each have one purpose.
START_SPACING_M = 5.0
SHORTEST_M = 10.0  # shortest route, where lanes end before the wanted length
BLOCK_M = 30.0
# One block in this many is for the purpose; the others are for training.
HELD_OUT = {Purpose.EVALUATION: 5, Purpose.SELECTION: 20, Purpose.TUNING: 20}

# For training, of several routes the one that bends most in its first metres is taken.
BEND_WITHIN_M = 50.0


def random_route(
    road_map: RoadMap,
    rng: np.random.Generator,
    length_m: float,
    purpose: Purpose = Purpose.TRAINING,
) -> Route:
    """Return a random route of about `length_m` that starts on a lane outside junctions.

    Starts are divided by purpose: lanes are cut into blocks of `BLOCK_M`, shorter on a small map,
    each for one purpose and always the same one on a map: `HELD_OUT`. The rest of a route may pass
    blocks of any purpose.

    Args:
        road_map: the roads.
        rng: draws the start and the turns; the same state gives the same route.
        length_m: wanted length, m; the route is shorter where lanes end.
        purpose: purpose of the blocks to start in.

    Raises:
        ValueError: the map has no drivable stretch of `SHORTEST_M`, or it is too small to have a
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
        length_m: see `random_route`, which also raises ValueError.
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
    for _ in range(50):
        lane, offset_m = starts[int(rng.integers(len(starts)))]
        line_m, drivable_m = _walk(graph, rng, lane, offset_m, length_m)
        driven_m = min(drivable_m, length_m)
        if driven_m > best_m and too_tight(_until(line_m, driven_m)):
            continue  # although each of its lanes alone is not
        if driven_m > best_m:
            best, best_m, start_z_m = line_m, driven_m, _height_m(graph, lane, offset_m)
        if best_m >= length_m:
            break
    least_m = min(length_m, SHORTEST_M)
    if best_m < least_m:
        raise ValueError(f"map {road_map.name}: no drivable stretch of {least_m:.0f} m")
    return Route.along(best, best_m, start_z_m)


def shortest_route(
    road_map: RoadMap, start_m: tuple[float, float], goal_m: tuple[float, float]
) -> Route:
    """Return the shortest way along lanes between the lane points nearest to start and goal.

    Args:
        road_map: the roads.
        start_m, goal_m: x and y in the ROS map frame, m.

    Raises:
        ValueError: no way leads there, or the goal is where the start is.
    """
    graph = road_map.lane_graph
    lane, offset_m = _nearest_place(graph, start_m)
    goal_lane, goal_offset_m = _nearest_place(graph, goal_m)
    start_z_m = _height_m(graph, lane, offset_m)
    ahead_m = goal_offset_m - offset_m
    if lane == goal_lane and 0.0 <= ahead_m < STEP_M:
        raise ValueError(f"route from {start_m} to {goal_m}: both are at the same place of a lane")
    if lane == goal_lane and ahead_m > 0.0:
        return Route.along(_from(graph.nodes[lane]["line_m"], offset_m), ahead_m, start_z_m)
    ways = [
        networkx.shortest_path(graph, successor, goal_lane, weight="length_m")
        for successor in graph.successors(lane)
        if networkx.has_path(graph, successor, goal_lane)
    ]
    if not ways:
        raise ValueError(f"map {road_map.name}: no way along its lanes from {start_m} to {goal_m}")
    lengths_m = [
        sum(graph.edges[step]["length_m"] for step in itertools.pairwise(way)) for way in ways
    ]
    way = ways[int(np.argmin(lengths_m))]
    lines = [graph.nodes[passed]["line_m"] for passed in way]
    first = _from(graph.nodes[lane]["line_m"], offset_m)
    length_m = _length(first) + min(lengths_m) + goal_offset_m
    return Route.along(np.concatenate([first, *lines]), length_m, start_z_m)


@functools.lru_cache(maxsize=8)
def _starts(road_map: RoadMap, purpose: Purpose) -> tuple[tuple[LaneId, float], ...]:
    """Return the starts for a purpose: lanes and distances from their beginnings, m."""
    # Finer on a small map.
    for spacing_m, block_m in (
        (START_SPACING_M, BLOCK_M),
        (START_SPACING_M, START_SPACING_M),
        (1.0, 1.0),
    ):
        starts = _places_to_start(road_map, spacing_m)
        block_of = {start: (start[0], start[1] // block_m * block_m) for start in starts}
        blocks = set(block_of.values())
        if len(blocks) >= len(Purpose):
            break
    # By rank, not by value: so every map of four blocks or more has some for each purpose.
    ranked = sorted(blocks, key=_hash_of)
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
        raise ValueError(
            f"map {road_map.name}: {len(blocks)} blocks of {block_m:g} m of lanes outside "
            f"junctions; expected at least {1 if purpose is Purpose.TRAINING else len(Purpose)} "
            f"to start routes for {purpose.value} in"
        )
    return tuple(start for start in sorted(starts) if block_of[start] in chosen)


def _places_to_start(road_map: RoadMap, spacing_m: float) -> list[tuple[LaneId, float]]:
    """Return all starts of routes, for any purpose."""
    graph = road_map.lane_graph
    wide = [
        (lane, start_m)
        for lane, data in graph.nodes(data=True)
        if data["junction_id"] is None
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


def _hash_of(block: tuple[LaneId, float]) -> bytes:
    """Return a hash that is as good as random, and the same in every process."""
    (road, section, lane), begin_m = block
    return hashlib.sha256(f"{road} {section} {lane} {begin_m:g}".encode()).digest()


def _walk(
    graph: networkx.DiGraph,
    rng: np.random.Generator,
    lane: LaneId,
    offset_m: float,
    length_m: float,
) -> tuple[FloatArray, float]:
    """Return (N, 2) points of a random way from a place, and the length that a car can follow, m.

    The way has at least `length_m`, unless the lanes end; a closing lane ends where it gets
    narrow.
    """
    lines = [_from(graph.nodes[lane]["line_m"], offset_m)]
    driven_m = _length(lines[0])
    while driven_m < length_m:
        ways = list(graph.successors(lane))
        if not ways:
            return np.concatenate(lines), driven_m - _narrow_end_m(graph.nodes[lane]["lane"])
        lane = ways[int(rng.integers(len(ways)))] if len(ways) > 1 else ways[0]
        lines.append(graph.nodes[lane]["line_m"])
        driven_m += graph.nodes[lane]["length_m"]
    return np.concatenate(lines), driven_m


def _until(line_m: FloatArray, length_m: float) -> FloatArray:
    """Return the beginning of a line."""
    return line_m[: int(np.searchsorted(distances(line_m), length_m)) + 1]


def _narrow_end_m(lane: Lane) -> float:
    """Return the length of a lane's end that is too narrow for a car, m."""
    wide = np.flatnonzero(lane.width_m >= NARROWEST_M)
    return lane.length_m - float(lane.along_m[wide[-1]]) if len(wide) else 0.0


def _nearest_place(graph: networkx.DiGraph, point_m: tuple[float, float]) -> tuple[LaneId, float]:
    """Return the lane that passes nearest to a point, and the distance along it, m."""
    place: tuple[LaneId, float] | None = None
    nearest_m = math.inf
    for lane, data in graph.nodes(data=True):
        gaps_m = np.hypot(*(data["line_m"] - point_m).T)
        nearest = int(np.argmin(gaps_m))
        if gaps_m[nearest] < nearest_m:
            nearest_m = float(gaps_m[nearest])
            place = lane, _length(data["line_m"][: nearest + 1])
    assert place is not None, "a RoadMap has a driving lane"
    return place


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
