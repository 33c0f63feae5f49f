# SPDX-License-Identifier: Apache-2.0
"""Reads rows of a cut-off SQLite file page by page (sqlite.org/fileformat2.html).

SQLite reads a table from its root down; without its end a file may lack the pages that lead to the
rows. The leaf pages, which hold the rows, lie in the order of writing, each whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

_LEAF = 0x0D  # of a table; an overflow page begins with the high byte of a page number, 0
_HEADER_BYTES = 8
_INTEGER_BYTES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 8: 0, 9: 0}  # by serial type
_BLOB = 12  # and even: (type - 12) / 2 bytes


def message_rows(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Topic number, time (ns) and data of a bag's messages, up to where the file is cut."""
    with path.open("rb") as file:
        head = file.read(100)
        size = int.from_bytes(head[16:18], "big")
        pages = _Pages(file, 65536 if size == 1 else size, head[20])
        number = 2
        while len(page := pages.read(number)) == pages.size:
            if page[0] == _LEAF:
                for index in range(int.from_bytes(page[3:5], "big")):
                    at = _HEADER_BYTES + 2 * index
                    payload = pages.payload(page, int.from_bytes(page[at : at + 2], "big"))
                    if payload is None:
                        return
                    if row := _message(payload):
                        yield row
            number += 1


class _Pages:
    """The pages of a file, numbered from 1."""

    def __init__(self, file: BinaryIO, size: int, reserved: int) -> None:
        self.size = size
        self._file, self._usable = file, size - reserved

    def read(self, number: int) -> bytes:
        """The bytes of a page; fewer, or none, where the file is cut."""
        self._file.seek((number - 1) * self.size)
        return self._file.read(self.size)

    def payload(self, page: bytes, at: int) -> bytes | None:
        """The record of a cell of a leaf page; None if a part of it is cut off."""
        length, at = _varint(page, at)
        _, at = _varint(page, at)  # the row's number
        here = self._local(length)
        parts, missing = [page[at : at + here]], length - here
        following = int.from_bytes(page[at + here : at + here + 4], "big") if missing else 0
        while missing > 0:
            page = self.read(following)
            if len(page) < self.size:
                return None
            following = int.from_bytes(page[:4], "big")
            parts.append(page[4 : min(self._usable, 4 + missing)])
            missing -= len(parts[-1])
        return b"".join(parts)

    def _local(self, length: int) -> int:
        """The bytes of a record that are in its leaf page; the rest is in overflow pages."""
        most = self._usable - 35
        if length <= most:
            return length
        least = (self._usable - 12) * 32 // 255 - 23
        part = least + (length - least) % (self._usable - 4)
        return part if part <= most else least


def _message(record: bytes) -> tuple[int, int, bytes] | None:
    """Topic number, time (ns) and data of a record of the table `messages`, None of others."""
    end, at = _varint(record, 0)
    kinds = []
    while at < end:
        kind, at = _varint(record, at)
        kinds.append(kind)
    if len(kinds) != 4 or kinds[0] != 0 or kinds[3] < _BLOB or kinds[3] % 2:
        return None
    values = []
    for kind in kinds[1:3]:
        if kind not in _INTEGER_BYTES:
            return None
        stop = at + _INTEGER_BYTES[kind]
        constant = 1 if kind == 9 else 0
        values.append(int.from_bytes(record[at:stop], "big", signed=True) or constant)
        at = stop
    return values[0], values[1], record[at : at + (kinds[3] - _BLOB) // 2]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer of 1 to 9 bytes, and the offset at which it ends."""
    value = 0
    for count in range(8):
        value = value << 7 | data[at + count] & 0x7F
        if data[at + count] < 0x80:
            return value, at + count + 1
    return value << 8 | data[at + 8], at + 9
