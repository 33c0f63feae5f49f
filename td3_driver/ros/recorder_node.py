# SPDX-License-Identifier: Apache-2.0
"""Recording of topics into a bag (MCAP), in its own process so that driving never waits.

Messages are written as they came, without decoding. `config/record_topics.yaml` lists the topics,
and says how to pass them to rosbag2's own recorder.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import SubscriptionEventCallbacks

from td3_driver.bags.types import typestore
from td3_driver.bags.writing import check_new, open_writer, quality
from td3_driver.driving.messages.topics import TYPES, Topic, topic_of
from td3_driver.ros.conversions import class_of
from td3_driver.ros.process import ForeseenError, Stop, foreseen, run_node
from td3_driver.share import share_directory

# The most messages that wait in memory while the disk is slow.
DEPTH = 200
QUIET_S = 0.2
RECORDING = "recording into"
LAST_MESSAGES_S = 5.0
_FRONT = "/rgb_front/"  # the camera in the topics of `config/record_topics.yaml`


class RecorderNode(Node):
    """Subscribes to the topics and writes their messages."""

    def __init__(self) -> None:
        with foreseen():
            super().__init__("td3_recorder")
            given: list[str] = self.declare_parameter("record.topics", [""]).value
            self._path = Path(self.declare_parameter("storage.uri", "").value)
            topics = [_topic(name) for name in given]
            self._writer = open_writer(self._path)
        self._lost: Counter[str] = Counter()
        self._newest_s = time.monotonic()
        store = typestore()
        for topic in topics:
            self._record(topic, store)

    def spin(self, executor: SingleThreadedExecutor, stop: Stop) -> int:
        """Record until asked to stop, then what is still on its way; return the exit code.

        Raises:
            ForeseenError: the bag cannot be written.
        """
        with self._closing():
            while not stop.requested:
                executor.spin_once(timeout_sec=0.5)
            end_s = time.monotonic() + LAST_MESSAGES_S
            while time.monotonic() < min(end_s, self._newest_s + QUIET_S):
                executor.spin_once(timeout_sec=QUIET_S)
        counts = self._writer.counts
        lost = ", ".join(f"{count} of {topic}" for topic, count in sorted(self._lost.items()))
        self.get_logger().info(
            f"recorded {sum(counts.values())} messages into {self._path}, lost {lost or 'none'}"
        )
        return 0

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the bag in any case: its index is written last."""
        try:
            yield
        finally:
            with self._writing():
                self._writer.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise ForeseenError(f"bag {self._path}: cannot be written ({reason})") from error

    def _record(self, topic: Topic, store: Any) -> None:
        connection = self._writer.add_connection(
            topic.name,
            topic.type,
            typestore=store,
            offered_qos_profiles=[quality(latched=topic.latched)],
        )
        self.create_subscription(
            class_of(topic.type),
            topic.name,
            partial(self._write, connection),
            QoSProfile(
                depth=DEPTH,
                reliability=ReliabilityPolicy.RELIABLE,
                durability=(
                    DurabilityPolicy.TRANSIENT_LOCAL
                    if topic.latched
                    else DurabilityPolicy.VOLATILE
                ),
            ),
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                message_lost=partial(self._note_lost, connection)
            ),
        )

    def _write(self, connection: Any, data: bytes) -> None:
        self._newest_s = time.monotonic()
        if not self._writer.counts[connection.id] and connection.topic.endswith("/image"):
            self.get_logger().info(f"{RECORDING} {self._path}")  # the world publishes
        with self._writing():
            self._writer.write(connection, time.time_ns(), data)

    def _note_lost(self, connection: Any, lost: Any) -> None:
        # At the first message DDS counts messages sent before the subscription as lost.
        if self._writer.counts[connection.id] > 1:
            self._lost[connection.topic] += lost.total_count_change


def _topic(name: str) -> Topic:
    try:
        return topic_of(name)
    except KeyError:
        known = ", ".join(TYPES)
        raise ValueError(f"record.topics: {name!r} ends in none of {known}") from None


def recorder_parameters(folder: Path, cameras: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parameters for recording `config/record_topics.yaml` into a new bag.

    `cameras`: ids of the cameras whose topics are recorded, too, beside the usual one's.

    Raises:
        BagError: `folder` exists already.
    """
    check_new(folder)
    file = share_directory() / "config" / "record_topics.yaml"
    given: dict[str, Any] = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
    topics = list(given["record"]["topics"])
    topics += [
        topic.replace(_FRONT, f"/{camera}/")
        for camera in cameras
        for topic in topics
        if _FRONT in topic and f"/{camera}/" != _FRONT
    ]
    return {
        **given,
        "record": {**given["record"], "topics": topics},
        "storage": {**given["storage"], "uri": str(folder)},
    }


def main() -> None:
    """Run the recorder process."""
    run_node(RecorderNode, lambda node, executor, stop: node.spin(executor, stop))


if __name__ == "__main__":
    main()
