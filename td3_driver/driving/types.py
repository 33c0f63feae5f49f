# SPDX-License-Identifier: Apache-2.0
"""Types shared by the driver and the embedded world.

All poses are in ROS' right-handed map frame (x east, y north, z up, yaw counter-clockwise from
x), all velocities in the body frame (x forward, y left). CARLA's left-handed axes appear only
in the sign of `Control.steer`.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LARGEST_M = 1e7  # largest coordinate: a quarter of the way around the Earth
FASTEST_MPS = 500.0


def wrap_angle(angle_rad: float) -> float:
    """Return the same angle in [-pi, pi)."""
    return (angle_rad + math.pi) % (2.0 * math.pi) - math.pi


@dataclass(frozen=True)
class Pose:
    """A pose on the ground in the ROS map frame: metres, and yaw in rad, left turn positive."""

    x_m: float
    y_m: float
    yaw_rad: float
    z_m: float = 0.0


@dataclass(frozen=True)
class EgoState:
    """The car's state at one instant, from the bridge's odometry (ROS map frame, body twist)."""

    stamp_ns: int
    pose: Pose
    speed_mps: float
    lateral_speed_mps: float = 0.0
    yaw_rate_radps: float = 0.0

    @property
    def ground_speed_mps(self) -> float:
        """How fast the car moves, in whatever direction, m/s."""
        return math.hypot(self.speed_mps, self.lateral_speed_mps)

    @property
    def finite(self) -> bool:
        """Every number is finite."""
        pose = self.pose
        speeds = (self.speed_mps, self.lateral_speed_mps, self.yaw_rate_radps)
        return all(map(math.isfinite, (pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad, *speeds)))

    @property
    def plausible(self) -> bool:
        """A car may be at this place and this fast; absurd states must not be learned from."""
        pose, turning = self.pose, self.yaw_rate_radps
        near = max(abs(pose.x_m), abs(pose.y_m), abs(pose.z_m)) < LARGEST_M
        fast = max(abs(self.speed_mps), abs(self.lateral_speed_mps))
        return self.finite and near and fast < FASTEST_MPS and abs(turning) < FASTEST_MPS


@dataclass(frozen=True)
class Control:
    """One vehicle command, as in CARLA: throttle and brake in [0, 1], steer in [-1, 1].

    `steer` keeps CARLA's sign: +1 is full right, hence a negative yaw rate in ROS' frame.
    """

    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    hand_brake: bool = False
    reverse: bool = False

    @property
    def finite(self) -> bool:
        """Every number is finite."""
        return all(map(math.isfinite, (self.throttle, self.steer, self.brake)))

    def moves_like(self, other: Control) -> bool:
        """Whether both move a car in the same way, up to single precision."""
        ours = self.throttle, self.steer, self.brake
        theirs = other.throttle, other.steer, other.brake
        return all(math.isclose(a, b, abs_tol=1e-5) for a, b in zip(ours, theirs, strict=True))


FULL_BRAKE = Control(brake=1.0)


class LightState(enum.IntEnum):
    """What a traffic light shows, by CARLA's numbers."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3
    UNKNOWN = 4


# (L,) `LightState`s of a map's lights, in the order of `RoadMap.lights`; empty if nobody tells.
Lights = NDArray[np.uint8]
NO_LIGHTS: Lights = np.empty(0, np.uint8)
