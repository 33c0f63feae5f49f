# SPDX-License-Identifier: Apache-2.0
"""Conversion of the bridge's messages to plain values.

It reads only fields: messages may come from rclpy or from a bag, which have the same fields.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.judging.infractions import Impact
from td3_driver.driving.messages.light_matching import LightPlace
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Control, EgoState, LightState, Pose

# Anybody may publish. Values beyond these cannot be true positions or speeds.
MOST_OBJECTS = 5000
_LIGHT_STATES = frozenset(LightState)
_LARGEST = 1e7
_PEDESTRIAN = 4  # CLASSIFICATION_PEDESTRIAN of derived_object_msgs/Object


def stamp_ns(stamp: Any) -> int:
    """Return a builtin_interfaces/Time in nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def ego_state(message: Any) -> EgoState:
    """Convert a nav_msgs/Odometry to the car's state.

    The bridge gives the pose in the map frame, the twist in the body frame.
    """
    linear, angular = message.twist.twist.linear, message.twist.twist.angular
    return EgoState(
        stamp_ns=stamp_ns(message.header.stamp),
        pose=pose_of(message.pose.pose),
        speed_mps=linear.x,
        lateral_speed_mps=linear.y,
        yaw_rate_radps=angular.z,
    )


def road_users(message: Any) -> RoadUsers:
    """Convert a derived_object_msgs/ObjectArray of `/carla/<role>/objects` to road users.

    The bridge gives pose and twist in the map frame and a box's length, width and height. Objects
    with a number that is NaN or absurd are left out, and all after the first `MOST_OBJECTS`. What
    is not classified as a pedestrian counts as a vehicle.
    """
    rows = [
        (
            at.pose.position.x,
            at.pose.position.y,
            yaw_of(at.pose.orientation),
            *at.shape.dimensions[:2],
            at.twist.linear.x,
            at.twist.linear.y,
            at.twist.angular.z,
            at.id,
            at.classification,
        )
        for at in message.objects[:MOST_OBJECTS]
        if len(at.shape.dimensions) >= 2
    ]
    return users_of(np.array(rows, np.float64).reshape(-1, 10))


def users_of(given: NDArray[np.float64]) -> RoadUsers:
    """Return the road users of a table (N, 10) without those with an absurd number.

    Its columns: x, y, yaw, length, width, both velocities, yaw rate, id, classification.
    """
    table: NDArray[np.float64] = given[(np.abs(given[:, :8]) < _LARGEST).all(axis=1)]
    ids, walking = table[:, 8].astype(np.int64), table[:, 9] == _PEDESTRIAN
    return RoadUsers(table[:, :3], table[:, 3:5], table[:, 5:7], table[:, 7], ids, walking)


def impact(message: Any) -> Impact:
    """Convert a carla_msgs/CarlaCollisionEvent; NaN is no impulse."""
    normal = message.normal_impulse
    impulse_ns = math.hypot(normal.x, normal.y, normal.z)
    return Impact(int(message.other_actor_id), impulse_ns if math.isfinite(impulse_ns) else 0.0)


def light_places(message: Any) -> dict[int, LightPlace]:
    """Convert a carla_msgs/CarlaTrafficLightInfoList to places by the lights' actor ids.

    Lights with a number that is NaN or absurd are left out, and all after the first
    `MOST_OBJECTS`.
    """
    found = {}
    for info in message.traffic_lights[:MOST_OBJECTS]:
        pose, middle = pose_of(info.transform), info.trigger_volume.center
        sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
        trigger_m = (
            pose.x_m + cos * middle.x - sin * middle.y,
            pose.y_m + sin * middle.x + cos * middle.y,
        )
        if all(abs(number) < _LARGEST for number in (pose.x_m, pose.y_m, *trigger_m)):
            found[int(info.id)] = LightPlace((pose.x_m, pose.y_m), trigger_m)
    return found


def light_states(message: Any) -> dict[int, LightState]:
    """Convert a carla_msgs/CarlaTrafficLightStatusList to states by the lights' actor ids."""
    return {
        int(light.id): LightState(light.state)
        for light in message.traffic_lights[:MOST_OBJECTS]
        if light.state in _LIGHT_STATES
    }


def control_of(message: Any) -> Control:
    """Convert a carla_msgs/CarlaEgoVehicleControl to a command."""
    return Control(
        throttle=message.throttle,
        steer=message.steer,
        brake=message.brake,
        hand_brake=message.hand_brake,
        reverse=message.reverse,
    )


def pose_of(message: Any) -> Pose:
    """Convert a geometry_msgs/Pose to a pose on the ground; roll and pitch are dropped."""
    position = message.position
    return Pose(position.x, position.y, yaw_of(message.orientation), position.z)


def route_of(message: Any) -> Route:
    """Convert a nav_msgs/Path in the map frame to a route.

    Raises:
        ValueError: it is not a valid polyline, see `Route`.
    """
    places = (pose.pose.position for pose in message.poses)
    return Route(np.array([(place.x, place.y) for place in places], np.float64))


def yaw_of(q: Any) -> float:
    """Return the yaw of a geometry_msgs/Quaternion of any length, rad, left turn positive.

    NaN if all its numbers are 0, as in one that was not filled in, or one is not finite.
    """
    return yaw_of_quaternion(q.x, q.y, q.z, q.w)


def yaw_of_quaternion(x: float, y: float, z: float, w: float) -> float:
    """Return the same of its four numbers."""
    square = w * w + x * x + y * y + z * z
    # atan2 would return an angle for infinite numbers and zeros, too.
    if not math.isfinite(square) or square == 0.0:
        return math.nan
    whole = 1.0 if abs(square - 1.0) < 1e-6 else square  # our own come back bit for bit
    return math.atan2(2.0 * (w * z + x * y), whole - 2.0 * (y * y + z * z))


def angle_of_view_deg(message: Any) -> float:
    """Return the horizontal angle of view that a sensor_msgs/CameraInfo tells, degrees."""
    return math.degrees(2.0 * math.atan2(message.width / 2.0, message.k[0]))
