# SPDX-License-Identifier: Apache-2.0
"""Finds and opens the files of a bag: MCAP and SQLite of ROS 2, `.bag` of ROS 1."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path, PurePath
from typing import Protocol

import yaml
from backports import zstd
from rosbags import rosbag1
from rosbags.interfaces import Connection

from td3_driver.bags.mcap_file import McapFile
from td3_driver.bags.sqlite_file import SqliteFile

_COMPRESSED = ".zstd"
_SUFFIXES = (".mcap", ".db3", ".bag")
_EXPECTED = "a folder, .mcap or .db3, or ROS 1's .bag"

Warn = Callable[[str], None]


class BagError(ValueError):
    """A bag cannot be used; the message names it and says why, in one line."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


class Storage(Protocol):
    """An open file of a bag."""

    @property
    def connections(self) -> list[Connection]: ...

    def messages(
        self, connections: Collection[Connection]
    ) -> Iterator[tuple[Connection, int, bytes]]: ...

    def close(self) -> None: ...


def open_storages(path: Path, stack: ExitStack, warn: Warn) -> list[Storage]:
    """Open the files of a bag, in the order of recording.

    Args:
        path: a rosbag2 folder, or a file.
        stack: closes the files.
        warn: called with a line for each thing that is missing or broken.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        BagError: it is no bag, or a file of it cannot be read at all.
    """
    if not path.exists():
        raise FileNotFoundError(f"bag {path}: no such file or folder; expected {_EXPECTED}")
    if path.is_dir():
        return [_open(file, stack, warn) for file in _files(path, warn)]
    if not _is_bag(path):
        raise BagError(
            f"bag {path}: {path.suffix or 'no suffix'} is no rosbag2 file; expected {_EXPECTED}"
            f"{_remedy(path) if path.suffix == '.active' else ''}"
        )
    return [_open(path, stack, warn)]


def one_line(text: str) -> str:
    """A text with its line breaks replaced by spaces."""
    return " ".join(text.splitlines())


def reason_of(error: Exception) -> str:
    """The text of an exception in one line; its class where it has none."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _is_bag(path: Path) -> bool:
    name = path.stem if path.suffix == _COMPRESSED else path.name
    return name.endswith(_SUFFIXES)


def _files(folder: Path, warn: Warn) -> list[Path]:
    """The files of a bag folder, in the order of recording."""
    listed, why = _listed(folder)
    there = [file for file in listed if file.exists()]
    if lost := [file.name for file in listed if file not in there]:
        why = f"files are missing: {', '.join(lost)}"
    if not there:
        there = sorted((file for file in folder.iterdir() if _is_bag(file)), key=_split_number)
    if not there:
        raise BagError(f"bag {folder}: {why or 'it names no file'}, and no .mcap or .db3 in it")
    if why:
        warn(f"bag {folder}: {why}; what is there is read")
    return there


def _listed(folder: Path) -> tuple[list[Path], str]:
    """The files that metadata.yaml names; none, and the reason, if it cannot be read."""
    file = folder / "metadata.yaml"
    if not file.exists():
        if any(path.suffix == ".bag" for path in folder.iterdir()):  # ROS 1 has none
            return [], ""
        return [], "no metadata.yaml"
    try:
        names = yaml.safe_load(file.read_text())["rosbag2_bagfile_information"]
        # Until ROS 2 Galactic they are relative to another folder.
        return [folder / PurePath(name).name for name in names["relative_file_paths"]], ""
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        return [], f"metadata.yaml is not readable ({reason_of(error)})"


def _split_number(path: Path) -> tuple[int, str]:
    """A sort key by which bag_10.mcap comes after bag_9.mcap."""
    number = re.search(r"_(\d+)\.", path.name)
    return (int(number[1]) if number else -1, path.name)


def _open(path: Path, stack: ExitStack, warn: Warn) -> Storage:
    try:
        plain = _decompressed(path, stack) if path.suffix == _COMPRESSED else path
        storage = _opened(plain)
    except Exception as error:  # which one depends on the bytes that are wrong
        raise BagError(f"bag {path}: not readable ({reason_of(error)}){_remedy(path)}") from error
    stack.callback(storage.close)
    if damage := getattr(storage, "damage", ""):
        warn(f"bag {path}: broken ({damage}); read up to the break")
    return storage


def _opened(path: Path) -> Storage:
    if path.suffix == ".db3":
        return SqliteFile(path)
    reader = McapFile(path) if path.suffix == ".mcap" else rosbag1.Reader(path)
    reader.open()
    return reader


def _remedy(path: Path) -> str:
    if path.suffix not in (".bag", ".active"):  # ROS 1 calls a bag .active while it records
        return ""
    return "; ROS 1's `rosbag reindex FILE` mends what a crash left, `rosbag fix` old versions"


def _decompressed(path: Path, stack: ExitStack) -> Path:
    """A decompressed copy of a file, up to where the file is broken."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    target = Path(folder) / path.stem
    # Where the end is missing, what came before is a broken file of its kind.
    with zstd.open(path, "rb") as source, target.open("wb") as file, suppress(EOFError):
        shutil.copyfileobj(source, file)
    return target
