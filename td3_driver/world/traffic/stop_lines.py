# SPDX-License-Identifier: Apache-2.0
"""Stop lines of traffic lights and stop signs, and who is held at them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Lights, LightState
from td3_driver.world.traffic.lane_network import LaneNetwork
from td3_driver.world.traffic.lane_routes import BEHIND, LaneRoutes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# At yellow who would have to brake harder drives on. From town speed, 9 m/s, and slower, such a
# driver is past the line, or slow enough to stop, within the 3 s that CARLA's lights are yellow.
YELLOW_BRAKE_MPS2 = 3.0
BEFORE_LINE_M = 0.5  # at least: who stops has its front so far before the line
# At a stop sign a vehicle has to come to a stand, and as near to the line.
_STANDING_MPS, _AT_LINE_M = 0.1, 3.0
_SIGN = -1
_RED, _YELLOW = int(LightState.RED), int(LightState.YELLOW)  # numpy is slow with enumerations


class StopLines:
    """N vehicles and the lines at which lights and stop signs hold them.

    Args:
        network: the lanes.
        road_map: has the signals.
        routes: routes of the vehicles.
        lengths_m: (N,) lengths of the vehicles.
    """

    def __init__(
        self, network: LaneNetwork, road_map: RoadMap, routes: LaneRoutes, lengths_m: FloatArray
    ) -> None:
        self._routes = routes
        self._half_m = lengths_m / 2.0
        lines: list[list[tuple[float, int]]] = [[] for _ in range(len(network))]
        signals = [*enumerate(road_map.lights), *((_SIGN, sign) for sign in road_map.stop_signs)]
        for light, signal in signals:
            for stop in signal.stops:
                place = network.place_of(*stop)
                if place is not None:
                    lines[place[0]].append((place[1], light))
        most = max(1, *map(len, lines))
        # (L, most): the lines of each lane in order, by distance from its start and light.
        self._at_m = np.full((len(network), most), np.inf)
        self._light = np.full((len(network), most), _SIGN)
        for lane, found in enumerate(lines):
            for column, (at_m, light) in enumerate(sorted(found)):
                self._at_m[lane, column], self._light[lane, column] = at_m, light
        self._columns = np.arange(most)
        self._has_signs = bool(road_map.stop_signs)
        # The last line where each vehicle has stopped for a sign, counted along its route.
        self._stopped_at: IntArray = np.full(len(lengths_m), -1)

    def held(self, shown: Lights, speed_mps: FloatArray) -> FloatArray:
        """(N,) distances from the front to the first line where a vehicle is held, m, else inf.

        A vehicle is held at red, at yellow unless it would have to brake hard for it, and at a
        stop sign until it has stopped there. One whose front is past a line is not.

        Args:
            shown: what the lights show.
            speed_mps: (N,) speeds.
        """
        way_m, light = self._ways_m(), self._light[self._routes.lanes[:, BEHIND:]]
        state = np.append(shown, np.uint8(_RED))[light]  # signs have the number -1
        speed_mps = speed_mps[:, None, None]
        holds = state == _RED
        if self._has_signs:
            holds &= ~self._stopped(way_m, light, speed_mps)
        yellow = state == _YELLOW
        if yellow.any():
            holds |= yellow & (braking(speed_mps, way_m) <= YELLOW_BRAKE_MPS2)
        holds &= way_m >= 0.0
        held_m: FloatArray = np.where(holds, way_m, np.inf).min(axis=(1, 2))
        return held_m

    def _stopped(
        self, way_m: FloatArray, light: IntArray, speed_mps: FloatArray
    ) -> npt.NDArray[np.bool_]:
        """Which of the lines are those of signs where the vehicle has stopped, or stands now."""
        sign = light == _SIGN
        numbers = self._routes.ordinals[:, BEHIND:, None] * way_m.shape[2] + self._columns
        here = sign & (way_m >= 0.0) & (way_m < _AT_LINE_M) & (speed_mps < _STANDING_MPS)
        stopped_at = np.where(here, numbers, -1).max(axis=(1, 2))
        self._stopped_at = np.maximum(self._stopped_at, stopped_at)
        stopped: npt.NDArray[np.bool_] = sign & (numbers <= self._stopped_at[:, None, None])
        return stopped

    def stopping_mps(self) -> FloatArray:
        """(N,) speeds, m/s, from which vehicles could stop at the next line."""
        way_m = self._ways_m()
        next_m = np.where(way_m >= 0.0, way_m, np.inf).min(axis=(1, 2))
        room_m = np.maximum(next_m - BEFORE_LINE_M, 0.0)
        highest: FloatArray = np.sqrt(2.0 * YELLOW_BRAKE_MPS2 * room_m)
        return highest

    def _ways_m(self) -> FloatArray:
        """(N, lanes, lines) distances, m, from the fronts to the lines of the lanes ahead."""
        routes = self._routes
        begin_m = routes.edges_m[:, BEHIND:-1] - (routes.s_m + self._half_m)[:, None]
        ways_m: FloatArray = self._at_m[routes.lanes[:, BEHIND:]] + begin_m[..., None]
        return ways_m

    def forget(self, index: int) -> None:
        """Begin anew with a vehicle that is put elsewhere."""
        self._stopped_at[index] = -1


def braking(speed_mps: FloatArray, way_m: FloatArray) -> FloatArray:
    """The constant deceleration, m/s2, that stops a front `BEFORE_LINE_M` before a line."""
    needed: FloatArray = speed_mps**2 / (2.0 * np.maximum(way_m - BEFORE_LINE_M, 0.1))
    return needed
