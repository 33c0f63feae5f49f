# SPDX-License-Identifier: Apache-2.0
"""Looks out, frame by frame along a route, for what lights, signs and limits ask of the car."""

from __future__ import annotations

import math

from td3_driver.driving.demand import NO_DEMAND, SIGHT_M, Demand
from td3_driver.driving.road_users import FRONT_M, Leader
from td3_driver.driving.routes.regulations import Regulations, StopLine
from td3_driver.driving.types import Lights, LightState

# Slower than this, and so near before a stop sign's line, the car has stopped there.
STOPPED_MPS, _STOPPED_WITHIN_M = 0.1, 5.0


class Lookout:
    """What is asked of a car on its way along a route.

    At red it must stop. At yellow it must if it could, when it first saw the yellow, stop without
    braking hard, and keeps to that. At a stop sign it must until it has stood there.

    Args:
        regulations: the lines and limits along the route.
        headway_s, brake_mps2: time until a car brakes, and how hard without braking hard.

    Attributes:
        demand: what is asked at the last frame.
    """

    def __init__(self, regulations: Regulations, headway_s: float, brake_mps2: float) -> None:
        self.demand = NO_DEMAND
        self._regulations = regulations
        self._headway_s, self._brake_mps2 = headway_s, brake_mps2
        self._passed = 0  # number of lines that are behind the car's front
        self._stops_at_yellow: dict[int, bool] = {}  # by the line's number
        self._stopped_at: set[int] = set()  # numbers of stop signs' lines

    def begin(self, s_m: float, speed_mps: float, lights: Lights) -> None:
        """Take in the first frame, or the first after some that were missed; see `go_on`."""
        self._passed = self._lines_behind(s_m + FRONT_M)
        self._look(s_m, speed_mps, lights)

    def go_on(self, s_m: float, speed_mps: float, lights: Lights) -> str:
        """Take in the next frame.

        Args:
            s_m: where the car is on the route, m.
            speed_mps: its speed, m/s.
            lights: what the map's lights show.

        Returns:
            "red_light" or "stop_sign" if the car's front has crossed the line of one since the
            frame before where it had to stop; else "".
        """
        passed = self._lines_behind(s_m + FRONT_M)
        crossed = [self._ran(number, lights) for number in range(self._passed, passed)]
        self._passed = max(passed, self._passed)
        self._look(s_m, speed_mps, lights)
        return next(filter(None, crossed), "")

    def _lines_behind(self, front_m: float) -> int:
        return sum(line.s_m < front_m for line in self._regulations.stop_lines)

    def _ran(self, number: int, lights: Lights) -> str:
        line = self._regulations.stop_lines[number]
        if line.light is None:
            return "" if number in self._stopped_at else "stop_sign"
        return "red_light" if _shown(line.light, lights) is LightState.RED else ""

    def _look(self, s_m: float, speed_mps: float, lights: Lights) -> None:
        lines = self._regulations.stop_lines
        gaps_m = {
            number: lines[number].s_m - s_m - FRONT_M
            for number in range(self._passed, len(lines))
            if lines[number].s_m - s_m - FRONT_M <= SIGHT_M
        }
        asking = [
            gap_m
            for number, gap_m in gaps_m.items()
            if self._must_stop(number, lines[number], gap_m, speed_mps, lights)
        ]
        stop_line_m = min(asking, default=math.inf)
        self.demand = Demand(stop_line_m, self._regulations.speed_limit_mps(s_m))

    def _must_stop(
        self, number: int, line: StopLine, gap_m: float, speed_mps: float, lights: Lights
    ) -> bool:
        if line.light is None:
            if abs(speed_mps) < STOPPED_MPS and gap_m < _STOPPED_WITHIN_M:
                self._stopped_at.add(number)
            return number not in self._stopped_at
        state = _shown(line.light, lights)
        if state is LightState.YELLOW:
            safe_mps = Leader(gap_m, 0.0).safe_speed_mps(self._headway_s, self._brake_mps2, 0.0)
            return self._stops_at_yellow.setdefault(number, speed_mps <= safe_mps)
        self._stops_at_yellow.pop(number, None)
        return state is LightState.RED


def _shown(light: int, lights: Lights) -> LightState:
    """What a light shows; unknown if nobody tells."""
    return LightState(lights[light]) if light < len(lights) else LightState.UNKNOWN
