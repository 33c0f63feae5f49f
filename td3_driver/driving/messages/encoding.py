# SPDX-License-Identifier: Apache-2.0
"""Conversion of plain values to the bridge's messages; the way back is `decoding`.

It writes only fields: messages may be rclpy's or ones for a bag, which have the same fields.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.types import Control, EgoState, Pose


class Messages(Protocol):
    """A source of messages: `ros.conversions.MESSAGES`, or `bags.types.BagMessages`."""

    def new(self, kind: str) -> Any:
        """Create a message of a type, "package/msg/Name", with the type's defaults."""

    def sequence(self, values: NDArray[Any]) -> Any:
        """Convert (N,) numbers to the type that this source's messages hold in fields."""


def set_stamp(stamp: Any, time_ns: int) -> None:
    """Set a builtin_interfaces/Time."""
    stamp.sec, stamp.nanosec = divmod(time_ns, 1_000_000_000)


def new_header(messages: Messages, time_ns: int, frame_id: str) -> Any:
    """A std_msgs/Header."""
    header = messages.new("std_msgs/msg/Header")
    set_stamp(header.stamp, time_ns)
    header.frame_id = frame_id
    return header


def set_control(message: Any, control: Control) -> None:
    """Set a carla_msgs/CarlaEgoVehicleControl but for its header."""
    message.throttle, message.steer, message.brake = (
        control.throttle,
        control.steer,
        control.brake,
    )
    message.hand_brake, message.reverse = control.hand_brake, control.reverse


def set_pose(message: Any, pose: Pose, pitch_rad: float = 0.0, above_m: float = 0.0) -> None:
    """Set a geometry_msgs/Pose in the map frame, `above_m` above the pose."""
    position = message.position
    position.x, position.y, position.z = pose.x_m, pose.y_m, pose.z_m + above_m
    turn(message.orientation, pose.yaw_rad, pitch_rad)


def odometry_like(other: Any, ego: EgoState) -> Any:
    """Return the car as rclpy's nav_msgs/Odometry in the frames of another; other fields are 0."""
    message = type(other)(child_frame_id=other.child_frame_id)
    message.header.frame_id = other.header.frame_id
    set_stamp(message.header.stamp, ego.stamp_ns)
    set_pose(message.pose.pose, ego.pose)
    twist = message.twist.twist
    twist.linear.x, twist.linear.y = ego.speed_mps, ego.lateral_speed_mps
    twist.angular.z = ego.yaw_rate_radps
    return message


def turn(orientation: Any, yaw_rad: float, pitch_rad: float = 0.0) -> None:
    """Set a geometry_msgs/Quaternion to a yaw, then a pitch, rad; nose down is positive."""
    x, y, z, w = quaternion(yaw_rad, pitch_rad)
    orientation.x, orientation.y, orientation.z, orientation.w = x, y, z, w


def quaternion(yaw_rad: float, pitch_rad: float) -> tuple[float, float, float, float]:
    """Return x, y, z, w of a yaw, then a pitch, rad; nose down is positive."""
    (sin_y, cos_y), (sin_p, cos_p) = _half(yaw_rad), _half(pitch_rad)
    # Not -0 on level ground.
    return 0.0 - sin_y * sin_p, cos_y * sin_p, sin_y * cos_p, cos_y * cos_p


def new_transform(messages: Messages, header: Any, child_frame_id: str) -> tuple[Any, Any]:
    """Create a tf2_msgs/TFMessage with one transform from the header's frame, still to be set.

    Returns:
        The message, and the geometry_msgs/Transform in it.
    """
    message = messages.new("tf2_msgs/msg/TFMessage")
    stamped = messages.new("geometry_msgs/msg/TransformStamped")
    stamped.header, stamped.child_frame_id = header, child_frame_id
    message.transforms.append(stamped)
    return message, stamped.transform


def new_path(messages: Messages, points_m: Iterable[tuple[float, float]], header: Any) -> Any:
    """Create a nav_msgs/Path of points, x and y in the header's frame, m; without directions."""
    path = messages.new("nav_msgs/msg/Path")
    path.header = header
    for x_m, y_m in points_m:
        point = messages.new("geometry_msgs/msg/PoseStamped")
        point.header = header
        point.pose.position.x, point.pose.position.y = x_m, y_m
        path.poses.append(point)
    return path


def numbers(*values: float) -> NDArray[np.float64]:
    """Return numbers for `Messages.sequence`, or for a field of fixed length."""
    return np.array(values, np.float64)


def _half(angle_rad: float) -> tuple[float, float]:
    return math.sin(0.5 * angle_rad), math.cos(0.5 * angle_rad)
