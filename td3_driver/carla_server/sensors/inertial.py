# SPDX-License-Identifier: Apache-2.0
"""IMU and GNSS, without noise unless a client asks for it."""

from __future__ import annotations

import math

import msgpack
import numpy as np

from td3_driver.carla_server.actors import Actor, Sensor
from td3_driver.carla_server.axes import rotation
from td3_driver.carla_server.sensors.geography import Geography
from td3_driver.world.ground.terrain import GRAVITY_MPS2

_AXES = ("x", "y", "z")


def imu(sensor: Sensor, parent: Actor) -> bytes:
    """Accelerometer (m/s2) and gyroscope (rad/s) in the sensor's axes, and a compass (rad).

    The compass is 0 to the north, which is CARLA's -y.
    """
    to_map = rotation(sensor.pose)
    x, y, z = parent.acceleration
    felt = to_map.T @ (x, y, z + GRAVITY_MPS2)
    turning = to_map.T @ np.radians(parent.turning)
    rng = _noise(sensor)
    felt = felt + rng.normal(0.0, _spreads(sensor, "noise_accel_stddev_"))
    biases = [sensor.description.number(f"noise_gyro_bias_{axis}", 0.0) for axis in _AXES]
    turning = turning + biases + rng.normal(0.0, _spreads(sensor, "noise_gyro_stddev_"))
    compass_rad = math.radians(sensor.pose[4] + 90.0) % (2.0 * math.pi)
    packed: bytes = msgpack.packb([felt.tolist(), turning.tolist(), compass_rad])
    return packed


def gnss(sensor: Sensor, geography: Geography) -> bytes:
    """Latitude and longitude in degrees, altitude in m."""
    x, y, z, *_ = sensor.pose
    latitude, longitude = geography.degrees(x, y)
    rng, number = _noise(sensor), sensor.description.number
    measured = [
        value + number(f"noise_{axis}_bias", 0.0) + rng.normal(0.0, _spread(sensor, axis))
        for axis, value in (("lat", latitude), ("lon", longitude), ("alt", z))
    ]
    packed: bytes = msgpack.packb([float(value) for value in measured])
    return packed


def _noise(sensor: Sensor) -> np.random.Generator:
    if "rng" not in sensor.made:
        seed = abs(int(sensor.description.number("noise_seed", 0.0)))
        sensor.made["rng"] = np.random.default_rng(seed)
    rng: np.random.Generator = sensor.made["rng"]
    return rng


def _spreads(sensor: Sensor, name: str) -> list[float]:
    return [abs(sensor.description.number(f"{name}{axis}", 0.0)) for axis in _AXES]


def _spread(sensor: Sensor, axis: str) -> float:
    return abs(sensor.description.number(f"noise_{axis}_stddev", 0.0))


