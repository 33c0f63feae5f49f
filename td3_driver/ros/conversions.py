# SPDX-License-Identifier: Apache-2.0
"""ROS messages to plain values and back. The only place where message fields are touched twice."""

from __future__ import annotations

import math

import numpy as np
from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from numpy.typing import NDArray
from sensor_msgs.msg import Image

from td3_driver.driving.types import Control, EgoState, Pose

_CHANNELS = {"bgra8": 4, "bgr8": 3, "rgb8": 3, "mono8": 1}
# CARLA drops a car that is put exactly onto the ground through it now and then.
PLACE_ABOVE_GROUND_M = 0.3


class ImageError(ValueError):
    """An image message that cannot be read; the message says why."""


def stamp_ns(stamp: Time) -> int:
    """A stamp in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def stamp_of(time_ns: int) -> Time:
    """Nanoseconds as a stamp."""
    return Time(sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000)


def pixels(message: Image) -> NDArray[np.uint8]:
    """The image as (H, W) or (H, W, C) uint8 in BGR(A) order, a view of the message's buffer.

    Raises:
        ImageError: unknown encoding, or a buffer that does not fit height and step.
    """
    channels = _CHANNELS.get(message.encoding)
    if channels is None:
        known = ", ".join(_CHANNELS)
        raise ImageError(f"image encoding {message.encoding!r}; readable are {known}")
    row = message.width * channels
    data = np.frombuffer(message.data, dtype=np.uint8)
    if message.height == 0 or message.step < row or data.size != message.height * message.step:
        raise ImageError(
            f"image of {data.size} bytes does not fit {message.height} rows of step {message.step}"
        )
    rows = data.reshape(message.height, message.step)[:, :row]
    if channels == 1:
        return rows
    image = rows.reshape(message.height, message.width, channels)
    return image[:, :, ::-1] if message.encoding == "rgb8" else image


def ego_state(message: Odometry) -> EgoState:
    """The car's state; the bridge gives the pose in the map frame, the twist in the body frame."""
    position, orientation = message.pose.pose.position, message.pose.pose.orientation
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    return EgoState(
        stamp_ns=stamp_ns(message.header.stamp),
        pose=Pose(position.x, position.y, yaw_of(orientation), position.z),
        speed_mps=linear.x,
        lateral_speed_mps=linear.y,
        yaw_rate_radps=angular.z,
    )


def control_message(control: Control, stamp: Time) -> CarlaEgoVehicleControl:
    """The bridge's command, stamped with the time of the frame that it answers."""
    message = CarlaEgoVehicleControl()
    message.header.stamp = stamp
    message.throttle = control.throttle
    message.steer = control.steer
    message.brake = control.brake
    message.hand_brake = control.hand_brake
    message.reverse = control.reverse
    return message


def control_of(message: CarlaEgoVehicleControl) -> Control:
    """A command as plain values."""
    return Control(
        throttle=message.throttle,
        steer=message.steer,
        brake=message.brake,
        hand_brake=message.hand_brake,
        reverse=message.reverse,
    )


def pose_message(pose: Pose, above_m: float = 0.0) -> PoseMessage:
    """A pose in the map frame."""
    message = PoseMessage()
    message.position.x, message.position.y = pose.x_m, pose.y_m
    message.position.z = pose.z_m + above_m
    message.orientation = quaternion_of(pose.yaw_rad)
    return message


def pose_of(message: PoseMessage) -> Pose:
    """A pose on the ground; roll and pitch are dropped."""
    position = message.position
    return Pose(position.x, position.y, yaw_of(message.orientation), position.z)


def yaw_of(q: Quaternion) -> float:
    """Yaw of a quaternion, rad, counter-clockwise positive."""
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z))


def quaternion_of(yaw_rad: float) -> Quaternion:
    """The quaternion of a rotation about z."""
    return Quaternion(z=math.sin(0.5 * yaw_rad), w=math.cos(0.5 * yaw_rad))
