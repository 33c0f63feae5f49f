# SPDX-License-Identifier: Apache-2.0
"""Transforms that the driver tells, and those that it leaves to others; over DDS, with rclpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
import rclpy
from geometry_msgs.msg import TransformStamped
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from td3_driver.ros import names
from td3_driver.ros.driver.transforms import LISTENED_FRAMES, Transforms
from td3_driver.ros.wires import Wires

OWN = "driver/map"


class Desk:
    """A driver's transforms, another node that may tell of frames, and what is heard of both."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        self._context.init(args=[])
        self._executor = SingleThreadedExecutor(context=self._context)
        self._driver, self._other = self._node("driver"), self._node("other")
        self.wires = Wires(self._driver)
        self.moving: list[TransformStamped] = []
        self.fixed: list[TransformStamped] = []
        self._other.create_subscription(TFMessage, "/tf", self._on_moving, 100)
        latched = names.LATCHED_10
        self._other.create_subscription(TFMessage, "/tf_static", self._on_fixed, latched)
        self.told = self._other.create_publisher(TFMessage, "/tf", 10)
        self.transforms = Transforms(self.wires)

    def _node(self, name: str) -> Node:
        node = rclpy.create_node(name, context=self._context)
        self._executor.add_node(node)
        return node

    def _on_moving(self, message: TFMessage) -> None:
        self.moving += message.transforms

    def _on_fixed(self, message: TFMessage) -> None:
        self.fixed += message.transforms

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 120.0
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            self._executor.spin_once(timeout_sec=0.1)

    def drive(self, frames: int, odometry: Callable[[], Odometry]) -> None:
        """So many frames, with what is on its way served between them."""
        for _ in range(frames):
            self.transforms.publish(odometry())
            self._executor.spin_once(timeout_sec=0.0)

    def close(self) -> None:
        self._executor.shutdown()
        self.wires.cut()
        for node in (self._driver, self._other):
            node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


def odometry(map_frame: str = "map", car_frame: str = "hero", x_m: float = 3.0) -> Odometry:
    message = Odometry(child_frame_id=car_frame)
    message.header.frame_id, message.header.stamp.sec = map_frame, 7
    pose = message.pose.pose
    pose.position.x, pose.position.y, pose.position.z = x_m, -2.0, 0.5
    pose.orientation.z = pose.orientation.w = 0.5**0.5
    return message


def names_of(transform: TransformStamped) -> tuple[str, str]:
    return transform.header.frame_id, transform.child_frame_id


@pytest.mark.parametrize("slash", ["", "/"])
def test_of_a_car_of_which_nobody_tells_the_odometry_does(desk: Desk, slash: str) -> None:
    """tf2 refuses the slash that old publishers still write."""
    desk.drive(LISTENED_FRAMES - 1, lambda: odometry(f"{slash}carla_map", f"{slash}hero"))
    assert desk.wires.node.count_publishers("/tf") == 1  # the other, which has said nothing

    def told() -> bool:
        desk.drive(1, lambda: odometry(f"{slash}carla_map", f"{slash}hero"))
        return bool(desk.moving)

    desk.until(told)
    car = desk.moving[-1]
    assert names_of(car) == ("carla_map", "hero")
    assert car.header.stamp.sec == 7
    at, turned = car.transform.translation, car.transform.rotation
    assert (at.x, at.y, at.z) == (3.0, -2.0, 0.5)
    assert (turned.x, turned.y) == (0.0, 0.0)
    assert (turned.z, turned.w) == pytest.approx((0.5**0.5, 0.5**0.5))


def test_of_a_car_of_which_somebody_tells_it_does_not(desk: Desk) -> None:
    """Two would contradict each other. The bridge's cameras tell of themselves in any case."""
    desk.until(lambda: desk.told.get_subscription_count() == 2)
    theirs = [TransformStamped(child_frame_id=frame) for frame in ("hero/front", "hero")]
    heard = 0

    def drive() -> bool:
        nonlocal heard
        desk.told.publish(TFMessage(transforms=theirs))
        heard += 1
        desk.drive(1, odometry)
        return heard >= 2 * LISTENED_FRAMES and len(desk.moving) == 2 * heard

    desk.until(drive)
    assert {each.child_frame_id for each in desk.moving} == {"hero", "hero/front"}
    assert desk.wires.node.count_publishers("/tf") == 1
    desk.until(lambda: desk.wires.node.count_subscribers("/tf") == 1)  # it listens no longer


def test_its_own_frame_is_that_of_odometry_whatever_that_is_called(desk: Desk) -> None:
    """For those who come late, too, and again where another world has another name for it."""
    desk.drive(3, odometry)
    desk.until(lambda: bool(desk.fixed))
    desk.drive(3, lambda: odometry("carla_map"))
    desk.until(lambda: len(desk.fixed) > 1)
    assert [names_of(each) for each in desk.fixed] == [("map", OWN), ("carla_map", OWN)]
    still = TransformStamped().transform
    assert all(each.transform == still for each in desk.fixed)


@pytest.mark.parametrize(
    "spoilt", [odometry(x_m=float("nan")), odometry(map_frame=""), odometry(car_frame="")]
)
def test_what_is_nowhere_is_told_of_by_nobody(desk: Desk, spoilt: Odometry) -> None:
    desk.drive(2 * LISTENED_FRAMES, lambda: spoilt)
    desk.told.publish(TFMessage(transforms=[TransformStamped(child_frame_id="last")]))
    desk.until(lambda: bool(desk.moving))
    assert [each.child_frame_id for each in desk.moving] == ["last"]
