# SPDX-License-Identifier: Apache-2.0
"""The agent's observation: four small frames, a vector, and what only a critic is told."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.controllers import InformedPursuit
from td3_driver.driving.demand import NO_DEMAND, SIGHT_M, Demand
from td3_driver.driving.episode import Episode
from td3_driver.driving.reward import Action
from td3_driver.driving.road_users import Leader
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.types import EgoState
from td3_driver.driving.view import Picture

FRAME_COUNT = 4
WAYPOINT_COUNT = 10
WAYPOINT_SPACING_M = 2.5

SPEED_SCALE_MPS = 30.0
LATERAL_SCALE_M = 3.5
WAYPOINT_SCALE_M = 50.0
GAP_SCALE_M = 50.0

_AHEAD_M = WAYPOINT_SPACING_M * np.arange(1, WAYPOINT_COUNT + 1)
Vector = NDArray[np.float32]

_NOTHING: Vector = np.empty(0, np.float32)


@dataclass(frozen=True)
class Observation:
    """One observation.

    Attributes:
        image: (C, H, W) uint8, the channels of four frames, oldest frame first; (4, 84, 84) as
            long as `ViewConfig` says nothing else.
        vector: (V,) float32, what the policy is told; see `vector_observation`.
        privileged: (P,) float32, what only a critic is told, while it learns; empty if nothing.
    """

    image: Picture
    vector: Vector
    privileged: Vector = field(default_factory=lambda: _NOTHING)

    @property
    def stored(self) -> Vector:
        """(V + P,) float32, all that a transition keeps beside the picture."""
        return np.concatenate([self.vector, self.privileged])


@dataclass(frozen=True)
class Situation:
    """All that a policy may use: the agent only the observation, a controller the rest."""

    observation: Observation
    ego: EgoState
    route: Route
    place: RoutePlace
    leader: Leader | None = None  # the road user in the way, if known
    demand: Demand = NO_DEMAND  # of lights, signs and limits, where they count


def vector_observation(
    ego: EgoState,
    route: Route,
    place: RoutePlace,
    *,
    end_to_end: bool = False,
    demand: Demand | None = None,
    previous_action: Action | None = None,
) -> Vector:
    """Return the vector part of an observation, (23,) float32; (5,) end to end.

    Speed / 30 m/s, signed lateral offset / 3.5 m (left positive), heading error / pi, then ten
    route points ahead (x forward, y left, ego frame) / 50 m. End to end: speed / 30 m/s, the next
    turn at a junction (`Route.turn_ahead`), the previous action, yaw
    rate in rad/s. A demand adds three numbers: the distance to the line at which to stop / 50 m,
    whether there is one, 0 or 1, and the speed limit / 30 m/s; distance and limit at most 1.
    """
    parts: list[Sequence[float] | NDArray[np.float64]]
    if end_to_end:
        turn = route.turn_ahead(place.s_m)
        parts = [[ego.speed_mps / SPEED_SCALE_MPS, turn], _motion(ego, previous_action)]
    else:
        parts = [[ego.speed_mps / SPEED_SCALE_MPS], _way(ego, route, place)]
    if demand is not None:
        line = min(max(demand.stop_line_m, 0.0) / SIGHT_M, 1.0)
        limit = min(demand.limit_mps / SPEED_SCALE_MPS, 1.0)
        parts.append([line, demand.must_stop, limit])
    return np.concatenate(parts, dtype=np.float32, casting="same_kind")


def privileged_observation(
    ego: EgoState,
    route: Route,
    place: RoutePlace,
    leader: Leader | None,
    *,
    end_to_end: bool,
    previous_action: Action | None = None,
) -> Vector:
    """Return what the reward depends on and the vector does not tell, (P,) float32.

    The way, or the previous action and the yaw rate, whichever `vector_observation` leaves out;
    then the gap to the road user in the way / 50 m, at most 1, and its speed along the route /
    30 m/s, 1 and 0 if there is none.
    """
    rest = _way(ego, route, place) if end_to_end else _motion(ego, previous_action)
    user = [1.0, 0.0]
    if leader is not None:
        user = [min(leader.gap_m / GAP_SCALE_M, 1.0), leader.speed_mps / SPEED_SCALE_MPS]
    return np.concatenate([rest, user], dtype=np.float32, casting="same_kind")


def _motion(ego: EgoState, previous_action: Action | None) -> list[float]:
    steer, throttle = (0.0, 0.0) if previous_action is None else previous_action
    return [float(steer), float(throttle), ego.yaw_rate_radps]


def _way(ego: EgoState, route: Route, place: RoutePlace) -> NDArray[np.float64]:
    ahead_m = route.points_at(place.s_m + _AHEAD_M) - (ego.pose.x_m, ego.pose.y_m)
    cos, sin = math.cos(ego.pose.yaw_rad), math.sin(ego.pose.yaw_rad)
    way = np.empty(2 + 2 * WAYPOINT_COUNT)
    way[0] = place.lateral_m / LATERAL_SCALE_M
    way[1] = place.heading_error_rad / math.pi
    way[2::2] = (cos * ahead_m[:, 0] + sin * ahead_m[:, 1]) / WAYPOINT_SCALE_M
    way[3::2] = (-sin * ahead_m[:, 0] + cos * ahead_m[:, 1]) / WAYPOINT_SCALE_M
    return way


def vector_layout(*, end_to_end: bool, regulations: bool = False) -> list[str]:
    """Return the name, unit and scale of each element of a `vector_observation`."""
    layout = [f"speed in m/s / {SPEED_SCALE_MPS:g}"]
    if end_to_end:
        layout += [_TURN_LAYOUT, *_MOTION_LAYOUT]
    else:
        layout += _WAY_LAYOUT
    if regulations:
        layout += [
            f"distance to the line at which to stop in m / {SIGHT_M:g}, at most 1",
            "must stop: 1, else 0",
            f"speed limit in m/s / {SPEED_SCALE_MPS:g}, at most 1",
        ]
    return layout


def privileged_layout(*, end_to_end: bool) -> list[str]:
    """Return the name, unit and scale of each element of a `privileged_observation`."""
    return [
        *(_WAY_LAYOUT if end_to_end else _MOTION_LAYOUT),
        f"gap to the road user in the way in m / {GAP_SCALE_M:g}, at most 1",
        f"its speed along the route in m/s / {SPEED_SCALE_MPS:g}",
    ]


ADVICE_LAYOUT = ("advised action: steer, 1 right", "advised action: throttle, brake below 0")
_TURN_LAYOUT = "next turn at a junction: 1 left, -1 right, ±0.5 keep left or right, 0 none"
_MOTION_LAYOUT = [
    "previous action: steer, 1 right",
    "previous action: throttle, brake below 0",
    "yaw rate in rad/s, left positive",
]
_WAY_LAYOUT = [
    f"lateral offset in m, left positive, / {LATERAL_SCALE_M:g}",
    "heading error in rad / pi",
    *(
        f"route point {ahead_m:g} m ahead, {axis} in m / {WAYPOINT_SCALE_M:g}"
        for ahead_m in _AHEAD_M
        for axis in ("forward", "left")
    ),
]


class FrameStack:
    """The last four frames; an episode's first frame also stands for those before it."""

    def __init__(self) -> None:
        self._frames: deque[Picture] = deque(maxlen=FRAME_COUNT)

    def reset(self, frame: Picture) -> None:
        """Start an episode with its first frame, (H, W) or (C, H, W)."""
        self._frames.extend([frame] * FRAME_COUNT)

    def push(self, frame: Picture) -> None:
        """Add the newest frame, of the same shape."""
        self._frames.append(frame)

    def stacked(self) -> Picture:
        """(4 * C, H, W) uint8, oldest frame first; C is 1 for frames of (H, W)."""
        frames = np.stack(self._frames)
        return frames.reshape(-1, *frames.shape[-2:])


class Perception:
    """Makes observations of one episode after another, frame by frame.

    Args:
        end_to_end: see `vector_observation`.
        regulations: tell what lights, signs and limits ask.
        privileged: tell a critic what the reward depends on, see `privileged_observation`.
        adviser: tell it last of all what this driver would do.
    """

    def __init__(
        self,
        *,
        end_to_end: bool,
        regulations: bool,
        privileged: bool,
        adviser: InformedPursuit | None = None,
    ) -> None:
        self._end_to_end, self._regulations = end_to_end, regulations
        self._privileged, self._adviser = privileged, adviser
        self._stack = FrameStack()

    def begin(self, episode: Episode, frame: Picture, ego: EgoState) -> Situation:
        """Take in an episode's first frame, or the first after some that were missed.

        Args:
            episode: the episode, whose place is already that of `ego`.
            frame: of `ViewConfig.frame_shape`, uint8, see `frame_of`.
            ego: the car at the same stamp.
        """
        self._stack.reset(frame)
        if self._adviser is not None:
            self._adviser.begin()
        return self._situation(episode, ego)

    def go_on(self, episode: Episode, frame: Picture, ego: EgoState) -> Situation:
        """Take in the next frame; see `begin`."""
        self._stack.push(frame)
        return self._situation(episode, ego)

    def _situation(self, episode: Episode, ego: EgoState) -> Situation:
        route, place, demand = episode.route, episode.place, episode.demand
        vector = vector_observation(
            ego,
            route,
            place,
            end_to_end=self._end_to_end,
            demand=demand if self._regulations else None,
            previous_action=episode.previous_action,
        )
        told: list[NDArray[np.float32]] = []
        if self._privileged:
            privileged = privileged_observation(
                ego,
                route,
                place,
                episode.leader,
                end_to_end=self._end_to_end,
                previous_action=episode.previous_action,
            )
            told.append(privileged)
        if self._adviser is not None:
            told.append(self._adviser.act(ego, route, place, episode.leader, demand))
        seen = Observation(self._stack.stacked(), vector, np.concatenate([_NOTHING, *told]))
        return Situation(seen, ego, route, place, episode.leader, demand)
