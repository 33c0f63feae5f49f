# SPDX-License-Identifier: Apache-2.0
"""Plain values to ROS messages. The way back are `driving.decoding` and `driving.pictures`."""

from __future__ import annotations

import math
from collections.abc import Iterable

from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import PoseStamped, Quaternion
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from std_msgs.msg import Header

from td3_driver.driving.decoding import (
    control_of,
    ego_state,
    pose_of,
    road_users,
    stamp_ns,
    yaw_of,
)
from td3_driver.driving.pictures import ImageError, pixels
from td3_driver.driving.types import Control, EgoState, Pose

__all__ = [
    "PLACE_ABOVE_GROUND_M",
    "ImageError",
    "control_message",
    "control_of",
    "ego_state",
    "odometry_message",
    "path_message",
    "pixels",
    "pose_message",
    "pose_of",
    "quaternion_of",
    "road_users",
    "stamp_ns",
    "stamp_of",
    "yaw_of",
]

# CARLA drops a car that is put exactly onto the ground through it now and then.
PLACE_ABOVE_GROUND_M = 0.3


def stamp_of(time_ns: int) -> Time:
    """Nanoseconds as a stamp."""
    return Time(sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000)


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


def odometry_message(ego: EgoState, like: Odometry) -> Odometry:
    """The car as odometry in the frames of another one; what `EgoState` has not is 0."""
    message = Odometry(child_frame_id=like.child_frame_id)
    message.header.frame_id = like.header.frame_id
    message.header.stamp = stamp_of(ego.stamp_ns)
    message.pose.pose = pose_message(ego.pose)
    twist = message.twist.twist
    twist.linear.x, twist.linear.y = ego.speed_mps, ego.lateral_speed_mps
    twist.angular.z = ego.yaw_rate_radps
    return message


def pose_message(pose: Pose, above_m: float = 0.0) -> PoseMessage:
    """A pose in the map frame."""
    message = PoseMessage()
    message.position.x, message.position.y = pose.x_m, pose.y_m
    message.position.z = pose.z_m + above_m
    message.orientation = quaternion_of(pose.yaw_rad)
    return message


def path_message(points_m: Iterable[tuple[float, float]], header: Header) -> PathMessage:
    """A polyline, x and y in the header's frame, m; without directions."""
    message = PathMessage(header=header)
    for x_m, y_m in points_m:
        point = PoseStamped(header=header)
        point.pose.position.x, point.pose.position.y = x_m, y_m
        message.poses.append(point)
    return message


def quaternion_of(yaw_rad: float) -> Quaternion:
    """The quaternion of a rotation about z."""
    return Quaternion(z=math.sin(0.5 * yaw_rad), w=math.cos(0.5 * yaw_rad))
