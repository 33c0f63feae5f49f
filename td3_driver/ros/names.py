# SPDX-License-Identifier: Apache-2.0
"""The bridge's topic names and qualities of service, said once (bridge `node.py`, `qos.py`).

Only depth and durability are set by the bridge; reliability is RELIABLE everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

VOLATILE_10 = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_10 = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)

CLOCK = "/clock"
STATUS = "/carla/status"
WORLD_INFO = "/carla/world_info"


@dataclass(frozen=True)
class EgoTopics:
    """Topic names of one car with one camera."""

    role_name: str
    camera: str
    control_id: str

    def __post_init__(self) -> None:
        for part in (self.role_name, self.camera, self.control_id):
            if not part.replace("_", "").isalnum():
                raise ValueError(f"topic name part {part!r}: use letters, digits and _ only")

    def of(self, leaf: str) -> str:
        """`/carla/<role>/<leaf>`."""
        return f"/carla/{self.role_name}/{leaf}"

    @property
    def image(self) -> str:
        """sensor_msgs/Image."""
        return self.of(f"{self.camera}/image")

    @property
    def camera_info(self) -> str:
        """sensor_msgs/CameraInfo."""
        return self.of(f"{self.camera}/camera_info")

    @property
    def control(self) -> str:
        """carla_msgs/CarlaEgoVehicleControl."""
        return self.of("vehicle_control_cmd")

    @property
    def set_transform(self) -> str:
        """geometry_msgs/Pose."""
        return self.of(f"{self.control_id}/set_transform")

    @property
    def set_target_velocity(self) -> str:
        """geometry_msgs/Twist."""
        return self.of(f"{self.control_id}/set_target_velocity")
