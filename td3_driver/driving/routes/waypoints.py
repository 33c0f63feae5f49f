# SPDX-License-Identifier: Apache-2.0
"""The waypoints that a route is to lead through, and the places of lanes that they mean."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from td3_driver.driving.routes.lane_change_graph import Node, beside_m
from td3_driver.driving.routes.road_map import Lane, LaneId, RoadMap
from td3_driver.driving.types import wrap_angle

# A waypoint further from the middle of every lane is off the roads.
OFF_LANES_M = 4.0
# Waypoints closer to each other say nothing that one of them does not.
_APART_M = 5.0
# Of lanes above, beside or across each other those may be meant that are hardly further away than
# the nearest. Being further away counts as so many more metres to drive, per metre; so does
# leading elsewhere than the waypoint's yaw, per rad.
_HARDLY_M = 2.0
_GAP_COST, _YAW_COST_M = 20.0, 30.0
# For a waypoint in the middle of a change, which is passed in the lane beside it.
_BESIDE_COST_M = 60.0


class RouteError(ValueError):
    """Waypoints cannot be joined; the message is one line, which begins in mid-sentence."""


class Waypoint(NamedTuple):
    """A place that a route leads through, in the ROS map frame.

    Without `z_m` its height does not count; `yaw_rad` tells lanes apart that cross there.
    """

    x_m: float
    y_m: float
    z_m: float | None = None
    yaw_rad: float | None = None


class Place(NamedTuple):
    """A place where a waypoint may be meant to be, and what speaks against it, m."""

    node: Node
    cost_m: float


def apart(waypoints: Sequence[Waypoint]) -> list[tuple[int, Waypoint]]:
    """Return the waypoints that are apart, with their numbers from 1 on; first and last stay."""
    kept = [(1, waypoints[0])]
    for number, waypoint in enumerate(waypoints[1:-1], 2):
        if math.dist(waypoint[:2], kept[-1][1][:2]) >= _APART_M:
            kept.append((number, waypoint))
    last = waypoints[-1]
    if len(kept) > 1 and math.dist(last[:2], kept[-1][1][:2]) < _APART_M:
        kept.pop()
    return [*kept, (len(waypoints), last)]


def places_meant(road_map: RoadMap, number: int, waypoint: Waypoint) -> list[Place]:
    """Return the places of lanes that a waypoint may mean, the nearest first."""
    x_m, y_m, z_m, yaw_rad = waypoint
    nearest: dict[LaneId, tuple[float, Node, float]] = {}
    graph = road_map.lane_graph
    for piece in road_map.places.near(x_m, y_m, OFF_LANES_M):
        lane = piece.lane
        if lane.key not in graph:
            continue
        s_m = _along(lane, piece.x_m, piece.y_m)
        above_m = 0.0 if z_m is None else float(np.interp(s_m, lane.along_m, lane.height_m)) - z_m
        gap_m = math.hypot(piece.gap_m, above_m)
        if lane.key not in nearest or gap_m < nearest[lane.key][0]:
            nearest[lane.key] = gap_m, (lane.key, s_m), piece.yaw_rad
    if not nearest:
        places = road_map.places
        place = places.lowest(x_m, y_m) if z_m is None else places.nearest(x_m, y_m, z_m)
        off_m = math.dist((x_m, y_m), (place.x_m, place.y_m))
        raise RouteError(
            f"its point {number} is {off_m:.1f} m from the middle of the nearest lane; expected "
            f"at most {OFF_LANES_M:g} m"
        )
    best_m = min(gap_m for gap_m, _, _ in nearest.values())
    found = []
    for gap_m, node, lane_yaw_rad in sorted(nearest.values(), key=lambda each: each[0]):
        if gap_m - best_m <= _HARDLY_M:
            turned_rad = 0.0 if yaw_rad is None else abs(wrap_angle(yaw_rad - lane_yaw_rad))
            found.append(Place(node, _GAP_COST * (gap_m - best_m) + _YAW_COST_M * turned_rad))
    return found


def _along(lane: Lane, x_m: float, y_m: float) -> float:
    """Return the distance along a lane of the place nearest to a point, m."""
    steps_m = np.diff(lane.line_m, axis=0)
    offsets_m = np.array([x_m, y_m]) - lane.line_m[:-1]
    squares = np.maximum(np.einsum("ij,ij->i", steps_m, steps_m), 1e-12)
    shares = np.clip(np.einsum("ij,ij->i", offsets_m, steps_m) / squares, 0.0, 1.0)
    gaps_m = np.hypot(*(offsets_m - shares[:, None] * steps_m).T)
    at = int(np.argmin(gaps_m))
    before_m, after_m = lane.along_m[at : at + 2].tolist()
    return float(before_m + shares[at] * (after_m - before_m))


def places_beside(road_map: RoadMap, places: Sequence[Place]) -> list[Place]:
    """Return the places in neighbouring lanes to or from which a car may change thereabouts."""
    found = {}
    for (lane, s_m), cost_m in places:
        for change in road_map.lane_changes:
            for one, other in itertools.permutations((change.lane, change.other)):
                if one.key == lane:
                    node = other.key, beside_m(one, s_m, other)
                    found[node] = Place(node, cost_m + _BESIDE_COST_M)
    return [place for node, place in found.items() if node not in {each.node for each in places}]
