# SPDX-License-Identifier: Apache-2.0
"""Whatever is wrong with a file's bytes, what is left is replayed, or one line says why not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags import rosbag1
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from td3_driver.bags.reading import BagError
from td3_driver.playback.metrics import metrics

from .conftest import Drive
from .making import rewrite
from .test_replay import replayed
from .test_ros1 import ros1_bag
from .test_unneeded_topics import foreign

EDGE = 6000  # bytes at both ends, where headers and indices are


def short(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    if time_ns <= 2_000_000_000:
        yield topic, time_ns, kind, message


def only(folder: Path) -> Path:
    (file,) = (path for path in folder.iterdir() if path.name != "metadata.yaml")
    return file


@pytest.fixture(scope="module")
def files(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two seconds of a drive in each kind of file."""
    folder = tmp_path_factory.mktemp("files")
    source = rewrite(drive.bag, folder / "source", short)
    kinds = {
        "sqlite": (StoragePlugin.SQLITE3, CompressionMode.NONE),
        "chunks": (StoragePlugin.MCAP, CompressionMode.STORAGE),
        "file": (StoragePlugin.MCAP, CompressionMode.FILE),
    }
    made = [rewrite(source, folder / name, short, *how) for name, how in kinds.items()]
    return [
        only(source),
        *map(only, made),
        foreign(folder / "foreign.mcap", source, chunked=True),
        ros1_bag(source, folder / "plain.bag"),
        ros1_bag(source, folder / "lz4.bag", rosbag1.Writer.CompressionFormat.LZ4),
    ]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Bytes changed, zeroed, doubled or left out, at an end more often than in the middle."""
    data, size = bytearray(content), len(content)
    at = int(rng.choice([rng.integers(min(size, EDGE)), size - 1 - rng.integers(min(size, EDGE)),
                         rng.integers(size)]))  # fmt: skip
    length = int(rng.integers(1, 3000))
    match rng.integers(6):
        case 0:
            data[at] ^= 1 << int(rng.integers(8))
        case 1:
            for place in rng.integers(size, size=20):
                data[place] = int(rng.integers(256))
        case 2:
            del data[at:]
        case 3:
            data[at : at + length] = bytes(len(data[at : at + length]))
        case 4:
            data[at:at] = data[at : at + length]
        case _:
            del data[at : at + length]
    return bytes(data)


@pytest.mark.parametrize("seed", range(8))
def test_damage_ends_in_a_report_or_a_line(
    seed: int, files: list[Path], drive: Drive, tmp_path: Path
) -> None:
    rng = np.random.default_rng(seed)
    for file in files:
        broken = tmp_path / file.name
        broken.write_bytes(damaged(file.read_bytes(), rng))
        try:
            lines = metrics(replayed(drive, broken))["notes"]
        except (BagError, FileNotFoundError) as refused:
            lines = [str(refused)]
            assert str(broken) in lines[0]
        assert all(len(line.splitlines()) == 1 for line in lines)
