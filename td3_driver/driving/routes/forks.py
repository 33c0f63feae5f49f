# SPDX-License-Identifier: Apache-2.0
"""Which side to keep to where the road forks and the turn alone does not tell the ways apart.

So it is where a street gets a second lane behind a junction, and in roundabouts.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np

from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import (
    STEP_M,
    TURN_AHEAD_M,
    FloatArray,
    Fork,
    Route,
    distances,
)

_BEFORE_M = 15.0  # of the lane that forks
_AHEAD_M = 25.0  # from the fork on, where ways are looked at
_APART_M = 1.5  # closer ones are one way


def forks(road_map: RoadMap, links: Iterable[tuple[LaneId, LaneId, float]]) -> Iterator[Fork]:
    """The forks of a route at which it has to be said which side to keep to.

    Args:
        road_map: the roads.
        links: of each link of two lanes that the route takes: both, and where on the route, m.
    """
    known = _known(road_map)
    for lane, following, s_m in links:
        if (lane, following) not in known:
            known[lane, following] = _side(road_map, lane, following)
        if side := known[lane, following]:
            yield Fork(s_m, side)


@functools.lru_cache(maxsize=8)
def _known(road_map: RoadMap) -> dict[tuple[LaneId, LaneId], int]:
    """The sides that were looked for on a map; it is not kept longer than some others."""
    return {}


def _side(road_map: RoadMap, lane: LaneId, following: LaneId) -> int:
    """1 if all other ways that turn alike are right of this one, -1 if left of it, else 0."""
    ways = list(road_map.lane_graph.successors(lane))
    if len(ways) < 2:
        return 0
    begin_m = max(road_map.lanes[lane].length_m - _BEFORE_M, 0.0)
    before_m = road_map.lanes[lane].length_m - begin_m
    lines = {way: _way(road_map, lane, way, begin_m) for way in ways}
    if min(distances(line_m)[-1] for line_m in lines.values()) < STEP_M:
        return 0  # of lanes shorter than a step, which end
    routes = {way: Route.along(line_m) for way, line_m in lines.items()}
    taken = routes.pop(following)
    turn = taken.turn_ahead(before_m)
    at_m = before_m + _AHEAD_M
    sides = set()
    for other in routes.values():
        if other.turn_ahead(before_m) != turn:
            continue
        reach_m = min(taken.length_m, other.length_m, at_m)
        ((x_m, y_m),) = other.points_at(np.array([reach_m]))
        here, there = taken.points_at(np.array([reach_m - 1.0, reach_m]))
        (dx, dy), (away_x, away_y) = there - here, (x_m - there[0], y_m - there[1])
        if np.hypot(away_x, away_y) > _APART_M:
            sides.add(-1 if dx * away_y - dy * away_x > 0.0 else 1)
    return sides.pop() if len(sides) == 1 else 0


def _way(road_map: RoadMap, lane: LaneId, following: LaneId, begin_m: float) -> FloatArray:
    """Points of a lane from a distance on, of a lane that follows, and of what follows that."""
    graph = road_map.lane_graph
    line_m = graph.nodes[lane]["line_m"]
    lines = [line_m[distances(line_m) >= begin_m], graph.nodes[following]["line_m"]]
    left_m = _AHEAD_M + TURN_AHEAD_M - graph.nodes[following]["length_m"]
    while left_m > 0.0 and (ways := list(graph.successors(following))):
        following = ways[0]
        lines.append(graph.nodes[following]["line_m"])
        left_m -= graph.nodes[following]["length_m"]
    return np.concatenate(lines)
