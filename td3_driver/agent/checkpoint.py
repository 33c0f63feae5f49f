# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: written whole or not at all, verified before use, never run.

A file is a zip archive as `torch.save` writes it; the archive's comment, its last bytes, is the
SHA-256 of everything before. What the contents mean is in snapshot.py; this module knows only
their keys.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

from td3_driver.agent import durable_file
from td3_driver.agent.migration import FORMAT_VERSION, migrate

LATEST = "latest.pth"
BEST = "best.pth"
REPLAY_SUFFIX = ".replay"
_PLAIN = (str, bool, int, float, type(None))
_NAMED = re.compile(r"td3_(\d+)\.pth")
_NAMED_REPLAY = re.compile(r"td3_\d+\.replay")
_MARK = b"td3_driver sha256 "
_COMMENT_BYTES = len(_MARK) + 64
_FIRST_WITH_HASH = 2  # format_version
# The zip archive's last record without a comment: signature, six fields, length of the comment.
_ARCHIVE_END = struct.Struct("<4s16sH")
_CHUNK = 1 << 20


class CheckpointError(RuntimeError):
    """A checkpoint cannot be written, is damaged, or does not fit; the message is one line."""


def write(path: str | Path, payload: Mapping[str, Any]) -> None:
    """Write a file that is there completely or not at all, even if the power fails.

    Args:
        path: Where; folders are created, and a file already there is replaced.
        payload: Tensors and plain Python data; nothing else could be read again.

    Raises:
        CheckpointError: If it cannot be written, or holds a value of another type; a file
            already there is unchanged.
    """
    path = Path(path)
    _check_plain("", payload)

    def fill(file: BinaryIO) -> None:
        torch.save(dict(payload), file)
        _append_hash(file)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable_file.replace(path, fill)
    # torch reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be written: {one_line(error)}") from error


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file into CPU tensors and plain Python data of the current format.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, or not a checkpoint that this version understands.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such checkpoint file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {one_line(error)}") from error
    with file:
        has_hash = _verify_hash(path, file)
        payload = _parse(path, file, check_archive=not has_hash)
    if not isinstance(payload, dict) or "actor_state_dict" not in payload:
        raise CheckpointError(f"{path}: is no checkpoint of this package, it has no actor")
    version = payload.get("format_version")
    if version is None:
        raise CheckpointError(
            f"{path}: has no format_version, another program wrote it: see"
            " 'td3_driver checkpoint convert'"
        )
    try:
        current = migrate(payload)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if not has_hash and version >= _FIRST_WITH_HASH:
        raise CheckpointError(f"{path}: is damaged: the SHA-256 at its end is missing")
    return current


def is_ours(path: str | Path) -> bool:
    """Whether a file ends in this package's mark, sound or not."""
    try:
        with Path(path).open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _COMMENT_BYTES, 0))
            return file.read().startswith(_MARK)
    except OSError:
        return False


def publish_latest(path: str | Path) -> Path:
    """Make `latest.pth` beside a checkpoint the same file, at once and without a gap.

    Returns:
        The path of `latest.pth`.

    Raises:
        CheckpointError: If it cannot be written; the old one is unchanged then.
    """
    return _publish(Path(path), LATEST)


def publish_best(path: str | Path) -> Path:
    """As `publish_latest`, for `best.pth`."""
    return _publish(Path(path), BEST)


def newest(directory: str | Path) -> Path | None:
    """The valid `td3_<step>.pth` or `latest.pth` that was written last.

    By time of writing, because a folder may hold a longer run of earlier days; of files written
    at the same time the one with more steps, and a numbered name before `latest.pth`. Damaged
    files are passed over; None if no valid one is left.
    """
    found = _numbered(Path(directory))
    latest = Path(directory) / LATEST
    with contextlib.suppress(FileNotFoundError):
        found.append((latest.stat().st_mtime_ns, -1, latest))
    for *_, path in sorted(found, reverse=True):
        if _is_valid(path):
            return path
    return None


def retain(directory: str | Path, keep_last: int, keep_every: int = 0) -> list[Path]:
    """Delete the checkpoints that are no longer wanted, and the replays beside them.

    Kept are the `keep_last` numbered files written last, those whose step is a multiple of
    `keep_every`, `latest.pth` and `best.pth`. A replay is kept with the `keep_last` files only:
    it is what a run is resumed from, and too large to keep for ever.

    Args:
        directory: Where the files are.
        keep_last: At least 1, so the file just written is always kept.
        keep_every: In environment steps; 0 keeps none for ever.

    Returns:
        What was deleted.

    Raises:
        ValueError: If a number is out of range.
        CheckpointError: If a file cannot be deleted.
    """
    if keep_last < 1 or keep_every < 0:
        raise ValueError(f"retain: {keep_last} is not >= 1, or {keep_every} not >= 0")
    folder = Path(directory)
    ordered = [(step, path) for _, step, path in sorted(_numbered(folder), reverse=True)]
    last = {path for _, path in ordered[:keep_last]}
    unwanted = [path for step, path in ordered[keep_last:] if not keep_every or step % keep_every]
    replays = {path.with_suffix(REPLAY_SUFFIX) for path in last}
    unwanted += [
        path
        for path in folder.glob(f"*{REPLAY_SUFFIX}")
        if _NAMED_REPLAY.fullmatch(path.name) and path not in replays
    ]
    for path in unwanted:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be deleted: {one_line(error)}") from error
    return unwanted


def one_line(error: Exception) -> str:
    """The gist of an error: torch's messages run over many lines."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _append_hash(file: BinaryIO) -> None:
    """Announce the comment in the archive's end, then write it: the SHA-256 of all before."""
    file.seek(-_ARCHIVE_END.size, os.SEEK_END)
    signature, fields, comment = _ARCHIVE_END.unpack(file.read(_ARCHIVE_END.size))
    if signature != b"PK\x05\x06" or comment:
        raise RuntimeError("torch.save wrote an archive of unknown form")
    file.seek(-_ARCHIVE_END.size, os.SEEK_END)
    file.write(_ARCHIVE_END.pack(signature, fields, _COMMENT_BYTES))
    digest = _digest(file, file.tell())
    file.write(_MARK + digest.encode())


def _digest(file: BinaryIO, length: int) -> str:
    """SHA-256, in hexadecimal, of a file's first `length` bytes; reads up to there."""
    digest = hashlib.sha256()
    file.seek(0)
    while length and (chunk := file.read(min(length, _CHUNK))):
        digest.update(chunk)
        length -= len(chunk)
    return digest.hexdigest()


def _verify_hash(path: Path, file: BinaryIO) -> bool:
    """Whether the file carries its SHA-256; CheckpointError if that is wrong."""
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


def _parse(path: Path, file: BinaryIO, *, check_archive: bool) -> object:
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


def _publish(path: Path, name: str) -> Path:
    published = path.with_name(name)
    try:
        durable_file.publish(path, published)
    except OSError as error:
        raise CheckpointError(f"{published}: cannot be written: {one_line(error)}") from error
    return published


def _numbered(folder: Path) -> list[tuple[int, int, Path]]:
    """Every `td3_<step>.pth` with its time of writing, in ns, and its step."""
    found = []
    for path in folder.glob("td3_*.pth"):
        named = _NAMED.fullmatch(path.name)
        if named:
            with contextlib.suppress(FileNotFoundError):  # deleted since it was listed
                found.append((path.stat().st_mtime_ns, int(named[1]), path))
    return found


def _check_plain(where: str, value: object) -> None:
    """Find what `torch.load(weights_only=True)` would refuse, before it is in a file."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(f"{where}.{key}" if where else str(key), item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(f"{where}[{index}]", item)
    # The exact type: a numpy number is a float too, but loads only with code of numpy's.
    elif type(value) not in _PLAIN and not isinstance(value, torch.Tensor):
        raise CheckpointError(
            f"{where}: a checkpoint cannot hold a {type(value).__name__}, only tensors and"
            " Python's own str, bool, int, float, None, list, tuple and dict"
        )


def _is_valid(path: Path) -> bool:
    try:
        read(path)
    except (CheckpointError, FileNotFoundError):
        return False
    return True


__all__ = [
    "BEST",
    "FORMAT_VERSION",
    "LATEST",
    "CheckpointError",
    "is_ours",
    "newest",
    "one_line",
    "publish_best",
    "publish_latest",
    "read",
    "retain",
    "write",
]
