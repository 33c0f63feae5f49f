# SPDX-License-Identifier: Apache-2.0
"""The topics of the bridge and of `driver_node`: message types, and which are latched."""

from __future__ import annotations

from dataclasses import dataclass

CLOCK = "/clock"
TF, TF_STATIC = "/tf", "/tf_static"
STATUS = "/carla/status"
WORLD_INFO = "/carla/world_info"
LIGHTS_INFO = "/carla/traffic_lights/info"
LIGHTS_STATUS = "/carla/traffic_lights/status"
ROUTE = "/td3_driver/route"

# By the end of a topic's name; of several that fit the longest counts.
TYPES = {
    "clock": "rosgraph_msgs/msg/Clock",
    "status": "carla_msgs/msg/CarlaStatus",
    "world_info": "carla_msgs/msg/CarlaWorldInfo",
    "traffic_lights/info": "carla_msgs/msg/CarlaTrafficLightInfoList",
    "traffic_lights/status": "carla_msgs/msg/CarlaTrafficLightStatusList",
    "vehicle_info": "carla_msgs/msg/CarlaEgoVehicleInfo",
    "vehicle_status": "carla_msgs/msg/CarlaEgoVehicleStatus",
    "vehicle_control_cmd": "carla_msgs/msg/CarlaEgoVehicleControl",
    "collision": "carla_msgs/msg/CarlaCollisionEvent",
    "lane_invasion": "carla_msgs/msg/CarlaLaneInvasionEvent",
    "odometry": "nav_msgs/msg/Odometry",
    "speedometer": "std_msgs/msg/Float32",
    "objects": "derived_object_msgs/msg/ObjectArray",
    "image": "sensor_msgs/msg/Image",
    "camera_info": "sensor_msgs/msg/CameraInfo",
    "tf": "tf2_msgs/msg/TFMessage",
    "tf_static": "tf2_msgs/msg/TFMessage",
    "route": "nav_msgs/msg/Path",
    "episode": "diagnostic_msgs/msg/DiagnosticStatus",
}
_LATCHED = (
    "world_info", "traffic_lights/info", "traffic_lights/status", "vehicle_info", "tf_static",
    "route",
)  # fmt: skip


@dataclass(frozen=True)
class Topic:
    """A topic and the type of its messages, "package/msg/Name".

    Attributes:
        latched: a late subscriber still gets the last message (durability TRANSIENT_LOCAL).
    """

    name: str
    type: str
    latched: bool


def topic_of(name: str, kind: str = "") -> Topic:
    """Return the topic of a name that ends in a key of `TYPES`; else `kind` is that key.

    Raises:
        KeyError: neither names a type.
    """
    ends = (name.split("/", cut)[-1] for cut in range(1, name.count("/") + 1))
    kind = kind or next((end for end in ends if end in TYPES), name)
    return Topic(name, TYPES[kind], kind in _LATCHED)
