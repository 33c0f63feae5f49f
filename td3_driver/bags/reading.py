# SPDX-License-Identifier: Apache-2.0
"""Recorded drives: rosbag2 folders and files, SQLite or MCAP, read without ROS.

`rosbags` reads the files. This module chooses what reads what, knows the message types that a bag
may not describe itself, and turns everything that can be wrong with a bag into one line.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from backports import zstd
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader

from td3_driver.bags.broken import BrokenMcap, BrokenSqlite
from td3_driver.bags.types import typestore_of

_SUFFIXES = (".mcap", ".db3")
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"  # a message in CDR begins with 00 and 00 or 01


class BagError(ValueError):
    """A bag cannot be used; the message names it and says why, in one line."""


class Storage(Protocol):
    """A bag's folder or one of its files, opened."""

    @property
    def connections(self) -> list[Connection]: ...

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Topic:
    """A topic of a bag. `count` is 0 where a broken file does not tell."""

    name: str
    type: str
    count: int


@dataclass(frozen=True)
class Recorded:
    """A message of a bag: its topic, the time of recording, and its fields."""

    topic: str
    time_ns: int
    message: Any


class Bag:
    """An opened bag; use it in a `with` statement.

    Args:
        path: a rosbag2 folder, or one `.mcap` or `.db3` file.

    Attributes:
        topics: by name.
        warnings: what could not be read, a line each; complete after reading.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        BagError: it is no bag, or nothing in it can be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.warnings: list[str] = []
        self._stack = ExitStack()
        self._broken: set[int] = set()  # ids of storages known to end early
        if not self.path.exists():
            raise FileNotFoundError(
                f"bag {path}: no such file or folder; expected a rosbag2 folder, .mcap or .db3"
            )
        try:
            self._storages = self._open()
            self.topics = self._topics()
            self._types = typestore_of([c for s in self._storages for c in s.connections])
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Bag:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def messages(self, *topics: str) -> Iterator[Recorded]:
        """The messages of these topics, in the order of recording."""
        for storage in self._storages:
            wanted = [c for c in storage.connections if c.topic in topics]
            if not wanted:
                continue
            stream = storage.messages(wanted)
            while (item := self._next(stream)) is not None:
                yield item

    def _next(self, stream: Iterator[tuple[Connection, int, bytes]]) -> Recorded | None:
        try:
            found = next(stream, None)
            if found is None:
                return None
            connection, time_ns, data = found
            if data[:4] == _ZSTD_MAGIC:
                data = zstd.decompress(data)
            message = self._types.deserialize_cdr(data, connection.msgtype)
        except Exception as error:  # noqa: BLE001 - which one depends on the bytes that are wrong
            self._warn(f"bag {self.path}: broken ({_reason(error)}); what comes before is read")
            return None
        return Recorded(connection.topic, time_ns, message)

    def _warn(self, line: str) -> None:
        if line not in self.warnings:
            self.warnings.append(line)

    def _open(self) -> list[Storage]:
        if self.path.is_file() and self.path.suffix not in _SUFFIXES:
            raise BagError(
                f"bag {self.path}: {self.path.suffix or 'no suffix'} is no rosbag2 file; "
                "expected a folder, .mcap or .db3"
            )
        if self.path.is_file():
            return [self._open_file(self.path)]
        whole = (self.path / "metadata.yaml").exists()
        if whole:
            try:
                return [self._opened(self.path)]
            except Exception as error:  # noqa: BLE001 - see _next
                self._warn(f"bag {self.path}: {_reason(error)}; reading its files one by one")
        files = [f for f in self.path.iterdir() if f.suffix in _SUFFIXES]
        if not files:
            why = self.warnings[-1].partition(": ")[2] if whole else "no metadata.yaml"
            raise BagError(f"bag {self.path}: {why}, and no .mcap or .db3 in it")
        if not whole:
            self._warn(f"bag {self.path}: no metadata.yaml, its recorder did not end in order")
        return [self._open_file(file) for file in sorted(files, key=_split_number)]

    def _open_file(self, path: Path) -> Storage:
        unmoved = path.with_name(f"{path.name}-wal")
        try:
            if not unmoved.exists():
                return self._opened(path)
            reason = f"its recorder crashed and left {unmoved.name}, which is read too"
        except Exception as error:  # noqa: BLE001 - see _next
            reason = _reason(error)
        try:
            storage = BrokenMcap(path) if path.suffix == ".mcap" else BrokenSqlite(path, unmoved)
            if isinstance(storage, BrokenMcap):
                storage.open()
            self._stack.callback(storage.close)
        except Exception as error:
            raise BagError(f"bag {path}: not readable ({_reason(error)})") from error
        self._warn(f"bag {path}: broken ({reason}); read up to the break")
        return storage

    def _opened(self, path: Path) -> Storage:
        reader = Reader(path)
        reader.open()
        self._stack.callback(reader.close)
        return reader

    def _topics(self) -> dict[str, Topic]:
        topics: dict[str, Topic] = {}
        for connection in (c for storage in self._storages for c in storage.connections):
            before = topics.get(connection.topic)
            count = connection.msgcount + (before.count if before else 0)
            topics[connection.topic] = Topic(connection.topic, connection.msgtype, count)
        if not topics:
            raise BagError(f"bag {self.path}: empty, it holds no topic")
        return topics


def _split_number(path: Path) -> tuple[int, str]:
    """bag_10.mcap comes after bag_9.mcap."""
    number = re.search(r"_(\d+)$", path.stem)
    return (int(number[1]) if number else -1, path.name)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
