# SPDX-License-Identifier: Apache-2.0
"""A replay that waits for topics which nobody plays says so, and what is played instead."""

from collections.abc import Iterator

import pytest
import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from sensor_msgs.msg import Image

from td3_driver.ros.driver.playback_pilot import absence


@pytest.fixture
def node() -> Iterator[Node]:
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("player", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


def test_what_is_played_of_the_same_type_is_named(node: Node) -> None:
    image, odometry = "/carla/ego_vehicle/rgb_front/image", "/carla/ego_vehicle/odometry"
    wanted = {image: Image, odometry: Odometry}
    listener = node.create_subscription(Image, "/carla/nobody/image", print, 1)
    node.create_publisher(Image, "/carla/hero/rgb_front/image", 1)
    assert absence(node, wanted) == (
        f"nobody publishes {image} (there is /carla/hero/rgb_front/image) and {odometry} (there "
        "is no nav_msgs/msg/Odometry); role_name and camera say what is looked for"
    )
    node.destroy_subscription(listener)
    node.create_publisher(Odometry, odometry, 1)
    assert "odometry" not in absence(node, wanted)
