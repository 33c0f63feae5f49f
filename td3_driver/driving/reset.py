# SPDX-License-Identifier: Apache-2.0
"""Moving the car to the start of a route through the bridge's topics alone.

The bridge has no reset service. It applies a pose from `set_transform` at some later tick, keeps
the velocity while doing so, and gives no answer, so each phase (stop, place, settle) ends only
when odometry shows that it has. This order also makes runs repeat: a car at rest is in the same
state whichever tick moved it.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from td3_driver.driving.types import EgoState, Pose, wrap_angle

RESEND_FRAMES = 20
GIVE_UP_FRAMES = 400
# A car that creeps when it is placed ends up millimetres away, depending on the tick that places
# it; so it is halted first, even if it seems to stand.
HALT_FRAMES = 2
SETTLE_FRAMES = 5
# A car that is placed exactly on the ground sometimes falls through it in CARLA.
PLACE_ABOVE_GROUND_M = 0.3
AT_REST_MPS = 0.05
AT_PLACE_M = 0.5
AT_PLACE_RAD = 0.1


class _Phase(enum.Enum):
    STOP = enum.auto()
    PLACE = enum.auto()
    SETTLE = enum.auto()


@dataclass(frozen=True)
class ResetRequest:
    """The messages to publish beside the brake command of this frame.

    Attributes:
        place: pose for `set_transform`, or None.
        halt: publish a zero `set_target_velocity`.
        done: the car stands at its place; the episode begins with this frame.
        failed: the car could not be put there; choose another place.
    """

    place: Pose | None = None
    halt: bool = False
    done: bool = False
    failed: bool = False


class Reset:
    """One reset to the pose `target`, which takes one odometry per frame."""

    def __init__(self, target: Pose) -> None:
        self._target = target
        self._phase = _Phase.STOP
        self._frames = 0
        self._frames_in_phase = 0

    def step(self, ego: EgoState) -> ResetRequest:
        """Advance by one frame, in which the car is to be braked."""
        self._frames += 1
        if self._frames > GIVE_UP_FRAMES:
            return ResetRequest(failed=True)
        at_rest = math.hypot(ego.speed_mps, ego.lateral_speed_mps) < AT_REST_MPS
        if self._phase is _Phase.STOP and at_rest and self._frames_in_phase >= HALT_FRAMES:
            self._enter(_Phase.PLACE)
        elif self._phase is _Phase.PLACE and self._arrived(ego):
            self._enter(_Phase.SETTLE)
        send = self._frames_in_phase % RESEND_FRAMES == 0
        self._frames_in_phase += 1
        if self._phase is _Phase.STOP:
            return ResetRequest(halt=send)
        if self._phase is _Phase.PLACE:
            return ResetRequest(place=self._target if send else None)
        return ResetRequest(done=at_rest and self._frames_in_phase > SETTLE_FRAMES)

    def _enter(self, phase: _Phase) -> None:
        self._phase = phase
        self._frames_in_phase = 0

    def _arrived(self, ego: EgoState) -> bool:
        gap_m = math.hypot(ego.pose.x_m - self._target.x_m, ego.pose.y_m - self._target.y_m)
        turn_rad = abs(wrap_angle(ego.pose.yaw_rad - self._target.yaw_rad))
        return gap_m < AT_PLACE_M and turn_rad < AT_PLACE_RAD
