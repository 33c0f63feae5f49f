# SPDX-License-Identifier: Apache-2.0
"""Writes bags as ROS 2 Humble does, so that Humble and later can play and reindex them.

MCAP with message definitions and quality of service, and metadata of version 5, the newest that
Humble reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.storage_mcap import McapWriter

from td3_driver import signals
from td3_driver.bags.reading import BagError

FORMAT_VERSION = 5  # rosbag2_storage/bag_metadata.hpp of Humble
# The oldest that `rosbags` writes; quality of service is a text in it, as in version 5.
_NEAREST_VERSION: Literal[8] = 8
_ROOT = "rosbag2_bagfile_information"
_FIELDS = (
    "version",
    "storage_identifier",
    "duration",
    "starting_time",
    "message_count",
    "topics_with_message_count",
    "compression_format",
    "compression_mode",
    "relative_file_paths",
    "files",
)
_TOPIC_FIELDS = ("name", "type", "serialization_format", "offered_qos_profiles")
_FOREVER = QosTime(9_223_372_036, 854_775_807)


class _NumberedMcap(McapWriter):
    """An MCAP file `<bag>_0.mcap`; `ros2 bag reindex` passes over files without a number."""

    def __init__(self, path: Path, compression: Any) -> None:
        super().__init__(path, compression)
        self.path = self.path.rename(path / f"{path.name}_0.mcap")

    def close(self, version: int, metadata: str) -> None:
        """Write the end of the file, with the content of metadata.yaml."""
        about = _as_version_5(yaml.safe_load(metadata))
        super().close(FORMAT_VERSION, _text(about))


class BagWriter(Writer):
    """Writes a new bag: a folder with an MCAP file."""

    STORAGE_PLUGINS: Mapping[StoragePlugin, type[Any]] = {
        **Writer.STORAGE_PLUGINS,
        StoragePlugin.MCAP: _NumberedMcap,
    }

    def __init__(self, path: Path) -> None:
        super().__init__(path, version=_NEAREST_VERSION, storage_plugin=StoragePlugin.MCAP)

    def close(self) -> None:
        """Write what is left, the index, and metadata.yaml."""
        with signals.held_back():
            super().close()
            about = yaml.safe_load(self.metapath.read_text())
            about[_ROOT] = _as_version_5(about[_ROOT])
            written = self.metapath.with_suffix(".yaml.tmp")
            written.write_text(_text(about))
            written.replace(self.metapath)


def check_new(path: Path) -> None:
    """Check that a bag can be made.

    Raises:
        BagError: there is something at `path` already.
    """
    if path.exists():
        raise BagError(f"bag {path}: exists already; choose a new folder to record into")


def open_writer(path: Path) -> BagWriter:
    """An open writer for a new bag.

    Raises:
        BagError: there is something at `path` already.
    """
    check_new(path)
    writer = BagWriter(path)
    writer.open()
    return writer


def quality(*, latched: bool, depth: int = 10) -> Qos:
    """The bridge's quality of service, as a bag stores it for playback."""
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


def _as_version_5(about: dict[str, Any]) -> dict[str, Any]:
    """Metadata of version 8 turned into version 5, without the fields that were added since."""
    topics = [
        {
            "topic_metadata": {name: topic["topic_metadata"][name] for name in _TOPIC_FIELDS},
            "message_count": topic["message_count"],
        }
        for topic in about["topics_with_message_count"]
    ]
    changed = {"version": FORMAT_VERSION, "topics_with_message_count": topics}
    return {name: changed.get(name, about[name]) for name in _FIELDS}


def _text(about: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(about, sort_keys=False, width=2**20)
    return text
