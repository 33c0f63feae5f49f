# SPDX-License-Identifier: Apache-2.0
"""The agent's observation: four small grey frames and a vector of 23 numbers."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.episode import Episode
from td3_driver.driving.road_users import Leader
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.types import EgoState

FRAME_SIZE = 84
FRAME_COUNT = 4
WAYPOINT_COUNT = 10
WAYPOINT_SPACING_M = 2.5
VECTOR_DIM = 3 + 2 * WAYPOINT_COUNT

SPEED_SCALE_MPS = 30.0
LATERAL_SCALE_M = 3.5
WAYPOINT_SCALE_M = 50.0

_AHEAD_M = WAYPOINT_SPACING_M * np.arange(1, WAYPOINT_COUNT + 1)
_TO_GREY = {1: None, 3: cv2.COLOR_BGR2GRAY, 4: cv2.COLOR_BGRA2GRAY}

Picture = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class ViewConfig:
    """The part of the camera's picture that the agent sees.

    Attributes:
        cut_top, cut_bottom: shares of the picture's height that are cut off.
        cut_sides: share of its width that is cut off on each side.

    Raises:
        ValueError: nothing is left.
    """

    cut_top: float = 0.0
    cut_bottom: float = 0.0
    cut_sides: float = 0.0

    def __post_init__(self) -> None:
        if self.cut_top + self.cut_bottom >= 1.0 or self.cut_sides >= 0.5:
            raise ValueError(
                f"cut_top {self.cut_top:g}, cut_bottom {self.cut_bottom:g}, cut_sides"
                f" {self.cut_sides:g} leave nothing; expected cut_top + cut_bottom < 1 and"
                " cut_sides < 0.5"
            )

    def of(self, pixels: Picture) -> Picture:
        """Cut (H, W) or (H, W, C) to this part, at least one pixel; a view of the same memory."""
        height, width = pixels.shape[:2]
        top, side = int(self.cut_top * height), int(self.cut_sides * width)
        bottom = height - int(self.cut_bottom * height)
        return pixels[top:bottom, side : width - side]


@dataclass(frozen=True)
class Observation:
    """One observation.

    Attributes:
        image: (4, 84, 84) uint8, grey, oldest frame first.
        vector: (23,) float32, see `vector_observation`.
    """

    image: Picture
    vector: Vector


@dataclass(frozen=True)
class Situation:
    """All that a policy may use: the agent only the observation, a controller the rest."""

    observation: Observation
    ego: EgoState
    route: Route
    place: RoutePlace
    leader: Leader | None = None  # the road user in the way, if known


def grey_frame(pixels: Picture, view: ViewConfig) -> Picture:
    """Convert (H, W) grey, (H, W, 3) BGR or (H, W, 4) BGRA uint8 to (84, 84) grey uint8.

    It shrinks first: dropping alpha at 800x600 takes fifty times as long as all of this.
    """
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    small = cv2.resize(view.of(pixels), (FRAME_SIZE, FRAME_SIZE), interpolation=cv2.INTER_AREA)
    code = _TO_GREY[channels]
    grey = small if code is None else cv2.cvtColor(small, code)
    return np.ascontiguousarray(grey, dtype=np.uint8).reshape(FRAME_SIZE, FRAME_SIZE)


def vector_observation(
    ego: EgoState, route: Route, place: RoutePlace, *, end_to_end: bool = False
) -> Vector:
    """Return the vector part of an observation, (23,) float32.

    Speed / 30 m/s, signed lateral offset / 3.5 m (left positive), heading error / pi, then ten
    route points ahead (x forward, y left, ego frame) / 50 m. End to end: speed / 30 m/s, the next
    turn at a junction (1 left, -1 right, 0 none; `Route.turn_ahead`), and zeros.
    """
    if end_to_end:
        seen = np.zeros(VECTOR_DIM, dtype=np.float32)
        seen[:2] = ego.speed_mps / SPEED_SCALE_MPS, route.turn_ahead(place.s_m)
        return seen
    ahead_m = route.points_at(place.s_m + _AHEAD_M) - (ego.pose.x_m, ego.pose.y_m)
    cos, sin = math.cos(ego.pose.yaw_rad), math.sin(ego.pose.yaw_rad)
    vector = np.empty(VECTOR_DIM, dtype=np.float32)
    vector[0] = ego.speed_mps / SPEED_SCALE_MPS
    vector[1] = place.lateral_m / LATERAL_SCALE_M
    vector[2] = place.heading_error_rad / math.pi
    vector[3::2] = (cos * ahead_m[:, 0] + sin * ahead_m[:, 1]) / WAYPOINT_SCALE_M
    vector[4::2] = (-sin * ahead_m[:, 0] + cos * ahead_m[:, 1]) / WAYPOINT_SCALE_M
    return vector


def vector_layout(*, end_to_end: bool) -> list[str]:
    """Return the name, unit and scale of each element of a `vector_observation`."""
    speed = f"speed in m/s / {SPEED_SCALE_MPS:g}"
    if end_to_end:
        turn = "next turn at a junction: 1 left, -1 right, 0 none"
        return [speed, turn, *["nothing, 0"] * (VECTOR_DIM - 2)]
    points = (
        f"route point {ahead_m:g} m ahead, {axis} in m / {WAYPOINT_SCALE_M:g}"
        for ahead_m in _AHEAD_M
        for axis in ("forward", "left")
    )
    offset = f"lateral offset in m, left positive, / {LATERAL_SCALE_M:g}"
    return [speed, offset, "heading error in rad / pi", *points]


class FrameStack:
    """The last four frames; an episode's first frame also stands for those before it."""

    def __init__(self) -> None:
        self._frames: deque[Picture] = deque(maxlen=FRAME_COUNT)

    def reset(self, frame: Picture) -> None:
        """Start an episode with its first (84, 84) frame."""
        self._frames.extend([frame] * FRAME_COUNT)

    def push(self, frame: Picture) -> None:
        """Add the newest (84, 84) frame."""
        self._frames.append(frame)

    def stacked(self) -> Picture:
        """(4, 84, 84) uint8, oldest first."""
        return np.stack(self._frames)


class Perception:
    """Makes observations of one episode after another, frame by frame.

    Args:
        end_to_end: see `vector_observation`.
    """

    def __init__(self, *, end_to_end: bool) -> None:
        self._end_to_end = end_to_end
        self._stack = FrameStack()

    def begin(self, episode: Episode, frame: Picture, ego: EgoState) -> Situation:
        """Take in an episode's first frame, or the first after some that were missed.

        Args:
            episode: the episode, whose place is already that of `ego`.
            frame: (84, 84) uint8, see `grey_frame`.
            ego: the car at the same stamp.
        """
        self._stack.reset(frame)
        return self._situation(episode, ego)

    def go_on(self, episode: Episode, frame: Picture, ego: EgoState) -> Situation:
        """Take in the next frame; see `begin`."""
        self._stack.push(frame)
        return self._situation(episode, ego)

    def _situation(self, episode: Episode, ego: EgoState) -> Situation:
        route, place = episode.route, episode.place
        vector = vector_observation(ego, route, place, end_to_end=self._end_to_end)
        seen = Observation(self._stack.stacked(), vector)
        return Situation(seen, ego, route, place, episode.leader)
