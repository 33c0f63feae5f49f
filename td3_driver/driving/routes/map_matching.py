# SPDX-License-Identifier: Apache-2.0
"""The route of a recorded drive: a trajectory matched to the lanes of a road map.

A Viterbi search over lanes (after Newson and Krumm 2009, "Hidden Markov map matching through
noise and sparseness"): points near a lane's middle and headed along it cost little; a change to a
lane that the road network does not lead to costs much.
"""

from __future__ import annotations

import math

import networkx
import numpy as np

from td3_driver.driving.routes.road_map import LaneId, RoadMap
from td3_driver.driving.routes.route import STEP_M, FloatArray, Route
from td3_driver.driving.types import Pose, wrap_angle

# Largest distance from a lane's middle, and from its direction, of a car on that lane.
NEAR_M = 4.0
ALONG_RAD = math.radians(60.0)
HEADING_COST_M2 = 10.0  # cost of a heading error of 1 rad
CHANGE_COST_M2 = 60.0  # cost of changing lane, or leaving all lanes
OFF_LANES_COST_M2 = 12.0  # cost of a point where no lane is near
# A lane change becomes a diagonal of this length on either side.
CHANGE_M = 6.0
AHEAD_M = 40.0  # road beyond the last point, more than an observation looks ahead

_Match = tuple[LaneId | None, FloatArray]  # a lane (None: off lanes) and the point on it


def driven_route(points_m: FloatArray, road_map: RoadMap | None) -> Route | None:
    """Return the route of a drive: the lanes that it followed, and the road beyond its end.

    Args:
        points_m: (N, 2) float64 positions in the ROS map frame, in the order of driving.
        road_map: the roads; None: the drive itself is the route.

    Returns:
        The route; None if it would be shorter than about two steps of a route.
    """
    end_m = points_m[-1]
    points_m = _spaced(points_m, STEP_M)
    if math.dist(points_m[-1], end_m) > 0.5 * STEP_M:
        points_m = np.concatenate([points_m, [end_m]])
    if len(points_m) < 3:
        return None
    if road_map is None:
        last_m, step_m = points_m[-1], points_m[-1] - points_m[-2]
        beyond_m = last_m + AHEAD_M / math.hypot(*step_m) * step_m
        return Route(np.concatenate([points_m, [beyond_m]]))
    matches = _matches(points_m, Lanes(road_map))
    line = _without_changes(matches) + _onwards(road_map.lane_graph, matches[-1], AHEAD_M)
    points_m = _spaced(np.array(line), 0.2 * STEP_M)
    return Route(points_m) if len(points_m) > 1 else None


class Lanes:
    """Candidates for the lane of a car, and their connections.

    Args:
        road_map: the roads.
    """

    def __init__(self, road_map: RoadMap) -> None:
        self.graph = road_map.lane_graph
        self._places = road_map.places

    def ahead(self, pose: Pose, length_m: float) -> Route | None:
        """Return the lane that a car is on and its continuation, straight on at junctions.

        None if no lane is near.
        """
        found = self.near(np.array([pose.x_m, pose.y_m]), pose.yaw_rad)
        lane = min(found, key=lambda lane: found[lane][0])
        at_m = found[lane][1]
        points_m = _spaced(
            np.array([at_m, *_onwards(self.graph, (lane, at_m), length_m)]), 0.2 * STEP_M
        )
        return Route(points_m) if lane is not None and len(points_m) > 1 else None

    def near(self, point_m: FloatArray, yaw_rad: float) -> dict[LaneId | None, _Candidate]:
        """Return the lanes that a car at a point may be on, with their costs; None: off lanes."""
        found: dict[LaneId | None, _Candidate] = {None: (OFF_LANES_COST_M2, point_m)}
        for piece in self._places.near(float(point_m[0]), float(point_m[1]), NEAR_M):
            error_rad = abs(wrap_angle(yaw_rad - piece.yaw_rad))
            cost = piece.gap_m**2 + HEADING_COST_M2 * error_rad**2
            lane = piece.lane.key
            fits = lane in self.graph and error_rad <= ALONG_RAD
            if fits and cost < found.get(lane, (math.inf, point_m))[0]:
                found[lane] = (cost, np.array([piece.x_m, piece.y_m]))
        return found

    def step_cost(self, one: LaneId | None, other: LaneId | None) -> float:
        """Return the cost of being on one lane, and on another a step later."""
        if one == other:
            return 0.0
        if one is None or other is None:
            return CHANGE_COST_M2
        after = set(self.graph.successors(one))
        # A lane may be shorter than a step.
        after |= {lane for way in list(after) for lane in self.graph.successors(way)}
        return 0.0 if other in after else CHANGE_COST_M2


_Candidate = tuple[float, FloatArray]  # cost, m2, and the point on the lane


def _matches(points_m: FloatArray, lanes: Lanes) -> list[_Match]:
    """Match each point to a lane, with the lowest total cost."""
    headings = np.gradient(points_m, axis=0)
    yaws = np.arctan2(headings[:, 1], headings[:, 0])
    steps: list[dict[LaneId | None, tuple[FloatArray, LaneId | None]]] = []
    totals: dict[LaneId | None, float] = {}
    for point_m, yaw_rad in zip(points_m, yaws, strict=True):
        candidates = lanes.near(point_m, float(yaw_rad))
        reached: dict[LaneId | None, float] = {}
        step: dict[LaneId | None, tuple[FloatArray, LaneId | None]] = {}
        for lane, (cost, at_m) in candidates.items():
            best, before = 0.0, lane
            if totals:
                before = min(totals, key=lambda k: totals[k] + lanes.step_cost(k, lane))
                best = totals[before] + lanes.step_cost(before, lane)
            reached[lane], step[lane] = best + cost, (at_m, before)
        totals = reached
        steps.append(step)
    lane = min(totals, key=lambda k: totals[k])
    matches: list[_Match] = []
    for step in reversed(steps):
        at_m, before = step[lane]
        matches.append((lane, at_m))
        lane = before
    return matches[::-1]


def _without_changes(matches: list[_Match]) -> list[FloatArray]:
    """Return the points without those near a change of lanes, which a car makes gradually."""
    points_m = [at_m for _, at_m in matches]
    jumps = [
        index
        for index in range(1, len(points_m))
        if math.dist(points_m[index - 1], points_m[index]) > 2.0 * STEP_M
    ]
    reach = round(CHANGE_M / STEP_M)
    dropped = {near for jump in jumps for near in range(jump - reach, jump + reach)}
    last = len(points_m) - 1
    return [
        at_m for index, at_m in enumerate(points_m) if index in (0, last) or index not in dropped
    ]


def _onwards(graph: networkx.DiGraph, match: _Match, length_m: float) -> list[FloatArray]:
    """Return points of the road beyond a place, straight on at junctions."""
    lane, at_m = match
    points_m: list[FloatArray] = []
    if lane is None:
        return points_m
    line_m = graph.nodes[lane]["line_m"]
    first = int(np.argmin(np.hypot(*(line_m - at_m).T))) + 2  # only points beyond the place
    ahead_m = 0.0
    while ahead_m < length_m:
        points_m.extend(line_m[first:])
        ahead_m += max(len(line_m) - first, 1) * 0.5
        ways = list(graph.successors(lane))
        if not ways:
            break
        yaw_rad = _yaw(line_m)
        turns = {way: wrap_angle(_yaw(graph.nodes[way]["line_m"]) - yaw_rad) for way in ways}
        lane = min(ways, key=lambda way: abs(turns[way]))
        line_m, first = graph.nodes[lane]["line_m"], 1
    return points_m


def _yaw(line_m: FloatArray) -> float:
    """Return the direction of a line's end, rad."""
    dx, dy = line_m[-1] - line_m[max(len(line_m) - 6, 0)]
    return math.atan2(dy, dx)


def _spaced(points_m: FloatArray, spacing_m: float) -> FloatArray:
    """Return the points that are at least a distance from the last one kept."""
    kept = [points_m[0]]
    for point_m in points_m[1:]:
        if math.dist(point_m, kept[-1]) >= spacing_m:
            kept.append(point_m)
    return np.array(kept)
