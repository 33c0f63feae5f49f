# SPDX-License-Identifier: Apache-2.0
"""Checkpoint files: written whole or not at all, read without running anything in them.

What is in one is in snapshot.py; this module knows of the contents only their keys.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch

FORMAT_VERSION = 1
LATEST = "latest.pth"
_PLAIN = (str, bool, int, float, type(None))
_NAMED = re.compile(r"td3_(\d+)\.pth")


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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, lambda file: torch.save(dict(payload), file))
    # torch reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be written: {_one_line(error)}") from error


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file into CPU tensors and plain Python data.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, or not a checkpoint that this version understands.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: there is no such checkpoint file")
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()  # torch.load checks no checksum
        if damaged is not None:
            raise zipfile.BadZipFile(f"checksum of {damaged} is wrong")
        payload = torch.load(path, map_location="cpu", weights_only=True)
    # Parsers meet damage in every way: no narrower type covers them.
    except Exception as error:
        raise CheckpointError(
            f"{path}: is damaged or no checkpoint: {_one_line(error)}"
        ) from error
    if not isinstance(payload, dict) or "actor_state_dict" not in payload:
        raise CheckpointError(f"{path}: is no checkpoint of this package, it has no actor")
    version = payload.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version is {version!r}, this version reads {FORMAT_VERSION}"
        )
    return payload


def publish_latest(path: str | Path) -> Path:
    """Make `latest.pth` beside a checkpoint the same file, at once and without a gap.

    Returns:
        The path of `latest.pth`.

    Raises:
        CheckpointError: If it cannot be written; the old one is unchanged then.
    """
    path = Path(path)
    latest = path.with_name(LATEST)
    temporary = _temporary(latest)
    try:
        try:
            os.link(path, temporary)
        except OSError:  # not every file system has hard links
            with path.open("rb") as source:
                _replace(latest, lambda file: shutil.copyfileobj(source, file))
        else:
            os.replace(temporary, latest)
            _sync_folder(latest.parent)
    except OSError as error:
        raise CheckpointError(f"{latest}: cannot be written: {_one_line(error)}") from error
    finally:
        # Renaming between two names of one file does nothing, and leaves both.
        temporary.unlink(missing_ok=True)
    return latest


def newest(directory: str | Path) -> Path | None:
    """The valid `td3_<step>.pth` or `latest.pth` with the most environment steps.

    Of several with as many steps the last written is taken, and a numbered name before
    `latest.pth`. Damaged files are passed over; None if no valid one is left.
    """
    found: list[tuple[int, bool, int, Path]] = []
    for path in Path(directory).glob("*.pth"):
        named = _NAMED.fullmatch(path.name)
        if named:
            found.append((int(named[1]), True, path.stat().st_mtime_ns, path))
        elif path.name == LATEST and _is_valid(path):
            steps = int(read(path).get("env_steps", 0))
            found.append((steps, False, path.stat().st_mtime_ns, path))
    for *_, path in sorted(found, reverse=True):
        if _is_valid(path):
            return path
    return None


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


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


def _replace(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write beside `path`, onto the disk, then rename over it."""
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """A rename is on the disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _one_line(error: Exception) -> str:
    """The gist of an error: torch's messages run over many lines."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
