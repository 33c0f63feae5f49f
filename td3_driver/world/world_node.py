# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a ROS 2 node that speaks the CARLA bridge's topics.

The loop is the bridge's (`bridge.py`): tick, publish everything of this tick, then wait up to one
second for the one command that belongs to it, warn, and go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaEgoVehicleControl,
    CarlaEgoVehicleInfo,
    CarlaEgoVehicleStatus,
    CarlaLaneInvasionEvent,
    CarlaStatus,
    CarlaWorldInfo,
)
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import Twist
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32

from td3_driver.driving.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.ros import names
from td3_driver.ros.conversions import control_of, pose_of, stamp_of
from td3_driver.ros.parameters import declare, parameter
from td3_driver.ros.process import Stop, run_node
from td3_driver.world.bridge_messages import TickMessages
from td3_driver.world.roads import generate_opendrive
from td3_driver.world.simulation import Simulation, Tick, WorldConfig

STARTUP_PATIENCE_S = 0.5


@dataclass(frozen=True)
class WorldParameters:
    """Parameters of `world_node`. Names that the bridge has too mean the same."""

    map: str = parameter("", "OpenDRIVE file (.xodr); empty: generate roads from the seed.")
    seed: int = parameter(0, "Seed of generated roads, textures and the first pose.", low=0)
    role_name: str = parameter("ego_vehicle", "Role name of the car, part of every topic.")
    camera: str = parameter("rgb_front", "Id of the front camera, part of its topics.")
    control_id: str = parameter("control", "Id of the actor.pseudo.control that moves the car.")
    synchronous_mode_wait_for_vehicle_control_command: bool = parameter(
        True, "Wait for one command per tick, up to 1 s; false: real time."
    )
    control_patience_s: float = parameter(
        1.0, "Wall time to wait for a command, s; the bridge's is 1.", low=0.01, high=3600.0
    )
    fixed_delta_seconds: float = parameter(0.05, "Simulated time a tick, s.", low=0.001, high=0.1)
    image_width: int = parameter(160, "Camera width, px.", low=16, high=4096)
    image_height: int = parameter(120, "Camera height, px.", low=16, high=4096)
    fov: float = parameter(90.0, "Horizontal angle of view, degrees.", low=10.0, high=150.0)


class WorldNode(Node):
    """Publishes the world and takes commands; `tick_forever` is its loop."""

    def __init__(self, overrides: Mapping[str, object] | None = None) -> None:
        given_here = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        super().__init__("carla_ros_bridge", parameter_overrides=given_here)
        self.parameters = declare(self, WorldParameters)
        given = self.parameters
        self._topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
        config = WorldConfig(
            fixed_delta_s=given.fixed_delta_seconds,
            seed=given.seed,
            image_width=given.image_width,
            image_height=given.image_height,
            fov_deg=given.fov,
        )
        self._simulation = Simulation(config, _road_map(given))
        self._messages = TickMessages(self._topics, config)
        self._control = Control()
        self._commands_since_tick = 0
        self._counts = {"frames": 0, "commands": 0, "unexpected": 0, "timeouts": 0}
        self._make_publishers()
        self._make_subscriptions()
        self._publish_once()

    def tick_forever(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        """Tick until asked to stop; returns the exit code."""
        waits = self.parameters.synchronous_mode_wait_for_vehicle_control_command
        while not stop.requested:
            started_s = time.monotonic()
            self._commands_since_tick = 0
            self._publish(self._simulation.step(self._control))
            self._spin(executor, stop, started_s + self._patience_s(), until_command=waits)
            if waits and self._commands_since_tick == 0 and not stop.requested:
                self._miss()
        self.get_logger().info(", ".join(f"{n} {name}" for name, n in self._counts.items()))
        return 0

    def _patience_s(self) -> float:
        given = self.parameters
        if not given.synchronous_mode_wait_for_vehicle_control_command:
            return given.fixed_delta_seconds
        # Nobody drives yet: look again soon, since who comes now has missed this frame.
        return given.control_patience_s if self._counts["commands"] else STARTUP_PATIENCE_S

    def _spin(
        self, executor: SingleThreadedExecutor, stop: Stop, end_s: float, *, until_command: bool
    ) -> None:
        while not stop.requested and not (until_command and self._commands_since_tick):
            left_s = end_s - time.monotonic()
            if left_s <= 0.0:
                return
            executor.spin_once(timeout_sec=left_s)

    def _miss(self) -> None:
        if not self._counts["commands"]:
            return
        self._counts["timeouts"] += 1
        self.get_logger().warning(
            f"no vehicle control command in {self.parameters.control_patience_s:g} s; ticking on",
            throttle_duration_sec=10.0,
        )

    def _make_publishers(self) -> None:
        topics, default, latched = self._topics, names.VOLATILE_10, names.LATCHED_10
        create = self.create_publisher
        self._clock = create(Clock, names.CLOCK, default)
        self._status = create(CarlaStatus, names.STATUS, default)
        self._world_info = create(CarlaWorldInfo, names.WORLD_INFO, latched)
        self._vehicle_info = create(CarlaEgoVehicleInfo, topics.of("vehicle_info"), latched)
        self._collision = create(CarlaCollisionEvent, topics.of("collision"), default)
        self._lane_invasion = create(CarlaLaneInvasionEvent, topics.of("lane_invasion"), default)
        self._odometry = create(Odometry, topics.of("odometry"), default)
        self._vehicle_status = create(
            CarlaEgoVehicleStatus, topics.of("vehicle_status"), default
        )
        self._speedometer = create(Float32, topics.of("speedometer"), default)
        self._camera_info = create(CameraInfo, topics.camera_info, default)
        self._image = create(Image, topics.image, default)

    def _make_subscriptions(self) -> None:
        topics, default = self._topics, names.VOLATILE_10
        create = self.create_subscription
        # rclpy serves subscriptions in the order of their creation. What moves the car was sent
        # before the command of the same frame and has to take effect in the same tick: a busy
        # machine would else decide in which one, and the run would not repeat.
        create(PoseMessage, topics.set_transform, self._on_set_transform, default)
        create(Twist, topics.set_target_velocity, self._on_set_target_velocity, default)
        create(CarlaEgoVehicleControl, topics.control, self._on_control, default)

    def _publish_once(self) -> None:
        road_map = self._simulation.road_map
        self._world_info.publish(
            CarlaWorldInfo(map_name=road_map.name, opendrive=road_map.opendrive)
        )
        self._vehicle_info.publish(self._messages.vehicle_info())

    def _publish(self, tick: Tick) -> None:
        """The bridge's order: status and clock, then the sensors."""
        self._counts["frames"] += 1
        self._status.publish(
            CarlaStatus(
                frame=tick.frame,
                fixed_delta_seconds=self.parameters.fixed_delta_seconds,
                synchronous_mode=True,
                synchronous_mode_running=True,
            )
        )
        self._clock.publish(Clock(clock=stamp_of(tick.stamp_ns)))
        for collision in tick.collisions:
            self._collision.publish(self._messages.collision(tick, collision))
        if tick.lane_invasions:
            self._lane_invasion.publish(self._messages.lane_invasion(tick))
        self._odometry.publish(self._messages.odometry(tick))
        self._vehicle_status.publish(self._messages.status(tick))
        self._speedometer.publish(Float32(data=tick.ego.speed_mps))
        self._camera_info.publish(self._messages.camera_info(tick))
        self._image.publish(self._messages.image(tick))

    def _on_control(self, message: CarlaEgoVehicleControl) -> None:
        self._counts["commands"] += 1
        self._commands_since_tick += 1
        if self._commands_since_tick > 1:
            self._counts["unexpected"] += 1
            self.get_logger().warning("Unexpected vehicle control command")
        self._control = control_of(message)

    def _on_set_transform(self, message: PoseMessage) -> None:
        self._simulation.reset_pose(pose_of(message))

    def _on_set_target_velocity(self, message: Twist) -> None:
        # The bridge hands angular.z on to CARLA without flipping it: left-handed.
        self._simulation.set_target_velocity(
            message.linear.x, message.linear.y, -message.angular.z
        )


def _road_map(given: WorldParameters) -> RoadMap:
    if given.map:
        return RoadMap.from_file(Path(given.map))
    return RoadMap(generate_opendrive(given.seed), f"generated_{given.seed}")


def main(overrides: Mapping[str, object] | None = None) -> None:
    """Entry point of `world_node`; `overrides` are parameter values from a command line."""
    cv2.setNumThreads(1)  # two cores are shared with the driver and the learner
    run_node(
        lambda: WorldNode(overrides),
        lambda node, executor, stop: node.tick_forever(executor, stop),
    )


if __name__ == "__main__":
    main()
