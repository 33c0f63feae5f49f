# SPDX-License-Identifier: Apache-2.0
"""Bags of every kind, whole and broken, give the messages that were written, or one clear line."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from td3_driver.bags.reading import Bag, BagError

from .conftest import Drive
from .making import as_humble_wrote_it, rewrite, split

IMAGE = "/carla/ego_vehicle/rgb_front/image"
ODOMETRY = "/carla/ego_vehicle/odometry"
Make = Callable[[Path, Path], Path]


def stored(storage: StoragePlugin, compression: CompressionMode) -> Make:
    return lambda source, target: rewrite(source, target, storage=storage, compression=compression)


def single_file(source: Path, target: Path) -> Path:
    (file,) = rewrite(source, target).glob("*.mcap")
    return file


SQLITE3, MCAP = StoragePlugin.SQLITE3, StoragePlugin.MCAP
KINDS: dict[str, Make] = {
    "sqlite3": stored(SQLITE3, CompressionMode.NONE),
    "sqlite3, messages compressed": stored(SQLITE3, CompressionMode.MESSAGE),
    "sqlite3, file compressed": stored(SQLITE3, CompressionMode.FILE),
    "sqlite3, split": lambda source, target: split(source, target, SQLITE3, 10_000_000_000),
    "sqlite3 of Humble": as_humble_wrote_it,
    "mcap, chunks compressed": stored(MCAP, CompressionMode.STORAGE),
    "mcap, messages compressed": stored(MCAP, CompressionMode.MESSAGE),
    "mcap, file compressed": stored(MCAP, CompressionMode.FILE),
    "mcap, split": lambda source, target: split(source, target, MCAP, 10_000_000_000),
    "one mcap file": single_file,
}


def contents(path: Path, *topics: str) -> list[tuple[str, int, Any]]:
    with Bag(path) as bag:
        found = [(m.topic, m.time_ns, m.message) for m in bag.messages(*(topics or bag.topics))]
        assert bag.warnings == []
        return found


def poses(path: Path) -> tuple[np.ndarray, list[str]]:
    """Odometry's stamps and places, and the warnings."""
    with Bag(path) as bag:
        rows = [
            (m.time_ns, m.message.pose.pose.position.x, m.message.pose.pose.position.y)
            for m in bag.messages(ODOMETRY)
        ]
        return np.array(rows), bag.warnings


def pictures(path: Path) -> list[bytes]:
    with Bag(path) as bag:
        return [message.message.data.tobytes() for message in bag.messages(IMAGE)]


@pytest.fixture(scope="module")
def written(drive: Drive) -> list[tuple[str, int, Any]]:
    return contents(drive.bag)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_bag_gives_what_was_written(
    kind: str, drive: Drive, written: list[tuple[str, int, Any]], tmp_path: Path
) -> None:
    found = contents(KINDS[kind](drive.bag, tmp_path / "bag"))
    assert len(found) == len(written) > 4 * 300

    def images(messages: list[tuple[str, int, Any]]) -> list[bytes]:
        return [message.data.tobytes() for topic, _, message in messages if topic == IMAGE]

    assert images(found) == images(written)
    others = [
        [(topic, time_ns, repr(message)) for topic, time_ns, message in one if topic != IMAGE]
        for one in (found, written)
    ]
    assert sorted(others[0]) == sorted(others[1])


def test_what_was_driven_is_in_the_bag(drive: Drive) -> None:
    stamps, _ = poses(drive.bag)
    egos = [frame.ego for frame in drive.frames]
    expected = [(ego.stamp_ns, ego.pose.x_m, ego.pose.y_m) for ego in egos]
    assert np.array_equal(stamps, np.array(expected))
    with Bag(drive.bag) as bag:
        controls = [m.message for m in bag.messages("/carla/ego_vehicle/vehicle_control_cmd")]
    assert [m.steer for m in controls] == [
        np.float32(frame.command.control.steer) for frame in drive.frames
    ]


@pytest.mark.parametrize(
    ("storage", "share"),
    [(MCAP, 0.1), (MCAP, 0.6), (MCAP, 0.95), (SQLITE3, 0.1), (SQLITE3, 0.6), (SQLITE3, 0.95)],
)
def test_a_bag_cut_off_is_read_up_to_the_break(
    storage: StoragePlugin, share: float, drive: Drive, tmp_path: Path
) -> None:
    """As a crash leaves it: the end of the file and metadata.yaml are missing."""
    bag = rewrite(drive.bag, tmp_path / "bag", storage=storage)
    (file,) = (path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    (bag / "metadata.yaml").unlink()
    with file.open("r+b") as content:
        content.truncate(int(share * file.stat().st_size))
    whole, _ = poses(drive.bag)
    found, warnings = poses(bag)
    # Up to a chunk of MCAP, 1 MB, is lost with the break.
    assert share * len(whole) - 20 <= len(found) < len(whole)
    assert np.array_equal(found, whole[: len(found)])
    assert any("broken" in line for line in warnings)
    assert any("no metadata.yaml" in line for line in warnings)
    images = pictures(bag)
    assert len(images) >= len(found) - 1
    assert images == pictures(drive.bag)[: len(images)]
    assert all("\n" not in line for line in warnings)


def test_what_a_crashed_sqlite_recorder_had_not_moved_is_read(
    drive: Drive, tmp_path: Path
) -> None:
    """rosbag2 writes SQLite with a write-ahead log; killed, it leaves that and no metadata."""
    bag = rewrite(drive.bag, tmp_path / "bag", storage=SQLITE3)
    (file,) = bag.glob("*.db3")
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    database = sqlite3.connect(file)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("UPDATE messages SET timestamp = timestamp + 7")
    database.commit()
    for part in (file.name, f"{file.name}-wal"):
        shutil.copy(bag / part, crashed)
    database.close()
    found, warnings = poses(crashed)
    whole, _ = poses(drive.bag)
    assert np.array_equal(found[:, 0], whole[:, 0] + 7)
    assert any("recorder crashed" in line for line in warnings)


def test_damage_in_the_middle_ends_the_reading_there(drive: Drive, tmp_path: Path) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", compression=CompressionMode.STORAGE)
    (file,) = bag.glob("*.mcap")
    size = file.stat().st_size
    with file.open("r+b") as content:
        content.seek(size // 2)
        content.write(bytes(5000))
    whole, _ = poses(drive.bag)
    found, warnings = poses(bag)
    assert 0.2 * len(whole) < len(found) < 0.8 * len(whole)
    assert np.array_equal(found, whole[: len(found)])
    assert len(warnings) == 1
    assert "broken" in warnings[0]


def test_a_missing_split_is_said(drive: Drive, tmp_path: Path) -> None:
    bag = split(drive.bag, tmp_path / "bag", MCAP, 10_000_000_000)
    (bag / "bag_0.mcap").unlink()
    found, warnings = poses(bag)
    whole, _ = poses(drive.bag)
    assert np.array_equal(found, whole[whole[:, 0] >= 10_000_000_000])
    assert "missing" in warnings[0]


def test_splits_without_metadata_are_read_in_their_order(drive: Drive, tmp_path: Path) -> None:
    bag = split(drive.bag, tmp_path / "bag", SQLITE3, 10_000_000_000)
    (bag / "metadata.yaml").unlink()
    (bag / "bag_0.db3").rename(bag / "bag_9.db3")
    (bag / "bag_1.db3").rename(bag / "bag_10.db3")
    assert np.array_equal(poses(bag)[0], poses(drive.bag)[0])


def no_bag(tmp_path: Path, drive: Drive) -> dict[str, tuple[Path, str]]:
    """Paths that are no bag, and what is said of them."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.mcap").touch()
    (tmp_path / "empty.db3").touch()
    (tmp_path / "notes.txt").write_text("no bag")
    (tmp_path / "noise.mcap").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "noise.db3").write_bytes(np.random.default_rng(0).bytes(5000))
    rewrite(drive.bag, tmp_path / "nothing", lambda *_: iter(()))
    lonely = tmp_path / "lonely"
    lonely.mkdir()
    shutil.copy(drive.bag / "metadata.yaml", lonely)
    return {
        "not there": (tmp_path / "nowhere", "no such file or folder; expected"),
        "an empty folder": (tmp_path / "folder", "no metadata.yaml, and no .mcap or .db3"),
        "an empty mcap": (tmp_path / "empty.mcap", "not readable"),
        "an empty db3": (tmp_path / "empty.db3", "not readable"),
        "a text file": (tmp_path / "notes.txt", ".txt is no rosbag2 file; expected"),
        "noise as mcap": (tmp_path / "noise.mcap", "not readable"),
        "noise as db3": (tmp_path / "noise.db3", "not readable"),
        "without topics": (tmp_path / "nothing", "empty, it holds no topic"),
        "only metadata": (lonely, "missing"),
    }


@pytest.mark.parametrize(
    "what",
    ["not there", "an empty folder", "an empty mcap", "an empty db3", "a text file",
     "noise as mcap", "noise as db3", "without topics", "only metadata"],
)  # fmt: skip
def test_what_is_no_bag_gets_one_line(what: str, drive: Drive, tmp_path: Path) -> None:
    path, expected = no_bag(tmp_path, drive)[what]
    with pytest.raises((BagError, FileNotFoundError)) as refused:
        Bag(path)
    assert str(path) in str(refused.value)
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
