# SPDX-License-Identifier: Apache-2.0
"""The bytes of a checkpoint: a zip archive by `torch.save` that ends in its own SHA-256."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import struct
import warnings
import zipfile
from pathlib import Path
from typing import IO, BinaryIO

_MARK = b"td3_driver sha256 "
_COMMENT_BYTES = len(_MARK) + 64
# The zip archive's last record without a comment: signature, six fields, length of the comment.
_ARCHIVE_END = struct.Struct("<4s16sH")
# How `torch.save` into an open file begins: with the archive's first entry.
_ARCHIVE_START = re.compile(rb"PK\x03\x04.{26}archive/data\.pkl", re.DOTALL)
_OWN_KEYS = {"format_version", "actor_state_dict"}
_CHUNK = 1 << 20


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, is damaged, or does not fit; the message is one line."""


def one_line(error: Exception) -> str:
    """The first line of an error's message, since torch's have many."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def open_file(path: Path) -> IO[bytes]:
    """Open a regular file for reading; a pipe or device might never end.

    Raises:
        OSError: If it is not a regular file, or cannot be read.
    """
    mode = path.stat().st_mode
    # Opening a FIFO waits for a writer, reading a device may go on for ever.
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError("it is no regular file")
    return path.open("rb")


def _is_marked(file: IO[bytes]) -> bool:
    file.seek(max(file.seek(0, os.SEEK_END) - _COMMENT_BYTES, 0))
    return file.read().startswith(_MARK)


def is_ours(path: str | Path) -> bool:
    """Whether a file ends in this package's mark; the file may be damaged."""
    try:
        with open_file(Path(path)) as file:
            return _is_marked(file)
    except OSError:
        return False


def may_replace(path: str | Path) -> bool:
    """Whether the path is free, an empty file, or a checkpoint of this package, even damaged."""
    path = Path(path)
    try:
        with open_file(path) as file:
            if not file.seek(0, os.SEEK_END) or _is_marked(file):
                return True
            file.seek(0)
            if _ARCHIVE_START.match(file.read(64)) and not zipfile.is_zipfile(file):
                return True  # cut off
            payload = parse(path, file, check_archive=False)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except (CheckpointError, OSError):
        return False
    return isinstance(payload, dict) and payload.keys() >= _OWN_KEYS


def append_hash(file: BinaryIO) -> None:
    """Append the SHA-256 of everything before it as the archive's comment."""
    file.seek(-_ARCHIVE_END.size, os.SEEK_END)
    signature, fields, comment = _ARCHIVE_END.unpack(file.read(_ARCHIVE_END.size))
    if signature != b"PK\x05\x06" or comment:
        raise RuntimeError("torch.save wrote an archive of unknown form")
    file.seek(-_ARCHIVE_END.size, os.SEEK_END)
    file.write(_ARCHIVE_END.pack(signature, fields, _COMMENT_BYTES))
    digest = _digest(file, file.tell())
    file.write(_MARK + digest.encode())


def _digest(file: IO[bytes], length: int) -> str:
    """SHA-256 of a file's first `length` bytes, in hexadecimal; the position is then there."""
    digest = hashlib.sha256()
    file.seek(0)
    while length and (chunk := file.read(min(length, _CHUNK))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest()


def verify_hash(path: Path, file: IO[bytes]) -> bool:
    """Whether the file carries a SHA-256; raises CheckpointError if it does not match."""
    length = file.seek(0, os.SEEK_END) - _COMMENT_BYTES
    if length < 0:
        return False
    file.seek(length)
    comment = file.read()
    if not comment.startswith(_MARK):
        return False
    if comment != _MARK + _digest(file, length).encode():
        raise CheckpointError(f"{path}: is damaged: its SHA-256 is wrong")
    return True


def parse(path: Path, file: IO[bytes], *, check_archive: bool) -> object:
    """Read the contents, tensors on the CPU; raises CheckpointError if they cannot be read."""
    import torch  # here: it takes seconds, and a run's folder is looked through without it

    try:
        file.seek(0)
        if check_archive:  # torch.load checks no checksum
            with zipfile.ZipFile(file) as archive:
                damaged = archive.testzip()
            if damaged is not None:
                raise zipfile.BadZipFile(f"checksum of {damaged} is wrong")
            file.seek(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of TorchScript archives, before they are refused
            payload: object = torch.load(file, map_location="cpu", weights_only=True)
    # Parsers meet damage in every way: no narrower type covers them.
    except Exception as error:
        raise CheckpointError(f"{path}: is damaged or no checkpoint: {one_line(error)}") from error
    return payload


def glance(path: Path) -> object:
    """As `parse`, but a tensor is read from the disk only when it is used."""
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # as above
        raise CheckpointError(f"{path}: is damaged or no checkpoint: {one_line(error)}") from error
