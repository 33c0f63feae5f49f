# SPDX-License-Identifier: Apache-2.0
"""Classical drivers to compare with: pure pursuit for the wheel, PID for the pedals."""

from __future__ import annotations

import math

import numpy as np

from td3_driver.driving.reward import Action
from td3_driver.driving.route import Route, RoutePlace
from td3_driver.driving.types import EgoState


class PurePursuit:
    """Pure pursuit (Coulter 1992, CMU-RI-TR-92-01) with a PI speed controller.

    Args:
        target_speed_mps: cruising speed, m/s; lower in curves (lateral limit 2 m/s²).
        wheelbase_m: distance of the axles, m.
        full_action_wheel_rad: front wheel angle that a steer action of 1 gives, rad.
    """

    LOOKAHEAD_MIN_M = 4.0
    LOOKAHEAD_S = 0.6
    LATERAL_LIMIT_MPS2 = 2.0

    def __init__(
        self,
        target_speed_mps: float = 8.33,
        wheelbase_m: float = 2.9,
        full_action_wheel_rad: float = 0.61,
    ) -> None:
        self._target_speed_mps = target_speed_mps
        self._wheelbase_m = wheelbase_m
        self._full_action_wheel_rad = full_action_wheel_rad
        self._speed_error_integral_m = 0.0

    def act(self, ego: EgoState, route: Route, place: RoutePlace) -> Action:
        """(2,) float32 action: steer (+1 right), throttle/brake."""
        reach_m = max(self.LOOKAHEAD_MIN_M, self.LOOKAHEAD_S * ego.speed_mps)
        near, far = self._bearing(ego, route, place.s_m + reach_m), self._bend(route, place)
        curvature = 2.0 * math.sin(near) / reach_m
        wheel_rad = math.atan(self._wheelbase_m * curvature)
        limit_mps = math.sqrt(self.LATERAL_LIMIT_MPS2 / max(far, 1e-3))
        pedal = self._pedal(min(self._target_speed_mps, limit_mps) - ego.speed_mps)
        steer = -wheel_rad / self._full_action_wheel_rad
        return np.clip(np.array([steer, pedal]), -1.0, 1.0).astype(np.float32)

    def _bearing(self, ego: EgoState, route: Route, s_m: float) -> float:
        x_m, y_m = route.points_at(np.array([s_m]))[0]
        return math.atan2(y_m - ego.pose.y_m, x_m - ego.pose.x_m) - ego.pose.yaw_rad

    def _bend(self, route: Route, place: RoutePlace) -> float:
        """The strongest curvature in the next 15 m, 1/m."""
        points_m = route.points_at(place.s_m + np.arange(0.0, 17.5, 2.5))
        headings = np.unwrap(np.arctan2(*np.diff(points_m, axis=0).T[::-1]))
        return float(np.max(np.abs(np.diff(headings)))) / 2.5

    def _pedal(self, error_mps: float) -> float:
        self._speed_error_integral_m = float(
            np.clip(self._speed_error_integral_m + 0.05 * error_mps, -2.0, 2.0)
        )
        return 0.4 * error_mps + 0.1 * self._speed_error_integral_m
