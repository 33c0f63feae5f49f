# SPDX-License-Identifier: Apache-2.0
"""The limits by which drives are judged, the same for every policy.

A policy's own configuration says what it sees, does and was rewarded for, but not when it fails:
else a wider `off_road_m` or a lower target speed would make a better driver.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from td3_driver.driving.episode import EpisodeConfig
from td3_driver.driving.reward import BLOCKED_SHARE, RewardConfig
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.safety import SafetyConfig

SPEED_LIMIT_MPS = 8.33
# The time limit is that of a drive this slow, and some time to pull away.
SLOWEST_MPS = 2.0
START_S = 10.0
STUCK_S = 5.0
# Steering is measured in this share of the full lock, whatever share a policy's own action has.
STEER_UNIT = 0.5
# Numbers of their own: what is learned with may change, what is measured by does not.
_REWARD = RewardConfig(
    target_speed_mps=SPEED_LIMIT_MPS,
    standstill_speed_mps=0.5,
    headway_s=0.8,
    brake_mps2=3.0,
    standing_gap_m=3.0,
)
_LIMITS = EpisodeConfig(off_road_m=2.5, wrong_way_rad=2.0, reward=_REWARD)
# How those drive that learned nothing.
DRIVING = DrivingConfig(episode=_LIMITS, safety=SafetyConfig(max_steer=STEER_UNIT))


def limits(length_m: float, step_s: float, speed_limit_mps: float) -> EpisodeConfig:
    """The limits at which a drive ends.

    Args:
        length_m: length of the route, m.
        step_s: time between two frames, s.
        speed_limit_mps: the speed to drive and not to exceed, m/s.
    """
    return replace(
        _LIMITS,
        route_length_m=length_m,
        max_steps=math.ceil((length_m / SLOWEST_MPS + START_S) / step_s),
        stuck_steps=round(STUCK_S / step_s),
        reward=replace(_REWARD, target_speed_mps=speed_limit_mps),
    )


@dataclass(frozen=True)
class RouteLimits(EpisodeConfig):
    """The limits for any route: `limits` of its length.

    Attributes:
        step_s: time between two frames, s.
    """

    off_road_m: float = _LIMITS.off_road_m
    wrong_way_rad: float = _LIMITS.wrong_way_rad
    reward: RewardConfig = _REWARD
    step_s: float = 0.05

    def for_route(self, length_m: float) -> EpisodeConfig:
        """Return the limits of a route of this length, m."""
        return limits(length_m, self.step_s, self.reward.target_speed_mps)


def to_mapping() -> dict[str, float]:
    """The limits as in metrics.json, in SI units."""
    return {
        "speed_limit_mps": SPEED_LIMIT_MPS,
        "off_road_m": _LIMITS.off_road_m,
        "wrong_way_rad": _LIMITS.wrong_way_rad,
        "stuck_s": STUCK_S,
        "standstill_speed_mps": _REWARD.standstill_speed_mps,
        "blocked_speed_mps": BLOCKED_SHARE * SPEED_LIMIT_MPS,
        "headway_s": _REWARD.headway_s,
        "brake_mps2": _REWARD.brake_mps2,
        "standing_gap_m": _REWARD.standing_gap_m,
        "slowest_mps": SLOWEST_MPS,
        "start_s": START_S,
        "steer_unit": STEER_UNIT,
    }
