# SPDX-License-Identifier: Apache-2.0
"""A topic that is not needed never matters; one that is needed is named with what is wrong."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import Reader, StoragePlugin

from td3_driver.bags.reading import Bag, BagError

from .conftest import Drive
from .foreign_mcap import Channel, write
from .making import rewrite
from .test_replay import actions, command, replayed

DATA = Path(__file__).parents[1] / "data"
SERVICE_EVENTS = DATA / "bag_service_event"
ODOMETRY = "/carla/ego_vehicle/odometry"


@pytest.mark.parametrize("name", ["service_event", "service_event_sqlite"])
def test_service_introspection_is_passed_over(
    name: str, drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--checkpoint", drive.checkpoint, "--out", tmp_path)
    assert command("replay", SERVICE_EVENTS / name, *words) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["frames"] == 30
    assert found["topics"]["image"] == "/camera/image_raw"
    assert "service_event" not in "".join(found["notes"]) + capsys.readouterr().err


def foreign(path: Path, source: Path, **how: Any) -> Path:
    """A drive's messages among those of other languages and of definitions that are noise."""
    noise = np.random.default_rng(0).bytes(200)
    channels = [
        Channel("/json", "foxglove.Log", "jsonschema", b'{"type": "object"}', "json"),
        Channel("/protobuf", "foxglove.SceneUpdate", "protobuf", noise, "protobuf"),
        Channel("/ros1", "std_msgs/String", "ros1msg", b"string data\n", "ros1"),
        Channel("/flat", "foxglove.Grid", "flatbuffer", noise, "flatbuffer"),
        Channel("/noise", "mine/msg/Noise", "ros2msg", noise),
        Channel("/idl", "mine/msg/Other", "ros2idl", b"module { noise"),
        Channel("/action", "mine/action/Go", "ros2msg", b"int32 a\n---\nint32 b\n---\nint32 c"),
        Channel("/unknown", "mine/msg/Nested", "ros2msg", b"nowhere/Thing thing\n"),
        Channel("/nothing", "mine/msg/Nothing", "unknown", b""),
        # Another definition of a type that is needed, on a topic that is not.
        Channel("/header", "std_msgs/msg/Header", "ros2msg", b"int8 other\n"),
    ]
    messages = [(n, 1, noise) for n in range(len(channels))]
    with Reader(source) as reader:
        numbers = {}
        for connection in reader.connections:
            numbers[connection.id] = len(channels)
            definition = connection.msgdef.data.encode()
            channels.append(Channel(connection.topic, connection.msgtype, "ros2msg", definition))
        messages += [
            (numbers[c.id], when_ns, bytes(data)) for c, when_ns, data in reader.messages()
        ]
    return write(path, channels, messages, **how)


@pytest.mark.parametrize("how", [{}, {"summary": False}, {"chunked": True}, {"profile": "ros2"}])
def test_other_languages_beside_do_no_harm(
    how: dict[str, Any], drive: Drive, tmp_path: Path
) -> None:
    found = replayed(drive, foreign(tmp_path / "bag.mcap", drive.bag, **how))
    assert np.array_equal(actions(found), actions(replayed(drive, drive.bag)))
    assert found.warnings == []


def with_definition(bag: Path, kind: str, encoding: str, text: str) -> None:
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        changed = database.execute(
            "UPDATE message_definitions SET encoding = ?, encoded_message_definition = ?"
            " WHERE topic_type = ?",
            (encoding, text, kind),
        )
        assert changed.rowcount == 1
    database.close()


def beside(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """Each odometry's header on a topic that nobody asks for."""
    yield topic, time_ns, kind, message
    if topic == ODOMETRY:
        yield "/beside", time_ns, "std_msgs/msg/Header", message.header


@pytest.mark.parametrize(
    ("encoding", "text"), [("ros2msg", "int8 a\n---\nint8 b"), ("unknown", ""), ("ros2idl", "{")]
)
def test_sqlite_definitions_that_nobody_needs_may_be_anything(
    encoding: str, text: str, drive: Drive, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", beside, StoragePlugin.SQLITE3)
    with_definition(bag, "std_msgs/msg/Header", encoding, text)
    found = replayed(drive, bag)
    assert found.warnings == []
    assert len(found.rows["steer"]) > 200


def test_a_needed_definition_that_is_noise_gives_way_to_the_known_one(
    drive: Drive, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", storage=StoragePlugin.SQLITE3)
    with_definition(bag, "nav_msgs/msg/Odometry", "ros2msg", "noise {")
    assert np.array_equal(actions(replayed(drive, bag)), actions(replayed(drive, drive.bag)))


def test_a_needed_type_that_nobody_knows_is_named(tmp_path: Path) -> None:
    channels = [Channel("/mine", "mine/msg/Type", "ros2msg", b"noise {")]
    with (
        Bag(write(tmp_path / "bag.mcap", channels, [(0, 1, b"")])) as bag,
        pytest.raises(BagError, match=r"/mine: its type mine/msg/Type cannot be read: .*") as no,
    ):
        list(bag.messages("/mine"))
    assert "\n" not in str(no.value)
    json_ = [Channel("/odom", "nav_msgs/msg/Odometry", "jsonschema", b"{}", "json")]
    with (
        Bag(write(tmp_path / "json.mcap", json_, [(0, 1, b"{}")])) as bag,
        pytest.raises(BagError, match=r"/odom: its messages are encoded as json; expected cdr"),
    ):
        list(bag.messages("/odom"))


def test_a_message_that_cannot_be_read_is_left_out_and_named(drive: Drive, tmp_path: Path) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", storage=StoragePlugin.SQLITE3)
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute(
            "UPDATE messages SET data = x'0001' WHERE timestamp IN (500000000, 600000000)"
            " AND topic_id IN (SELECT id FROM topics WHERE name = ?)",
            (ODOMETRY,),
        )
    database.close()
    found = replayed(drive, bag)
    (line,) = found.warnings
    assert f"{ODOMETRY}: message 10 (at 0.500 s): " in line
    assert line.endswith("left out; so are 1 more")
    assert found.counts["frames"] == 298


def test_a_type_with_other_fields_is_named(drive: Drive, tmp_path: Path) -> None:
    """The bag's own definition counts; where it lacks what is needed, that is said."""
    for number, (kind, text) in enumerate(
        [
            ("sensor_msgs/msg/Image", "uint8 data"),
            ("nav_msgs/msg/Odometry", "uint8 data"),
            ("carla_msgs/msg/CarlaEgoVehicleControl", "uint8 data"),
        ]
    ):
        bag = rewrite(drive.bag, tmp_path / f"bag{number}", storage=StoragePlugin.SQLITE3)
        with_definition(bag, kind, "ros2msg", text)
        (file,) = bag.glob("*.db3")
        with sqlite3.connect(file) as database:
            database.execute(
                "UPDATE messages SET data = x'0001000007' WHERE topic_id IN"
                " (SELECT id FROM topics WHERE type = ?)",
                (kind,),
            )
        database.close()
        if kind.endswith("Control"):
            (line,) = replayed(drive, bag).warnings
        else:
            with pytest.raises(BagError) as refused:
                replayed(drive, bag)
            line = str(refused.value)
        assert "message 1 (at 0.050 s): its fields are not those of the type" in line
        assert "\n" not in line
