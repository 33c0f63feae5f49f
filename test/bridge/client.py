# SPDX-License-Identifier: Apache-2.0
"""A plain client of the bridge's topics and services, and a world_node process to talk to."""

from __future__ import annotations

import math
import signal
import struct
import subprocess
import sys
import threading
import time
from bisect import bisect
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

import rclpy
from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaControl,
    CarlaEgoVehicleControl,
    CarlaEgoVehicleInfo,
    CarlaEgoVehicleStatus,
    CarlaLaneInvasionEvent,
    CarlaStatus,
    CarlaWorldInfo,
)
from carla_msgs.srv import DestroyObject, GetBlueprints, SpawnObject
from derived_object_msgs.msg import ObjectArray
from geometry_msgs.msg import (
    Pose,
    PoseWithCovarianceStamped,
    Quaternion,
    TransformStamped,
    Twist,
)
from nav_msgs.msg import Odometry
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Bool, Float32
from tf2_msgs.msg import TFMessage

from td3_driver.ros.versions import SENT_NS, new_executor, with_info

PATIENCE_S = 120.0  # for what has to come: a machine may be busy, a fault is there for ever
ROLE = "/carla/hero"
STEP_NS = 50_000_000
IMAGE = f"{ROLE}/front/image"
INITIAL_POSE = "/initialpose"  # of the node set_initial_pose; the bridge itself does not listen
VOLATILE = QoSProfile(depth=10)
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
PER_TICK = {
    "/carla/status": CarlaStatus,
    "/clock": Clock,
    "/carla/objects": ObjectArray,
    f"{ROLE}/vehicle_status": CarlaEgoVehicleStatus,
    f"{ROLE}/objects": ObjectArray,
    f"{ROLE}/odometry": Odometry,
    f"{ROLE}/speedometer": Float32,
    f"{ROLE}/front/camera_info": CameraInfo,
    IMAGE: Image,
}
STATUS, ODOMETRY, SPEED = "/carla/status", f"{ROLE}/odometry", f"{ROLE}/speedometer"
UNSTAMPED = (STATUS, SPEED)
EVENTS = {
    f"{ROLE}/collision": CarlaCollisionEvent,
    f"{ROLE}/lane_invasion": CarlaLaneInvasionEvent,
}
ONCE = {
    "/carla/world_info": CarlaWorldInfo,
    f"{ROLE}/vehicle_info": CarlaEgoVehicleInfo,
}
COMMANDS = {
    f"{ROLE}/vehicle_control_cmd": CarlaEgoVehicleControl,
    f"{ROLE}/vehicle_control_cmd_manual": CarlaEgoVehicleControl,
    f"{ROLE}/vehicle_control_manual_override": Bool,
    f"{ROLE}/control/set_transform": Pose,
    f"{ROLE}/control/set_target_velocity": Twist,
    INITIAL_POSE: PoseWithCovarianceStamped,
    "/carla/control": CarlaControl,
}
SERVICES = {
    "/carla/spawn_object": SpawnObject,
    "/carla/destroy_object": DestroyObject,
    "/carla/get_blueprints": GetBlueprints,
}


def number_of(stamp_ns: int) -> int:
    """The frame of a stamp, which CARLA cuts off: 0.949999999 s is the 19th. -1 of none."""
    return round(stamp_ns / STEP_NS) if stamp_ns >= 0 else -1


def stamp_of_raw(message: bytes) -> int:
    """The time of a serialized message that begins with a header, or of a clock, ns."""
    sec, nanosec = struct.unpack_from("<iI", message, offset=4)  # int32, uint32 behind CDR's 4
    return int(sec) * 1_000_000_000 + int(nanosec)


def axes_of(rotation: Quaternion) -> tuple[tuple[float, float, float], ...]:
    """A frame's axes x, y, z in the frame that it is turned in."""
    x, y, z, w = rotation.x, rotation.y, rotation.z, rotation.w
    return (
        (1 - 2 * (y * y + z * z), 2 * (x * y + z * w), 2 * (x * z - y * w)),
        (2 * (x * y - z * w), 1 - 2 * (x * x + z * z), 2 * (y * z + x * w)),
        (2 * (x * z + y * w), 2 * (y * z - x * w), 1 - 2 * (x * x + y * y)),
    )


class World:
    """world_node as a process, and what it says; leaving it checks that it ended in order."""

    def __init__(self, *parameters: str) -> None:
        given = ("role_name:=hero", "camera:=front", "image_width:=64", "image_height:=48")
        words = [word for parameter in (*given, *parameters) for word in ("-p", parameter)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "td3_driver.bridge_twin.world_node", "--ros-args", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        if error is None:
            assert code == 0, self.output
            assert "Traceback" not in self.output


class Client:
    """Keeps every message of each topic as it came over the wire; answers frames one by one."""

    def __init__(self, more: Mapping[str, type] | None = None) -> None:
        self.context = rclpy.Context()
        self.context.init(args=[])
        self.node = rclpy.create_node("client", context=self.context)
        self.executor = new_executor(self.context)
        self.executor.add_node(self.node)
        self.types = {**PER_TICK, **EVENTS, **ONCE, "/tf": TFMessage, **(more or {})}
        self.raw: dict[str, list[bytes]] = {topic: [] for topic in self.types}
        self.sent_ns: dict[str, list[int]] = {topic: [] for topic in self.types}
        for topic, kind in self.types.items():
            qos = LATCHED if topic in ONCE else VOLATILE
            self.node.create_subscription(kind, topic, self._keeping(topic), qos, raw=True)
        self.publishers = {
            topic: self.node.create_publisher(kind, topic, LATCHED if kind is Bool else VOLATILE)
            for topic, kind in COMMANDS.items()
        }
        self._services = {
            name: self.node.create_client(kind, name) for name, kind in SERVICES.items()
        }

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _keeping(self, topic: str) -> Callable[..., None]:
        def keep(message: bytes, info: dict[str, int]) -> None:
            self.raw[topic].append(message)
            self.sent_ns[topic].append(info[SENT_NS])

        return with_info(keep)

    def connect(self, topics: tuple[str, ...] = tuple(COMMANDS)) -> None:
        """Wait until frames come, and until these commands have someone who listens."""
        self.until(lambda: len(self.raw[IMAGE]) > 1)
        self.until(
            lambda: all(self.publishers[name].get_subscription_count() == 1 for name in topics)
        )
        self.answer(3)  # by then discovery has matched the client's publishers on both sides

    def count(self, topic: str) -> int:
        return len(self.raw[topic])

    def last(self, topic: str) -> Any:
        topic = topic if topic in self.types else f"{ROLE}/{topic}"
        return deserialize_message(self.raw[topic][-1], self.types[topic])

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            self.executor.spin_once(timeout_sec=0.1)

    def spin_for(self, duration_s: float) -> None:
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            self.executor.spin_once(timeout_sec=0.02)

    def stamp(self, topic: str) -> int:
        """The time of a topic's last message, ns; -1 before the first."""
        if not self.raw[topic]:
            return -1
        return stamp_of_raw(self.raw[topic][-1])

    def frame(self) -> int:
        """The last frame, from the image's stamp; all other messages of it have come, too."""
        stamped = [topic for topic in PER_TICK if topic not in UNSTAMPED and self.raw[topic]]
        stamps = {self.stamp(topic) for topic in (*stamped, IMAGE)}
        number = number_of(max(stamps)) if len(stamps) == 1 else -1
        return number if self._unstamped_have_come() else -1

    def _unstamped_have_come(self) -> bool:
        """The world's status has counted on; the speed is sent after the odometry.

        The count is CARLA's own and says nothing of the stamp. A frame's status is sent before
        its picture, one that tells of a pause after it, with the same count.
        """
        odometry, speed = self.sent_ns[ODOMETRY], self.sent_ns[SPEED]
        if odometry and speed and speed[-1] < odometry[-1]:
            return False
        statuses, pictures = self.sent_ns[STATUS], self.sent_ns[IMAGE][-2:]
        if not statuses or not pictures:
            return True
        this, last = bisect(statuses, pictures[-1]) - 1, bisect(statuses, pictures[0]) - 1
        if this < 0 or self.counted(this) != self.counted():
            return False
        return last < 0 or len(pictures) == 1 or self.counted(this) > self.counted(last)

    def counted(self, index: int = -1) -> int:
        """CARLA's number of a frame, in the newest status or another."""
        return int(deserialize_message(self.raw[STATUS][index], CarlaStatus).frame)

    def transforms(self) -> dict[str, TransformStamped]:
        """Those of the last frame, by the frame that they tell of."""
        now_ns = self.stamp(IMAGE)
        heard = [deserialize_message(raw, TFMessage).transforms for raw in self.raw["/tf"][-20:]]
        return {
            each.child_frame_id: each
            for transforms in heard
            for each in transforms
            if each.header.stamp.sec * 1_000_000_000 + each.header.stamp.nanosec == now_ns
        }

    def publish(self, topic: str, message: object) -> None:
        topic = topic if topic in self.publishers else f"{ROLE}/{topic}"
        self.publishers[topic].publish(message)

    def command(self, **control: float) -> None:
        self.publish("vehicle_control_cmd", CarlaEgoVehicleControl(**control))

    def answer(self, frames: int = 1, **control: float) -> None:
        """One command, and wait for the frame that follows, so many times."""
        for _ in range(frames):
            seen = number_of(self.stamp(IMAGE))
            self.command(**control)
            self.until(lambda seen=seen: self.frame() > seen)

    def answer_until(self, condition: Callable[[], bool], frames: int = 20) -> None:
        """Answer frames with a full brake until what was published before has taken effect."""
        for _ in range(frames):
            self.answer(1, brake=1.0)
            if condition():
                return
        raise AssertionError(f"not within {frames} frames")

    def place(self, pose: Pose) -> None:
        """The car, at rest."""

        def there() -> bool:
            odometry = self.last("odometry")
            at, speed = odometry.pose.pose.position, odometry.twist.twist.linear
            off_m = math.hypot(at.x - pose.position.x, at.y - pose.position.y)
            return off_m < 0.05 and abs(speed.x) < 0.01

        self.publish("control/set_target_velocity", Twist())
        self.publish("control/set_transform", pose)
        self.answer_until(there)
        self.answer(2, brake=1.0)

    def call(self, service: str, **fields: object) -> Any:
        client = self._services[service]
        assert client.wait_for_service(timeout_sec=PATIENCE_S)
        future = client.call_async(SERVICES[service].Request(**fields))
        self.until(future.done)
        return future.result()
