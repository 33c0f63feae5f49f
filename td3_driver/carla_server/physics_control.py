# SPDX-License-Identifier: Apache-2.0
"""What a vehicle says that it is made of, and what its wheels and engine do.

All vehicles drive as the world's Model 3, so wheels, wheelbase, lock and drag are its own, and the
mass is that of the body. The rest is what CARLA's Model 3 says of itself and drives nothing here,
as what clients change of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

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
from td3_driver.world.bodies import powertrain
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.vehicle import DRAG_KG_PER_M
from td3_driver.world.ground.terrain import GRAVITY_MPS2

_TORQUE_NM = ((0.0, 500.0), (1890.0, 500.0), (5729.0, 400.0))  # by revolutions per minute
_STEERING = ((0.0, 1.0), (20.0, 0.9), (60.0, 0.8), (120.0, 0.7))  # share of the lock by km/h
_FINAL_RATIO, _GEAR = 4.0, GearPhysics(4.0, 0.5, 0.65)


@dataclass(frozen=True, slots=True)
class WheelTelemetry:
    """What a wheel does; torque in N m, forces and loads in N, `omega` in rad/s."""

    tire_friction: float = 0.0
    lat_slip: float = 0.0
    long_slip: float = 0.0
    omega: float = 0.0
    tire_load: float = 0.0
    normalized_tire_load: float = 0.0
    torque: float = 0.0
    long_force: float = 0.0
    lat_force: float = 0.0
    normalized_long_force: float = 0.0
    normalized_lat_force: float = 0.0


@dataclass(frozen=True, slots=True)
class VehicleTelemetry:
    """What a vehicle does: m/s, the command, and the force of drag in N."""

    speed: float
    steer: float
    throttle: float
    brake: float
    engine_rpm: float
    gear: int
    drag: float
    wheels: list[WheelTelemetry]


def of(
    pose: Pose6, body: Body, applied: VehiclePhysicsControl | None = None
) -> VehiclePhysicsControl:
    """What the vehicle is made of.

    Args:
        pose: its place in the map, in CARLA's axes; the wheels' places are told in the map.
        body: its box and mass.
        applied: what a client has said of it, which goes before; None: nothing.
    """
    ahead_m, left_m, up_m = powertrain.CENTRE_OF_MASS_M
    turned = rotation(pose)
    wheels = []
    for wheel in powertrain.WHEELS:
        x_m, y_m, z_m = wheel.position_m
        at_cm = 100.0 * (turned @ np.array([x_m, -y_m, z_m]) + pose[:3])
        wheels.append(
            WheelPhysics(
                wheel.friction,
                wheel.damping,
                math.degrees(wheel.max_steer_rad),
                100.0 * wheel.radius_m,
                wheel.max_brake_nm,
                wheel.max_handbrake_nm,
                position=Vector3D(*at_cm.tolist()),
            )
        )
    if applied is not None:
        there = zip(applied.wheels, wheels, strict=True)
        moved = [replace(said, position=wheel.position) for said, wheel in there]
        return replace(applied, wheels=moved)
    return VehiclePhysicsControl(
        torque_curve=[Vector2D(*point) for point in _TORQUE_NM],
        max_rpm=powertrain.MAX_RPM,
        moi=powertrain.ENGINE_INERTIA_KGM2,
        damping_rate_full_throttle=powertrain.DAMPING_FULL_THROTTLE,
        damping_rate_zero_throttle_clutch_engaged=powertrain.DAMPING_CLUTCH_ENGAGED,
        damping_rate_zero_throttle_clutch_disengaged=powertrain.DAMPING_CLUTCH_DISENGAGED,
        use_gear_autobox=True,
        gear_switch_time=powertrain.GEAR_SWITCH_TIME_S,
        clutch_strength=powertrain.CLUTCH_STRENGTH,
        final_ratio=_FINAL_RATIO,
        forward_gears=[_GEAR],
        mass=body.mass_kg,
        drag_coefficient=powertrain.DRAG_COEFFICIENT,
        center_of_mass=Vector3D(ahead_m, -left_m, up_m),
        steering_curve=[Vector2D(*point) for point in _STEERING],
        wheels=wheels,
        use_sweep_wheel_collision=False,
    )


def telemetry(control: VehicleControl, velocity: Triple, body: Body) -> VehicleTelemetry:
    """What the vehicle does; its wheels roll without slip, under a quarter of its weight each.

    Args:
        control: its command.
        velocity: in the map, m/s.
        body: its box and mass.
    """
    speed_mps = math.hypot(*velocity)
    load_n = body.mass_kg * GRAVITY_MPS2 / len(powertrain.WHEELS)
    wheels = [
        WheelTelemetry(
            tire_friction=wheel.friction,
            omega=speed_mps / wheel.radius_m,
            tire_load=load_n,
            normalized_tire_load=1.0,
        )
        for wheel in powertrain.WHEELS
    ]
    engine_radps = wheels[0].omega * _GEAR.ratio * _FINAL_RATIO
    return VehicleTelemetry(
        speed=speed_mps,
        steer=control.steer,
        throttle=control.throttle,
        brake=control.brake,
        engine_rpm=min(engine_radps * 60.0 / math.tau, powertrain.MAX_RPM),
        gear=control.current_gear,
        drag=DRAG_KG_PER_M * speed_mps**2,
        wheels=wheels,
    )


def wheel_angle_deg(control: VehicleControl) -> float:
    """How far a command turns the front wheels, degrees, positive to the right."""
    return control.steer * math.degrees(powertrain.WHEELS[0].max_steer_rad)
