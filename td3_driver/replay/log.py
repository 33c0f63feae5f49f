# SPDX-License-Identifier: Apache-2.0
"""The format of a replay file: a header, then segments of rows, chained by their digests.

    header    "td3_driver replay 1\\n", length (uint32), JSON: capacity and columns, what the
              numbers mean (meaning.py; null: nobody says), the package's version,
              SHA-256 of all that
    segment   "segment\\n", first row, number of rows, bytes of payload (uint64 each),
              payload: each column's rows one after the other,
              SHA-256 of the digest before (of the header, for the first), head and payload

Numbers are little-endian. The last digest vouches for everything before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from td3_driver.checkpoints.archive import open_file
from td3_driver.checkpoints.checkpoint import CheckpointError, one_line
from td3_driver.checkpoints.provenance import package_version
from td3_driver.replay.meaning import Meaning, differences, flat

Columns = Mapping[str, npt.NDArray[Any]]

_MAGIC = b"td3_driver replay 1\n"
_LENGTH = struct.Struct("<I")
_SEGMENT = struct.Struct("<8sQQQ")  # mark, first row, number of rows, bytes of payload
_MARK = b"segment\n"
DIGEST_BYTES = 32
_LARGEST_HEADER = 1 << 16


@dataclass(frozen=True)
class ReplayLink:
    """A checkpoint's link to the replay file beside it.

    Attributes:
        file: Name of the file, in the checkpoint's folder.
        bytes: Length of the part of the file that belongs to the checkpoint.
        first: Number of the oldest row in the file.
        rows: `Replay.rows_written` when it was saved.
        transitions: `Replay.transitions` when it was saved.
        sha256: Digest of the last segment, in hexadecimal; it covers all `bytes`.
    """

    file: str
    bytes: int
    first: int
    rows: int
    transitions: int
    sha256: str

    def to_mapping(self) -> dict[str, Any]:
        """The link as plain data, the value of a checkpoint's key `replay`."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ReplayLink:
        """The inverse of `to_mapping`.

        Raises:
            CheckpointError: If it is no such mapping.
        """
        types = {"file": str, "sha256": str}
        expected = {item.name: types.get(item.name, int) for item in fields(cls)}
        found = {name: type(value) for name, value in mapping.items()}
        if found != expected or Path(mapping["file"]).name != mapping["file"]:
            raise CheckpointError(f"replay: {dict(mapping)} does not describe a replay file")
        return cls(**mapping)


@dataclass(frozen=True)
class Segment:
    """A segment of a log: rows `first` .. `first` + `count` - 1, all columns in `payload`."""

    first: int
    count: int
    payload: bytes

    def put(self, columns: Columns) -> None:
        """Write the rows into the columns of a ring."""
        offset = 0
        for column in columns.values():
            slots = np.arange(self.first, self.first + self.count) % len(column)
            shape = (self.count, *column.shape[1:])
            size = int(np.prod(shape))
            values = np.frombuffer(self.payload, column.dtype, size, offset)
            column[slots] = values.reshape(shape)
            offset += size * column.dtype.itemsize


def header(columns: Columns, meaning: Meaning | None) -> bytes:
    """The header of a file whose rows fit a buffer of this capacity and these columns."""
    types = {name: [a.dtype.str, *map(int, a.shape[1:])] for name, a in columns.items()}
    capacity = len(next(iter(columns.values())))
    described = {"capacity": capacity, "columns": types, "meaning": meaning}
    text = json.dumps({**described, "package": package_version()}).encode()
    start = _MAGIC + _LENGTH.pack(len(text)) + text
    return start + hashlib.sha256(start).digest()


def write_segment(file: BinaryIO, first: int, rows: Columns, before: str) -> str:
    """Write rows as a segment; returns its digest.

    Args:
        file: Positioned where to write.
        first: Number of the first row.
        rows: The rows to write, as columns.
        before: Digest of the segment or header before, in hexadecimal.
    """
    count = len(next(iter(rows.values())))
    payload = b"".join(column.tobytes() for column in rows.values())
    head = _SEGMENT.pack(_MARK, first, count, len(payload))
    digest = hashlib.sha256(bytes.fromhex(before) + head)
    digest.update(payload)
    file.write(head)
    file.write(payload)
    file.write(digest.digest())
    return digest.hexdigest()


def segments(path: Path, link: ReplayLink, expected: bytes | None) -> Iterator[Segment]:
    """Read and verify the part of a file that belongs to a checkpoint.

    Args:
        path: The file.
        link: The checkpoint's link to it.
        expected: A header whose capacity and columns it must have; None for any.

    Raises:
        CheckpointError: If it is missing, damaged, of another checkpoint or another header; only
            after the last segment is it certain that none of these is the case.
    """
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < link.bytes:
                raise CheckpointError(f"{path}: is cut off, its checkpoint saved more")
            file.seek(0)
            found = _read_header(path, file)
            other = _misfits(found, expected) if expected else []
            if other:
                raise CheckpointError(f"{path}: was saved from a buffer whose {'; '.join(other)}")
            before = hashlib.sha256(found).digest()
            while file.tell() < link.bytes:
                before, segment = _read_segment(path, file, before, link.bytes)
                yield segment
            if before.hex() != link.sha256:
                raise CheckpointError(f"{path}: is damaged, or another checkpoint's replay")
    except FileNotFoundError:
        raise CheckpointError(f"{path}: the replay of this checkpoint is missing") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {one_line(error)}") from error


def describe(path: Path) -> tuple[int, ReplayLink]:
    """The capacity of the buffer that a file was saved from, and a link to the whole file.

    The link's `transitions` is 0, since only the columns have that number.

    Raises:
        CheckpointError: If the file cannot be read or is damaged.
    """
    start = _header_of(path)
    link = ReplayLink(path.name, path.stat().st_size, 0, 0, 0, last_digest(path))
    parts = [(part.first, part.first + part.count) for part in segments(path, link, None)]
    if not parts:
        raise CheckpointError(f"{path}: holds no rows")
    return int(_described(start)["capacity"]), replace(link, first=parts[0][0], rows=parts[-1][1])


def meaning(path: Path) -> Meaning | None:
    """The meaning of a file's numbers, from its header; None if the header does not say.

    Raises:
        CheckpointError: If the file cannot be read or its header is damaged.
    """
    found = _described(_header_of(path)).get("meaning")
    return found if isinstance(found, dict) else None


def may_replace(path: Path) -> bool:
    """Whether the path is free, an empty file, or a replay file."""
    try:
        with open_file(path) as file:
            return file.read(len(_MAGIC)) in (_MAGIC, b"")
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def last_digest(path: Path) -> str:
    """The last digest of a whole file, in hexadecimal."""
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - DIGEST_BYTES, 0))
        return file.read().hex()


def _header_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return _read_header(path, file)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {one_line(error)}") from error


def _described(start: bytes) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(start[len(_MAGIC) + _LENGTH.size : -DIGEST_BYTES])
    return described


def _misfits(found: bytes, expected: bytes) -> list[str]:
    """Where a header has another capacity or other columns; of other frames also what they are."""
    misfits = differences(_columns(found), _columns(expected))
    images = [_image(found), _image(expected)]
    return [*misfits, *(differences(*images) if misfits and all(images) else [])]


def _image(start: bytes) -> Meaning:
    meaning = _described(start).get("meaning") or {}
    return {"image": meaning["image"]} if "image" in meaning else {}


def _columns(start: bytes) -> dict[str, Any]:
    return flat({name: _described(start)[name] for name in ("capacity", "columns")})


def _read_header(path: Path, file: BinaryIO) -> bytes:
    start = file.read(len(_MAGIC) + _LENGTH.size)
    if not start.startswith(_MAGIC) or len(start) < len(_MAGIC) + _LENGTH.size:
        raise CheckpointError(f"{path}: is damaged, or no replay file of this version")
    (length,) = _LENGTH.unpack(start[len(_MAGIC) :])
    start += file.read(min(length, _LARGEST_HEADER))
    digest = file.read(DIGEST_BYTES)
    if digest != hashlib.sha256(start).digest():
        raise CheckpointError(f"{path}: is damaged: the SHA-256 of its header is wrong")
    return start + digest


def _read_segment(path: Path, file: BinaryIO, before: bytes, end: int) -> tuple[bytes, Segment]:
    head = file.read(_SEGMENT.size)
    if len(head) == _SEGMENT.size and head.startswith(_MARK):
        _, first, count, length = _SEGMENT.unpack(head)
        if file.tell() + length + DIGEST_BYTES <= end:
            payload = file.read(length)
            digest = hashlib.sha256(before + head)
            digest.update(payload)
            if digest.digest() == file.read(DIGEST_BYTES):
                return digest.digest(), Segment(first, count, payload)
    raise CheckpointError(f"{path}: is damaged: a SHA-256 is wrong")
