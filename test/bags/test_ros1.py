# SPDX-License-Identifier: Apache-2.0
"""Bags of ROS 1, from the bridge of then: read as they are, or told how they can be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags import rosbag1
from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from td3_driver.bags.reading import Bag, BagError
from td3_driver.bags.types import known_types

from .conftest import Drive
from .foreign_mcap import Channel, write
from .making import TYPES
from .test_replay import actions, command, replayed

COMPRESSION = [None, *rosbag1.Writer.CompressionFormat]


def ros1_types() -> Typestore:
    """ROS 1's own types, and those of the bridge: the same but for the number in a header."""
    store = get_typestore(Stores.ROS1_NOETIC)
    bridge = {
        kind: definition
        for kind, definition in known_types().items()
        if kind.startswith(("carla_msgs/", "derived_object_msgs/", "tf2_msgs/"))
    }
    store.register(bridge)
    return store


ROS1 = ros1_types()


def as_ros1(message: Any, kind: str) -> Any:
    """A message of ROS 2 as one of ROS 1, field by field."""
    values: dict[str, Any] = {}
    for name, field in ROS1.fielddefs[kind][1]:
        if kind == "std_msgs/msg/Header" and name == "seq":
            values[name] = 7
            continue
        value = getattr(message, name if hasattr(message, name) else name.lower())
        node, content = int(field[0]), field[1]
        if node == 2:
            value = as_ros1(value, content)
        elif node in (3, 4) and int(content[0][0]) == 2:
            value = [as_ros1(one, content[0][1]) for one in value]
        values[name] = value
    return ROS1.types[kind](**values)


def unchanged(kind: str, data: bytes) -> bytes:
    return data


def ros1_bag(
    source: Path,
    target: Path,
    compression: Any = None,
    change: Callable[[str, bytes], bytes] = unchanged,
) -> Path:
    """The same drive as a bag of ROS 1."""
    writer = rosbag1.Writer(target)
    if compression is not None:
        writer.set_compression(compression)
    connections: dict[str, Any] = {}
    with Reader(source) as reader, writer:
        for connection, time_ns, data in reader.messages():
            kind = connection.msgtype
            if connection.topic not in connections:
                connections[connection.topic] = writer.add_connection(
                    connection.topic, kind, typestore=ROS1
                )
            message = as_ros1(TYPES.deserialize_cdr(data, kind), kind)
            stored = change(kind, bytes(ROS1.serialize_ros1(message, kind)))
            writer.write(connections[connection.topic], time_ns, stored)
    return target


@pytest.mark.parametrize("compression", COMPRESSION)
def test_a_drive_of_ros_1_is_the_same_drive(
    compression: Any, drive: Drive, tmp_path: Path
) -> None:
    bag = ros1_bag(drive.bag, tmp_path / "drive.bag", compression)
    found = replayed(drive, bag)
    original = replayed(drive, drive.bag)
    assert np.array_equal(actions(found), actions(original))
    assert np.array_equal(found.rows["driven_steer"], original.rows["driven_steer"])
    assert found.warnings == []
    assert found.log.road_map is not None


def test_prefill_and_folders_too(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "drives"
    folder.mkdir()
    ros1_bag(drive.bag, folder / "drive.bag")
    assert command("prefill", folder, "--out", tmp_path / "one.replay") == 0
    assert command("prefill", drive.bag, "--out", tmp_path / "two.replay") == 0
    assert (tmp_path / "one.replay").read_bytes() == (tmp_path / "two.replay").read_bytes()


def test_ros_1_messages_in_an_mcap_file(drive: Drive, tmp_path: Path) -> None:
    """As `mcap convert` makes them of a bag: ROS 1's names, definitions and bytes."""
    bag = ros1_bag(drive.bag, tmp_path / "drive.bag")
    channels, messages = [], []
    with rosbag1.Reader(bag) as reader:
        numbers = {c.id: n for n, c in enumerate(reader.connections)}
        for connection in reader.connections:
            kind = connection.msgtype.replace("/msg/", "/")
            text = connection.msgdef.data.encode()
            channels.append(Channel(connection.topic, kind, "ros1msg", text, "ros1"))
        messages = [(numbers[c.id], when_ns, data) for c, when_ns, data in reader.messages()]
    mcap = write(tmp_path / "drive.mcap", channels, messages, profile="ros1")
    assert np.array_equal(actions(replayed(drive, mcap)), actions(replayed(drive, drive.bag)))


def test_a_bag_that_was_cut_off_says_how_it_is_mended(drive: Drive, tmp_path: Path) -> None:
    bag = ros1_bag(drive.bag, tmp_path / "drive.bag")
    whole = bag.read_bytes()
    for name, content in {
        "cut": whole[: len(whole) // 2],
        "empty": b"",
        "noise": np.random.default_rng(0).bytes(5000),
        "head": whole[:4000],
        "old": b"#ROSBAG V1.2\n" + whole[13:],
    }.items():
        broken = tmp_path / f"{name}.bag"
        broken.write_bytes(content)
        with pytest.raises(BagError, match=r"not readable \(.*\); .*rosbag reindex") as refused:
            Bag(broken)
        assert str(broken) in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_bag_that_is_still_recorded_says_how_it_is_mended(tmp_path: Path) -> None:
    active = tmp_path / "drive.bag.active"
    active.write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(BagError, match=r"\.active is no rosbag2 file; .*rosbag reindex"):
        Bag(active)


def test_a_message_that_cannot_be_read_is_named(drive: Drive, tmp_path: Path) -> None:
    count = iter(range(10_000))

    def change(kind: str, data: bytes) -> bytes:
        return data[:10] if kind.endswith("/Odometry") and next(count) == 20 else data

    found = replayed(drive, ros1_bag(drive.bag, tmp_path / "drive.bag", change=change))
    (line,) = found.warnings
    assert "/odometry: message 21 (at 1.050 s): " in line
    assert found.counts["frames"] == 299


def test_definitions_of_the_bag_come_first(tmp_path: Path) -> None:
    """The bridge of then had fewer fields in a status."""
    kind = "carla_msgs/msg/CarlaEgoVehicleStatus"
    older = get_typestore(Stores.ROS1_NOETIC)
    older.register(get_types_from_msg("std_msgs/Header header\nfloat32 velocity\n", kind))
    bag = tmp_path / "older.bag"

    def stamped() -> Iterator[Any]:
        for number in range(3):
            time = older.types["builtin_interfaces/msg/Time"](sec=number, nanosec=0)
            header = older.types["std_msgs/msg/Header"](seq=1, stamp=time, frame_id="map")
            yield older.types[kind](header=header, velocity=float(number))

    with rosbag1.Writer(bag) as writer:
        connection = writer.add_connection("/status", kind, typestore=older)
        for message in stamped():
            time_ns = message.header.stamp.sec * 10**9
            writer.write(connection, time_ns, older.serialize_ros1(message, kind))
    with Bag(bag) as opened:
        assert [item.message.velocity for item in opened.messages("/status")] == [0.0, 1.0, 2.0]
