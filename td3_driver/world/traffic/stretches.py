# SPDX-License-Identifier: Apache-2.0
"""Joins a map's lanes to stretches, and cuts them where vehicles have to give way."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import networkx
import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import NARROWEST_M, Lane, LaneId
from td3_driver.driving.routes.route import distances

FloatArray = npt.NDArray[np.float64]

# Of a road that parts or meets another without a junction so much belongs to the place itself.
_MEETING_M = 15.0


@dataclass(frozen=True)
class Stretch:
    """A stretch of lanes without a fork.

    Attributes:
        line_m: (N, 2) its middle, m, without ends that are narrower than a car.
        junction_id: id of the junction that it crosses, or None.
        after: the numbers of the stretches that it leads into.
        begins: no lane leads into it.
        edge: no lane leads into the lanes beside it either: the road begins there.
        lanes: the lanes that it is of, in order, each with where it begins on the scale of the
            stretch, m: before its start if an end, or what another stretch has, is cut off.
    """

    line_m: FloatArray
    junction_id: int | None
    after: tuple[int, ...]
    begins: bool
    edge: bool
    lanes: tuple[tuple[LaneId, float], ...]


def stretches_of(graph: networkx.DiGraph) -> list[Stretch]:
    """The stretches of `RoadMap.lane_graph`, in its order."""
    chains = _chains(graph)
    number = {chain[0]: index for index, chain in enumerate(chains)}
    entered = {_side(key) for key in graph if graph.in_degree(key)}
    whole = [
        Stretch(
            line_m,
            graph.nodes[chain[0]]["junction_id"],
            tuple(number[key] for key in graph.successors(chain[-1])),
            begins=not graph.in_degree(chain[0]),
            edge=_side(chain[0]) not in entered,
            lanes=lanes,
        )
        for chain in chains
        for line_m, lanes in [_line(graph, chain)]
    ]
    return _cut(whole)


def _chains(graph: networkx.DiGraph) -> list[list[LaneId]]:
    """Chains of lanes, each of which leads into the next alone, as nothing else does."""
    onwards: dict[LaneId, LaneId] = {}
    for key in graph:
        following = list(graph.successors(key))
        if len(following) == 1 and graph.in_degree(following[0]) == 1:
            (other,) = following
            if graph.nodes[key]["junction_id"] == graph.nodes[other]["junction_id"]:
                onwards[key] = other
    inner = set(onwards.values())
    chains, seen = [], set[LaneId]()
    # First those with a beginning; what is left are rings.
    for key in (*(key for key in graph if key not in inner), *graph):
        chain: list[LaneId] = []
        at: LaneId | None = key
        while at is not None and at not in seen:
            seen.add(at)
            chain.append(at)
            at = onwards.get(at)
        if chain:
            chains.append(chain)
    return chains


def _line(
    graph: networkx.DiGraph, chain: list[LaneId]
) -> tuple[FloatArray, tuple[tuple[LaneId, float], ...]]:
    """The middle of a chain of lanes, (N, 2) m, and where along it each of them begins."""
    lanes: list[Lane] = [graph.nodes[key]["lane"] for key in chain]
    line_m = np.concatenate([lane.line_m for lane in lanes])
    wide = np.flatnonzero(np.concatenate([lane.width_m for lane in lanes]) >= NARROWEST_M)
    first = wide[0] if not graph.in_degree(chain[0]) and len(wide) > 1 else 0
    last = wide[-1] if not graph.out_degree(chain[-1]) and len(wide) > 1 else len(line_m) - 1
    starts = np.cumsum([0, *(len(lane.line_m) for lane in lanes[:-1])])
    along_m = distances(line_m)
    begins_m = (along_m[starts] - along_m[first]).tolist()
    return line_m[first : last + 1], tuple(zip(chain, begins_m, strict=True))


def _side(key: LaneId) -> tuple[int, int, bool]:
    """What lanes beside each other in the same direction have in common."""
    return key.road_id, key.section_id, key.lane_id > 0


def _cut(stretches: list[Stretch]) -> list[Stretch]:
    """The stretches, with pieces after a split and before a merge cut off outside junctions."""
    entered = np.bincount(
        [way for stretch in stretches for way in stretch.after], minlength=len(stretches)
    )
    parted = {way for stretch in stretches if len(stretch.after) > 1 for way in stretch.after}
    # What is cut off keeps the number where others lead into it: the head of what parts.
    found, added = list(stretches), list[Stretch]()
    for number, stretch in enumerate(stretches):
        along_m = distances(stretch.line_m)
        if stretch.junction_id is not None or along_m[-1] < 3.0 * _MEETING_M:
            continue
        cuts_m = []
        if number in parted:
            cuts_m.append(_MEETING_M)
        if any(entered[way] > 1 for way in stretch.after):
            cuts_m.append(float(along_m[-1]) - _MEETING_M)
        pieces = _pieces(stretch.line_m, along_m, cuts_m)
        numbers = [number, *(len(stretches) + len(added) + n for n in range(len(pieces) - 1))]
        ways = [*((n,) for n in numbers[1:]), stretch.after]
        parts = [
            replace(
                stretch,
                line_m=line_m,
                after=after,
                begins=False,
                edge=False,
                lanes=tuple((key, begin_m - cut_m) for key, begin_m in stretch.lanes),
            )
            for line_m, after, cut_m in zip(pieces, ways, [0.0, *cuts_m], strict=True)
        ]
        found[number] = replace(parts[0], begins=stretch.begins, edge=stretch.edge)
        added += parts[1:]
    return [*found, *added]


def _pieces(line_m: FloatArray, along_m: FloatArray, cuts_m: list[float]) -> list[FloatArray]:
    """A line cut at distances along it."""
    bounds = [0.0, *cuts_m, float(along_m[-1])]
    pieces = []
    for begin_m, end_m in itertools.pairwise(bounds):
        inside = along_m[(along_m > begin_m) & (along_m < end_m)]
        at_m = np.concatenate([[begin_m], inside, [end_m]])
        pieces.append(
            np.column_stack([np.interp(at_m, along_m, line_m[:, axis]) for axis in (0, 1)])
        )
    return pieces
