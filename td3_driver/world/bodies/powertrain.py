# SPDX-License-Identifier: Apache-2.0
"""The numbers of CARLA's Tesla Model 3 that clients ask for: engine, gears, wheels.

The simulation drives with the wheels' places and angles alone: its engine, brakes and tyres are
those of `vehicle.py`. The others are what CARLA's car says of itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from td3_driver.driving.routes.turning import MAX_WHEEL_RAD, WHEELBASE_M

MAX_RPM = 15000.0
ENGINE_INERTIA_KGM2 = 1.0
# The engine's damping, kg m2/s: at full throttle; without throttle, clutch engaged or not.
DAMPING_FULL_THROTTLE = 0.15
DAMPING_CLUTCH_ENGAGED = 2.0
DAMPING_CLUTCH_DISENGAGED = 0.35
GEAR_SWITCH_TIME_S = 0.5
CLUTCH_STRENGTH = 10.0  # kg m2/s
DRAG_COEFFICIENT = 0.15
# Offset from the middle of the body, in the car's frame: forward, left, up.
CENTRE_OF_MASS_M = (0.45, 0.0, -0.3)
_TRACK_M = 1.6


@dataclass(frozen=True)
class Wheel:
    """A wheel: its middle in the car's frame (forward, left, up), m; angle, rad; torques, N m.

    `friction` is PhysX' tyre friction, `damping` the wheel's damping rate, kg m2/s.
    """

    position_m: tuple[float, float, float]
    max_steer_rad: float
    max_handbrake_nm: float
    radius_m: float = 0.35
    friction: float = 3.5
    damping: float = 0.25
    max_brake_nm: float = 1500.0


def _axle(x_m: float, max_steer_rad: float, max_handbrake_nm: float) -> tuple[Wheel, Wheel]:
    """The left and the right wheel of an axle."""
    left, right = (
        Wheel((x_m, y_m, Wheel.radius_m), max_steer_rad, max_handbrake_nm)
        for y_m in (_TRACK_M / 2.0, -_TRACK_M / 2.0)
    )
    return left, right


# In CARLA's order: front left, front right, rear left, rear right.
WHEELS = (
    *_axle(WHEELBASE_M / 2.0, MAX_WHEEL_RAD, 0.0),
    *_axle(-WHEELBASE_M / 2.0, 0.0, 3000.0),
)
