# SPDX-License-Identifier: Apache-2.0
"""Reads SQLite bag files: whole, cut off, or left by a recorder that crashed."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)

from td3_driver.bags.sqlite_pages import message_rows
from td3_driver.bags.types import DEFINITIONS, full_name

_NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")


class SqliteFile:
    """The topics and messages of an SQLite file.

    Args:
        path: the file. A write-ahead log beside it, what a crashed recorder had not yet moved, is
            read too.

    Attributes:
        connections: its topics; without counts of messages in a file that is cut off.
        damage: what is wrong with the file; empty if nothing is.

    Raises:
        sqlite3.Error: there is nothing left to read.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._cut, self.damage = path, False, ""
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            self.damage = f"its recorder crashed and left {log.name}, which is read too"
        mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        self._database = sqlite3.connect(f"file:{_quoted(path)}?{mode}", uri=True)
        try:
            try:
                self.connections = self._topics(self._counts())
            except sqlite3.DatabaseError as error:
                if log.exists():
                    raise
                self._cut, self.damage = True, str(error)
                # Without this SQLite refuses a file that is shorter than its header says.
                self._database.execute("PRAGMA writable_schema=ON")
                self.connections = self._topics({})
        except BaseException:
            self._database.close()
            raise

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]:
        """Messages by time; in a cut-off file in the order of writing, up to the break."""
        wanted = {connection.id: connection for connection in connections}
        rows: Any = message_rows(self._path) if self._cut else self._rows(list(wanted))
        for number, time_ns, data in rows:
            if number not in wanted:
                continue
            if not isinstance(time_ns, int):
                raise ValueError(
                    f"a message on {wanted[number].topic} has no time, but {time_ns!r}"
                )
            yield wanted[number], time_ns, data if isinstance(data, bytes) else b""

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _rows(self, topics: list[int]) -> Any:
        marks = ",".join("?" for _ in topics)
        return self._database.execute(
            "SELECT topic_id, timestamp, data FROM messages"
            f" WHERE topic_id IN ({marks}) ORDER BY timestamp, id",
            topics,
        )

    def _counts(self) -> dict[int, int]:
        rows = self._database.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id")
        return dict(rows.fetchall())

    def _topics(self, counts: dict[int, int]) -> list[Connection]:
        definitions = self._definitions()
        return [
            Connection(
                id=number,
                topic=topic,
                msgtype=full_name(kind),
                msgdef=definitions.get(kind, _NO_DEFINITION),
                digest="",
                msgcount=counts.get(number, 0),
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
        return {
            kind: MessageDefinition(DEFINITIONS[encoding], text)
            for kind, encoding, text in rows
            if encoding in DEFINITIONS
        }


def _quoted(path: Path) -> str:
    """A path, quoted as a part of a URI."""
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
