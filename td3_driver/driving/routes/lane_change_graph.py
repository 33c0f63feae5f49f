# SPDX-License-Identifier: Apache-2.0
"""A graph of places on lanes: the steps from one to the next, and lane changes."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import networkx
import numpy as np

from td3_driver.driving.routes.road_map import Lane, LaneId, RoadMap
from td3_driver.driving.routes.route import TURN_OVER_M, FloatArray, distances
from td3_driver.opendrive.lane_changes import LaneChange

# Lane changes begin and end at places so far apart, and are as long as the road has room for.
_PLACE_POINTS = 10  # of lanes' middles: about 5 m
CHANGE_LENGTHS_M = (30.0, 20.0, 12.0)
# A change counts as so many more metres, and for each metre that it is shorter than it might be:
# so none is made to save the outside of a bend.
_CHANGE_COST_M, _SHORT_COST = 20.0, 2.0
# No change where the road bends so much within `TURN_OVER_M` that both together look like a turn.
_BEND_RAD = math.radians(20.0)

Node = tuple[LaneId, float]  # a lane, and the distance along it, m
Edge = tuple[Node, Node]


class Piece(NamedTuple):
    """A piece of a lane, between two distances along it, m."""

    lane: Lane
    begin_m: float
    end_m: float

    def points_m(self) -> FloatArray:
        lane = self.lane
        inside = (lane.along_m > self.begin_m) & (lane.along_m < self.end_m)
        at_m = np.concatenate([[self.begin_m], lane.along_m[inside], [self.end_m]])
        return np.stack([np.interp(at_m, lane.along_m, axis) for axis in lane.line_m.T], axis=1)


@dataclass(frozen=True)
class Step:
    """What is driven along an edge: pieces of lanes, or a change from some to those beside."""

    pieces: tuple[Piece, ...]
    beside: tuple[Piece, ...] = ()

    def points_m(self) -> FloatArray:
        here = np.concatenate([piece.points_m() for piece in self.pieces])
        if not self.beside:
            return here
        there = np.concatenate([piece.points_m() for piece in self.beside])
        along_m = distances(here)
        share = along_m[:, None] / along_m[-1]
        # Begins and ends without a bend.
        over = share**3 * (10.0 - 15.0 * share + 6.0 * share**2)
        blended: FloatArray = (1.0 - over) * here + over * there
        return blended


@functools.lru_cache(maxsize=8)
def lane_change_graph(road_map: RoadMap, *, whatever_is_painted: bool = False) -> networkx.DiGraph:
    """Return a graph of places on lanes, with an edge for each step from place to place.

    Nodes have `point_m`, (x, y). Edges have `cost_m`, and `step`, a `Step`, but where a lane ends
    and the next one begins.
    """
    lanes, graph = road_map.lane_graph, networkx.DiGraph()
    changes = road_map.lanes_beside if whatever_is_painted else road_map.lane_changes
    changed = {each.key for change in changes for each in (change.lane, change.other)}
    for key, lane in lanes.nodes(data="lane"):
        places = _places_along(lane) if key in changed else np.array([0.0, lane.along_m[-1]])
        for begin_m, end_m in itertools.pairwise(places.tolist()):
            _add_piece(graph, lane, begin_m, end_m)
    for key, following in lanes.edges:
        graph.add_edge((key, lanes.nodes[key]["lane"].length_m), (following, 0.0), cost_m=0.0)
    leaving: dict[LaneId, list[LaneChange]] = {}
    for change in changes:
        leaving.setdefault(change.lane.key, []).append(change)
    for change in changes:
        for begin_m in _places_along(change.lane).tolist():
            if change.begin_m <= begin_m < change.end_m:
                _add_changes(graph, lanes, leaving, change, begin_m)
    return graph


def with_places(
    network: networkx.DiGraph, road_map: RoadMap, nodes: Sequence[Node]
) -> networkx.DiGraph:
    """Return a network with more places on its lanes."""
    graph = network.copy()
    wanted: dict[LaneId, set[float]] = {}
    for key, s_m in nodes:
        wanted.setdefault(key, set()).add(s_m)
    for key, more_m in wanted.items():
        lane = road_map.lanes[key]
        there = {s_m for s_m in {0.0, *_places_along(lane).tolist()} if (key, s_m) in network}
        for begin_m, end_m in itertools.pairwise(sorted(there | more_m)):
            if not graph.has_edge((key, begin_m), (key, end_m)):
                _add_piece(graph, lane, begin_m, end_m)
    return graph


def line_along(network: networkx.DiGraph, edges: Sequence[Edge]) -> FloatArray:
    """Return the (N, 2) points along edges, without repeated ones."""
    steps = [network.edges[edge]["step"] for edge in edges if "step" in network.edges[edge]]
    line_m = np.concatenate([np.empty((0, 2)), *(step.points_m() for step in steps)])
    steps_m = np.hypot(*np.diff(line_m, axis=0).T)
    kept: FloatArray = line_m[np.concatenate([[True], steps_m > 1e-3])] if len(steps) else line_m
    return kept


def beside_m(lane: Lane, s_m: float, other: Lane) -> float:
    """Return the distance along a lane beside a place of its neighbour, m."""
    return float(np.interp(s_m, lane.along_m, other.along_m))


def _add_changes(
    graph: networkx.DiGraph,
    lanes: networkx.DiGraph,
    leaving: dict[LaneId, list[LaneChange]],
    change: LaneChange,
    begin_m: float,
) -> None:
    """Add the changes to a lane beside that begin at a place."""
    for length_m in CHANGE_LENGTHS_M:
        for pieces in _room(lanes, leaving, change, begin_m, length_m):
            beside = tuple(
                Piece(
                    each.other,
                    beside_m(each.lane, piece.begin_m, each.other),
                    beside_m(each.lane, piece.end_m, each.other),
                )
                for each, piece in pieces
            )
            step = Step(tuple(piece for _, piece in pieces), beside)
            driven_m = sum(p.end_m - p.begin_m for p in (*step.pieces, *beside)) / 2.0
            short_m = CHANGE_LENGTHS_M[0] - length_m
            cost_m = driven_m + _CHANGE_COST_M + _SHORT_COST * short_m
            begin, end = (change.lane.key, begin_m), (beside[-1].lane.key, beside[-1].end_m)
            if cost_m < graph.get_edge_data(begin, end, {"cost_m": math.inf})["cost_m"]:
                graph.add_edge(begin, end, cost_m=cost_m, step=step)


def _room(
    lanes: networkx.DiGraph,
    leaving: dict[LaneId, list[LaneChange]],
    change: LaneChange,
    begin_m: float,
    length_m: float,
) -> Iterator[list[tuple[LaneChange, Piece]]]:
    """Find stretches of a length, over several lanes if need be, along all of which to change."""
    lane = change.lane
    places = _places_along(lane)
    further = places[places >= min(begin_m + length_m, lane.length_m)]
    end_m = float(further[0])
    if end_m > change.end_m or _bends(lane, begin_m, end_m):
        return
    piece = change, Piece(lane, begin_m, end_m)
    rest_m = length_m - (end_m - begin_m)
    if rest_m <= 0.0:
        yield [piece]
        return
    for following in lanes.successors(lane.key):
        for onwards in leaving.get(following, ()):
            same = onwards.other.key in lanes.successors(change.other.key)
            if same and onwards.begin_m == 0.0:
                for rest in _room(lanes, leaving, onwards, 0.0, rest_m):
                    yield [piece, *rest]


def _places_along(lane: Lane) -> FloatArray:
    """Return the distances along a lane between which to change; the same beside each other."""
    last = len(lane.along_m) - 1
    return lane.along_m[[*range(0, last, _PLACE_POINTS), last]]


def _bends(lane: Lane, begin_m: float, end_m: float) -> bool:
    """Whether a lane bends much between two distances along it, m."""
    steps = np.diff(lane.line_m, axis=0)
    yaws_rad = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    middles_m = (lane.along_m[:-1] + lane.along_m[1:]) / 2.0
    at_m = np.arange(begin_m, end_m, 2.0)
    turned_rad = np.interp(at_m + TURN_OVER_M, middles_m, yaws_rad) - np.interp(
        at_m, middles_m, yaws_rad
    )
    return bool((np.abs(turned_rad) > _BEND_RAD).any())


def _add_piece(graph: networkx.DiGraph, lane: Lane, begin_m: float, end_m: float) -> None:
    for s_m in (begin_m, end_m):
        if (lane.key, s_m) not in graph:
            point_m = tuple(float(np.interp(s_m, lane.along_m, axis)) for axis in lane.line_m.T)
            graph.add_node((lane.key, s_m), point_m=point_m)
    step = Step((Piece(lane, begin_m, end_m),))
    graph.add_edge((lane.key, begin_m), (lane.key, end_m), cost_m=end_m - begin_m, step=step)
