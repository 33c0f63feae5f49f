# SPDX-License-Identifier: Apache-2.0
"""What a vehicle is made of, as CARLA's clients ask for it: a Model 3 in each vehicle's body."""

from __future__ import annotations

import math
from typing import Any

from td3_driver.carla_server.axes import rotation
from td3_driver.carla_server.structures import (
    GearPhysics,
    Vector2D,
    Vector3D,
    VehicleControl,
    VehiclePhysicsControl,
    WheelPhysics,
)
from td3_driver.carla_server.wire import Pose6, Triple
from td3_driver.driving.routes.turning import MAX_WHEEL_RAD
from td3_driver.world.bodies import powertrain
from td3_driver.world.bodies.boxes import Body

_CM = 100.0
# Of CARLA's Model 3: N m by rpm, and the share of the steering angle by km/h.
_TORQUE = ((0.0, 500.0), (1890.0, 500.0), (5729.0, 400.0))
_STEERING = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))
_FINAL_RATIO = 4.0
_GEAR_RATIO = 4.0
_IDLE_RPM = 800.0
_TELEMETRY_OF_WHEEL = 11


def of(pose: Pose6, body: Body) -> VehiclePhysicsControl:
    """The physics of a vehicle at a pose: its wheels' positions are in cm in the map."""
    x, y, z = powertrain.CENTRE_OF_MASS_M
    return VehiclePhysicsControl(
        torque_curve=[Vector2D(*point) for point in _TORQUE],
        max_rpm=powertrain.MAX_RPM,
        moi=powertrain.ENGINE_INERTIA_KGM2,
        damping_rate_full_throttle=powertrain.DAMPING_FULL_THROTTLE,
        damping_rate_zero_throttle_clutch_engaged=powertrain.DAMPING_CLUTCH_ENGAGED,
        damping_rate_zero_throttle_clutch_disengaged=powertrain.DAMPING_CLUTCH_DISENGAGED,
        use_gear_autobox=True,
        gear_switch_time=powertrain.GEAR_SWITCH_TIME_S,
        clutch_strength=powertrain.CLUTCH_STRENGTH,
        final_ratio=_FINAL_RATIO,
        forward_gears=[GearPhysics(_GEAR_RATIO)],
        mass=body.mass_kg,
        drag_coefficient=powertrain.DRAG_COEFFICIENT,
        center_of_mass=Vector3D(x, -y, z),
        steering_curve=[Vector2D(*point) for point in _STEERING],
        wheels=[_wheel(wheel, pose) for wheel in powertrain.WHEELS],
        use_sweep_wheel_collision=True,
    )


def telemetry(control: VehicleControl, velocity: Triple) -> list[Any]:
    """Speed in m/s, steer, throttle, brake, engine speed, gear, drag, and each wheel's numbers."""
    wheel = [powertrain.Wheel.friction] + [0.0] * (_TELEMETRY_OF_WHEEL - 1)
    return [
        math.hypot(*velocity),
        control.steer,
        control.throttle,
        control.brake,
        _IDLE_RPM,
        -1 if control.reverse else 1,
        powertrain.DRAG_COEFFICIENT,
        [wheel] * len(powertrain.WHEELS),
    ]


def wheel_angle_deg(control: VehicleControl) -> float:
    """How far the front wheels are to be turned, to the right positive."""
    return control.steer * math.degrees(MAX_WHEEL_RAD)


def _wheel(wheel: powertrain.Wheel, pose: Pose6) -> WheelPhysics:
    x, y, z = wheel.position_m
    place = (rotation(pose) @ (x, -y, z) + pose[:3]) * _CM
    return WheelPhysics(
        tire_friction=wheel.friction,
        damping_rate=wheel.damping,
        max_steer_angle=math.degrees(wheel.max_steer_rad),
        radius=wheel.radius_m * _CM,
        max_brake_torque=wheel.max_brake_nm,
        max_handbrake_torque=wheel.max_handbrake_nm,
        position=Vector3D(*place.tolist()),
    )
