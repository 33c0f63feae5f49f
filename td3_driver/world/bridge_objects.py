# SPDX-License-Identifier: Apache-2.0
"""Everybody on the road as the CARLA bridge tells of them, `derived_object_msgs/ObjectArray`.

As its `object_sensor.py` and `traffic_participant.py` do: map frame, the twist not turned into the
body frame, boxes, classified with certainty. A vehicle's pose is on the ground below its middle,
a pedestrian's in its middle, as CARLA's actors have them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from derived_object_msgs.msg import Object, ObjectArray
from geometry_msgs.msg import Quaternion
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from td3_driver.world.bodies import Bodies
from td3_driver.world.others import are_pedestrians
from td3_driver.world.simulation import Tick
from td3_driver.world.terrain import Ground
from td3_driver.world.vehicle import HEIGHT_M, LENGTH_M, WIDTH_M

_CERTAIN = 255


class ObjectArrays:
    """Fills the same messages in every tick: making them anew takes ten times as long."""

    def __init__(self, ego_id: int) -> None:
        self._ego = _object()
        self._ego.id, self._ego.classification = ego_id, Object.CLASSIFICATION_CAR
        self._ego.shape.dimensions = [LENGTH_M, WIDTH_M, HEIGHT_M]
        self._others: list[Object] = []

    def others(self, tick: Tick, header: Header) -> ObjectArray:
        """Everybody but the car."""
        bodies = tick.others
        count = len(bodies.actor_ids)
        self._others += [_object() for _ in range(count - len(self._others))]
        objects = self._others[:count]
        _fill(objects, bodies, tick.others_ground)
        for message in objects:
            message.header, message.classification_age = header, tick.frame
        return ObjectArray(header=header, objects=objects)

    def everybody(self, tick: Tick, header: Header) -> ObjectArray:
        """The car, and the others."""
        array = self.others(tick, header)
        ego, pose = self._ego, tick.ego.pose
        ego.header, ego.classification_age = header, tick.frame
        cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
        forward_mps, left_mps = tick.ego.speed_mps, tick.ego.lateral_speed_mps
        _move(ego, (pose.x_m, pose.y_m, pose.z_m), pose.yaw_rad, tick.pitch_rad)
        ego.twist.linear.x = cos * forward_mps - sin * left_mps
        ego.twist.linear.y = sin * forward_mps + cos * left_mps
        ego.twist.angular.z = tick.ego.yaw_rate_radps
        linear = ego.accel.linear
        linear.x, linear.y, linear.z = tick.acceleration_map
        array.objects = [ego, *array.objects]
        return array


def _object() -> Object:
    """A box that has been seen for certain, nowhere yet."""
    message = Object(object_classified=True, classification_certainty=_CERTAIN)
    message.shape.type = SolidPrimitive.BOX
    return message


def turn(orientation: Quaternion, yaw_rad: float, pitch_rad: float) -> None:
    """Set a quaternion to a yaw and, after it, a pitch, nose down positive."""
    (sin_y, cos_y), (sin_p, cos_p) = _half(yaw_rad), _half(pitch_rad)
    orientation.x, orientation.y = 0.0 - sin_y * sin_p, cos_y * sin_p  # on the flat not -0
    orientation.z, orientation.w = sin_y * cos_p, cos_y * cos_p


def _half(angle_rad: float) -> tuple[float, float]:
    return math.sin(0.5 * angle_rad), math.cos(0.5 * angle_rad)


def _fill(objects: list[Object], bodies: Bodies, grounds: Sequence[Ground]) -> None:
    walking = are_pedestrians(bodies)
    columns = (
        bodies.actor_ids, walking, bodies.poses, bodies.sizes_m, bodies.velocities_mps,
        bodies.yaw_rates_radps, bodies.accelerations_mps2,
    )  # fmt: skip
    # As Python's numbers: rclpy refuses NumPy's.
    rows = zip(objects, grounds, *(column.tolist() for column in columns), strict=True)
    for message, ground, actor_id, walks, pose, size_m, velocity, yaw_rate, acceleration in rows:
        kind = Object.CLASSIFICATION_PEDESTRIAN if walks else Object.CLASSIFICATION_CAR
        message.id, message.classification = actor_id, kind
        x_m, y_m, yaw_rad = pose
        if walks:
            _move(message, (x_m, y_m, ground.z_m + size_m[2] / 2.0), yaw_rad, 0.0)
        else:
            _move(message, (x_m, y_m, ground.z_m), yaw_rad, ground.pitch_rad)
        message.shape.dimensions = size_m
        linear = message.twist.linear
        linear.x, linear.y = velocity
        message.twist.angular.z = yaw_rate
        linear = message.accel.linear
        linear.x, linear.y = acceleration


def _move(
    message: Object, position_m: tuple[float, float, float], yaw_rad: float, pitch_rad: float
) -> None:
    position = message.pose.position
    position.x, position.y, position.z = position_m
    turn(message.pose.orientation, yaw_rad, pitch_rad)
