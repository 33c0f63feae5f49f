# SPDX-License-Identifier: Apache-2.0
"""The reward as a sum of named and bounded terms."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.demand import NO_DEMAND, Demand
from td3_driver.driving.road_users import Leader
from td3_driver.driving.routes.route import RoutePlace

Action = NDArray[np.float32]

BLOCKED_SHARE = 0.3


@dataclass(frozen=True)
class RewardConfig:
    """Weights of the reward's terms; one step at the target speed on the route gives +1.

    Attributes:
        target_speed_mps: the speed with the highest reward, m/s.
        overspeed_slope: how many times faster the progress term falls above the target than it
            rises below.
        lateral_weight: cost of an offset of half a lane (`lane_half_width_m`) at the target speed;
            at lower speed offset and heading cost less in proportion: they are paid per metre. If
            paid per second, a beginner that crawls beside the middle soon loses more than a crash
            costs, and learns to crash before a sharp turn.
        lane_half_width_m: the offset that costs `lateral_weight`, m.
        heading_weight: cost of a heading error of 1 rad, at the target speed.
        comfort_weight: cost of changing steer by 1 in a step; throttle/brake costs 0.3 of it.
        standstill_cost: cost of a step below `standstill_speed_mps`. Parking for ever is worth
            -standstill_cost / (1 - discount); that must be less than -failure_cost, or a policy
            that is about to fail learns to park instead.
        standstill_speed_mps: speed below which the car stands, m/s.
        failure_cost: cost of a collision, of leaving the road, or of running a red light or a stop
            sign, paid once.
        safety_weight: behind a vehicle or before a line at which to stop, cost of a step that
            exceeds the safe speed by the target speed; more than 1, or speeding pays until the
            crash.
        headway_s, brake_mps2, standing_gap_m: define the safe speed; see `Leader.safe_speed_mps`.

    Raises:
        ValueError: if the target speed, the lane's half width or the braking is not positive.
    """

    target_speed_mps: float = 8.33
    overspeed_slope: float = 4.0
    lateral_weight: float = 1.0
    lane_half_width_m: float = 1.75
    heading_weight: float = 0.3
    comfort_weight: float = 0.1
    standstill_cost: float = 0.2
    standstill_speed_mps: float = 0.5
    failure_cost: float = 10.0
    safety_weight: float = 4.0
    headway_s: float = 0.8
    brake_mps2: float = 3.0
    standing_gap_m: float = 3.0

    def __post_init__(self) -> None:
        for name in ("target_speed_mps", "lane_half_width_m", "brake_mps2"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"{name}: {getattr(self, name)}; expected more than 0")

    def wanted_speed_mps(self, demand: Demand) -> float:
        """Return the target speed, or the speed limit where that is lower, m/s."""
        return min(self.target_speed_mps, demand.limit_mps)

    def safe_speed_mps(self, leader: Leader | None, demand: Demand = NO_DEMAND) -> float:
        """Return the safe speed behind `leader` and before a line at which to stop, m/s.

        It is at most the wanted speed.
        """
        given = self.headway_s, self.brake_mps2, self.standing_gap_m
        ahead = [found for found in (leader, demand.obstacle) if found is not None]
        safe_mps = [found.safe_speed_mps(*given) for found in ahead]
        return min(*safe_mps, self.wanted_speed_mps(demand), math.inf)

    def blocked(self, leader: Leader | None, demand: Demand = NO_DEMAND) -> bool:
        """Whether they allow no more than a crawl, or the line is near: standing is right."""
        crawl_mps = BLOCKED_SHARE * self.wanted_speed_mps(demand)
        return demand.waiting or self.safe_speed_mps(leader, demand) < crawl_mps


def reward_terms(
    config: RewardConfig,
    *,
    progress_mps: float,
    speed_mps: float,
    place: RoutePlace,
    action: Action,
    previous_action: Action,
    failed: bool,
    leader: Leader | None = None,
    demand: Demand = NO_DEMAND,
) -> dict[str, float]:
    """Return the terms of one step's reward; their sum is the reward.

    Args:
        config: the weights.
        progress_mps: speed along the route, from the distance covered on it, m/s.
        speed_mps: the car's signed forward speed, m/s.
        place: where the car is now.
        action: (2,) the executed action: steer, throttle/brake, each in [-1, 1].
        previous_action: (2,) the action of the step before.
        failed: the step ended in a collision, off the road, or beyond a line at red.
        leader: the road user in the way now, if any.
        demand: what lights, signs and limits ask now.
    """
    wanted_mps = config.wanted_speed_mps(demand)
    relative = progress_mps / wanted_mps
    over = max(relative - 1.0, 0.0)
    change = np.abs(np.asarray(action, np.float64) - np.asarray(previous_action, np.float64))
    standing = speed_mps < config.standstill_speed_mps and not config.blocked(leader, demand)
    unsafe = (speed_mps - config.safe_speed_mps(leader, demand)) / wanted_mps
    if leader is None and not demand.must_stop:
        unsafe = 0.0  # the wanted speed itself is the progress term's part
    offset = min(abs(place.lateral_m) / config.lane_half_width_m, 2.0)
    pace = min(abs(relative), 1.0)
    return {
        "progress": float(np.clip(relative - (1.0 + config.overspeed_slope) * over, -1.0, 1.0)),
        "lateral": -config.lateral_weight * offset * pace,
        "heading": -config.heading_weight * abs(place.heading_error_rad) * pace,
        "comfort": -config.comfort_weight * float(change[0] + 0.3 * change[1]),
        "standstill": -config.standstill_cost if standing else 0.0,
        "failure": -config.failure_cost if failed else 0.0,
        "safety": -config.safety_weight * float(np.clip(unsafe, 0.0, 1.0)),
    }
