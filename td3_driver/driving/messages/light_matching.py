# SPDX-License-Identifier: Apache-2.0
"""Which of a map's traffic lights are the actors that the bridge tells of.

Actors have ids of their own, and the bridge does not say which signals they are. They are found by
place: CARLA notices vehicles in a box where lanes meet a light, and stands the light at its signal
or some metres beside it, turned in one way or another. A town may also have lights that its map
lacks; these are left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from td3_driver.driving.routes.road_map import LanePlace, RoadMap
from td3_driver.driving.routes.route import FloatArray
from td3_driver.driving.types import NO_LIGHTS, Lights, LightState, wrap_angle
from td3_driver.opendrive.signals import Signal

# A box is so near to a stop, and one of the lanes at its middle has the stop's direction. CARLA's
# are at most a lane's width long; of several lanes one box is around all.
_REACH_M, _BESIDE_M, _TURNED_RAD = 8.0, 2.5, math.pi / 4.0


@dataclass(frozen=True)
class LightPlace:
    """A light's place, and the middle of the box where vehicles are at it; ROS map frame, m."""

    place_m: tuple[float, float]
    trigger_m: tuple[float, float]


def match_lights(
    road_map: RoadMap, places: Mapping[int, LightPlace]
) -> tuple[int | None, ...]:
    """Find the actor of each light of a map.

    Args:
        road_map: the map.
        places: of the actors, by id.

    Returns:
        The id for each of `RoadMap.lights`. None: there is no actor whose box is where the light's
        lanes stop. Of several the one that stands nearest counts.
    """
    boxes = list(places.items())
    middles_m = np.array([at.trigger_m for _, at in boxes]).reshape(-1, 2)
    found = []
    for signal in road_map.lights:
        near = [boxes[row] for row in _boxes_of(road_map, signal, middles_m)]
        here = (signal.x_m, signal.y_m)
        nearest = min(near, key=lambda box: math.dist(box[1].place_m, here), default=None)
        found.append(None if nearest is None else nearest[0])
    return tuple(found)


def _boxes_of(road_map: RoadMap, signal: Signal, middles_m: FloatArray) -> list[int]:
    """The rows of boxes where lanes meet a signal."""
    found: list[int] = []
    for stop in signal.stops:
        place = LanePlace.on(road_map.lanes[stop.lane], stop.s_m)
        gaps_m = np.hypot(*(middles_m - (place.x_m, place.y_m)).T)
        for row in np.flatnonzero(gaps_m <= _REACH_M).tolist():
            x_m, y_m = middles_m[row].tolist()
            lanes = road_map.places.near(x_m, y_m, _BESIDE_M)
            if any(abs(wrap_angle(at.yaw_rad - place.yaw_rad)) < _TURNED_RAD for at in lanes):
                found.append(row)
    return found


class SeenLights:
    """What a map's lights show, put together from what the bridge says, in any order."""

    def __init__(self) -> None:
        self._road_map: RoadMap | None = None
        self._places: Mapping[int, LightPlace] = {}
        self._states: Mapping[int, LightState] | None = None
        self._ids: tuple[int | None, ...] = ()
        self._shown = NO_LIGHTS

    @property
    def shown(self) -> Lights:
        """What is shown now; UNKNOWN of a light without an actor. Empty while nobody tells."""
        return self._shown

    def set_map(self, road_map: RoadMap) -> None:
        """Take another map."""
        self._road_map = road_map
        self._match()

    def place(self, places: Mapping[int, LightPlace]) -> None:
        """Take in where all actors are, by id."""
        self._places = places
        self._match()

    def show(self, states: Mapping[int, LightState]) -> None:
        """Take in what all actors show, by id."""
        self._states = states
        self._put_together()

    def _match(self) -> None:
        if self._road_map is not None:
            self._ids = match_lights(self._road_map, self._places)
        self._put_together()

    def _put_together(self) -> None:
        if self._states is None:
            return
        unknown = LightState.UNKNOWN
        told = [unknown if id_ is None else self._states.get(id_, unknown) for id_ in self._ids]
        self._shown = np.array(told, np.uint8)
