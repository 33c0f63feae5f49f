# SPDX-License-Identifier: Apache-2.0
"""Listening to a live graph for `doctor`, without publishing."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import rclpy
from carla_msgs.msg import (
    CarlaEgoVehicleControl,
    CarlaEgoVehicleStatus,
    CarlaStatus,
    CarlaWorldInfo,
)
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from std_msgs.msg import Bool

from td3_driver.driving.messages.decoding import control_of, stamp_ns
from td3_driver.driving.messages.topics import STATUS, WORLD_INFO
from td3_driver.driving.types import Control
from td3_driver.ros import names
from td3_driver.ros.company import name_of

NODE = "td3_driver_doctor"
# Compatible with every publisher, so that a mismatch is reported instead of silent.
_ANY = QoSProfile(depth=200, reliability=ReliabilityPolicy.BEST_EFFORT)
_LATCHED = QoSProfile(
    depth=10,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


@dataclass(frozen=True)
class End:
    """A publisher or subscriber of a topic: its node, type and quality of service."""

    node: str
    kind: str
    reliable: bool
    latched: bool


@dataclass
class Heard:
    """The result of listening for a while.

    Attributes:
        seconds: duration of listening, s.
        publishers, subscribers: ends of each topic in the graph at the end.
        nodes: names of all nodes.
        images, odometries: stamps, ns, in order of arrival.
        commands: number of commands for each stamp, ns.
        controls: the last command for each stamp, ns.
        executed: the control in force in the step before each stamp, ns.
        image, odometry, status, world_info, override: the last message of each, or None.
        complaints: the driver's diagnostics that are not OK, by name.
    """

    seconds: float
    publishers: dict[str, list[End]] = field(default_factory=dict)
    subscribers: dict[str, list[End]] = field(default_factory=dict)
    nodes: list[str] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    odometries: list[int] = field(default_factory=list)
    commands: Counter[int] = field(default_factory=Counter)
    controls: dict[int, Control] = field(default_factory=dict)
    executed: dict[int, Control] = field(default_factory=dict)
    image: Image | None = None
    odometry: Odometry | None = None
    status: CarlaStatus | None = None
    world_info: CarlaWorldInfo | None = None
    override: Bool | None = None
    complaints: dict[str, str] = field(default_factory=dict)


def listen(topics: names.EgoTopics, seconds: float) -> Heard:
    """Join the graph and listen for some seconds."""
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node(NODE)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    heard = Heard(seconds)
    try:
        _subscribe(node, topics, heard)
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0.0:
            executor.spin_once(timeout_sec=left_s)
        _look_around(node, heard)
    finally:
        executor.shutdown()
        node.destroy_node()
        rclpy.try_shutdown()
    return heard


def _subscribe(node: Node, topics: names.EgoTopics, heard: Heard) -> None:
    def keep(name: str) -> Any:
        return lambda message: setattr(heard, name, message)

    def on_image(message: Image) -> None:
        heard.image = message
        heard.images.append(stamp_ns(message.header.stamp))

    def on_odometry(message: Odometry) -> None:
        heard.odometry = message
        heard.odometries.append(stamp_ns(message.header.stamp))

    def on_command(message: CarlaEgoVehicleControl) -> None:
        heard.commands[stamp_ns(message.header.stamp)] += 1
        heard.controls[stamp_ns(message.header.stamp)] = control_of(message)

    def on_vehicle_status(message: CarlaEgoVehicleStatus) -> None:
        heard.executed[stamp_ns(message.header.stamp)] = control_of(message.control)

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith("td3_driver: "):
                heard.complaints.pop(status.name, None)
                if status.level != DiagnosticStatus.OK:
                    heard.complaints[status.name] = status.message

    create = node.create_subscription
    create(CarlaWorldInfo, WORLD_INFO, keep("world_info"), _LATCHED)
    create(Bool, topics.manual_override, keep("override"), _LATCHED)
    create(CarlaStatus, STATUS, keep("status"), _ANY)
    create(DiagnosticArray, "/diagnostics", on_diagnostics, _ANY)
    create(CarlaEgoVehicleControl, topics.control, on_command, _ANY)
    create(CarlaEgoVehicleStatus, topics.of("vehicle_status"), on_vehicle_status, _ANY)
    create(Odometry, topics.of("odometry"), on_odometry, _ANY)
    create(Image, topics.image, on_image, _ANY)


def _look_around(node: Node, heard: Heard) -> None:
    heard.nodes = [name for name in node.get_node_names() if name != NODE]
    for topic, _ in node.get_topic_names_and_types():
        heard.publishers[topic] = _ends(node.get_publishers_info_by_topic(topic))
        heard.subscribers[topic] = _ends(node.get_subscriptions_info_by_topic(topic))


def _ends(infos: list[Any]) -> list[End]:
    return [
        End(
            node=name_of(info),
            kind=info.topic_type,
            reliable=info.qos_profile.reliability != ReliabilityPolicy.BEST_EFFORT,
            latched=info.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
        )
        for info in infos
        if info.node_name != NODE
    ]
