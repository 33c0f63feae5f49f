# SPDX-License-Identifier: Apache-2.0
"""`driver_node` in mode replay beside a bag that is played over real topics."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaEgoVehicleControl,
    CarlaEgoVehicleStatus,
    CarlaWorldInfo,
)
from derived_object_msgs.msg import ObjectArray
from diagnostic_msgs.msg import DiagnosticStatus
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import SingleThreadedExecutor
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from tf2_msgs.msg import TFMessage

from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import stamp_ns, stamp_of

from ..e2e.running import Node
from .conftest import Drive
from .making import rewrite, without
from .test_replay import actions, replayed

KINDS = {
    "carla_msgs/msg/CarlaWorldInfo": CarlaWorldInfo,
    "carla_msgs/msg/CarlaCollisionEvent": CarlaCollisionEvent,
    "carla_msgs/msg/CarlaEgoVehicleStatus": CarlaEgoVehicleStatus,
    "carla_msgs/msg/CarlaEgoVehicleControl": CarlaEgoVehicleControl,
    "derived_object_msgs/msg/ObjectArray": ObjectArray,
    "nav_msgs/msg/Odometry": Odometry,
    "nav_msgs/msg/Path": PathMessage,
    "sensor_msgs/msg/Image": Image,
    "tf2_msgs/msg/TFMessage": TFMessage,
}
PROPOSED = "/td3_driver/proposed_control"


class Player:
    """As `ros2 bag play --clock`: publishes a bag's bytes, and hears what is proposed."""

    def __init__(self, bag: Path) -> None:
        self._bag = bag
        self._node = rclpy.create_node("player")
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self.proposed: list[CarlaEgoVehicleControl] = []
        self.status: dict[str, str] = {}
        self._played = 0  # frames
        listen = self._node.create_subscription
        listen(CarlaEgoVehicleControl, PROPOSED, self.proposed.append, 1000)
        listen(DiagnosticStatus, "/td3_driver/replay", self._on_status, names.VOLATILE_10)
        self._clock = self._node.create_publisher(Clock, "/clock", 10)
        with Reader(bag) as reader:
            self.publishers = {
                connection.topic: self._node.create_publisher(
                    KINDS[connection.msgtype],
                    connection.topic,
                    names.LATCHED_10 if "world_info" in connection.topic else names.VOLATILE_10,
                )
                for connection in reader.connections
            }

    @property
    def node(self) -> rclpy.node.Node:
        return self._node

    def wait_for_listener(self) -> None:
        """Of each topic that is looked at in a replay: they are found one by one."""
        for topic, publisher in self.publishers.items():
            if not topic.endswith(("/collision", "/objects")):
                self.spin_until(lambda found=publisher: found.get_subscription_count() > 0)
        self.spin_until(lambda: bool(self.status))

    def play(self, *, frames: int, answered: Collection[int] = ()) -> None:
        """The first frames; after those with the stamps in `answered` wait for the proposal."""
        with Reader(self._bag) as reader:
            for connection, time_ns, data in reader.messages():
                if time_ns > frames * 50_000_000:
                    return
                self.publishers[connection.topic].publish(bytes(data))
                if connection.topic.endswith("vehicle_control_cmd"):
                    self._clock.publish(Clock(clock=stamp_of(time_ns)))
                    self._after_frame(time_ns, answered)

    def _after_frame(self, time_ns: int, answered: Collection[int]) -> None:
        self._played += 1
        if time_ns in answered:
            self.spin_until(
                lambda: bool(self.proposed) and stamp_ns(self.proposed[-1].header.stamp) == time_ns
            )
            return
        self.spin(0.03)
        if self._played % 5 == 0:  # a machine may stand for longer than ten messages queue
            self.spin_until(lambda: int(self.status["frames"]) >= self._played)

    def listened(self, end: str) -> bool:
        """Somebody listens to the topic with this end."""
        return any(
            publisher.get_subscription_count() > 0
            for topic, publisher in self.publishers.items()
            if topic.endswith(end)
        )

    def settle(self) -> None:
        """Until no more is proposed."""
        count, since_s = -1, time.monotonic()
        while time.monotonic() - since_s < 1.0:
            self.spin(0.05)
            if len(self.proposed) != count:
                count, since_s = len(self.proposed), time.monotonic()

    def spin_until(self, condition: Any) -> None:
        end_s = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < end_s
            self._executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()

    def spin(self, for_s: float) -> None:
        end_s = time.monotonic() + for_s
        while (left_s := end_s - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left_s)

    def _on_status(self, message: DiagnosticStatus) -> None:
        self.status = diagnostics.values(message)


@pytest.fixture
def ros() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def watching(drive: Drive, ros: None) -> Iterator[tuple[Node, Player]]:
    node = Node(
        "ros.driver_node", "mode:=replay", f"resume:={drive.checkpoint}", "use_sim_time:=true"
    )
    player = Player(drive.bag)
    try:
        player.wait_for_listener()
        yield node, player
    finally:
        node.kill()
        player.close()


def own_actions(drive: Drive) -> dict[int, np.ndarray]:
    """What an offline replay of the bag gives, by stamp."""
    offline = replayed(drive, drive.bag)
    stamps = np.round(offline.rows["stamp_s"] * 1e9).astype(np.int64)
    return dict(zip(stamps.tolist(), actions(offline), strict=True))


def test_it_proposes_what_it_did_and_moves_nothing(
    drive: Drive, watching: tuple[Node, Player]
) -> None:
    node, player = watching
    wanted = own_actions(drive)
    player.play(frames=150, answered=wanted)
    player.settle()
    found = {stamp_ns(message.header.stamp): message for message in player.proposed}
    assert len(found) >= 140 - 20
    for stamp, message in found.items():
        steer = message.steer / drive.trained.driving.safety.max_steer
        assert steer == pytest.approx(wanted[stamp][0], abs=1e-6)
        assert message.throttle - message.brake == pytest.approx(wanted[stamp][1], abs=1e-6)
    assert set(found) == {stamp for stamp in wanted if stamp <= 150 * 50_000_000}

    player.spin_until(lambda: int(player.status["compared"]) == len(found))
    assert float(player.status["steer_mae"]) < 1e-6
    assert float(player.status["throttle_brake_mae"]) < 1e-6
    assert float(player.status["latency_ms_p99"]) > 0.0
    published = {
        name for name, _ in player.node.get_publisher_names_and_types_by_node("td3_driver", "/")
    }
    assert PROPOSED in published
    assert not [name for name in published if name.startswith("/carla/")]  # no reset, no command
    assert node.stop() == 0
    assert "replay: frames 150" in node.output


def test_a_loop_begins_anew(drive: Drive, watching: tuple[Node, Player]) -> None:
    _, player = watching
    rounds, wanted = [], own_actions(drive)
    for _ in range(2):
        player.play(frames=60, answered=wanted)
        player.settle()
        rounds.append([(m.header.stamp.nanosec, m.steer, m.throttle) for m in player.proposed])
        player.proposed.clear()
    assert len(rounds[0]) > 20
    assert rounds[0] == rounds[1]
    player.spin_until(lambda: int(player.status["frames"]) == 120)
    assert int(player.status["time_jumps"]) == 1


def test_without_recorded_routes_it_follows_the_lanes(
    drive: Drive, tmp_path: Path, ros: None
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", without("/route"))
    node = Node("ros.driver_node", "mode:=replay", f"resume:={drive.checkpoint}")
    player = Player(bag)
    try:
        player.wait_for_listener()
        player.play(frames=60)
        player.settle()
        assert len(player.proposed) > 40
    finally:
        node.kill()
        player.close()


def test_a_checkpoint_is_needed(tmp_path: Path) -> None:
    for given, reason in (
        ((), "parameter resume: empty; mode replay needs the checkpoint to ask"),
        ((f"resume:={tmp_path}/none.pth",), "none.pth"),
    ):
        node = Node("ros.driver_node", "mode:=replay", *given)
        assert node.process.wait(30.0) == 1
        node.wait_for(reason)
        assert "Traceback" not in node.output
