# SPDX-License-Identifier: Apache-2.0
"""What can be read of bag files whose end is missing: their recorder crashed, or a copy did.

`rosbags` reads whole files only: an MCAP file without its footer and an SQLite file shorter than
its header says are refused. Here they are read from the start, up to the break.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Generator, Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import McapReader

from td3_driver.bags.sqlite_pages import message_rows

_MCAP_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")  # opcode, length
_DATA_END, _FOOTER = 0x0F, 0x02
_DEFINITIONS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL}


class BrokenMcap(McapReader):
    """An MCAP file without an end: its whole records, in the order in which they were written."""

    def _open(self) -> None:
        assert self.bio is not None
        if self.bio.read(len(_MCAP_MAGIC)) != _MCAP_MAGIC:
            raise ReaderError("it does not begin as an MCAP file does")
        self.data_start = self.data_end = self._after_record()
        while (end := self._after_record()) > self.data_end:
            self.data_end = end
        self.meta_scan()
        assert self.statistics is not None
        counts = self.statistics.channel_message_counts
        self.connections = [c._replace(msgcount=counts.get(c.id, 0)) for c in self.connections]

    def _after_record(self) -> int:
        """Skip one record; where it ends, or where it begins if it is cut off or the last."""
        assert self.bio is not None
        begin = self.bio.tell()
        head = self.bio.read(_RECORD.size)
        if len(head) < _RECORD.size:
            return begin
        opcode, length = _RECORD.unpack(head)
        end: int = begin + _RECORD.size + length
        if opcode in (_DATA_END, _FOOTER) or end > self.path.stat().st_size:
            return begin
        return self.bio.seek(end)

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """See `McapReader.messages`; without an index there is no sorting by time."""
        yield from self.messages_scan(connections, start, stop)


class BrokenSqlite:
    """An SQLite bag file that is cut off, or was not closed: its rows in the order of writing.

    Args:
        path: the file.
        log: its write-ahead log, if there is one: what a crashed recorder had not yet moved.

    Raises:
        sqlite3.Error: there is nothing left to read.
    """

    def __init__(self, path: Path, log: Path) -> None:
        self._path, self._cut = path, not log.exists()
        mode = "mode=ro&immutable=1" if self._cut else "mode=ro"
        self._database = sqlite3.connect(f"file:{path}?{mode}", uri=True)
        # Without this SQLite refuses a file that is shorter than its header says.
        self._database.execute("PRAGMA writable_schema=ON")
        definitions = self._definitions()
        self.connections = [
            Connection(
                id=number,
                topic=topic,
                msgtype=kind,
                msgdef=definitions.get(kind, MessageDefinition(MessageDefinitionFormat.NONE, "")),
                digest="",
                msgcount=0,
                ext=ConnectionExtRosbag2(serialization, []),
                owner=self,
            )
            for number, topic, kind, serialization in self._database.execute(
                "SELECT id, name, type, serialization_format FROM topics ORDER BY id"
            )
        ]

    def _definitions(self) -> dict[str, MessageDefinition]:
        try:
            rows = self._database.execute(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            ).fetchall()
        except sqlite3.OperationalError:  # before ROS 2 Iron there was no such table
            return {}
        return {kind: MessageDefinition(_DEFINITIONS[how], text) for kind, how, text in rows}

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages of these connections, up to the break."""
        wanted = {connection.id: connection for connection in connections}
        rows: Any = (
            message_rows(self._path)
            if self._cut
            else self._database.execute("SELECT topic_id, timestamp, data FROM messages")
        )
        for number, time_ns, data in rows:
            if number in wanted:
                yield wanted[number], time_ns, data

    def close(self) -> None:
        """Close the file."""
        self._database.close()
