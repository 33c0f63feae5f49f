# SPDX-License-Identifier: Apache-2.0
"""Subscription to the other road users, which reads their messages without rclpy where it can."""

from __future__ import annotations

from collections.abc import Callable

from derived_object_msgs.msg import ObjectArray
from rclpy.qos import QoSProfile
from rclpy.serialization import deserialize_message

from td3_driver.driving.messages import object_arrays
from td3_driver.driving.messages.decoding import road_users, stamp_ns
from td3_driver.driving.road_users import RoadUsers
from td3_driver.ros.wires import Wires

_SAID_EACH_S = 10.0


def listen_to_road_users(
    wires: Wires, topic: str, callback: Callable[[int, RoadUsers], None], qos: QoSProfile
) -> None:
    """Subscribe to a topic of derived_object_msgs/ObjectArray.

    A message that cannot be read is left out, and an error is logged.

    Args:
        callback: called with the stamp of each message, ns, and the road users in it.
    """

    def on_bytes(data: bytes) -> None:
        try:
            told = read(data)
        except ValueError as error:
            logger = wires.node.get_logger()
            logger.error(f"{topic}: {error}", throttle_duration_sec=_SAID_EACH_S)
        else:
            callback(*told)

    wires.listen(ObjectArray, topic, on_bytes, qos, raw=True)


def read(data: bytes) -> tuple[int, RoadUsers]:
    """Return the stamp, ns, and the road users of a serialized derived_object_msgs/ObjectArray.

    Raises:
        ValueError: it is none.
    """
    told = object_arrays.read(data)
    if told is not None:
        return told
    try:
        message = deserialize_message(data, ObjectArray)
    except RuntimeError as error:  # rclpy's names its source files
        raise ValueError(f"{len(data)} bytes that are no ObjectArray") from error
    return stamp_ns(message.header.stamp), road_users(message)
