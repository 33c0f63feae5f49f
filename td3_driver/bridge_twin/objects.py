# SPDX-License-Identifier: Apache-2.0
"""All road users as the CARLA bridge reports them, in a derived_object_msgs/ObjectArray.

As its `object_sensor.py` and `traffic_participant.py` do: map frame, the twist not turned into the
body frame, boxes, classified with certainty. A vehicle's pose is on the ground below its middle,
a pedestrian's in its middle, as CARLA's actors have them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from td3_driver.driving.messages.encoding import Messages, numbers, set_pose, turn
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.bodies.vehicle import HEIGHT_M, LENGTH_M, WIDTH_M
from td3_driver.world.ground.terrain import Ground
from td3_driver.world.simulation import Tick
from td3_driver.world.traffic.others import are_pedestrians

_CERTAIN = 255


class ObjectArrays:
    """Makes the messages; it refills the same ones in every tick, which is ten times as fast."""

    def __init__(self, messages: Messages, ego_id: int) -> None:
        self._messages = messages
        self._ego = self._object()
        self._ego.id, self._ego.classification = ego_id, self._ego.CLASSIFICATION_CAR
        size_m = numbers(LENGTH_M, WIDTH_M, HEIGHT_M)
        self._ego.shape.dimensions = messages.sequence(size_m)
        self._others: list[Any] = []

    def others(self, tick: Tick, header: Any) -> Any:
        """All road users but the car, a derived_object_msgs/ObjectArray."""
        bodies = tick.others
        count = len(bodies.actor_ids)
        self._others += [self._object() for _ in range(count - len(self._others))]
        objects = self._others[:count]
        self._fill(objects, bodies, tick.others_ground)
        for message in objects:
            message.header, message.classification_age = header, tick.frame
        array = self._messages.new("derived_object_msgs/msg/ObjectArray")
        array.header, array.objects = header, objects
        return array

    def everybody(self, tick: Tick, header: Any) -> Any:
        """The car and all other road users, a derived_object_msgs/ObjectArray."""
        array = self.others(tick, header)
        ego, pose = self._ego, tick.ego.pose
        ego.header, ego.classification_age = header, tick.frame
        cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        forward_mps, left_mps = tick.ego.speed_mps, tick.ego.lateral_speed_mps
        set_pose(ego.pose, pose, tick.pitch_rad)
        ego.twist.linear.x = cos * forward_mps - sin * left_mps
        ego.twist.linear.y = sin * forward_mps + cos * left_mps
        ego.twist.angular.z = tick.ego.yaw_rate_radps
        linear = ego.accel.linear
        linear.x, linear.y, linear.z = tick.acceleration_map
        array.objects = [ego, *array.objects]
        return array

    def _object(self) -> Any:
        """A derived_object_msgs/Object: a box, certainly detected; its pose is still to be set."""
        message = self._messages.new("derived_object_msgs/msg/Object")
        message.object_classified, message.classification_certainty = True, _CERTAIN
        message.shape.type = message.shape.BOX
        return message

    def _fill(self, objects: list[Any], bodies: Bodies, grounds: Sequence[Ground]) -> None:
        walking = are_pedestrians(bodies.actor_ids)
        columns = (
            bodies.actor_ids, walking, bodies.poses, bodies.velocities_mps,
            bodies.yaw_rates_radps, bodies.accelerations_mps2,
        )  # fmt: skip
        # As Python's numbers: rclpy refuses NumPy's.
        rows = zip(
            objects, grounds, bodies.sizes_m, *(column.tolist() for column in columns), strict=True
        )
        for message, ground, size_m, actor_id, walks, pose, velocity, yaw_rate, accel in rows:
            message.id, position = actor_id, message.pose.position
            position.x, position.y, yaw_rad = pose
            if walks:
                message.classification = message.CLASSIFICATION_PEDESTRIAN
                position.z = ground.z_m + float(size_m[2]) / 2.0
                turn(message.pose.orientation, yaw_rad)
            else:
                message.classification = message.CLASSIFICATION_CAR
                position.z = ground.z_m
                turn(message.pose.orientation, yaw_rad, ground.pitch_rad)
            message.shape.dimensions = self._messages.sequence(size_m)
            linear = message.twist.linear
            linear.x, linear.y = velocity
            message.twist.angular.z = yaw_rate
            linear = message.accel.linear
            linear.x, linear.y = accel
