# SPDX-License-Identifier: Apache-2.0
"""Writes files completely or not at all, even if the power fails or a process is killed.

A file is written under a temporary name, synced to the disk, then renamed. The temporary name
carries host and process, so that files left by a killed process are recognised and removed.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\..+\.(?P<host>[^.]+)\.(?P<pid>\d+)\.[0-9a-f]{8}\.tmp")


def replace(path: Path, fill: Callable[[BinaryIO], object]) -> None:
    """Write a file beside `path`, sync it to the disk, then rename it to `path`.

    Args:
        path: The file; its folder exists.
        fill: Writes the content to an empty file that is open for reading and writing.

    Raises:
        OSError: If it cannot be written; a file already at `path` is unchanged.
    """
    remove_stale(path.parent)
    temporary = _temporary(path)
    try:
        with temporary.open("x+b") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def publish(source: Path, path: Path) -> None:
    """Make `path` the same file as `source`, or a copy without hard links, in one step.

    Raises:
        OSError: If that cannot be done; a file already at `path` is unchanged.
    """
    temporary = _temporary(path)
    try:
        os.link(source, temporary)
    except OSError:  # not every file system has hard links
        with source.open("rb") as whole:
            replace(path, lambda file: shutil.copyfileobj(whole, file))
        return
    try:
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        # Renaming between two names of one file does nothing, and leaves both.
        temporary.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove the temporary files of this host's processes that have ended."""
    for path in folder.glob(".*.tmp"):
        named = _TEMPORARY.fullmatch(path.name)
        if named and named["host"] == _host() and not _is_alive(int(named["pid"])):
            path.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Sync a folder to the disk, without which a rename in it may be lost."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _temporary(path: Path) -> Path:
    name = f".{path.name}.{_host()}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    return path.with_name(name)


def _host() -> str:
    """A name of this host; containers that share a folder have different ones."""
    return socket.gethostname().replace(".", "-").replace("/", "-")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, under another user
        return True
    return True
