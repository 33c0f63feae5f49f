# SPDX-License-Identifier: Apache-2.0
"""Conversion of plain values to rclpy's messages, by `driving.messages.encoding`."""

from __future__ import annotations

import array
import functools
import importlib
from collections.abc import Iterable
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose as PoseMessage
from nav_msgs.msg import Path as PathMessage
from std_msgs.msg import Header

from td3_driver.driving.messages import encoding
from td3_driver.driving.types import Pose


class RosMessages:
    """Creates rclpy's messages; see `driving.messages.encoding.Messages`."""

    def new(self, kind: str) -> Any:
        """Create a message with its type's defaults."""
        return class_of(kind)()

    def sequence(self, values: Any) -> array.array[Any]:
        """Return values as an array, which rclpy takes without checking each element."""
        return array.array(values.dtype.char, values.tobytes())


MESSAGES = RosMessages()


@functools.cache
def class_of(kind: str) -> type:
    """Return rclpy's class of a message type, "package/msg/Name"."""
    package, _, name = kind.split("/")
    found: type = getattr(importlib.import_module(f"{package}.msg"), name)
    return found


def stamp_of(time_ns: int) -> Time:
    """Convert nanoseconds to a stamp."""
    stamp = Time()
    encoding.set_stamp(stamp, time_ns)
    return stamp


def pose_message(pose: Pose, above_m: float = 0.0) -> PoseMessage:
    """Convert a pose in the map frame to a message, `above_m` above it."""
    message = PoseMessage()
    encoding.set_pose(message, pose, above_m=above_m)
    return message


def path_message(points_m: Iterable[tuple[float, float]], header: Header) -> PathMessage:
    """Convert a polyline, x and y in the header's frame, m; poses have no directions."""
    path: PathMessage = encoding.new_path(MESSAGES, points_m, header)
    return path
