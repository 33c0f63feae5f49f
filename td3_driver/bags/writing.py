# SPDX-License-Identifier: Apache-2.0
"""New bags as ROS 2 Jazzy writes them: MCAP, with message definitions, quality of service."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer

from td3_driver.bags.reading import BagError

FORMAT_VERSION: Literal[9] = 9  # rosbag2_storage/bag_metadata.hpp of Jazzy
_FOREVER = QosTime(9_223_372_036, 854_775_807)


def check_new(path: Path) -> None:
    """See that a bag can be made.

    Raises:
        BagError: there is something at `path` already.
    """
    if path.exists():
        raise BagError(f"bag {path}: exists already; choose a new folder to record into")


def open_writer(path: Path) -> Writer:
    """A writer for a new bag, a folder with an MCAP file, already opened.

    Raises:
        BagError: there is something at `path` already.
    """
    check_new(path)
    writer = Writer(path, version=FORMAT_VERSION, storage_plugin=StoragePlugin.MCAP)
    writer.open()
    return writer


def quality(*, latched: bool, depth: int = 10) -> Qos:
    """The bridge's quality of service, as a bag keeps it for playing."""
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
