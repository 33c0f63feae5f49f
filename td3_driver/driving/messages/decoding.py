# SPDX-License-Identifier: Apache-2.0
"""Conversion of the bridge's messages to plain values.

It reads only fields: messages may come from rclpy or from a bag, which have the same fields.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Control, EgoState, Pose

# Anybody may publish. Values beyond these cannot be true positions or speeds.
MOST_OBJECTS = 5000
_LARGEST = 1e7


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
    with a number that is NaN or absurd are left out, and all after the first `MOST_OBJECTS`.
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
        )
        for at in message.objects[:MOST_OBJECTS]
        if len(at.shape.dimensions) >= 2
    ]
    given = np.array(rows, np.float64).reshape(-1, 8)
    table: NDArray[np.float64] = given[(np.abs(given) < _LARGEST).all(axis=1)]
    return RoadUsers(table[:, :3], table[:, 3:5], table[:, 5:7], table[:, 7])


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
    square = q.w * q.w + q.x * q.x + q.y * q.y + q.z * q.z
    # atan2 would return an angle for infinite numbers and zeros, too.
    if not math.isfinite(square) or square == 0.0:
        return math.nan
    whole = 1.0 if abs(square - 1.0) < 1e-6 else square  # our own come back bit for bit
    return math.atan2(2.0 * (q.w * q.z + q.x * q.y), whole - 2.0 * (q.y * q.y + q.z * q.z))
