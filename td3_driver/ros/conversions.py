# SPDX-License-Identifier: Apache-2.0
"""Plain values to ROS messages (`driving.encoding`), and back (`driving.decoding`).

Bags use the same two modules; here are the classes of rclpy.
"""

from __future__ import annotations

import array
import functools
import importlib
from collections.abc import Iterable
from typing import Any

from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from std_msgs.msg import Header

from td3_driver.driving.messages import encoding
from td3_driver.driving.messages.decoding import (
    control_of,
    ego_state,
    pose_of,
    road_users,
    stamp_ns,
    yaw_of,
)
from td3_driver.driving.messages.pictures import ImageError, pixels
from td3_driver.driving.reset import PLACE_ABOVE_GROUND_M
from td3_driver.driving.types import Control, EgoState, Pose

__all__ = [
    "MESSAGES",
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
    "road_users",
    "stamp_ns",
    "stamp_of",
    "yaw_of",
]


class RosMessages:
    """rclpy's messages; see `driving.encoding.Messages`."""

    def new(self, kind: str) -> Any:
        """A message with its type's defaults."""
        return _class_of(kind)()

    def sequence(self, values: Any) -> array.array[Any]:
        """rclpy's fast path; it would check lists and bytes element by element."""
        return array.array(values.dtype.char, values.tobytes())


MESSAGES = RosMessages()


@functools.cache
def _class_of(kind: str) -> type:
    package, _, name = kind.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    return found


def stamp_of(time_ns: int) -> Time:
    """Nanoseconds as a stamp."""
    stamp = Time()
    encoding.set_stamp(stamp, time_ns)
    return stamp


def control_message(control: Control, stamp: Time) -> CarlaEgoVehicleControl:
    """The bridge's command, stamped with the time of the frame that it answers."""
    message = CarlaEgoVehicleControl()
    message.header.stamp = stamp
    encoding.set_control(message, control)
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
    encoding.set_pose(message, pose, above_m=above_m)
    return message


def path_message(points_m: Iterable[tuple[float, float]], header: Header) -> PathMessage:
    """A polyline, x and y in the header's frame, m; without directions."""
    path: PathMessage = encoding.new_path(MESSAGES, points_m, header)
    return path
