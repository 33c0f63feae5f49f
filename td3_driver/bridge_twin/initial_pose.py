# SPDX-License-Identifier: Apache-2.0
"""`set_initial_pose` of carla_spawn_objects, a node of its own beside the bridge."""

from __future__ import annotations

from geometry_msgs.msg import Pose, PoseWithCovarianceStamped
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import SubscriptionEventCallbacks

from td3_driver.ros import names
from td3_driver.ros.wires import NO_EVENTS

NODE = "set_initial_pose"
ABOVE_M = 2.0  # it lets the car fall from there
# A node that is named on the command line is the world's, so this one insists on its own.
_OWN_NAME = ["--ros-args", "-r", f"__node:={NODE}"]


class SetInitialPose(Node):
    """Hands what comes on `/initialpose`, as from RViz, to `set_transform`, 2 m higher.

    So it takes effect a tick later than a `set_transform` that a client sends itself.

    Args:
        topics: those of the car that it moves.
    """

    def __init__(self, topics: names.EgoTopics) -> None:
        given = {"role_name": topics.role_name, "control_id": topics.control_id}
        super().__init__(
            NODE,
            cli_args=_OWN_NAME,
            parameter_overrides=[Parameter(name, value=value) for name, value in given.items()],
        )
        for name, value in given.items():
            self.declare_parameter(name, value)
        self._set_transform = self.create_publisher(
            Pose,
            topics.set_transform,
            names.VOLATILE_10,
            event_callbacks=NO_EVENTS,
        )
        self.create_subscription(
            PoseWithCovarianceStamped,
            names.INITIAL_POSE,
            self._on_initial_pose,
            names.VOLATILE_10,
            event_callbacks=SubscriptionEventCallbacks(use_default_callbacks=False),
        )

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        pose = message.pose.pose
        pose.position.z += ABOVE_M
        self._set_transform.publish(pose)
