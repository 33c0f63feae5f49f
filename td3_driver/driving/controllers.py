# SPDX-License-Identifier: Apache-2.0
"""Classical drivers for comparison: pure pursuit for steering, PID for the pedals."""

from __future__ import annotations

import math

import numpy as np

from td3_driver.driving.demand import Demand
from td3_driver.driving.reward import Action, RewardConfig
from td3_driver.driving.road_users import Leader
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.routes.turning import MAX_WHEEL_RAD
from td3_driver.driving.safety import SafetyConfig
from td3_driver.driving.types import EgoState


class PurePursuit:
    """Pure pursuit (Coulter 1992, CMU-RI-TR-92-01) with a PI speed controller.

    As there, the rear axle pursues the route: it rolls along circles without slipping, so a short
    look-ahead neither cuts corners nor swings.

    Args:
        target_speed_mps: cruising speed, m/s; lower in curves (lateral limit 2 m/s²).
        full_action_wheel_rad: front wheel angle that a steer action of 1 gives, rad.
    """

    LOOKAHEAD_MIN_M = 3.0
    LOOKAHEAD_S = 0.5
    LATERAL_LIMIT_MPS2 = 2.0
    # A little longer than the car's; drives that are published depend on it.
    WHEELBASE_M = 2.9

    def __init__(
        self,
        target_speed_mps: float = 8.33,
        full_action_wheel_rad: float = 0.61,
    ) -> None:
        self._target_speed_mps = target_speed_mps
        self._full_action_wheel_rad = full_action_wheel_rad
        self._speed_error_integral_m = 0.0

    def act(
        self,
        ego: EgoState,
        route: Route,
        place: RoutePlace,
        at_most_mps: float = math.inf,
    ) -> Action:
        """Return (2,) float32 steer (+1 right) and throttle/brake for at most `at_most_mps`."""
        wheel_rad = math.atan(self.WHEELBASE_M * self._curvature(ego, route, place))
        limit_mps = math.sqrt(self.LATERAL_LIMIT_MPS2 / max(self._bend(route, place), 1e-3))
        wanted_mps = min(self._target_speed_mps, limit_mps, at_most_mps)
        pedal = self._pedal(wanted_mps - ego.speed_mps)
        steer = -wheel_rad / self._full_action_wheel_rad
        return np.clip(np.array([steer, pedal]), -1.0, 1.0).astype(np.float32)

    def _curvature(self, ego: EgoState, route: Route, place: RoutePlace) -> float:
        """Return the curvature of the rear axle's circle to the look-ahead point, 1/m."""
        reach_m = max(self.LOOKAHEAD_MIN_M, self.LOOKAHEAD_S * ego.speed_mps)
        behind_m, yaw_rad = self.WHEELBASE_M / 2.0, ego.pose.yaw_rad
        x_m, y_m = route.points_at(np.array([place.s_m - behind_m + reach_m]))[0]
        dx_m = x_m - (ego.pose.x_m - behind_m * math.cos(yaw_rad))
        dy_m = y_m - (ego.pose.y_m - behind_m * math.sin(yaw_rad))
        left_m = dy_m * math.cos(yaw_rad) - dx_m * math.sin(yaw_rad)
        return float(2.0 * left_m / max(dx_m * dx_m + dy_m * dy_m, 0.01))

    def _bend(self, route: Route, place: RoutePlace) -> float:
        """Return the strongest curvature in the next 15 m, 1/m."""
        points_m = route.points_at(place.s_m + np.arange(0.0, 17.5, 2.5))
        headings = np.unwrap(np.arctan2(*np.diff(points_m, axis=0).T[::-1]))
        return float(np.max(np.abs(np.diff(headings)))) / 2.5

    def _pedal(self, error_mps: float) -> float:
        self._speed_error_integral_m = float(
            np.clip(self._speed_error_integral_m + 0.05 * error_mps, -2.0, 2.0)
        )
        return 0.4 * error_mps + 0.1 * self._speed_error_integral_m


class InformedPursuit:
    """Pure pursuit that keeps to the safe speed behind whoever is ahead, and before a red light.

    It is told all this, and sees nothing. Its collisions are those that keeping a distance does
    not avoid.

    Args:
        reward: the target speed, and what is a safe one.
        safety: what a steer action of 1 does.
    """

    def __init__(self, reward: RewardConfig, safety: SafetyConfig) -> None:
        self._reward = reward
        self._full_action_wheel_rad = safety.max_steer * MAX_WHEEL_RAD
        self.begin()

    def begin(self) -> None:
        """Reset the speed controller."""
        self._pursuit = PurePursuit(
            self._reward.target_speed_mps, full_action_wheel_rad=self._full_action_wheel_rad
        )

    def act(
        self,
        ego: EgoState,
        route: Route,
        place: RoutePlace,
        leader: Leader | None,
        demand: Demand,
    ) -> Action:
        """Return the action at one frame, see `PurePursuit.act`; call it once for each.

        Args:
            ego: the car.
            route: the route.
            place: where the car is on it.
            leader: the road user in the way, if any.
            demand: what lights, signs and limits ask.
        """
        safe_mps = self._reward.safe_speed_mps(leader, demand)
        return self._pursuit.act(ego, route, place, safe_mps)
