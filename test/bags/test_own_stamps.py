# SPDX-License-Identifier: Apache-2.0
"""Pictures and odometry with stamps of their own, with none, or of different clocks."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from td3_driver.bags.reading import BagError
from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.playback.metrics import metrics
from td3_driver.playback.open_loop import Playback

from .conftest import Drive
from .making import TYPES, rewrite, without
from .test_replay import actions, command, replayed

UNSYNCED = Path(__file__).parents[1] / "data" / "bag_unsynced" / "robot_unsynced"
STEP_NS = 50_000_000
CAR = "/carla/ego_vehicle"


def by_stamp(found: Playback) -> dict[int, np.ndarray]:
    stamps = np.round(found.rows["stamp_s"] * 1e9).astype(np.int64).tolist()
    return dict(zip(stamps, actions(found), strict=True))


def stamped(message: Any, time_ns: int) -> Any:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(time_ns, 10**9)
    return message


def stamp_of(message: Any) -> int:
    return int(message.header.stamp.sec * 10**9 + message.header.stamp.nanosec)


def test_a_robot_s_bag_is_interpolated_and_says_so(
    drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """30 Hz and 50 Hz, stamps of their own; the car goes at 5 m/s and turns by 0.1 rad/s."""
    words = ("replay", UNSYNCED, "--checkpoint", drive.checkpoint, "--out", tmp_path)
    assert command(*words) == 0
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["frames"] == 59  # the first picture is older than any odometry
    assert found["unmatched_images"] == 1
    assert found["sync"] == {"mode": "interpolate", "tolerance_s": 0.1, "stamps": "header"}
    said = [line for line in capsys.readouterr().err.splitlines() if "--sync" in line]
    assert said == [line for line in found["notes"] if "--sync" in line]
    assert "59 of 60 images" in said[0]
    rows = replayed(drive, UNSYNCED).rows
    since_s = rows["stamp_s"] - 1000.0
    radius_m = 5.0 / 0.1
    assert np.abs(rows["x_m"] - radius_m * np.sin(0.1 * since_s)).max() < 1e-3
    assert np.abs(rows["y_m"] - radius_m * (1.0 - np.cos(0.1 * since_s))).max() < 1e-3

    for mode, frames in (("nearest", 60), ("interpolate", 59)):
        assert command(*words, "--sync", mode) == 0
        found = json.loads((tmp_path / "metrics.json").read_text())
        assert (found["frames"], found["sync"]["mode"]) == (frames, mode)
    capsys.readouterr()
    for wrong, said_ in (
        (
            ("--sync", "exact"),
            "none of 60 images on /camera/image_raw has the stamp of one of 100",
        ),
        (("--tolerance", "0.001"), "within 0.001 s before and after it; see --tolerance"),
    ):
        assert command(*words, *wrong) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said_ in line
    assert command(*words, "--tolerance", "0") == 2
    assert command(*words, "--sync", "sometimes") == 2


def moved(by_ns: int) -> Any:
    """A change: pictures that much later, with what belongs to them."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/image"):
            stamped(message, stamp_of(message) + by_ns)
        yield topic, time_ns, kind, message

    return change


def test_a_millisecond_more_changes_little(drive: Drive, tmp_path: Path) -> None:
    """Routes, commands and resets stay where they were."""
    original = by_stamp(replayed(drive, drive.bag))
    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", moved(1_000_000)))
    assert found.log.frames.mode == "interpolate"
    later = by_stamp(found)
    both = [(original[t], later[t + 1_000_000]) for t in original if t + 1_000_000 in later]
    assert len(both) > 0.9 * len(original)
    differences = np.abs(np.array([one - other for one, other in both]))
    assert differences.max() < 0.05
    assert found.counts["episodes"] >= 3
    assert metrics(found)["steer_mae"] < 0.05  # the commands are those of the same frames


def test_exact_stays_exact(drive: Drive, tmp_path: Path) -> None:
    """A few odometries missing are no reason to guess them, unless that is asked for."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if not (topic.endswith("/odometry") and time_ns // STEP_NS in (100, 110)):
            yield topic, time_ns, kind, message

    bag = rewrite(drive.bag, tmp_path / "bag", change)
    found = replayed(drive, bag)
    assert found.log.frames.to_mapping() == {
        "mode": "exact", "tolerance_s": None, "stamps": "header",
    }  # fmt: skip
    assert metrics(found)["unmatched_images"] == 2
    assert metrics(found)["notes"] == []
    asked = replayed(drive, bag, sync=Sync("interpolate"))
    assert metrics(asked)["unmatched_images"] == 0
    for mode in ("exact", "nearest", "interpolate"):
        same = replayed(drive, drive.bag, sync=Sync(mode))
        assert np.array_equal(actions(same), actions(replayed(drive, drive.bag)))


def zeroed(*ends: str) -> Any:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith(ends):
            stamped(message, 0)
        yield topic, time_ns, kind, message

    return change


@pytest.mark.parametrize(
    "topics", [("/image",), ("/odometry",), ("/image", "/odometry", "_cmd", "_status", "/route")]
)
def test_without_stamps_the_bag_s_times_count(
    topics: tuple[str, ...], drive: Drive, tmp_path: Path
) -> None:
    """What our recorder writes has the frame's time for all of a frame."""
    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", zeroed(*topics)))
    assert np.array_equal(actions(found), actions(replayed(drive, drive.bag)))
    (note,) = found.log.notes
    assert re.fullmatch(rf"all stamps on {CAR}/\S+ are 0: the bag's own times count", note)
    assert metrics(found)["sync"]["stamps"] == "bag"
    assert metrics(found)["steer_mae"] == 0.0


def test_stamps_of_two_clocks_give_way_to_the_bag_s_times(drive: Drive, tmp_path: Path) -> None:
    """A camera that counts from when it was switched on, odometry since 1970."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/odometry"):
            stamped(message, stamp_of(message) + 1_700_000_000 * 10**9)
        yield topic, time_ns, kind, message

    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", change))
    assert len(found.rows["steer"]) > 200
    assert "are of different clocks: the bag's own times count" in found.log.notes[0]


def slower(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """Odometry of every second frame only, status with stamps of its own."""
    if topic.endswith("/odometry") and time_ns // STEP_NS % 2:
        return
    if topic.endswith("/image"):
        stamped(message, stamp_of(message) + 7_000_000)
    if topic.endswith("/vehicle_status"):
        stamped(message, stamp_of(message) + 3_000_000)
    if not topic.endswith(("/route", "_cmd")):
        yield topic, time_ns, kind, message


def test_status_with_stamps_of_its_own_tells_what_was_driven(drive: Drive, tmp_path: Path) -> None:
    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", slower))
    assert found.counts["frames"] > 280
    original = by_stamp(replayed(drive, drive.bag))
    stamps = np.round(found.rows["stamp_s"] * 1e9).astype(np.int64) - 7_000_000
    driven = np.stack([found.rows["driven_steer"], found.rows["driven_drive"]], axis=1)
    known = [
        (driven[row], original[t])
        for row, t in enumerate(stamps.tolist())
        if t in original and not np.isnan(driven[row]).any()
    ]
    assert len(known) > 150
    differences = np.abs(np.array([one - other for one, other in known])).max(axis=1)
    assert np.median(differences) < 1e-6


def test_a_command_of_prefill(
    drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", moved(1_000_000))
    words = ("prefill", bag, "--out", tmp_path / "out.replay")
    assert command(*words) == 0
    notes = capsys.readouterr().err.splitlines()
    assert any("--sync interpolate" in line for line in notes)
    assert command(*words, "--sync", "exact") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "none of 300 images" in line
    assert command(*words, "--sync", "nearest", "--tolerance", "0.01") == 0


# Odometry that is none.


def spoilt(part: str, value: float, every: int) -> Any:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/odometry") and time_ns // STEP_NS % every == 0:
            if part == "quaternion":
                other = TYPES.types["geometry_msgs/msg/Quaternion"]
                message.pose.pose.orientation = other(value, value, value, value)
            else:
                message.pose.pose.position.x = value
        yield topic, time_ns, kind, message

    return change


@pytest.mark.parametrize(
    ("part", "value", "why"),
    [
        ("x", np.nan, "not finite"),
        ("x", np.inf, "not finite"),
        ("quaternion", 0.0, "no orientation"),
        ("quaternion", np.nan, "no orientation"),
    ],
)
def test_odometry_that_is_none_is_left_out_and_named(
    part: str, value: float, why: str, drive: Drive, tmp_path: Path
) -> None:
    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", spoilt(part, value, 50)))
    (line,) = found.warnings
    assert f"{CAR}/odometry: message 50 (at 2.500 s): {why}" in line
    assert "so are 5 more" in line
    assert found.counts["frames"] == 294
    bag = rewrite(drive.bag, tmp_path / "all", spoilt(part, value, 1))
    with pytest.raises(BagError, match=rf"/odometry: message 1 \(at .* s\): {why}") as refused:
        replayed(drive, bag)
    assert "\n" not in str(refused.value)


def test_quaternions_need_not_have_a_length_of_one(drive: Drive, tmp_path: Path) -> None:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/odometry"):
            q = message.pose.pose.orientation
            q.z, q.w = 3.0 * q.z, 3.0 * q.w
        yield topic, time_ns, kind, message

    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", change))
    assert np.abs(actions(found) - actions(replayed(drive, drive.bag))).max() < 1e-5


def test_commands_that_are_none_are_not_learned_from(drive: Drive, tmp_path: Path) -> None:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("_cmd") and time_ns // STEP_NS == 100:
            message.steer = float("nan")
        yield topic, time_ns, kind, message

    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", change))
    (line,) = found.warnings
    assert "vehicle_control_cmd: message 100 (at 5.000 s): not finite; left out" in line
    assert np.isnan(found.rows["driven_steer"]).sum() == 1


def test_a_bag_of_pictures_alone(drive: Drive, tmp_path: Path) -> None:
    others = ("/odometry", "_cmd", "_status", "/route", "/world_info", "/collision", "/objects")
    bag = rewrite(drive.bag, tmp_path / "bag", without(*others))
    with pytest.raises(BagError, match=r"no topic of type nav_msgs/msg/Odometry; it has .*/image"):
        replayed(drive, bag)
