# SPDX-License-Identifier: Apache-2.0
"""The bytes of CARLA 0.9.16's streams: headers, actors' states, tokens. Little endian, packed."""

from __future__ import annotations

import struct

from td3_driver.carla_server.structures import VehicleControl

# The first number of a message says which type it carries: a row of 0.9.16's sensor registry.
COLLISION, DEPTH, GNSS, IMU, OBSTACLE, RGB, SEMANTIC, EPISODE = 0, 1, 4, 5, 7, 13, 14, 17
MAP_CHANGED = 1  # a flag of an episode's state

_SENSOR_HEADER = struct.Struct("<QQd6f")  # row, frame, time; x, y, z, pitch, yaw, roll
_EPISODE_HEADER = struct.Struct("<Qdf3iI")  # episode, wall time, delta; map origin; flags
_ACTOR_STATE = struct.Struct("<IB6f3f3f3f")  # id, state; pose; velocity, turning, acceleration
_VEHICLE_STATE = struct.Struct("<3f3?ifB?IB")
_WALKER_STATE = struct.Struct("<4f?")
_LIGHT_STATE = struct.Struct("<32s4fI?B")
_SIGN_STATE = struct.Struct("<32s")
_IMAGE_HEADER = struct.Struct("<IIf")
_TOKEN = struct.Struct("<IHBB16x")
_KIND_STATE_BYTES = 54  # the longest of the kinds', to which all are padded
_ACTIVE = 1
_TCP, _NO_ADDRESS = 1, 0
_NO_FAILURE = 0
_GREEN = 2  # the state of the light of a vehicle that is at none

Pose6 = tuple[float, float, float, float, float, float]  # x, y, z, pitch, yaw, roll
Triple = tuple[float, float, float]


def token(stream_id: int, port: int) -> bytes:
    """Where a stream is; without an address the client takes the host that it was given."""
    return _TOKEN.pack(stream_id, port, _TCP, _NO_ADDRESS)


def sensor_header(row: int, frame: int, elapsed_s: float, pose: Pose6) -> bytes:
    """What each message of a stream begins with; `pose` of the sensor in the map."""
    return _SENSOR_HEADER.pack(row, frame, elapsed_s, *pose)


def episode_header(episode_id: int, platform_s: float, delta_s: float, flags: int) -> bytes:
    """What an episode's state begins with, after the sensor's header."""
    return _EPISODE_HEADER.pack(episode_id, platform_s, delta_s, 0, 0, 0, flags)


def actor_state(
    actor_id: int,
    pose: Pose6,
    velocity: Triple,
    turning: Triple,
    acceleration: Triple,
    of_kind: bytes = b"",
) -> bytes:
    """An actor in an episode's state: m/s, degrees per second, m/s2, all in the map's axes."""
    fixed = _ACTOR_STATE.pack(actor_id, _ACTIVE, *pose, *velocity, *turning, *acceleration)
    return fixed + of_kind.ljust(_KIND_STATE_BYTES, b"\0")


def vehicle_state(
    control: VehicleControl, speed_limit_kmh: float, light: tuple[int, int] | None
) -> bytes:
    """What a vehicle's state has more.

    Args:
        control: its command.
        speed_limit_kmh: that of the last sign.
        light: id and state of the traffic light that it is at.
    """
    light_id, state = light or (0, _GREEN)
    return _VEHICLE_STATE.pack(
        control.throttle,
        control.steer,
        control.brake,
        control.hand_brake,
        control.current_gear < 0,
        control.manual_gear_shift,
        control.current_gear,
        speed_limit_kmh,
        state,
        light is not None,
        light_id,
        _NO_FAILURE,
    )


def walker_state(direction: Triple, speed_mps: float, jump: bool) -> bytes:
    """What a pedestrian's state has more."""
    return _WALKER_STATE.pack(*direction, speed_mps, jump)


def light_state(
    sign_id: str, times_s: Triple, elapsed_s: float, pole: int, frozen: bool, state: int
) -> bytes:
    """What a traffic light's state has more; `times_s` are green, yellow and red."""
    name = sign_id.encode()[:32]
    return _LIGHT_STATE.pack(name, *times_s, elapsed_s, pole, frozen, state)


def sign_state(sign_id: str) -> bytes:
    """What a traffic sign's state has more."""
    return _SIGN_STATE.pack(sign_id.encode()[:32])


def image_header(width_px: int, height_px: int, fov_deg: float) -> bytes:
    """What stands before a picture's pixels."""
    return _IMAGE_HEADER.pack(width_px, height_px, fov_deg)
