# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a ROS 2 node that speaks the CARLA bridge's topics.

The loop is the bridge's (`bridge.py`): tick, publish everything of this tick, then wait up to one
second for the one command that belongs to it, warn, and go on.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial

import cv2
from carla_msgs.msg import CarlaControl, CarlaEgoVehicleControl
from geometry_msgs.msg import Pose as PoseMessage
from geometry_msgs.msg import Twist
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.subscription import SubscriptionEventCallbacks
from std_msgs.msg import Bool

from td3_driver.bridge_twin.initial_pose import SetInitialPose
from td3_driver.bridge_twin.messages import EGO_ID
from td3_driver.bridge_twin.objects_file import Car
from td3_driver.bridge_twin.services import ActorServices
from td3_driver.bridge_twin.topics import BridgeTopics
from td3_driver.bridge_twin.world_parameters import WorldParameters, car_of, simulation_of
from td3_driver.driving.messages.decoding import control_of, pose_of, stamp_ns
from td3_driver.driving.messages.topics import WORLD_INFO
from td3_driver.driving.types import FULL_BRAKE, LARGEST_M, Control
from td3_driver.ros import names
from td3_driver.ros.command_line import check
from td3_driver.ros.company import Company, name_of, refusal
from td3_driver.ros.parameters import declare
from td3_driver.ros.process import Stop, foreseen, run_node

PURPOSE = (
    "Stands in for a CARLA server and its bridge: simulates a road network, a car with a camera, "
    "and traffic, publishes the bridge's topics, and obeys its commands. With synchronous_mode "
    "each tick waits for one command of driver_node."
)
STARTUP_PATIENCE_S = 1.0
# With `bridge_races` some ticks take so much longer to publish.
SLOW_SHARE, SLOW_PUBLISHING_S = 0.005, 0.05
SERVING_S = 0.002  # where nobody waits, callbacks get this long each tick; the bridge has threads


class WorldNode(Node):
    """Publishes the world and takes commands; `tick_forever` is its loop.

    Attributes:
        parameters: as they were given.
        initial_pose: the node beside it that hears `/initialpose`.
    """

    def __init__(self, overrides: Mapping[str, object] | None = None) -> None:
        given_here = [Parameter(name, value=value) for name, value in (overrides or {}).items()]
        with foreseen():
            super().__init__("carla_ros_bridge", parameter_overrides=given_here)
            self.parameters = given = declare(self, WorldParameters)
            car = car_of(given)
            mover = car.control_id() or given.control_id
            topics = names.EgoTopics(car.role_name, car.camera().id, mover)
            self._simulation = simulation_of(given, car)
        self._waits = (
            given.synchronous_mode and given.synchronous_mode_wait_for_vehicle_control_command
        )
        self._expected = False  # this tick's command has not come yet
        self._answered = False  # a command ended the wait, or will end the next
        self._run_commands: deque[int] = deque()
        self._control = Control()
        self._manual_override = False
        self._publishing = random.Random(given.seed)  # which ticks are slow, with `bridge_races`
        self._due_s = 0.0
        self._stamp_ns = 0  # of the newest tick
        self._counts = {"frames": 0, "commands": 0, "unexpected": 0, "timeouts": 0, "late": 0}
        self._topics = BridgeTopics(
            self,
            car,
            self._simulation.config,
            self._simulation.road_map,
            synchronous_mode=given.synchronous_mode,
        )
        self._make_subscriptions(car, topics)
        self._actors = ActorServices(self, car, self._simulation)
        self.initial_pose = SetInitialPose(topics)
        self._topics.publish_once()
        if car.left_out:
            self.get_logger().warning(f"not simulated: {', '.join(car.left_out)}")

    def tick_forever(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        """Tick until asked to stop; returns the exit code."""
        executor.add_node(self.initial_pose)
        company = Company(self, "world", WORLD_INFO)
        while not stop.requested:
            if company.newcomer and (others := company.others()):
                self.get_logger().error(refusal(others))
                return 1
            self._process_run_state(executor, stop)
            self._expected = True
            self._tick()
            if self.parameters.bridge_races:  # its threads serve what comes while it publishes
                slow = self._publishing.random() < SLOW_SHARE
                until_s = time.monotonic() + slow * SLOW_PUBLISHING_S
                _spin(executor, stop, until_s, lambda: False)
            if self._waits and EGO_ID in self._actors.present:
                self._wait_for_command(executor, stop)
            else:
                self._go_on(executor, stop)
        self.get_logger().info(", ".join(f"{n} {name}" for name, n in self._counts.items()))
        return 0

    def destroy_node(self) -> None:
        """Destroy this node and the one beside it."""
        self.initial_pose.destroy_node()
        super().destroy_node()

    def _tick(self) -> None:
        self._counts["frames"] += 1
        control = self._control if EGO_ID in self._actors.present else FULL_BRAKE
        tick = self._simulation.step(control)
        self._stamp_ns = tick.stamp_ns
        self._topics.publish(tick, self._actors.present)

    def _process_run_state(self, executor: SingleThreadedExecutor, stop: Stop) -> None:
        """Obey the last of the `/carla/control` commands; a pause lasts until the next one."""
        command = self._run_commands[-1] if self._run_commands else None
        self._run_commands.clear()
        while command is not None and not stop.requested:
            self._topics.set_running(command != CarlaControl.PAUSE)
            if command == CarlaControl.STEP_ONCE:
                self._run_commands.append(CarlaControl.PAUSE)
            if command != CarlaControl.PAUSE:
                return
            _spin(executor, stop, math.inf, lambda: bool(self._run_commands))
            command = self._run_commands.popleft() if self._run_commands else None

    def _wait_for_command(self, executor: SingleThreadedExecutor, stop: Stop) -> None:
        if self.parameters.bridge_races and not self._expected:
            return  # the event stays set, and ends the next wait
        driven = self._counts["commands"] > 0
        # Nobody drives yet: look again soon, since who comes now has missed this frame.
        patience_s = self.parameters.control_patience_s if driven else STARTUP_PATIENCE_S
        _spin(executor, stop, time.monotonic() + patience_s, lambda: self._answered)
        answered, self._answered = self._answered, False
        if answered and not self.parameters.bridge_races:
            self._take_surplus()
        if answered or not driven or stop.requested:
            return
        self._counts["timeouts"] += 1
        self.get_logger().warning(
            f"no vehicle control command in {patience_s:g} s; ticking on",
            throttle_duration_sec=10.0,
        )

    def _take_surplus(self) -> None:
        """Take further commands that have come, since the bridge takes commands while it ticks."""
        subscription = self._manual_commands if self._manual_override else self._commands
        with subscription.handle:
            while taken := subscription.handle.take_message(subscription.msg_type, False):
                self._obey(taken[0])

    def _go_on(self, executor: SingleThreadedExecutor, stop: Stop) -> None:
        """Serve callbacks without waiting for a command; in asynchronous mode keep real time."""
        until_s = time.monotonic() + SERVING_S
        if not self.parameters.synchronous_mode:
            self._due_s = max(self._due_s + self.parameters.fixed_delta_seconds, until_s)
            until_s = self._due_s
        _spin(executor, stop, until_s, lambda: False)

    def _make_subscriptions(self, car: Car, topics: names.EgoTopics) -> None:
        # The events of an endpoint cost time in each wait; the other side warns, too.
        quiet = SubscriptionEventCallbacks(use_default_callbacks=False)
        create = partial(self.create_subscription, event_callbacks=quiet)
        default = names.VOLATILE_10
        # rclpy serves subscriptions in the order of their creation. What moves the car was sent
        # before the command of the same frame and has to take effect in the same tick: a busy
        # machine would else decide in which one, and the run would not repeat.
        if self.parameters.synchronous_mode:
            create(CarlaControl, names.RUN_CONTROL, self._on_run_control, default)
        create(Bool, topics.manual_override, self._on_manual_override, names.LATCHED_1)
        if car.control_id() is not None:
            create(PoseMessage, topics.set_transform, self._on_set_transform, default)
            create(Twist, topics.set_target_velocity, self._on_set_target_velocity, default)
        self._commands = create(CarlaEgoVehicleControl, topics.control, self._on_control, default)
        self._manual_commands = create(
            CarlaEgoVehicleControl, topics.control_manual, self._on_control_manual, default
        )

    def _on_control(self, message: CarlaEgoVehicleControl) -> None:
        if not self._manual_override:
            self._obey(message)

    def _on_control_manual(self, message: CarlaEgoVehicleControl) -> None:
        if self._manual_override:
            self._obey(message)

    def _obey(self, message: CarlaEgoVehicleControl) -> None:
        self._counts["commands"] += 1
        if self.parameters.ignore_late_commands and self._late(message):
            self._counts["late"] += 1
            return
        if self._waits and not self._expected:
            # It ends a wait as well, without anyone having seen the frame: the bridge's does.
            self._counts["unexpected"] += 1
            ends = self.get_publishers_info_by_topic(self._commands.topic_name)
            self.get_logger().warning(
                "Unexpected vehicle control command; the car is commanded by "
                f"{', '.join(sorted(map(name_of, ends)))}",
                throttle_duration_sec=10.0,
            )
        self._expected, self._answered = False, True
        if self._finite(message.throttle, message.steer, message.brake):
            self._control = control_of(message)

    def _late(self, message: CarlaEgoVehicleControl) -> bool:
        return stamp_ns(message.header.stamp) < self._stamp_ns

    def _on_manual_override(self, message: Bool) -> None:
        self._manual_override = message.data

    def _on_run_control(self, message: CarlaControl) -> None:
        if message.command in (CarlaControl.PLAY, CarlaControl.PAUSE, CarlaControl.STEP_ONCE):
            self._run_commands.append(message.command)
        else:
            self.get_logger().warning(f"{names.RUN_CONTROL}: no command {message.command}")

    def _on_set_transform(self, message: PoseMessage) -> None:
        pose = pose_of(message)
        if self._finite(pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad):
            self._simulation.reset_pose(pose)

    def _on_set_target_velocity(self, message: Twist) -> None:
        forward_mps, left_mps, yaw_rate_radps = (
            message.linear.x,
            message.linear.y,
            message.angular.z,
        )
        if not self._manual_override and self._finite(forward_mps, left_mps, yaw_rate_radps):
            # The bridge hands angular.z on to CARLA without flipping it: left-handed.
            self._simulation.set_target_velocity(forward_mps, left_mps, -yaw_rate_radps)

    def _finite(self, *values: float) -> bool:
        within = all(abs(value) < LARGEST_M for value in values)
        if not within:
            self.get_logger().warning(
                f"ignored a command that is not finite, or absurd: {values}"
            )
        return within


def _spin(
    executor: SingleThreadedExecutor, stop: Stop, end_s: float, done: Callable[[], bool]
) -> None:
    """Serve callbacks until `done`, until the monotonic time `end_s`, or until asked to stop."""
    while not stop.requested and not done():
        left_s = end_s - time.monotonic()
        if left_s <= 0.0:
            return
        executor.spin_once(timeout_sec=min(left_s, 3600.0))


def main(overrides: Mapping[str, object] | None = None) -> None:
    """Entry point of `world_node`; `overrides` are those of `td3_driver world`."""
    if overrides is None:
        check("world_node", PURPOSE, WorldParameters)
    cv2.setNumThreads(1)  # two cores are shared with the driver and the learner
    run_node(
        lambda: WorldNode(overrides),
        lambda node, executor, stop: node.tick_forever(executor, stop),
    )


if __name__ == "__main__":
    main()
