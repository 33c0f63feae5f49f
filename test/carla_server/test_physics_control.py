# SPDX-License-Identifier: Apache-2.0
"""What a vehicle says that it is made of: the world's numbers, in CARLA's units and axes."""

import math

import msgpack
import pytest

from td3_driver.carla_server import physics_control
from td3_driver.carla_server.structures import VehicleControl, encode
from td3_driver.driving.types import Control, Pose
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.vehicle import MASS_KG, MODEL_3, Vehicle

LEVEL = (100.0, 20.0, 3.0, 0.0, 0.0, 0.0)


def test_wheels_are_told_in_centimetres_of_the_map() -> None:
    """Front left, front right, rear left, rear right; CARLA's y is to the right."""
    wheels = physics_control.of(LEVEL, MODEL_3).wheels
    places = [(w.position.x, w.position.y, w.position.z) for w in wheels]
    assert places == [
        pytest.approx((10143.75, 1920.0, 335.0)),
        pytest.approx((10143.75, 2080.0, 335.0)),
        pytest.approx((9856.25, 1920.0, 335.0)),
        pytest.approx((9856.25, 2080.0, 335.0)),
    ]
    assert [w.radius for w in wheels] == [35.0] * 4
    assert [round(w.max_steer_angle, 1) for w in wheels] == [69.9, 69.9, 0.0, 0.0]
    assert [w.max_handbrake_torque for w in wheels] == [0.0, 0.0, 3000.0, 3000.0]


def test_wheels_turn_with_the_vehicle() -> None:
    """A quarter to the right: its left is where it looked. Nose up, its front wheels are up."""
    turned = physics_control.of((0.0, 0.0, 0.0, 0.0, 90.0, 0.0), MODEL_3).wheels[0].position
    assert (turned.x, turned.y) == pytest.approx((80.0, 143.75))
    front, _, rear, _ = physics_control.of((0.0, 0.0, 0.0, 30.0, 0.0, 0.0), MODEL_3).wheels
    assert front.position.z - rear.position.z == pytest.approx(287.5 * math.sin(math.radians(30)))


def test_the_mass_is_the_body_s() -> None:
    control = physics_control.of(LEVEL, Body(5.9, 2.0, 2.6, 2150.0))
    assert control.mass == 2150.0
    assert physics_control.of(LEVEL, MODEL_3).mass == MASS_KG


def test_on_the_wire() -> None:
    """17 fields, of each wheel 10, as LibCarla reads them."""
    sent = msgpack.unpackb(msgpack.packb(encode(physics_control.of(LEVEL, MODEL_3))))
    assert len(sent) == 17
    assert [len(wheel) for wheel in sent[15]] == [10] * 4
    control = VehicleControl(throttle=0.5, steer=0.25)
    told = physics_control.telemetry(control, (3.0, 4.0, 0.0), MODEL_3)
    sent = msgpack.unpackb(msgpack.packb(encode(told)))
    assert sent[:4] == [5.0, 0.25, 0.5, 0.0]
    assert [len(wheel) for wheel in sent[7]] == [11] * 4


def test_telemetry_is_of_the_simulated_car() -> None:
    """A car that coasts is slowed by the drag that is told, and by rolling."""
    vehicle = Vehicle(Pose(0.0, 0.0, 0.0))
    vehicle.set_velocity(30.0, 0.0, 0.0)
    told = physics_control.telemetry(VehicleControl(), (30.0, 0.0, 0.0), MODEL_3)
    vehicle.step(Control(0.0, 0.0, 0.0), 0.01)
    slowed_mps2 = (30.0 - vehicle.state.speed_mps) / 0.01
    assert slowed_mps2 == pytest.approx(told.drag / MASS_KG + 0.012 * 9.81, rel=1e-3)
    assert told.wheels[0].omega * 0.35 == pytest.approx(30.0)
    assert sum(wheel.tire_load for wheel in told.wheels) == pytest.approx(MASS_KG * 9.81)
    assert (told.gear, told.engine_rpm) == (1, pytest.approx(30.0 / 0.35 * 16.0 * 30.0 / math.pi))
    assert physics_control.telemetry(VehicleControl(reverse=True), (0, 0, 0), MODEL_3).gear == -1


def test_the_wheels_follow_the_steering() -> None:
    assert physics_control.wheel_angle_deg(VehicleControl(steer=0.5)) == pytest.approx(
        35.0, abs=0.1
    )
