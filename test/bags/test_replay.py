# SPDX-License-Identifier: Apache-2.0
"""What a policy would have done in a recorded drive, against what is known of that drive."""

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from td3_driver import cli
from td3_driver.bags.reading import BagError
from td3_driver.driving.messages.synchronisation import AUTOMATIC, Sync
from td3_driver.playback.metrics import metrics, read_baseline, regressions
from td3_driver.playback.open_loop import SHOWN, Playback, play_back
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions

from .conftest import Drive
from .making import TYPES, rewrite, without

CONTRACT = {
    "frames", "dropped_frames", "steer_mae", "throttle_brake_mae", "steer_rate_rms", "q_mean",
    "latency_ms_p50", "latency_ms_p99", "topics",
}  # fmt: skip
LATENCY = {"latency_ms_p50", "latency_ms_p99"}
ENCODINGS = Path(__file__).parents[1] / "data" / "bag_encodings"


def replayed(
    drive: Drive,
    bag: Path,
    names: tuple[str | None, ...] = (None, None, None),
    sync: Sync = AUTOMATIC,
) -> Playback:
    trained = drive.trained
    with Progress() as progress:
        return play_back(bag, trained.policy, trained.driving, ReadOptions(*names, sync), progress)


def actions(found: Playback) -> np.ndarray:
    return np.stack([found.rows["steer"], found.rows["drive"]], axis=1)


@pytest.fixture(scope="module")
def original(drive: Drive) -> Playback:
    return replayed(drive, drive.bag)


def test_replaying_ones_own_drive_gives_its_own_actions(drive: Drive, original: Playback) -> None:
    """All observations are those of driving: episodes, frame stacks, routes, vectors."""
    driven = drive.actions
    assert len(driven) > 200
    assert original.counts["episodes"] >= 3
    # The last frame of the bag was answered, too, but what that led to was not recorded.
    assert len(actions(original)) - len(driven) in (0, 1)
    assert np.abs(actions(original)[: len(driven)] - driven).max() < 1e-6
    recorded = np.stack([original.rows["driven_steer"], original.rows["driven_drive"]], axis=1)
    assert np.abs(recorded[: len(driven)] - driven).max() < 1e-6
    found = metrics(original)
    assert set(found) >= CONTRACT
    assert found["steer_mae"] == found["throttle_brake_mae"] == 0.0
    assert found["steer_correlation"] == 1.0
    assert found["dropped_frames"] == found["unmatched_images"] == 0
    assert found["gaps"] == {"count": 0, "longest_s": 0.0}
    assert found["notes"] == []


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
    ],
)
def test_how_it_is_stored_makes_no_difference(
    storage: StoragePlugin,
    compression: CompressionMode,
    drive: Drive,
    original: Playback,
    tmp_path: Path,
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", storage=storage, compression=compression)
    found = replayed(drive, bag)
    assert np.array_equal(actions(found), actions(original))
    same = metrics(found), metrics(original)
    for values in same:
        for name in {*LATENCY, "topics"}:  # an empty topic is not copied
            del values[name]
    assert same[0] == same[1]


def encoded(encoding: str) -> Any:
    """A change of the camera's pictures to another encoding."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if not topic.endswith("/image"):
            yield topic, time_ns, kind, message
            return
        bgra = message.data.reshape(message.height, message.width, 4)
        if encoding == "png":
            data = cv2.imencode(".png", bgra[:, :, :3])[1]
            kind = "sensor_msgs/msg/CompressedImage"
            other = TYPES.types[kind](header=message.header, format="png", data=data)
            yield f"{topic}/compressed", time_ns, kind, other
            return
        grey = cv2.cvtColor(bgra, cv2.COLOR_BGRA2GRAY)
        pixels = {"bgr8": bgra[:, :, :3], "rgb8": bgra[:, :, 2::-1], "mono8": grey}[encoding]
        message.encoding, message.step = encoding, pixels.nbytes // message.height
        message.data = np.ascontiguousarray(pixels).reshape(-1)
        yield topic, time_ns, kind, message

    return change


@pytest.mark.parametrize(
    ("encoding", "tolerance"), [("bgr8", 1e-6), ("rgb8", 1e-6), ("mono8", 2e-3), ("png", 1e-6)]
)
def test_all_encodings_are_read(
    encoding: str, tolerance: float, drive: Drive, original: Playback, tmp_path: Path
) -> None:
    """Grey before shrinking differs from grey after it by a rounding."""
    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", encoded(encoding)))
    assert np.abs(actions(found) - actions(original)).max() < tolerance


@pytest.mark.parametrize("name", ["enc_8UC3", "enc_rgba8", "enc_yuv422_yuy2"])
def test_bags_of_other_cameras_are_read(name: str, drive: Drive) -> None:
    found = replayed(drive, ENCODINGS / name)
    assert found.counts["frames"] == 10
    assert found.warnings == []


def test_a_picture_that_cannot_be_read_is_left_out_and_named(drive: Drive, tmp_path: Path) -> None:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/image") and time_ns // 50_000_000 in (10, 20):
            message.data = message.data[:100]
        yield topic, time_ns, kind, message

    found = replayed(drive, rewrite(drive.bag, tmp_path / "bag", change))
    (line,) = found.warnings
    assert "/image: message 10 (at 0.500 s): image of 100 bytes does not fit" in line
    assert line.endswith("left out; so are 1 more")
    assert found.counts["frames"] == 298


def test_a_camera_of_distances_is_refused_with_what_to_do(drive: Drive, tmp_path: Path) -> None:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/image"):
            message.encoding = "32FC1"
        yield topic, time_ns, kind, message

    bag = rewrite(drive.bag, tmp_path / "bag", change)
    with pytest.raises(BagError, match=r"message 1 .*'32FC1'; readable are .*--image") as refused:
        replayed(drive, bag)
    assert "\n" not in str(refused.value)


def test_errors_are_those_that_were_made(drive: Drive, tmp_path: Path) -> None:
    """Every command changed by a known amount; full lock is twice an action's reach."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("vehicle_control_cmd"):
            message.steer += 0.1
            message.throttle -= 0.05
        yield topic, time_ns, kind, message

    found = metrics(replayed(drive, rewrite(drive.bag, tmp_path / "bag", change)))
    assert found["steer_mae"] == pytest.approx(0.2, abs=1e-6)
    assert found["steer_rmse"] == pytest.approx(0.2, abs=1e-6)
    assert found["throttle_brake_mae"] == pytest.approx(0.05, abs=1e-6)
    assert found["steer_correlation"] == pytest.approx(1.0, abs=1e-6)
    counted = [part["frames"] for part in found["by_speed_mps"]]
    assert sum(counted) == found["frames"]
    for part in found["by_curvature_per_m"]:
        assert part["frames"] == 0 or part["steer_mae"] == pytest.approx(0.2, abs=1e-6)


def test_what_is_missing_is_counted(drive: Drive, tmp_path: Path) -> None:
    """Two single images, five odometries in a row, and 1.5 s of everything are left out."""
    step_ns = 50_000_000

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        number = time_ns // step_ns
        gone = 200 < number <= 230
        gone |= topic.endswith("/image") and number in (50, 60)
        gone |= topic.endswith("/odometry") and 100 <= number < 105
        if not gone:
            yield topic, time_ns, kind, message

    found = metrics(replayed(drive, rewrite(drive.bag, tmp_path / "bag", change)))
    assert found["unmatched_images"] == 5
    assert found["unmatched_odometries"] == 2
    assert found["dropped_frames"] == 2 + 5
    assert found["gaps"] == {"count": 1, "longest_s": pytest.approx(1.55)}


def test_a_drive_of_another_gets_the_route_that_was_driven(
    drive: Drive, original: Playback, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", without("/route"))
    found = replayed(drive, bag)
    assert found.counts["episodes"] >= 3  # our driver's resets cut the drive
    assert len(found.rows["steer"]) > 0.8 * len(original.rows["steer"])
    both, mine, yours = np.intersect1d(
        found.rows["stamp_s"], original.rows["stamp_s"], return_indices=True
    )
    assert len(both) > 0.8 * len(original.rows["steer"])
    gaps = np.abs(actions(found)[mine] - actions(original)[yours])
    assert np.median(gaps) < 0.01


def test_without_a_map_the_drive_is_the_route(drive: Drive, tmp_path: Path) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", without("/route", "/world_info"))
    found = metrics(replayed(drive, bag))
    assert found["frames"] > 100
    assert found["notes"] == [
        "no carla_msgs/CarlaWorldInfo: the drive itself serves as the middle of the road"
    ]


def test_without_commands_vehicle_status_tells_what_was_driven(
    drive: Drive, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", without("/vehicle_control_cmd"))
    found = metrics(replayed(drive, bag))
    assert found["steer_mae"] == found["throttle_brake_mae"] == 0.0
    assert found["notes"] == ["no command topic: what was driven is taken from vehicle_status"]
    neither = without("/vehicle_control_cmd", "/vehicle_status")
    found = metrics(replayed(drive, rewrite(drive.bag, tmp_path / "neither", neither)))
    assert found["steer_mae"] is None
    assert found["q_mean"] is not None
    assert found["notes"] == [
        "no command topic and no vehicle_status: what was driven is not known"
    ]


def test_commands_without_the_frames_stamps_are_matched_by_time(
    drive: Drive, original: Playback, tmp_path: Path
) -> None:
    """As from a human at a wheel: stamps of their own, some ms after the frame, or none."""

    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("vehicle_control_cmd"):
            message.header.stamp.sec = message.header.stamp.nanosec = 0
            time_ns += 20_000_000
        yield topic, time_ns, kind, message

    found = metrics(replayed(drive, rewrite(drive.bag, tmp_path / "bag", change)))
    assert found["steer_mae"] == found["throttle_brake_mae"] == 0.0


def test_topics_are_found_or_given(drive: Drive, original: Playback, tmp_path: Path) -> None:
    def change(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
        if topic.endswith("/image"):
            yield "/car/front", time_ns, kind, message
            yield "/car/rear", time_ns, kind, message
        else:
            yield topic, time_ns, kind, message

    bag = rewrite(drive.bag, tmp_path / "bag", change)
    with pytest.raises(BagError, match=r"image may be any of /car/front, /car/rear; .*--image"):
        replayed(drive, bag)
    found = replayed(drive, bag, ("/car/front", None, None))
    assert found.topics.image == "/car/front"
    assert np.array_equal(actions(found), actions(original))
    for given, reason in (
        (("/nowhere", None, None), "--image /nowhere is not in the bag; expected sensor_msgs"),
        ((None, "/car/front", None), "--odometry /car/front is sensor_msgs/msg/Image; expected"),
    ):
        with pytest.raises(BagError, match=re.escape(reason)):
            replayed(drive, bag, (given[0] or "/car/rear", *given[1:]))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (without("/image"), "no topic of type sensor_msgs/msg/Image or"),
        (without("/odometry"), "no topic of type nav_msgs/msg/Odometry; it has"),
    ],
)
def test_a_bag_that_gives_nothing_gets_one_line(
    change: Any, reason: str, drive: Drive, tmp_path: Path
) -> None:
    bag = rewrite(drive.bag, tmp_path / "bag", change)
    with pytest.raises(BagError, match=re.escape(reason)) as refused:
        replayed(drive, bag)
    assert "\n" not in str(refused.value)


def command(*words: object) -> int:
    """`td3_driver` in this process; its exit code."""
    arguments, sys.argv = sys.argv, ["td3_driver", *map(str, words)]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = arguments
    raise AssertionError("the command does not exit")


def test_the_command_writes_what_repeats(
    drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = []
    for name in ("one", "two"):
        words = ("replay", drive.bag, "--checkpoint", drive.checkpoint, "--out", tmp_path / name)
        assert command(*words) == 0
        found = json.loads((tmp_path / name / "metrics.json").read_text())
        assert found["latency_ms_p50"] > 0.0
        texts.append(json.dumps({key: found[key] for key in found if key not in LATENCY}))
    assert texts[0] == texts[1]
    page = (tmp_path / "one" / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == SHOWN
    assert page.count("data:image/svg+xml;base64,") == 2
    assert re.search(r"""(src|href)=["'](?!data:)""", page) is None  # all in one file
    assert "steer MAE" in capsys.readouterr().out


def test_a_baseline_that_was_better_fails(
    drive: Drive, original: Playback, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, before = metrics(original), tmp_path / "before.json"

    def worse(largest: float = 0.1, **then: float) -> list[str]:
        before.write_text(json.dumps({**found, **then}))
        return regressions(found, read_baseline(before), largest)

    rate = found["steer_rate_rms"]
    assert worse() == []
    (line,) = worse(steer_rate_rms=0.8 * rate)
    assert line.startswith("steer_rate_rms: ")
    assert worse(0.5, steer_rate_rms=0.8 * rate) == []
    assert worse(steer_rate_rms=1.5 * rate, steer_mae=1.0) == []
    before.write_text("{}")
    with pytest.raises(ValueError, match="not a replay's metrics"):
        read_baseline(before)

    before.write_text(json.dumps({**found, "steer_rate_rms": 0.8 * rate}))
    words = ["replay", drive.bag, "--checkpoint", drive.checkpoint, "--out", tmp_path / "now"]
    assert command(*words, "--baseline", before) == 1
    assert "worse: steer_rate_rms" in capsys.readouterr().err
    # Also where it is the file that the new result replaces.
    old = tmp_path / "now" / "metrics.json"
    old.write_text(before.read_text())
    assert command(*words, "--baseline", old) == 1
    assert command(*words, "--max-regression", "-1") == 2


def test_user_mistakes_get_one_line(
    drive: Drive,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = ("--out", tmp_path / "out")
    for words in (
        ("replay", tmp_path / "none", "--checkpoint", drive.checkpoint, *out),
        ("replay", drive.bag, "--checkpoint", tmp_path / "none.pth", *out),
    ):
        assert command(*words) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("td3_driver replay: ")
        assert "none" in line
    monkeypatch.chdir(tmp_path)  # where no run is
    assert command("replay", drive.bag) == 1
    assert "--checkpoint" in capsys.readouterr().err
