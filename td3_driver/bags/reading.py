# SPDX-License-Identifier: Apache-2.0
"""Reads the messages of some topics of a bag, without ROS.

The other topics may be of unknown types and may be damaged. Whatever is wrong with a topic that is
read is reported in one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backports import zstd
from rosbags.interfaces import Connection, ConnectionExtRosbag1

from td3_driver.bags.storage import BagError, Storage, one_line, open_storages, reason_of
from td3_driver.bags.types import typestore_of

__all__ = ["Bag", "BagError", "Recorded", "Topic"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # a message in CDR begins with 00 and 00 or 01
_ROS1 = "ros1"


@dataclass(frozen=True)
class Topic:
    """A topic of a bag. `count` is its number of messages, 0 if a broken file does not say."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Recorded:
    """A message of a bag.

    Attributes:
        topic: name of its topic.
        number: its position among the messages of the topic, from 1.
        time_ns: time of recording, ns.
        message: the message, with its fields as attributes.
    """

    topic: str
    number: int
    time_ns: int
    message: Any

    def __str__(self) -> str:
        return f"{self.topic}: message {self.number} (at {self.time_ns * 1e-9:.3f} s)"


class Bag:
    """An open bag; use it in a `with` statement.

    Args:
        path: a rosbag2 folder, one `.mcap` or `.db3` file, or a `.bag` file of ROS 1.

    Attributes:
        topics: the topics by name.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        BagError: it is no bag, or no file of it can be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._lines: list[str] = []
        self._left_out: dict[str, dict[int, str]] = {}  # why, by topic and number of message
        self._stack = ExitStack()
        try:
            self._storages = open_storages(self.path, self._stack, self.note)
            self.topics = self._topics()
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def warnings(self) -> list[str]:
        """A line for each thing that is unreadable or was decided; complete after reading."""
        lines = [*self._lines, *(self._about_left_out(topic) for topic in self._left_out)]
        return [one_line(line) for line in lines]

    def note(self, line: str) -> None:
        """Add a line to the warnings."""
        if line not in self._lines:
            self._lines.append(line)

    def leave_out(self, item: Recorded, reason: str) -> None:
        """Note that a message cannot be used."""
        reasons = self._left_out.setdefault(item.topic, {})
        reasons.setdefault(item.number, f"{item}: {reason}")

    def why_left_out(self, topic: str) -> str:
        """The first message of a topic that cannot be used, and the reason; empty if none is."""
        return next(iter(self._left_out.get(topic, {}).values()), "")

    def why_unreadable(self, topic: str) -> str:
        """Why no message of a topic can be read (its encoding or type); empty if they can be."""
        for connection in self._connections(topic):
            encoding = _encoding(connection)
            if encoding not in ("cdr", _ROS1):
                return (
                    f"{topic}: its messages are encoded as {encoding or 'nothing known'}; "
                    "expected cdr, as ros2 bag record writes"
                )
            try:
                typestore_of(connection.msgtype, connection.msgdef)
            except ValueError as error:
                return (
                    f"{topic}: its type {connection.msgtype} cannot be read: {error}; "
                    "record it anew with its package installed"
                )
        return ""

    def messages(self, *topics: str) -> Iterator[Recorded]:
        """The messages of these topics, in the order of recording.

        Messages that cannot be read are left out, see `warnings`.

        Raises:
            BagError: see `why_unreadable`.
        """
        for topic in topics:
            if why := self.why_unreadable(topic):
                raise BagError(f"bag {self.path}: {why}")
        numbers = dict.fromkeys(topics, 0)
        for storage in self._storages:
            wanted = [c for c in storage.connections if c.topic in topics]
            if not wanted:
                continue
            for connection, time_ns, data in self._stored(storage, wanted):
                numbers[connection.topic] += 1
                item = Recorded(connection.topic, numbers[connection.topic], time_ns, None)
                try:
                    message = _deserialized(connection, data)
                except Exception as error:  # noqa: BLE001 - it depends on what bytes are wrong
                    self.leave_out(item, reason_of(error))
                    continue
                yield Recorded(item.topic, item.number, time_ns, message)

    def _stored(
        self, storage: Storage, wanted: list[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """The undecoded messages of a file, up to where it is broken."""
        stream = storage.messages(wanted)
        while True:
            try:
                found = next(stream, None)
            except Exception as error:  # noqa: BLE001 - it depends on what bytes are wrong
                self.note(
                    f"bag {self.path}: broken ({reason_of(error)}); what comes before is read"
                )
                return
            if found is None:
                return
            yield found

    def _connections(self, topic: str) -> list[Connection]:
        return [c for s in self._storages for c in s.connections if c.topic == topic]

    def _about_left_out(self, topic: str) -> str:
        reasons = list(self._left_out[topic].values())
        more = f"; so are {len(reasons) - 1} more" if len(reasons) > 1 else ""
        return f"bag {self.path}: {reasons[0]}; left out{more}"

    def _topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for connection in (c for storage in self._storages for c in storage.connections):
            before = topics.get(connection.topic)
            count = connection.msgcount + (before.count if before else 0)
            topics[connection.topic] = Topic(connection.topic, connection.msgtype, count)
        if not topics:
            raise BagError(f"bag {self.path}: empty, it holds no topic")
        return topics


def _encoding(connection: Connection) -> str:
    ext = connection.ext
    return _ROS1 if isinstance(ext, ConnectionExtRosbag1) else ext.serialization_format


def _deserialized(connection: Connection, data: bytes) -> Any:
    types = typestore_of(connection.msgtype, connection.msgdef)
    if _encoding(connection) == _ROS1:
        return types.deserialize_ros1(data, connection.msgtype)
    if data[:4] == _ZSTD_MAGIC:
        data = zstd.decompress(data)
    return types.deserialize_cdr(data, connection.msgtype)
