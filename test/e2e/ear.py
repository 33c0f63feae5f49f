# SPDX-License-Identifier: Apache-2.0
"""A node that hears what a world and a driver say to each other."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl, CarlaEgoVehicleStatus
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CameraInfo

from td3_driver.driving.messages.decoding import stamp_ns

from .running import PATIENCE_S, Program

ROLE = "/carla/ego_vehicle"
TICK_NS = 50_000_000
WALL_CLOCK = 1_000_000_000  # ticks: no world is so old


class Ear:
    """What the world and the driver say, by stamp in ticks.

    Attributes:
        pictures, ticks: of which there was a picture, and odometry.
        commands, counts: the last command for each, and how many there were.
        executed: the control in force in the step that led to each.
    """

    def __init__(self) -> None:
        self.context = rclpy.Context()
        self.context.init(args=[])
        self.node = rclpy.create_node("ear", context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self.pictures: list[int] = []
        self.ticks: list[int] = []
        self.commands: dict[int, CarlaEgoVehicleControl] = {}
        self.counts: Counter[int] = Counter()
        self.executed: dict[int, CarlaEgoVehicleControl] = {}
        listen, deep = self.node.create_subscription, QoSProfile(depth=5000)
        listen(CameraInfo, f"{ROLE}/rgb_front/camera_info", self._into(self.pictures), deep)
        listen(Odometry, f"{ROLE}/odometry", self._into(self.ticks), deep)
        listen(CarlaEgoVehicleControl, f"{ROLE}/vehicle_control_cmd", self._on_command, deep)
        listen(CarlaEgoVehicleStatus, f"{ROLE}/vehicle_status", self._on_status, deep)

    def _into(self, stamps: list[int]) -> Callable[[CameraInfo | Odometry], None]:
        return lambda message: stamps.append(self._tick(message))

    def _on_command(self, message: CarlaEgoVehicleControl) -> None:
        tick = self._tick(message)
        self.commands[tick] = message
        self.counts[tick] += 1

    def _on_status(self, message: CarlaEgoVehicleStatus) -> None:
        self.executed[self._tick(message)] = message.control

    def _tick(self, message: Any) -> int:
        return round(stamp_ns(message.header.stamp) / TICK_NS)

    def listen_until_it_ends(self, driver: Program, within_s: float = 2.0 * PATIENCE_S) -> None:
        """Until the driver's process has ended, and all its commands are heard, and of the frames
        that they are for all else."""
        end_s = time.monotonic() + within_s
        while driver.process.poll() is None:
            assert time.monotonic() < end_s, driver.output
            self._executor.spin_once(timeout_sec=0.1)
        heard = -1
        while heard < (heard := len(self.commands)):
            for _ in range(100):
                self._executor.spin_once(timeout_sec=0.005)
        # But for brakes without a frame, which have the wall clock's time.
        last = max(tick for tick in self.commands if tick < WALL_CLOCK)
        while last not in self.executed or max(self.ticks) < last:
            assert time.monotonic() < end_s, "the world has said less than the driver heard"
            self._executor.spin_once(timeout_sec=0.1)

    def until(self, condition: Callable[[], bool]) -> None:
        """Listen until a condition holds."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()
