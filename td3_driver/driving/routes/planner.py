# SPDX-License-Identifier: Apache-2.0
"""Plans a route through given waypoints: the shortest way along lanes, and lane changes."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import networkx
import numpy as np

from td3_driver.driving.routes.forks import forks
from td3_driver.driving.routes.lane_change_graph import (
    Edge,
    Node,
    lane_change_graph,
    line_along,
    with_places,
)
from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import STEP_M, Route, distances
from td3_driver.driving.routes.turning import too_tight
from td3_driver.driving.routes.waypoints import (
    Place,
    RouteError,
    Waypoint,
    apart,
    places_beside,
    places_meant,
)

# A way that is so much longer than one that crosses forbidden lines is not what was meant.
DETOUR_M = 200.0

_TIGHT = "it turns more tightly than a car can"
_FORBIDDEN = "lane change that the markings forbid"


@dataclass(frozen=True)
class _Way:
    """The places that a way leads through, and its length with all that speaks against it, m."""

    nodes: tuple[Node, ...]
    cost_m: float

    @property
    def edges(self) -> Iterator[Edge]:
        """From each place to the next."""
        return itertools.pairwise(self.nodes)


def plan_route(road_map: RoadMap, waypoints: Sequence[Waypoint]) -> Route:
    """Plan the shortest route through waypoints, as CARLA's route planner joins them.

    The way between two of them is the shortest along lanes, with lane changes where the lines
    allow them. Where a waypoint lies on several lanes, that lane is meant whose direction is the
    waypoint's, and which makes the whole route short. The route begins at the place in the middle
    of a lane nearest to the first waypoint, and ends at that nearest to the last.

    Args:
        road_map: the roads.
        waypoints: two or more.

    Raises:
        RouteError: there is no such route.
    """
    kept = apart(waypoints)
    layers = [places_meant(road_map, number, waypoint) for number, waypoint in kept]
    for layer in layers[1:-1]:
        layer += places_beside(road_map, layer)
    nodes = [place.node for layer in layers for place in layer]
    numbers = [number for number, _ in kept]
    network = with_places(lane_change_graph(road_map), road_map, nodes)
    ways = _joined(road_map, network, layers, numbers)
    if sum(way.cost_m for way in ways) < STEP_M:
        raise RouteError("all of its points are at the same place of a lane")
    avoided: list[Edge] = []
    while (tight := _tight_link(network, ways)) is not None:
        avoided.append(tight)
        network.remove_edge(*tight)
        try:
            ways = _joined(road_map, network, layers, numbers)
        except RouteError as error:
            raise RouteError(_TIGHT) from error
    for way, pair in zip(ways, itertools.pairwise(numbers), strict=True):
        _check_detour(road_map, network, way, pair, avoided)
    edges = [edge for way in ways for edge in way.edges]
    lane, s_m = ways[0].nodes[0]
    start = road_map.lanes[lane]
    return Route.along(
        line_along(network, edges),
        None,
        float(np.interp(s_m, start.along_m, start.height_m)),
        forks(road_map, _links(network, edges)),
    )


def _links(
    network: networkx.DiGraph, edges: Sequence[Edge]
) -> Iterator[tuple[LaneId, LaneId, float]]:
    """The links of two lanes that are taken, and where on the way, m."""
    so_far_m = 0.0
    for edge in edges:
        (lane, _), (following, _) = edge
        if "step" in network.edges[edge]:
            so_far_m += float(distances(network.edges[edge]["step"].points_m())[-1])
        elif lane != following:
            yield lane, following, so_far_m


def _tight_link(network: networkx.DiGraph, ways: Sequence[_Way]) -> Edge | None:
    """Return a link of two lanes where ways turn more tightly than a car can; None if nowhere.

    Each of the lanes alone is not too tight.

    Raises:
        RouteError: they do, but not because of a link.
    """
    edges = [edge for way in ways for edge in way.edges]
    if not too_tight(line_along(network, edges)):
        return None
    count = bisect.bisect(
        range(len(edges)),
        False,
        key=lambda count: too_tight(line_along(network, edges[: count + 1])),
    )
    links = [edge for edge in edges[:count] if "step" not in network.edges[edge]]
    if not links:
        raise RouteError(_TIGHT)
    return links[-1]


def _joined(
    road_map: RoadMap,
    network: networkx.DiGraph,
    layers: Sequence[Sequence[Place]],
    numbers: Sequence[int],
) -> list[_Way]:
    """Return the ways from waypoint to waypoint of the route that is shortest together."""
    totals = {place.node: place.cost_m for place in layers[0]}
    before: list[dict[Node, _Way]] = []
    for layer, pair in zip(layers[1:], itertools.pairwise(numbers), strict=True):
        reached: dict[Node, float] = {}
        arriving: dict[Node, _Way] = {}
        for node, cost_m in layer:
            for start, so_far_m in totals.items():
                way = _shortest(network, start, node)
                if way is None:
                    continue
                total_m = so_far_m + way.cost_m + cost_m
                if total_m < reached.get(node, math.inf):
                    reached[node], arriving[node] = total_m, way
        if not reached:
            goals = [place.node for place in layer]
            raise RouteError(_why_not(road_map, list(totals), goals, pair))
        totals = reached
        before.append(arriving)
    node = min(totals, key=lambda each: totals[each])
    ways = []
    for arriving in reversed(before):
        ways.append(arriving[node])
        node = ways[-1].nodes[0]
    return ways[::-1]


def _shortest(network: networkx.DiGraph, start: Node, goal: Node) -> _Way | None:
    """Return the shortest way between two places; None if there is none."""
    points_m = network.nodes(data="point_m")
    goal_m = points_m[goal]

    def distance_m(node: Node, _: Node) -> float:
        # Ends of lanes that are linked may be a bit apart.
        return 0.9 * math.dist(points_m[node], goal_m)

    try:
        nodes = networkx.astar_path(network, start, goal, distance_m, weight="cost_m")
    except networkx.NetworkXNoPath:
        return None
    cost_m = sum(network.edges[edge]["cost_m"] for edge in itertools.pairwise(nodes))
    return _Way(tuple(nodes), cost_m)


def _why_not(
    road_map: RoadMap, starts: Sequence[Node], goals: Sequence[Node], pair: tuple[int, int]
) -> str:
    """Return why no way leads from any of some places to any of others."""
    network = lane_change_graph(road_map, whatever_is_painted=True)
    network = with_places(network, road_map, [*starts, *goals])
    if any(_shortest(network, one, other) for one in starts for other in goals):
        return f"from its point {pair[0]} to {pair[1]} it needs a {_FORBIDDEN}"
    return f"no way along the lanes leads from its point {pair[0]} to {pair[1]}"


def _check_detour(
    road_map: RoadMap,
    network: networkx.DiGraph,
    way: _Way,
    pair: tuple[int, int],
    avoided: Sequence[Edge],
) -> None:
    """Check that a way leads around no forbidden line.

    Raises:
        RouteError: it is much longer for that.
    """
    start, goal = way.nodes[0], way.nodes[-1]
    straight_m = math.dist(network.nodes[start]["point_m"], network.nodes[goal]["point_m"])
    if way.cost_m - straight_m <= DETOUR_M:
        return
    unmarked = lane_change_graph(road_map, whatever_is_painted=True)
    unmarked = with_places(unmarked, road_map, [start, goal])
    unmarked.remove_edges_from(avoided)
    direct = _shortest(unmarked, start, goal)
    if direct is not None and way.cost_m - direct.cost_m > DETOUR_M:
        raise RouteError(
            f"from its point {pair[0]} to {pair[1]} it needs a {_FORBIDDEN}; the way around is "
            f"{way.cost_m - direct.cost_m:.0f} m longer"
        )
