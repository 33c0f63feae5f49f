# SPDX-License-Identifier: Apache-2.0
"""Topic names of a car, and the bridge's QoS profiles (bridge `node.py`, `qos.py`).

Only depth and durability are set by the bridge; reliability is RELIABLE everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from td3_driver.driving.view import ViewConfig

VOLATILE_10 = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
# In lock-step the embedded world is ten times as fast as the bridge: this depth gives a recorder
# as much time as the bridge does to request lost messages again. Subscribers see no difference:
# DDS does not match depths.
VOLATILE_200 = QoSProfile(depth=200, reliability=ReliabilityPolicy.RELIABLE)
VOLATILE_600 = QoSProfile(depth=600, reliability=ReliabilityPolicy.RELIABLE)  # TF: three a tick
LATCHED_10 = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
# Only for the manual override: the bridge's subscription refuses a volatile publisher.
LATCHED_1 = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

# Logged by `driver_node` in mode replay when a player is there; `replay.launch.py` waits for it.
READY_TO_PLAY = "ready to play: watching"

OBJECTS = "/carla/objects"  # derived_object_msgs/ObjectArray: all users, with the car
RUN_CONTROL = "/carla/control"  # carla_msgs/CarlaControl: pause, play, one step
INITIAL_POSE = "/initialpose"  # of set_initial_pose, beside the bridge; without the role
SPAWN_OBJECT = "/carla/spawn_object"
DESTROY_OBJECT = "/carla/destroy_object"
GET_BLUEPRINTS = "/carla/get_blueprints"


@dataclass(frozen=True)
class EgoTopics:
    """The topic names of one car: with the camera that looks ahead, and others beside it."""

    role_name: str
    camera: str
    control_id: str
    beside: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for part in (self.role_name, self.camera, self.control_id, *self.beside):
            if not part.replace("_", "").isalnum():
                raise ValueError(f"topic name part {part!r}: use letters, digits and _ only")

    def of(self, leaf: str) -> str:
        """`/carla/<role>/<leaf>`."""
        return f"/carla/{self.role_name}/{leaf}"

    @property
    def image(self) -> str:
        """sensor_msgs/Image of the first camera."""
        return self.of(f"{self.camera}/image")

    @property
    def images(self) -> tuple[str, ...]:
        """sensor_msgs/Image of each camera, the first one's first."""
        return tuple(self.of(f"{camera}/image") for camera in (self.camera, *self.beside))

    @property
    def camera_infos(self) -> tuple[str, ...]:
        """sensor_msgs/CameraInfo of each camera, in the order of `images`."""
        return tuple(self.of(f"{camera}/camera_info") for camera in (self.camera, *self.beside))

    def seen_by(self, view: ViewConfig) -> EgoTopics:
        """The same with all cameras of a driver's view.

        Raises:
            ValueError: the first of them is another than this one.
        """
        if view.cameras and view.cameras[0].id != self.camera:
            raise ValueError(
                f"parameter camera: {self.camera}; the first of driving.view.cameras is"
                f" {view.cameras[0].id}: give both the same name"
            )
        return replace(self, beside=tuple(mount.id for mount in view.beside))

    @property
    def objects(self) -> str:
        """derived_object_msgs/ObjectArray: all road users but the car."""
        return self.of("objects")

    @property
    def control(self) -> str:
        """carla_msgs/CarlaEgoVehicleControl."""
        return self.of("vehicle_control_cmd")

    @property
    def control_manual(self) -> str:
        """carla_msgs/CarlaEgoVehicleControl, the only command obeyed under manual override."""
        return self.of("vehicle_control_cmd_manual")

    @property
    def manual_override(self) -> str:
        """std_msgs/Bool, LATCHED_1: a human drives."""
        return self.of("vehicle_control_manual_override")

    @property
    def set_transform(self) -> str:
        """geometry_msgs/Pose."""
        return self.of(f"{self.control_id}/set_transform")

    @property
    def set_target_velocity(self) -> str:
        """geometry_msgs/Twist."""
        return self.of(f"{self.control_id}/set_target_velocity")
