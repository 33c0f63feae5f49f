# SPDX-License-Identifier: Apache-2.0
"""Real bags: drives of the embedded world, and the same ones stored and changed in other ways."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from td3_driver.bags.types import typestore
from td3_driver.bags.writing import open_writer
from td3_driver.driving.driver import Driver
from td3_driver.driving.roles import DrivingConfig, Policy, TransitionStore
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.closed_loop import Frame, drive, recorded
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

ROAD_SEED = 3
TYPES = typestore()
# What a change makes of a message: its topic, time, type and fields, or nothing.
Change = Callable[[str, int, str, Any], Iterator[tuple[str, int, str, Any]]]


def drive_into(
    path: Path,
    frames: int,
    policy: Policy,
    *,
    config: DrivingConfig,
    recorder: TransitionStore | None = None,
    road_map: RoadMap | None = None,
    seed: int = 5,
    lights: bool = False,
) -> list[Frame]:
    """Drive and write a bag; what was driven."""
    roads = road_map or RoadMap(generate_opendrive(ROAD_SEED), "loop")
    world = Simulation(WorldConfig(seed=ROAD_SEED, lights=lights).through(config.view), roads)
    driver = Driver(config, policy, recorder, seed)
    with DriveRecorder(open_writer(path), roads, world.config) as bag:
        return list(islice(recorded(drive(driver, world), driver, bag), frames))


def unchanged(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    yield topic, time_ns, kind, message


def rewrite(
    source: Path,
    target: Path,
    change: Change = unchanged,
    storage: StoragePlugin = StoragePlugin.MCAP,
    compression: CompressionMode = CompressionMode.NONE,
    times_ns: tuple[int, int] = (0, 2**62),
) -> Path:
    """The same bag, stored in another way and with other messages."""
    writer = Writer(target, version=9, storage_plugin=storage)
    writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: dict[tuple[str, str], Any] = {}
    with Reader(source) as reader, writer:
        for connection, time_ns, data in reader.messages():
            if not times_ns[0] <= time_ns < times_ns[1]:
                continue
            message = TYPES.deserialize_cdr(data, connection.msgtype)
            for topic, when_ns, kind, other in change(
                connection.topic, time_ns, connection.msgtype, message
            ):
                key = (topic, kind)
                if key not in connections:
                    connections[key] = writer.add_connection(topic, kind, typestore=TYPES)
                writer.write(connections[key], when_ns, TYPES.serialize_cdr(other, kind))
    return target


def reordered(
    source: Path,
    target: Path,
    when_ns: Callable[[str, int, bytes], int],
    until_ns: int = 2**62,
    *,
    with_quality: bool = True,
) -> Path:
    """The same messages up to a time, in the order in which a recorder heard them.

    Args:
        source, target: the bags.
        when_ns: when a message was heard, by its topic, when it was sent, and itself.
        until_ns: sent before that.
        with_quality: the quality of service is known.
    """
    writer = open_writer(target)
    with Reader(source) as reader:
        connections = {
            connection.topic: writer.add_connection(
                connection.topic,
                connection.msgtype,
                typestore=TYPES,
                offered_qos_profiles=connection.ext.offered_qos_profiles if with_quality else (),
            )
            for connection in reader.connections
        }
        heard = [
            (when_ns(connection.topic, time_ns, data), number, connection.topic, bytes(data))
            for number, (connection, time_ns, data) in enumerate(reader.messages())
            if time_ns < until_ns
        ]
    for time_ns, _, topic, data in sorted(heard):
        writer.write(connections[topic], time_ns, data)
    writer.close()
    return target


def without(*topics: str) -> Change:
    """A change that leaves topics out, by the end of their names."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if not topic.endswith(topics):
            yield topic, time_ns, kind, message

    return change


def split(source: Path, target: Path, storage: StoragePlugin, at_ns: int) -> Path:
    """The same bag as two files, as rosbag2 does it with --max-bag-duration."""
    suffix = ".mcap" if storage is StoragePlugin.MCAP else ".db3"
    target.mkdir()
    parts = []
    for number, times_ns in enumerate([(0, at_ns), (at_ns, 2**62)]):
        part = rewrite(
            source, target.with_name(f"{target.name}_part{number}"), storage=storage,
            times_ns=times_ns,
        )  # fmt: skip
        next(part.glob(f"*{suffix}")).rename(target / f"{target.name}_{number}{suffix}")
        parts.append(yaml.safe_load((part / "metadata.yaml").read_text()))
    whole, other = (part["rosbag2_bagfile_information"] for part in parts)
    counts = {
        topic["topic_metadata"]["name"]: topic["message_count"]
        for topic in other["topics_with_message_count"]
    }
    for topic in whole["topics_with_message_count"]:
        topic["message_count"] += counts.get(topic["topic_metadata"]["name"], 0)
    whole["relative_file_paths"] = [f"{target.name}_{number}{suffix}" for number in (0, 1)]
    whole["message_count"] += other["message_count"]
    whole["duration"]["nanoseconds"] = (
        other["starting_time"]["nanoseconds_since_epoch"]
        + other["duration"]["nanoseconds"]
        - whole["starting_time"]["nanoseconds_since_epoch"]
    )
    (target / "metadata.yaml").write_text(yaml.safe_dump(parts[0]))
    return target


def as_humble_wrote_it(source: Path, target: Path) -> Path:
    """An SQLite bag without message definitions: schema 3, metadata version 5."""
    rewrite(source, target, storage=StoragePlugin.SQLITE3)
    (file,) = target.glob("*.db3")
    with sqlite3.connect(file) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE schema SET schema_version = 3")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    database.close()
    about = yaml.safe_load((target / "metadata.yaml").read_text())
    about["rosbag2_bagfile_information"]["version"] = 5
    for topic in about["rosbag2_bagfile_information"]["topics_with_message_count"]:
        del topic["topic_metadata"]["type_description_hash"]
        topic["topic_metadata"]["offered_qos_profiles"] = ""
    (target / "metadata.yaml").write_text(yaml.safe_dump(about))
    return target
