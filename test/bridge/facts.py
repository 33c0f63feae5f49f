# SPDX-License-Identifier: Apache-2.0
"""The bridge, as tables; each fact cites its line of test/data/bridge/carla_bridge.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from td3_driver.driving.messages.decoding import yaw_of

from .client import ROLE


@dataclass(frozen=True)
class Topic:
    """A fact about a topic; `frame_id` None: no header; `per_tick` None: not one a tick."""

    name: str
    type: str
    source: str
    latched: bool = False
    depth: int = 10
    frame_id: str | None = None
    per_tick: int | None = None
    listens: bool = False  # the bridge subscribes
    node: str = "carla_ros_bridge"


TOPICS = (
    Topic("/clock", "rosgraph_msgs/msg/Clock", "|`/clock`|rosgraph_msgs/Clock|V10|", per_tick=1),
    Topic(
        "/carla/status", "carla_msgs/msg/CarlaStatus", "|`/carla/status`|CarlaStatus|V10|",
        per_tick=1,
    ),
    Topic(
        "/carla/world_info", "carla_msgs/msg/CarlaWorldInfo",
        "|`/carla/world_info`|CarlaWorldInfo|TL10|once|", latched=True,
    ),
    Topic(
        f"{ROLE}/front/image", "sensor_msgs/msg/Image",
        "|`/carla/R/<cam>/image`|sensor_msgs/Image|V10|", frame_id="hero/front", per_tick=1,
    ),
    Topic(
        f"{ROLE}/front/camera_info", "sensor_msgs/msg/CameraInfo",
        "|`/carla/R/<cam>/camera_info`|CameraInfo|V10|", frame_id="hero/front", per_tick=1,
    ),
    Topic(
        f"{ROLE}/odometry", "nav_msgs/msg/Odometry",
        "|`/carla/R/odometry`|nav_msgs/Odometry|V10|frame `map`", frame_id="map", per_tick=1,
    ),
    Topic(
        f"{ROLE}/vehicle_status", "carla_msgs/msg/CarlaEgoVehicleStatus",
        "|`/carla/R/vehicle_status`|CarlaEgoVehicleStatus|V10|frame `map`|", frame_id="map",
        per_tick=1,
    ),
    Topic(
        f"{ROLE}/vehicle_info", "carla_msgs/msg/CarlaEgoVehicleInfo",
        "|`/carla/R/vehicle_info`|CarlaEgoVehicleInfo|TL10|once per ego object|", latched=True,
    ),
    Topic(
        f"{ROLE}/speedometer", "std_msgs/msg/Float32",
        "|`/carla/R/speedometer`|std_msgs/Float32|V10|", per_tick=1,
    ),
    Topic(
        f"{ROLE}/collision", "carla_msgs/msg/CarlaCollisionEvent",
        "|`/carla/R/collision`|CarlaCollisionEvent|V10|events only; frame `R/collision`",
        frame_id="hero/collision",
    ),
    Topic(
        f"{ROLE}/lane_invasion", "carla_msgs/msg/CarlaLaneInvasionEvent",
        "|`/carla/R/lane_invasion`|CarlaLaneInvasionEvent|V10|events only",
        frame_id="hero/lane_invasion",
    ),
    Topic(
        "/carla/objects", "derived_object_msgs/msg/ObjectArray",
        "|`/carla/objects`, `/carla/R/objects`|derived_object_msgs/ObjectArray|V10|",
        frame_id="map", per_tick=1,
    ),
    Topic(
        f"{ROLE}/objects", "derived_object_msgs/msg/ObjectArray",
        "|`/carla/objects`, `/carla/R/objects`|derived_object_msgs/ObjectArray|V10|",
        frame_id="map", per_tick=1,
    ),
    Topic("/tf", "tf2_msgs/msg/TFMessage", "|`/tf`|TF|tf2|`map→R` only with sensor.pseudo.tf"),
    Topic(
        f"{ROLE}/vehicle_control_cmd", "carla_msgs/msg/CarlaEgoVehicleControl",
        "|`/carla/R/vehicle_control_cmd`, `..._cmd_manual`|CarlaEgoVehicleControl|V10|",
        listens=True,
    ),
    Topic(
        f"{ROLE}/vehicle_control_cmd_manual", "carla_msgs/msg/CarlaEgoVehicleControl",
        "|`/carla/R/vehicle_control_cmd`, `..._cmd_manual`|CarlaEgoVehicleControl|V10|",
        listens=True,
    ),
    Topic(
        f"{ROLE}/vehicle_control_manual_override", "std_msgs/msg/Bool",
        "|`/carla/R/vehicle_control_manual_override`|std_msgs/Bool|**TL1**", latched=True,
        depth=1, listens=True,
    ),
    Topic(
        "/carla/control", "carla_msgs/msg/CarlaControl", "|`/carla/control`|CarlaControl|V10",
        listens=True,
    ),
    Topic(
        f"{ROLE}/control/set_transform", "geometry_msgs/msg/Pose",
        "|`/carla/R/<control_id>/set_transform`|geometry_msgs/Pose|V10|", listens=True,
    ),
    Topic(
        f"{ROLE}/control/set_target_velocity", "geometry_msgs/msg/Twist",
        "|`/carla/R/<control_id>/set_target_velocity`|geometry_msgs/Twist|V10|", listens=True,
    ),
    Topic(
        "/initialpose", "geometry_msgs/msg/PoseWithCovarianceStamped",
        "subscribes to **global `/initialpose`** (PoseWithCovarianceStamped)", listens=True,
        node="set_initial_pose",
    ),
)  # fmt: skip

# The document does not have these; they are as in the bridge's traffic_lights_sensor.py.
LIGHTS = (
    Topic(
        "/carla/traffic_lights/info", "carla_msgs/msg/CarlaTrafficLightInfoList", "",
        latched=True,
    ),
    Topic(
        "/carla/traffic_lights/status", "carla_msgs/msg/CarlaTrafficLightStatusList", "",
        latched=True,
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Sign:
    """A command held for a second and a half from rest, and what has to come of it."""

    name: str
    control: dict[str, float | bool]
    holds: Callable[[Any, Any], bool]  # odometry, vehicle_status
    source: str


SIGNS = (
    Sign(
        "steer +1 is right: a negative yaw rate", {"throttle": 0.6, "steer": 0.3},
        lambda odometry, _: odometry.twist.twist.angular.z < -0.1,
        "**Steer is passed through: +1 = right**",
    ),
    Sign(
        "to the right is towards negative y", {"throttle": 0.6, "steer": 0.3},
        lambda odometry, _: yaw_of(odometry.pose.pose.orientation) < -0.05,
        "pos (x,−y,z); rpy (roll,−pitch,−yaw)",
    ),
    Sign(
        "the twist is in the body frame", {"throttle": 0.6, "steer": -0.3},
        lambda odometry, _: odometry.twist.twist.linear.x > 0.5
        and abs(odometry.twist.twist.linear.y) < 0.3 * odometry.twist.twist.linear.x,
        "Odom `twist.linear`: body frame (FLU)",
    ),
    Sign(
        "status.velocity has no sign", {"throttle": 0.6, "reverse": True},
        lambda odometry, status: odometry.twist.twist.linear.x < -0.3 and status.velocity > 0.3,
        "vehicle_status: velocity=|v|≥0 (3-D)",
    ),
    Sign(
        "acceleration is in the map frame", {"throttle": 0.8},
        lambda _, status: status.acceleration.linear.x > 0.5
        and abs(status.acceleration.linear.y) < 0.1,
        "acceleration in **map** frame, y flipped, angular 0",
    ),
    Sign(
        "control is what was applied, without a header", {"throttle": 0.5, "steer": 0.2},
        lambda _, status: (status.control.throttle, status.control.header.stamp.sec) == (0.5, 0)
        and math.isclose(status.control.steer, 0.2, abs_tol=1e-6),
        "`control` = CARLA get_control(), header empty",
    ),
)  # fmt: skip

# What the tests beside the tables stand on.
SOURCES = (
    "Rate: one message per tick unless `sensor_tick`",
    "published just before image, same header; plumb_bob, d=[0]*5",
    "Order per tick: status, clock, then actors in creation order",
    "vehicles+walkers; attached version excludes its parent; twist in map frame",
    "linear in body frame; angular.z **not sign-flipped**",
    "impulse raw CARLA axes, **not flipped**",
    "block ≤ **1.0 s wall** (VEHICLE_CONTROL_TIMEOUT), warn, continue",
    'extras log "Unexpected vehicle control command" and set the Event',
    "PAUSE blocks the tick thread; STEP_ONCE = one tick, then self-queued PAUSE",
    "Override=false → only `_cmd` is applied; true → only `_cmd_manual`",
    "int32 id (−1=fail); string error_string",
    "Services: `/carla/spawn_object`, `/carla/destroy_object`, `/carla/get_blueprints`.",
    "vehicle_info: max_steer_angle rad; wheel positions vehicle frame, y flipped; center_of_mass",
    "adds 2 m z, republishes to set_transform",
    "sim elapsed_seconds, per tick (time since CARLA episode start, not bridge start)",
)
