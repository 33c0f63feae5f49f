# SPDX-License-Identifier: Apache-2.0
"""world_node over real DDS, seen by a plain client, against the facts of carla_bridge.md."""

import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from carla_msgs.msg import (
    CarlaEgoVehicleControl,
    CarlaEgoVehicleInfo,
    CarlaEgoVehicleStatus,
    CarlaStatus,
    CarlaWorldInfo,
)
from geometry_msgs.msg import Pose, Twist
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32

from td3_driver.driving.road_map import RoadMap
from td3_driver.ros import names
from td3_driver.ros.conversions import stamp_ns, yaw_of

ROLE = "/carla/hero"
STEP_NS = 50_000_000


class Client:
    """Keeps the last message of each topic, and answers frames one by one."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        self.context.init(args=[])
        self.node = rclpy.create_node("client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.last: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        for topic, kind in (
            ("/carla/status", CarlaStatus),
            ("/clock", Clock),
            (f"{ROLE}/odometry", Odometry),
            (f"{ROLE}/vehicle_status", CarlaEgoVehicleStatus),
            (f"{ROLE}/speedometer", Float32),
            (f"{ROLE}/front/camera_info", CameraInfo),
            (f"{ROLE}/front/image", Image),
        ):
            self._listen(topic, kind, names.VOLATILE_10)
        self._listen("/carla/world_info", CarlaWorldInfo, names.LATCHED_10)
        self._listen(f"{ROLE}/vehicle_info", CarlaEgoVehicleInfo, names.LATCHED_10)
        publish = self.node.create_publisher
        self.control = publish(CarlaEgoVehicleControl, f"{ROLE}/vehicle_control_cmd", 10)
        self.set_transform = publish(Pose, f"{ROLE}/control/set_transform", 10)
        self.set_velocity = publish(Twist, f"{ROLE}/control/set_target_velocity", 10)

    def _listen(self, topic: str, kind: type, qos: object) -> None:
        def keep(message: object) -> None:
            self.last[topic] = message
            self.counts[topic] = self.counts.get(topic, 0) + 1

        self.node.create_subscription(kind, topic, keep, qos)

    def of(self, leaf: str) -> Any:
        return self.last[f"{ROLE}/{leaf}"]

    def until(self, condition: Callable[[], bool], within_s: float = 20.0) -> None:
        end_s = time.monotonic() + within_s
        while not condition():
            assert time.monotonic() < end_s, "nothing came"
            self.executor.spin_once(timeout_sec=0.1)

    def frame(self) -> int:
        image = self.last.get(f"{ROLE}/front/image")
        return -1 if image is None else stamp_ns(image.header.stamp) // STEP_NS

    def answer(self, frames: int = 1, **control: float) -> None:
        """One command, and wait for the frame that follows, so many times."""
        for _ in range(frames):
            seen = self.frame()
            self.control.publish(CarlaEgoVehicleControl(**control))
            self.until(lambda seen=seen: self.frame() > seen)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client()
    parameters = ("role_name:=hero", "camera:=front", "image_width:=64", "image_height:=48")
    words = [word for parameter in parameters for word in ("-p", parameter)]
    world = subprocess.Popen(
        [sys.executable, "-m", "td3_driver.world.world_node", "--ros-args", *words],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        # Several frames: until then discovery may still be matching the client's publishers.
        client.until(lambda: client.counts.get(f"{ROLE}/front/image", 0) > 3)
        client.until(lambda: client.control.get_subscription_count() == 1)
        client.answer(2)
        yield client
    finally:
        client.executor.shutdown()
        client.node.destroy_node()
        client.context.try_shutdown()
        world.send_signal(signal.SIGINT)
        output, _ = world.communicate(timeout=10.0)
    assert world.returncode == 0
    assert "Traceback" not in output


def test_latched_information(client: Client) -> None:
    info = client.last["/carla/world_info"]
    assert RoadMap(info.opendrive, info.map_name).waypoints(5.0)
    car = client.of("vehicle_info")
    assert (car.type, car.rolename) == ("vehicle.tesla.model3", "hero")
    assert car.wheels[0].max_steer_angle == pytest.approx(1.22, abs=0.01)


@pytest.mark.parametrize(
    ("topic", "latched"),
    [("/carla/world_info", True), (f"{ROLE}/odometry", False), (f"{ROLE}/front/image", False)],
)
def test_qualities_of_service(client: Client, topic: str, latched: bool) -> None:
    (endpoint,) = client.node.get_publishers_info_by_topic(topic)
    assert endpoint.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    expected = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    assert endpoint.qos_profile.durability == expected


def test_every_tick_publishes_everything_once_with_one_stamp(client: Client) -> None:
    client.answer(1)
    before, first = dict(client.counts), client.frame()
    client.answer(20)
    assert client.frame() == first + 20
    for topic, count in client.counts.items():
        latched = topic.endswith(("world_info", "vehicle_info"))
        assert count - before[topic] == (0 if latched else 20), topic
    stamps = {
        stamp_ns(client.of(leaf).header.stamp)
        for leaf in ("odometry", "vehicle_status", "front/camera_info", "front/image")
    }
    assert stamps == {stamp_ns(client.last["/clock"].clock)} == {(first + 20) * STEP_NS}
    assert client.last["/carla/status"].frame == first + 20
    assert client.last["/carla/status"].synchronous_mode_running


def test_image_and_camera_info(client: Client) -> None:
    image, info = client.of("front/image"), client.of("front/camera_info")
    assert (image.encoding, image.width, image.height, image.step) == ("bgra8", 64, 48, 256)
    assert len(image.data) == 64 * 48 * 4
    assert image.header.frame_id == info.header.frame_id == "hero/front"
    focal = 64 / (2 * math.tan(90.0 * math.pi / 360.0))
    assert list(info.k) == pytest.approx([focal, 0, 32, 0, focal, 24, 0, 0, 1])
    assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)


def test_frames_of_odometry(client: Client) -> None:
    odometry = client.of("odometry")
    assert (odometry.header.frame_id, odometry.child_frame_id) == ("map", "hero")


def place_on_the_first_lane(client: Client) -> None:
    """At rest in the middle of a long straight is not needed: only open space and a known yaw."""
    client.answer(40, brake=1.0)
    pose = Pose()
    pose.position.x, pose.position.y = client.start
    pose.orientation.w = 1.0
    client.set_velocity.publish(Twist())
    client.set_transform.publish(pose)
    client.answer(3, brake=1.0)
    odometry = client.of("odometry")
    assert odometry.pose.pose.position.x == pytest.approx(pose.position.x, abs=0.05)
    assert yaw_of(odometry.pose.pose.orientation) == pytest.approx(0.0, abs=1e-3)
    assert abs(odometry.twist.twist.linear.x) < 0.01


@pytest.fixture
def placed(client: Client) -> Client:
    info = client.last["/carla/world_info"]
    waypoint = RoadMap(info.opendrive, "map").waypoints(5.0)[0]
    location = waypoint.transform.location
    client.start = (location.x, -location.y)  # type: ignore[attr-defined]
    place_on_the_first_lane(client)
    return client


@pytest.mark.parametrize(("steer", "turn"), [(0.3, -1.0), (-0.3, 1.0)])
def test_steer_plus_one_is_right(placed: Client, steer: float, turn: float) -> None:
    placed.answer(25, throttle=0.6, steer=steer)
    odometry, status = placed.of("odometry"), placed.of("vehicle_status")
    assert math.copysign(1.0, odometry.twist.twist.angular.z) == turn
    assert math.copysign(1.0, yaw_of(odometry.pose.pose.orientation)) == turn
    assert odometry.twist.twist.linear.x > 0.5
    assert placed.of("speedometer").data == pytest.approx(odometry.twist.twist.linear.x, abs=1e-5)
    assert status.velocity >= odometry.twist.twist.linear.x - 1e-5
    assert status.control.steer == pytest.approx(steer)
    assert status.control.header.stamp.sec == 0


def test_target_velocity_is_in_the_body_frame(placed: Client) -> None:
    twist = Twist()
    twist.linear.x = 6.0
    placed.set_velocity.publish(twist)
    placed.answer(3)
    assert placed.of("odometry").twist.twist.linear.x == pytest.approx(6.0, abs=0.5)


def test_without_a_command_the_world_ticks_after_its_patience(client: Client) -> None:
    client.answer(1, brake=1.0)
    seen, started_s = client.frame(), time.monotonic()
    client.until(lambda: client.frame() > seen, within_s=5.0)
    assert 0.8 < time.monotonic() - started_s < 2.0
    client.answer(3, brake=1.0)
