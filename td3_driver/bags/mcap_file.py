# SPDX-License-Identifier: Apache-2.0
"""Reads MCAP files of any recorder, whole or without their end (mcap.dev/spec).

`rosbags` reads chunks and messages. It refuses files with schemas of other languages (JSON,
protobuf, ROS 1) beside ROS 2's, files of other recorders than rosbag2, and files that end in the
middle; so the topics are read here.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from io import BytesIO
from typing import BinaryIO

from rosbags.interfaces import (
    Connection,
    ConnectionExtRosbag2,
    MessageDefinition,
    MessageDefinitionFormat,
)
from rosbags.rosbag2 import ReaderError
from rosbags.rosbag2.storage_mcap import ChunkInfo, McapReader, decompress

from td3_driver.bags.types import DEFINITIONS, full_name

_MAGIC = b"\x89MCAP0\r\n"
_RECORD = struct.Struct("<BQ")  # opcode, length
_FOOTER_BYTES = _RECORD.size + 20 + len(_MAGIC)
_FOOTER, _SCHEMA, _CHANNEL, _MESSAGE, _CHUNK, _CHUNK_INDEX, _STATISTICS, _DATA_END = (
    0x02, 0x03, 0x04, 0x05, 0x06, 0x08, 0x0B, 0x0F,
)  # fmt: skip


class McapFile(McapReader):
    """The topics and messages of an MCAP file; `open` it first.

    Attributes:
        damage: what is wrong with the end of the file, which is not read; empty if nothing is.
    """

    damage = ""

    def messages(
        self,
        connections: Collection[Connection],
        start: int | None = None,
        stop: int | None = None,
    ) -> Generator[tuple[Connection, int, bytes], None, None]:
        """Messages by time; in a file without an index, in the order of writing."""
        read = super().messages if self.chunks else self.messages_scan
        yield from read(connections, start, stop)

    def _open(self) -> None:
        assert self.bio is not None
        if self.bio.read(len(_MAGIC)) != _MAGIC:
            raise ReaderError("it does not begin as an MCAP file does")
        self._schemas: dict[int, tuple[str, MessageDefinition]] = {}
        self._topics: dict[int, Connection] = {}
        self._counts: Counter[int] = Counter()
        try:
            self._read_summary()
        except (ReaderError, struct.error) as error:
            self.damage = str(error)
            self.chunks.clear()
            self._counts.clear()
            self._scan()
        self.connections = [
            topic._replace(msgcount=self._counts[number])
            for number, topic in sorted(self._topics.items())
        ]

    def _read_summary(self) -> None:
        """Read the topics and chunks from the summary; without one, scan the whole file."""
        assert self.bio is not None
        size = self.path.stat().st_size
        self.bio.seek(max(size - _FOOTER_BYTES, 0))
        footer = self.bio.read()
        if not footer.endswith(_MAGIC) or footer[0] != _FOOTER:
            raise ReaderError("it has no end")
        (summary,) = struct.unpack_from("<Q", footer, _RECORD.size)
        if not summary:
            self._scan()
            return
        self.data_start, self.data_end = len(_MAGIC), summary
        for opcode, content in _records(self.bio, summary, size):
            self._take(opcode, content)
        if not self._topics:  # they need not be repeated at the end
            chunks, counts = self.chunks[:], self._counts.copy()
            self._scan()
            self.chunks, self._counts = chunks, counts or self._counts
        self.chunks = [chunk._replace(channel_count=self._within(chunk)) for chunk in self.chunks]

    def _within(self, chunk: ChunkInfo) -> dict[int, int]:
        """The topics that a chunk may hold: by its message index, else all."""
        return dict.fromkeys(chunk.message_index_offsets or self._topics, 1)

    def _scan(self) -> None:
        """Read the topics of all records up to the end of the file, or to where it is broken."""
        assert self.bio is not None
        self.data_start = self.data_end = len(_MAGIC)
        size = self.path.stat().st_size
        for opcode, content in _records(self.bio, self.data_start, size):
            if opcode in (_DATA_END, _FOOTER):
                return
            if opcode == _CHUNK:
                try:
                    chunk = _unpacked(content)
                except Exception as error:  # noqa: BLE001 - which one depends on the compression
                    self.damage = self.damage or str(error)
                    return
                for inner, record in _records(BytesIO(chunk), 0, len(chunk)):
                    self._take(inner, record)
            else:
                self._take(opcode, content)
            self.data_end = self.bio.tell()

    def _take(self, opcode: int, content: bytes) -> None:
        if opcode == _SCHEMA:
            self._take_schema(content)
        elif opcode == _CHANNEL:
            self._take_channel(content)
        elif opcode == _MESSAGE:
            self._counts[struct.unpack_from("<H", content)[0]] += 1
        elif opcode == _STATISTICS:
            (length,) = struct.unpack_from("<I", content, 42)
            self._counts.update(dict(struct.iter_unpack("<HQ", content[46 : 46 + length])))
        elif opcode == _CHUNK_INDEX:
            self._take_chunk_index(content)

    def _take_schema(self, content: bytes) -> None:
        fields = _Fields(content)
        (number,) = fields.unpack("<H")
        name, encoding, definition = fields.text(), fields.text(), fields.text()
        format_ = DEFINITIONS.get(encoding, MessageDefinitionFormat.NONE)
        if format_ is MessageDefinitionFormat.NONE:
            definition = ""
        self._schemas[number] = full_name(name), MessageDefinition(format_, definition)

    def _take_channel(self, content: bytes) -> None:
        fields = _Fields(content)
        number, schema = fields.unpack("<HH")
        topic, encoding = fields.text(), fields.text()
        none = ("", MessageDefinition(MessageDefinitionFormat.NONE, ""))
        kind, definition = self._schemas.get(schema, none)
        serialization = ConnectionExtRosbag2(encoding, [])
        self._topics[number] = Connection(
            number, topic, kind, definition, "", 0, serialization, self
        )

    def _take_chunk_index(self, content: bytes) -> None:
        fields = _Fields(content)
        start_ns, end_ns, offset, length = fields.unpack("<QQQQ")
        offsets = dict(struct.iter_unpack("<HQ", fields.bytes()))
        (index_length,) = fields.unpack("<Q")
        compression = fields.text()
        compressed, size = fields.unpack("<QQ")
        self.chunks.append(
            ChunkInfo(
                start_ns, end_ns, offset, length, offsets, index_length,
                compression, compressed, size, {},
            )
        )  # fmt: skip


class _Fields:
    """Reads the fields of a record one after another."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at = content, 0

    def unpack(self, layout: str) -> tuple[int, ...]:
        values = struct.unpack_from(layout, self._content, self._at)
        self._at += struct.calcsize(layout)
        return values

    def bytes(self) -> bytes:
        (length,) = self.unpack("<I")
        self._at += length
        return self._content[self._at - length : self._at]

    def text(self) -> str:
        return self.bytes().decode(errors="replace")


def _records(file: BinaryIO, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Opcode and content of each whole record from `start` on; of messages only the beginning."""
    at = start
    while at + _RECORD.size <= end:
        file.seek(at)
        opcode, length = _RECORD.unpack(file.read(_RECORD.size))
        at += _RECORD.size + length
        if at > end:
            return
        content = file.read(22 if opcode == _MESSAGE else length)
        file.seek(at)
        yield opcode, content


def _unpacked(content: bytes) -> bytes:
    """The decompressed records of a chunk."""
    fields = _Fields(content)
    _, _, size = fields.unpack("<QQQ")
    (checksum,) = fields.unpack("<I")
    compression = fields.text()
    (length,) = fields.unpack("<Q")
    return decompress(content[len(content) - length :], compression, size, checksum)
