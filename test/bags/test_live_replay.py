# SPDX-License-Identifier: Apache-2.0
"""`driver_node` in mode replay beside a bag that is played over real topics."""

from __future__ import annotations

import importlib
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader
from rosgraph_msgs.msg import Clock

from td3_driver.agent import TD3Agent
from td3_driver.configuration import configuration_from
from td3_driver.driving.messages.decoding import stamp_ns
from td3_driver.online.trained import Trained, load
from td3_driver.playback.open_loop import play_back
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions
from td3_driver.ros import diagnostics, names
from td3_driver.ros.conversions import stamp_of

from ..e2e.running import PATIENCE_S, Node
from .conftest import Drive
from .making import drive_into, reordered, rewrite, without
from .test_replay import actions

COUNTS = ("frames", "compared", "dropped_frames", "lost_messages", "time_jumps")
LOST = {"dropped_frames": 0, "lost_messages": 0}
PROPOSED = "/td3_driver/proposed_control"


# The order of announcing them: who hears of the last one has heard of the others.
HEARD = (
    "/world_info", "/route", "/vehicle_control_cmd", "/odometry", "/rgb_left/image",
    "/rgb_front/image",
)  # fmt: skip


def kind_of(name: str) -> Any:
    """The class of "package/msg/Name"."""
    package, _, kind = name.split("/")
    return getattr(importlib.import_module(f"{package}.msg"), kind)


def offered(connection: Connection, *, best_effort: bool) -> QoSProfile:
    """What rosbag2 offers, playing: `Rosbag2QoS::adapt_offer_to_recorded_offers`.

    But for its depth of ten: where a machine stands still, a message that is lost on the way is
    asked for after 3 s, and would be gone by then. No subscriber can tell the difference.
    """
    recorded = next(iter(connection.ext.offered_qos_profiles), None)
    latched = recorded is not None and recorded.durability.name == "TRANSIENT_LOCAL"
    lossy = best_effort and not latched
    return QoSProfile(
        depth=200,
        reliability=ReliabilityPolicy.BEST_EFFORT if lossy else ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class Player:
    """As `ros2 bag play --clock`: publishes a bag's bytes, and hears what is proposed."""

    def __init__(self, bag: Path, *, best_effort: bool = False) -> None:
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
            connections = sorted(
                reader.connections,
                key=lambda connection: [connection.topic.endswith(topic) for topic in HEARD],
            )
            self.publishers = {
                connection.topic: self._node.create_publisher(
                    kind_of(connection.msgtype),
                    connection.topic,
                    offered(connection, best_effort=best_effort),
                )
                for connection in connections
            }

    @property
    def node(self) -> rclpy.node.Node:
        return self._node

    def wait_for_listener(self) -> None:
        """Of each topic that is looked at in a replay: they are found one by one."""
        for topic, publisher in self.publishers.items():
            if topic.endswith(HEARD):
                self.spin_until(lambda found=publisher: found.get_subscription_count() > 0)
        self.spin_until(lambda: bool(self.status))

    def play_all(self) -> dict[int, CarlaEgoVehicleControl]:
        """Everything, as fast as it is heard; what was proposed at last, by stamp.

        A player does not wait. This one does, for DDS every few images, of which half a second is
        all that its shared memory holds, and for the listener every fifty, so that nothing is
        lost on a machine that is busy.
        """
        images = [found for topic, found in self.publishers.items() if topic.endswith("/image")]
        before, played = int(self.status["frames"]), 0
        stamps: dict[str, set[tuple[int, int]]] = {"image": set(), "odometry": set()}
        self.proposed.clear()
        with Reader(self._bag) as reader:
            for connection, _, data in reader.messages():
                self.publishers[connection.topic].publish(bytes(data))
                if (leaf := connection.topic.rpartition("/")[2]) in stamps:
                    stamps[leaf].add(struct.unpack_from("<iI", data, 4))
                if leaf != "image":
                    continue
                played += 1
                if played <= 10:  # so far Fast DDS asks every 3 s only what was lost
                    self.spin(0.05)
                elif played % 3 == 0:
                    assert all(each.wait_for_all_acked(Duration(seconds=30)) for each in images)
                if played % 50 == 0:
                    # Not so many as images: one topic may have been heard seconds after another.
                    at_least = before + len(stamps["image"] & stamps["odometry"]) - 30
                    self.spin_until(lambda n=at_least: int(self.status["frames"]) >= n)
        frames = before + len(stamps["image"] & stamps["odometry"])
        self.spin_until(lambda: int(self.status["frames"]) == frames)
        self.settle()
        return {stamp_ns(message.header.stamp): message for message in self.proposed}

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
        """Until no more is proposed, and all that was is heard."""
        count, since_s = -1, time.monotonic()
        while time.monotonic() - since_s < 1.0:
            self.spin(0.05)
            if len(self.proposed) != count:
                count, since_s = len(self.proposed), time.monotonic()

    def spin_until(self, condition: Any) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, str(self.status)
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


@pytest.fixture(scope="module")
def ros() -> Iterator[None]:
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def driver(drive: Drive, ros: None) -> Iterator[Node]:
    """It takes one recording after the other."""
    node = Node(
        "ros.driver.node", "mode:=replay", f"resume:={drive.checkpoint}", "use_sim_time:=true"
    )
    yield node
    node.kill()


@contextmanager
def playing(driver: Node, bag: Path, *, best_effort: bool = False) -> Iterator[Player]:
    """A player that the driver is ready for."""
    told = driver.output.count(names.READY_TO_PLAY)
    player = Player(bag, best_effort=best_effort)
    try:
        player.wait_for_listener()
        player.spin_until(lambda: driver.output.count(names.READY_TO_PLAY) > told)
        yield player
    except AssertionError:
        print(driver.process.poll(), driver.output)
        raise
    finally:
        player.close()


def own_actions(trained: Trained, bag: Path) -> dict[int, np.ndarray]:
    """What an offline replay of the bag gives, by stamp."""
    with Progress() as progress:
        offline = play_back(bag, trained.policy, trained.driving, ReadOptions(), progress)
    stamps = np.round(offline.rows["stamp_s"] * 1e9).astype(np.int64)
    return dict(zip(stamps.tolist(), actions(offline), strict=True))


def differences(
    trained: Trained, bag: Path, found: dict[int, CarlaEgoVehicleControl]
) -> tuple[set[int], float]:
    """Frames for which live and offline not both propose; the largest difference of the others."""
    wanted, safety = own_actions(trained, bag), trained.driving.safety
    rows = [
        (message.steer / safety.max_steer - wanted[stamp][0],
         message.throttle - message.brake - wanted[stamp][1])
        for stamp, message in found.items() if stamp in wanted
    ]  # fmt: skip
    return set(found) ^ set(wanted), float(np.abs(rows).max()) if rows else 0.0


def late(topic: str, time_ns: int, _: bytes) -> int:
    """Each route three frames after its first one."""
    return time_ns + (155_000_000 if topic.endswith("/route") else 0)


def as_heard(topic: str, time_ns: int, _: bytes) -> int:
    """On a clock of the recorder's own; topics have no order among each other."""
    delays_ns = np.random.default_rng([len(topic), time_ns // 1000]).integers(45_000_000)
    return 1_700_000_000_000_000_000 + time_ns + int(delays_ns)


@pytest.mark.parametrize(
    ("when_ns", "with_quality"), [(late, True), (as_heard, True), (as_heard, False)]
)
def test_live_equals_offline_in_whatever_order_it_was_recorded(
    when_ns: Any, with_quality: bool, drive: Drive, driver: Node, tmp_path: Path
) -> None:
    """One after the other to the same node: each bag is another recording."""
    bag = reordered(
        drive.bag, tmp_path / "bag", when_ns, 150 * 50_000_000, with_quality=with_quality
    )
    with playing(driver, bag) as player:
        before = {name: int(player.status[name]) for name in COUNTS}
        found = player.play_all()
        assert len(found) > 100
        assert differences(drive.trained, bag, found) == (set(), pytest.approx(0.0, abs=1e-6))
        compared = before["compared"] + len(found)
        player.spin_until(lambda: int(player.status["compared"]) == compared)
        assert {name: int(player.status[name]) - before[name] for name in LOST} == LOST
        assert float(player.status["steer_mae"]) < 1e-6
        assert float(player.status["throttle_brake_mae"]) < 1e-6
        assert float(player.status["latency_ms_p99"]) > 0.0


def test_it_moves_nothing(drive: Drive, driver: Node) -> None:
    with playing(driver, drive.bag) as player:
        # Its publishers are known before its name is.
        known = player.node.get_node_names_and_namespaces
        player.spin_until(lambda: ("td3_driver", "/") in known())
        published: set[str] = set()

        def found() -> bool:
            ours = player.node.get_publisher_names_and_types_by_node("td3_driver", "/")
            published.update(name for name, _ in ours)
            return PROPOSED in published

        player.spin_until(found)
    assert not [name for name in published if name.startswith("/carla/")]  # no reset, no command


def test_a_loop_begins_anew(drive: Drive, driver: Node) -> None:
    rounds, wanted = [], own_actions(drive.trained, drive.bag)
    with playing(driver, drive.bag) as player:
        before = {name: int(player.status[name]) for name in COUNTS}
        for _ in range(2):
            player.play(frames=60, answered=wanted)
            player.settle()
            rounds.append([(m.header.stamp.nanosec, m.steer, m.throttle) for m in player.proposed])
            player.proposed.clear()
        assert len(rounds[0]) > 20
        assert rounds[0] == rounds[1]
        player.spin_until(lambda: int(player.status["frames"]) == before["frames"] + 120)
        # From the recording before this one, too, unless it is the first.
        assert int(player.status["time_jumps"]) - before["time_jumps"] in (1, 2)


def test_without_recorded_routes_it_follows_the_lanes(
    drive: Drive, driver: Node, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", without("/route"))
    with playing(driver, bag) as player:
        player.play(frames=60)
        player.spin_until(lambda: len(player.proposed) > 40)


def test_a_camera_that_is_not_reliable_is_heard(drive: Drive, driver: Node) -> None:
    with playing(driver, drive.bag, best_effort=True) as player:
        before = int(player.status["frames"])
        player.play(frames=20)
        player.spin_until(lambda: int(player.status["frames"]) > before)


def test_asked_to_stop_it_says_what_came_of_it(driver: Node) -> None:
    assert driver.stop() == 0
    driver.wait_for("replay: frames")
    assert "Traceback" not in driver.output


def test_a_checkpoint_is_needed(tmp_path: Path) -> None:
    for given, reason in (
        ((), "parameter resume: empty; mode replay needs the checkpoint to ask"),
        ((f"resume:={tmp_path}/none.pth",), "none.pth"),
    ):
        node = Node("ros.driver.node", "mode:=replay", *given)
        assert node.wait() == 1
        assert reason in node.output
        assert "Traceback" not in node.output


def test_pictures_of_two_cameras_are_watched_together(tmp_path: Path, ros: None) -> None:
    left = {"id": "rgb_left", "y_m": 0.6, "yaw_deg": 75.0}
    view = {"size_px": 48, "cameras": ["rgb_front", left]}
    settings = configuration_from({"driving": {"view": view}}, "test")
    state_dim = settings.agent.cnn_features + settings.driving.spaces.vector_dim
    agent, file = TD3Agent(state_dim, config=settings.agent, seed=1), tmp_path / "td3_0.pth"
    agent.save_checkpoint(file, {"settings": settings.to_mapping()})
    trained, bag = load(file), tmp_path / "bag"
    drive_into(bag, 120, trained.policy, config=trained.driving)
    node = Node("ros.driver.node", "mode:=replay", f"resume:={file}", "use_sim_time:=true")
    try:
        with playing(node, bag) as player:
            found = player.play_all()
        assert len(found) > 60
        unlike, worst = differences(trained, bag, found)
        assert unlike == set()
        assert worst < 1e-5
        assert node.stop() == 0, node.output
        assert "/rgb_left/image" in node.output
    finally:
        node.kill()
