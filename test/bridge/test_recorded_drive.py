# SPDX-License-Identifier: Apache-2.0
"""A drive that `evaluate --record` writes, held against the live topics of the same drive."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import rclpy
from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose, Twist
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosbags.rosbag2 import Reader
from std_msgs.msg import Header

from td3_driver.bags.types import typestore
from td3_driver.bags.writing import open_writer
from td3_driver.driving.driver import Driver
from td3_driver.driving.messages.decoding import control_of, stamp_ns
from td3_driver.driving.messages.encoding import set_control
from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.driving.messages.topics import LIGHTS_INFO, LIGHTS_STATUS
from td3_driver.driving.reset import PLACE_ABOVE_GROUND_M
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.evaluation.drive_recorder import (
    CONTROL,
    IMAGE,
    RECORDED,
    ROLE,
    DriveRecorder,
)
from td3_driver.evaluation.policies import Pursuit
from td3_driver.ros.conversions import (
    class_of,
    path_message,
    pose_message,
    stamp_of,
)
from td3_driver.ros.driver.intake import Intake, Sighting
from td3_driver.ros.names import EgoTopics
from td3_driver.ros.wires import Wires
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.loop import advance
from td3_driver.world.simulation import Simulation, Tick, WorldConfig

from ..carla_server.lit_streets import lit_streets
from .client import STEP_NS, World

FRAMES, LONGEST = 300, 2000
CONFIG = WorldConfig(
    seed=4,
    cameras=(CameraConfig(width_px=64, height_px=48),),
    traffic=20,
    pedestrians=6,
    lights=True,
)
STORE = typestore()
STATUS = f"{ROLE}/vehicle_status"
PER_TICK = (IMAGE, STATUS, f"{ROLE}/odometry", f"{ROLE}/objects")
Heard = dict[str, list[tuple[int, Any]]]  # by topic: the tick's time, the message


def command_of(control: Control, stamp: Time) -> CarlaEgoVehicleControl:
    message = CarlaEgoVehicleControl(header=Header(stamp=stamp))
    set_control(message, control)
    return message


class Live:
    """Hears the topics that a drive is recorded from, and sends what moves the car."""

    def __init__(self) -> None:
        self.context = rclpy.Context()
        self.context.init(args=[])
        self.node = rclpy.create_node("client", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.heard: Heard = {topic: [] for topic in RECORDED}
        self.kept = [self._keep(topic) for topic in RECORDED]
        self.wires, self.seen = Wires(self.node), list[Sighting]()
        self.intake = Intake(
            self.wires, EgoTopics("ego_vehicle", "rgb_front", "control"), True, Sync("exact"),
            print, self.seen.append, users=True, obeyed=True,
        )  # fmt: skip
        self.intake.begin()
        sent: dict[str, tuple[type, bool]] = {
            CONTROL: (CarlaEgoVehicleControl, False),
            f"{ROLE}/control/set_transform": (Pose, False),
            f"{ROLE}/control/set_target_velocity": (Twist, False),
            "/td3_driver/route": (PathMessage, True),
        }
        self.publishers = {
            topic: self.node.create_publisher(kind, topic, quality(latched))
            for topic, (kind, latched) in sent.items()
        }

    def close(self) -> None:
        self.executor.shutdown()
        self.wires.cut()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _keep(self, topic: str) -> object:
        def keep(raw: bytes) -> None:
            message = STORE.deserialize_cdr(raw, RECORDED[topic].type)
            if getattr(message, "hand_brake", False):
                return  # of `connect`, not of the drive
            stamped = message.transforms[0] if topic == "/tf" else message
            when_ns = stamp_ns(stamped.header.stamp) if hasattr(stamped, "header") else 0
            self.heard[topic].append((when_ns, message))

        qos = quality(RECORDED[topic].latched)
        kind = class_of(RECORDED[topic].type)
        return self.node.create_subscription(kind, topic, keep, qos, raw=True)

    def until(self, condition: Callable[[], bool]) -> None:
        end_s = time.monotonic() + 60.0
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            self.executor.spin_once(timeout_sec=0.1)

    def newest_ns(self) -> int:
        """The last tick, once all that comes in each tick has come, for the driver as well."""
        newest = {self.heard[topic][-1][0] if self.heard[topic] else -1 for topic in PER_TICK}
        newest.add(stamp_ns(self.seen[-1].odometry.header.stamp) if self.seen else -1)
        return newest.pop() if len(newest) == 1 else -1

    def send(self, leaf: str, message: object) -> None:
        self.publishers[leaf if leaf in self.publishers else f"{ROLE}/{leaf}"].publish(message)

    def connect(self) -> dict[int, Control]:
        """Until the world obeys, and waits for every answer; the commands that it carried out.

        A world that nobody drives yet goes on by itself.
        """
        self.until(lambda: all(p.get_subscription_count() for p in self.publishers.values()))
        begin = Control(brake=1.0, hand_brake=True)  # which no policy does
        while not any(said.control.hand_brake for _, said in self.heard[STATUS]):
            seen_ns = self.newest_ns()
            stamp = stamp_of(max(seen_ns, 0))  # the world takes no command for a tick gone by
            self.send("vehicle_control_cmd", command_of(begin, stamp))
            self.until(lambda seen_ns=seen_ns: self.newest_ns() > seen_ns)
        return {when: control_of(said.control) for when, said in self.heard[STATUS]}


def quality(latched: bool) -> QoSProfile:
    durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
    return QoSProfile(depth=600, durability=durability)


def drive_both(live: Live, world: Simulation, recorder: DriveRecorder) -> Iterator[Tick]:
    """The same drive over topics and in this process, where it is recorded.

    By a pursuit that is blind to traffic, and on until it has struck somebody.
    """
    config = DrivingConfig()
    driver = Driver(config, Pursuit(config), None, 2)
    driver.set_map(world.road_map)
    done = live.connect()
    last_ns, tick = live.newest_ns(), world.step(done.get(STEP_NS, Control()))
    while tick.stamp_ns < last_ns:
        tick = world.step(done.get(tick.stamp_ns + STEP_NS, Control()))
    driver.observe(tick.image, tick.ego)
    episodes = frames = 0
    struck = False
    while frames < FRAMES or (not struck and frames < LONGEST):
        yield tick
        frames, struck = frames + 1, struck or bool(tick.collisions)
        command = driver.decide()
        recorder.tick(tick)
        if driver.episodes > episodes and driver.route is not None:
            episodes = driver.episodes
            recorder.route(tick.stamp_ns, driver.route)
            header = Header(stamp=stamp_of(tick.stamp_ns), frame_id="map")
            points_m = driver.route.points_m.tolist()
            live.send("/td3_driver/route", path_message(points_m, header))
        recorder.command(tick.stamp_ns, command.control)
        if command.halt:
            live.send("control/set_target_velocity", Twist())
        if command.place is not None:
            place = pose_message(command.place, PLACE_ABOVE_GROUND_M)
            live.send("control/set_transform", place)
        stamp = stamp_of(tick.stamp_ns)
        live.send("vehicle_control_cmd", command_of(command.control, stamp))
        tick, _ = advance(world, driver, command)
        live.until(lambda due_ns=tick.stamp_ns: live.newest_ns() == due_ns)


@dataclasses.dataclass(frozen=True)
class Both:
    """A drive as it was heard, as the driver saw it, as it was recorded, and its ticks."""

    live: Heard
    seen: list[Sighting]
    recorded: Heard
    ticks: list[Tick]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tmp_path_factory.mktemp("drive")
    roads = RoadMap(lit_streets(4), "town")
    (folder / "town.xodr").write_text(roads.opendrive)
    parameters = (
        "role_name:=ego_vehicle", "camera:=rgb_front", f"map:={folder / 'town.xodr'}",
        f"seed:={CONFIG.seed}", f"traffic:={CONFIG.traffic}",
        f"pedestrians:={CONFIG.pedestrians}", "lights:=true", "control_patience_s:=60.0",
        "ignore_late_commands:=true",
    )  # fmt: skip
    live = Live()
    try:
        live.intake.lights.set_map(roads)
        with World(*parameters):
            with DriveRecorder(open_writer(folder / "bag"), roads, CONFIG) as recorder:
                ticks = list(drive_both(live, Simulation(CONFIG, roads), recorder))
            recorded: Heard = {topic: [] for topic in RECORDED}
            with Reader(folder / "bag") as reader:
                for connection, when_ns, raw in reader.messages():
                    message = STORE.deserialize_cdr(raw, connection.msgtype)
                    recorded[connection.topic].append((when_ns, message))
            # Topics do not wait for each other: the last of one may come after the last of all.
            first_ns = ticks[0].stamp_ns
            live.until(
                lambda: all(
                    len(during(live.heard[topic], first_ns)) >= len(recorded[topic])
                    for topic in RECORDED
                )
            )
            # These have no stamp, and some were told before the drive began.
            told = recorded[LIGHTS_STATUS]
            shown = [states(message) for _, message in told]
            live.until(
                lambda: (
                    [states(message) for _, message in live.heard[LIGHTS_STATUS]][-len(shown) :]
                    == shown
                )
            )
            newest = live.heard[LIGHTS_STATUS][-len(shown) :]
            live.heard[LIGHTS_STATUS] = [
                (when_ns, message) for (when_ns, _), (_, message) in zip(told, newest, strict=True)
            ]
    finally:
        live.close()
    return Both(live.heard, live.seen, recorded, ticks)


def states(message: Any) -> list[int]:
    return [light.state for light in message.traffic_lights]


def during(heard: list[tuple[int, Any]], first_ns: int) -> list[tuple[int, Any]]:
    """What was heard since a drive began.

    Without a header it is latched: what was there at the beginning, and what came since.
    """
    return [(when or first_ns, message) for when, message in heard if not when or when >= first_ns]


def flat(message: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a message with its full name."""
    if dataclasses.is_dataclass(message):
        for field in dataclasses.fields(message):
            yield from flat(getattr(message, field.name), f"{name}.{field.name}")
    elif isinstance(message, list):
        yield f"{name}.length", len(message)
        for number, element in enumerate(message):
            yield from flat(element, f"{name}[{number}]")
    else:
        yield name, message.tolist() if isinstance(message, np.ndarray) else message


def alike(one: Any, other: Any) -> bool:
    """The same; a yaw that went over a topic, as a quaternion, comes back to a last digit."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return bool(one == other)


@pytest.mark.parametrize("topic", RECORDED)
def test_every_field_is_the_live_topic_s(both: Both, topic: str) -> None:
    heard = [
        (when_ns, message)
        for when_ns, message in during(both.live[topic], both.ticks[0].stamp_ns)
        if when_ns <= both.ticks[-1].stamp_ns
    ]
    recorded = both.recorded[topic]
    assert recorded, "nothing to compare"
    assert [when_ns for when_ns, _ in recorded] == [when_ns for when_ns, _ in heard]
    for (when_ns, mine), (_, theirs) in zip(recorded, heard, strict=True):
        ours, live = dict(flat(mine)), dict(flat(theirs))
        assert ours.keys() == live.keys()
        differing = {name for name in ours if not alike(ours[name], live[name])}
        assert not differing, when_ns


def test_the_drive_has_what_can_be_told_wrongly(both: Both) -> None:
    """Others that turn and walk, speed up and slow down, and a collision with one of them."""
    objects = [each for _, array in both.recorded[f"{ROLE}/objects"] for each in array.objects]
    assert any(abs(each.twist.angular.z) > 0.1 for each in objects)
    assert any(abs(each.accel.linear.x) > 0.1 for each in objects)
    assert {each.classification for each in objects} == {
        objects[0].CLASSIFICATION_PEDESTRIAN, objects[0].CLASSIFICATION_CAR,
    }  # fmt: skip
    assert len(both.recorded[f"{ROLE}/collision"]) > 0
    assert len(both.recorded[LIGHTS_STATUS]) > 10


def test_lights_are_told_where_they_are_and_when_one_changes(both: Both) -> None:
    """As the bridge does: to begin with, and then what all show in the tick of a change."""
    shown = {tick.stamp_ns: tick.lights.tolist() for tick in both.ticks}
    changes = [
        when_ns
        for before, when_ns in zip([None, *shown], shown, strict=False)
        if before is None or shown[before] != shown[when_ns]
    ]
    seen = {stamp_ns(one.odometry.header.stamp): one.lights.tolist() for one in both.seen}
    assert {when_ns: seen[when_ns] for when_ns in shown} == shown
    told = both.recorded[LIGHTS_STATUS]
    assert [when_ns for when_ns, _ in told] == changes
    ((_, places),) = both.recorded[LIGHTS_INFO]
    ids = [light.id for light in places.traffic_lights]
    assert len(set(ids)) == len(ids) > 10
    for when_ns, message in told:
        assert states(message) == shown[when_ns]
        assert [light.id for light in message.traffic_lights] == ids
