# SPDX-License-Identifier: Apache-2.0
"""A bag opened for playback: its topics found, and all of it read but the pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from td3_driver.bags.reading import Bag
from td3_driver.bags.topics import TopicNames, find_topics
from td3_driver.driving.messages.synchronisation import AUTOMATIC, Sync
from td3_driver.playback.drive_log import DriveLog, read_log
from td3_driver.playback.progress import Progress


@dataclass(frozen=True)
class ReadOptions:
    """How to read a bag: the topics, None to find them, and which odometry an image gets."""

    image: str | None = None
    odometry: str | None = None
    control: str | None = None
    sync: Sync = AUTOMATIC


@dataclass(frozen=True)
class Recording:
    """An open bag, the topics of its drive, and what `read_log` read of it."""

    bag: Bag
    topics: TopicNames
    log: DriveLog


@contextmanager
def open_recording(path: Path, options: ReadOptions, progress: Progress) -> Iterator[Recording]:
    """Open a bag and read everything but its pictures.

    Args:
        path: the bag.
        options: how to read it.
        progress: stepped with each odometry, and told how many pictures are to be read.

    Raises:
        FileNotFoundError, BagError: the bag cannot be used.
    """
    with Bag(path) as bag:
        topics = find_topics(bag, options.image, options.odometry, options.control)
        progress.expect(bag.topics[topics.odometry].count + bag.topics[topics.image].count)
        yield Recording(bag, topics, read_log(bag, topics, options.sync, progress))
