# SPDX-License-Identifier: Apache-2.0
"""Where the car was when a picture was taken, from odometry with stamps of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, get_args

from td3_driver.driving.continuity import furthest_m
from td3_driver.driving.types import EgoState, Pose, wrap_angle

Mode = Literal["exact", "nearest", "interpolate"]
MODES: tuple[Mode, ...] = get_args(Mode)
# Odometry of 10 Hz and more; at 10 m/s the nearest one is up to half a metre away then.
TOLERANCE_S = 0.1


@dataclass(frozen=True)
class Sync:
    """How a picture gets its odometry.

    Attributes:
        mode: exact: of the same stamp; nearest: the nearest one; interpolate: between the one
            before and the one after; None: exact where that fits, else interpolate.
        tolerance_s: how far in time the nearest one, or each of both neighbours, may be.
    """

    mode: Mode | None = None
    tolerance_s: float = TOLERANCE_S

    @property
    def tolerance_ns(self) -> int:
        """The tolerance in nanoseconds."""
        return round(self.tolerance_s * 1e9)


AUTOMATIC = Sync()


def interpolated(before: EgoState, after: EgoState, time_ns: int) -> EgoState:
    """The car between two instants: all numbers linear in time, the heading the short way round.

    Args:
        before, after: with stamps `before.stamp_ns <= time_ns <= after.stamp_ns`, not the same.
        time_ns: stamp of the result.
    """
    if time_ns == before.stamp_ns:
        return before
    if time_ns == after.stamp_ns:
        return after
    share = (time_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)

    def between(one: float, other: float) -> float:
        return one + share * (other - one)

    turned_rad = wrap_angle(after.pose.yaw_rad - before.pose.yaw_rad)
    return EgoState(
        time_ns,
        Pose(
            between(before.pose.x_m, after.pose.x_m),
            between(before.pose.y_m, after.pose.y_m),
            wrap_angle(before.pose.yaw_rad + share * turned_rad),
            between(before.pose.z_m, after.pose.z_m),
        ),
        between(before.speed_mps, after.speed_mps),
        between(before.lateral_speed_mps, after.lateral_speed_mps),
        between(before.yaw_rate_radps, after.yaw_rate_radps),
    )


def driven(before: EgoState, after: EgoState) -> bool:
    """The car was driven from one to the other, not put there."""
    moved_m = math.dist((before.pose.x_m, before.pose.y_m), (after.pose.x_m, after.pose.y_m))
    fastest_mps = max(math.hypot(ego.speed_mps, ego.lateral_speed_mps) for ego in (before, after))
    return moved_m <= furthest_m(fastest_mps, (after.stamp_ns - before.stamp_ns) * 1e-9)


def at(
    time_ns: int, before: EgoState | None, after: EgoState | None, mode: Mode, tolerance_ns: int
) -> EgoState | None:
    """The car at a picture's time, with the picture's stamp; None where that is not known.

    Args:
        time_ns: the picture's.
        before: the last odometry of that time or earlier, None if there is none.
        after: the first one of that time or later.
        mode: see `Sync`.
        tolerance_ns: see `Sync`.
    """
    for ego in (before, after):
        if ego is not None and ego.stamp_ns == time_ns:
            return ego
    near = [
        ego
        for ego in (before, after)
        if ego is not None and abs(ego.stamp_ns - time_ns) <= tolerance_ns
    ]
    if mode == "exact" or not near:
        return None
    if mode == "nearest":
        nearest = min(near, key=lambda ego: abs(ego.stamp_ns - time_ns))
        return replace(nearest, stamp_ns=time_ns)
    if before is None or after is None or len(near) < 2 or not driven(before, after):
        return None
    return interpolated(before, after, time_ns)
