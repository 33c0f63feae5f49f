# SPDX-License-Identifier: Apache-2.0
"""Recordings made while driving: over real topics, and without ROS."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from bisect import bisect_left
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from nav_msgs.msg import Odometry
from rosbags.rosbag2 import Reader

from td3_driver.bags.reading import Bag
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.driving.roles import DrivingConfig
from td3_driver.online.shadow import REMEMBERED
from td3_driver.online.trained import load
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay
from td3_driver.replay.log import ReplayLink
from td3_driver.ros import names
from td3_driver.ros.conversions import stamp_of

from ..bridge.client import stamp_of_raw
from ..e2e.conftest import Finished, train
from ..e2e.running import Node, wait_until
from .conftest import Drive
from .making import reordered
from .test_live_replay import LOST, differences, playing, ros
from .test_prefill import COLUMNS, column, prefilled
from .test_replay import command

__all__ = ["ros"]  # a fixture

ROW = DrivingConfig().spaces.row
STEPS = 250
EGO = "/carla/ego_vehicle"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("recording")
    return train(
        folder / "run", "--steps", str(STEPS), "--seed", "4", "--save-replay",
        "--record", str(folder / "bag"), evaluated=False,
    )  # fmt: skip


def test_the_bag_of_a_training_gives_the_transitions_that_were_learned_from(
    trained: Finished, tmp_path: Path
) -> None:
    """Recorded over DDS, read back from a file, judged anew: every byte is the same."""
    assert trained.code == 0, trained.output
    assert "lost none" in trained.output
    bag = trained.folder.parent / "bag"
    file = trained.folder / f"td3_{STEPS}.pth"
    link = ReplayLink.from_mapping(checkpoint.read(file)["replay"])
    capacity = load_configuration("default").agent.replay_capacity
    learned = Replay(capacity, *ROW)
    replay_file.restore(learned, trained.folder, link)
    _, found = prefilled([bag], tmp_path / "out.replay", load_configuration("default").driving)
    rows = learned.rows_written
    assert learned.transitions == STEPS
    # The frames after the last step were braked for, and are in the bag, too: while it saves.
    assert found.rows_written >= rows
    for name in COLUMNS:
        mine, theirs = column(learned, name), column(found, name)[:rows]
        # Only the newest row goes on in the bag: what was done there, and what that was worth.
        last = rows - 1 if name in ("actions", "rewards", "flags") else rows
        assert np.array_equal(mine[:last], theirs[:last]), name


def in_time(source: Path, target: Path) -> Path:
    """The same bag, where nothing was heard more than some frames after its image.

    What got lost on the way on a busy machine is heard 3 s later: a hundred frames of a world in
    lock-step, of which a live replay remembers `REMEMBERED`.
    """
    with Reader(source) as reader:
        images_ns = {
            stamp_of_raw(data): time_ns
            for connection, time_ns, data in reader.messages()
            if connection.topic.endswith("/image")
        }
    stamps = [*images_ns]

    def when_ns(topic: str, time_ns: int, data: bytes) -> int:
        leaf = topic.rpartition("/")[2]
        if leaf in ("status", "tf", "tf_static", "episode"):  # nobody who replays listens to them
            return time_ns
        stamp = 0 if leaf in ("world_info", "vehicle_info") else stamp_of_raw(data)
        latest = min(bisect_left(stamps, stamp) + REMEMBERED // 2, len(stamps) - 1)
        return min(time_ns, images_ns[stamps[latest]])

    return reordered(source, target, when_ns)


def test_its_live_replay_equals_the_offline_one(
    trained: Finished, ros: None, tmp_path: Path
) -> None:
    """Frame by frame, as the recorder has heard them, through a driver of its own."""
    bag, file = trained.folder.parent / "bag", trained.folder / f"td3_{STEPS}.pth"
    bag = in_time(bag, tmp_path / "bag")
    driver = Node("ros.driver.node", "mode:=replay", f"resume:={file}", "use_sim_time:=true")
    try:
        driver.wait_for("waiting for")
        with playing(driver, bag) as player:
            found = player.play_all()
            assert len(found) > STEPS // 2
            assert differences(load(file), bag, found) == (set(), pytest.approx(0.0, abs=1e-6))
            assert {name: int(player.status[name]) for name in LOST} == LOST
    finally:
        driver.kill()


def test_rosbag2_accepts_the_bag(trained: Finished) -> None:
    """What `rosbag2_storage`'s convert<BagMetadata> of Humble writes, field by field, no other."""
    bag = trained.folder.parent / "bag"
    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    with Reader(bag) as reader:
        counts = Counter(connection.topic for connection, _, _ in reader.messages())
        times_ns = [time_ns for _, time_ns, _ in reader.messages()]
    start, lasted = min(times_ns), max(times_ns) - min(times_ns)
    listed = yaml.safe_load(
        (Path(__file__).parents[2] / "config" / "record_topics.yaml").read_text()
    )["/**"]["ros__parameters"]["record"]["topics"]
    topics = about.pop("topics_with_message_count")
    assert about == {
        "version": 5,
        "storage_identifier": "mcap",
        "duration": {"nanoseconds": lasted},
        "starting_time": {"nanoseconds_since_epoch": start},
        "message_count": len(times_ns),
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": ["bag_0.mcap"],
        "files": [
            {
                "path": "bag_0.mcap",
                "starting_time": {"nanoseconds_since_epoch": start},
                "duration": {"nanoseconds": lasted},
                "message_count": len(times_ns),
            }
        ],
    }
    assert sorted(topic["topic_metadata"]["name"] for topic in topics) == sorted(listed)
    forever = {"sec": 9223372036, "nsec": 854775807}
    for topic in topics:
        said = topic["topic_metadata"]
        assert sorted(topic) == ["message_count", "topic_metadata"]
        assert sorted(said) == ["name", "offered_qos_profiles", "serialization_format", "type"]
        assert topic["message_count"] == counts[said["name"]]
        latched = said["name"].endswith(
            ("world_info", "vehicle_info", "route", "tf_static", "lights/info", "lights/status")
        )
        assert yaml.safe_load(said["offered_qos_profiles"]) == [  # numbers of rmw/types.h
            {
                "history": 1,
                "depth": 10,
                "reliability": 1,
                "durability": 1 if latched else 2,
                "deadline": forever,
                "lifespan": forever,
                "liveliness": 1,
                "liveliness_lease_duration": forever,
                "avoid_ros_namespace_conventions": False,
            }
        ]
    assert counts["/carla/world_info"] == 1
    assert counts[f"{EGO}/rgb_front/image"] >= STEPS


def test_the_advice_for_rosbag2_lists_the_topics() -> None:
    """Topics one after the other: all that Humble's `ros2 bag record` takes."""
    file = Path(__file__).parents[2] / "config" / "record_topics.yaml"
    told = re.search(r"ros2 bag record .*\$\((.*)\)$", file.read_text(), re.MULTILINE)
    assert told is not None
    listed = subprocess.check_output(told[1], shell=True, cwd=file.parent, text=True).split()
    about = yaml.safe_load(file.read_text())["/**"]["ros__parameters"]
    assert listed == about["record"]["topics"]


def test_reindexing_finds_the_files(trained: Finished, tmp_path: Path) -> None:
    """By `regex_bag_pattern_` of rosbag2's Reindexer; by the numbers, in order, so do we."""
    bag = trained.folder.parent / "bag"
    files = [
        file.name for file in bag.iterdir() if re.fullmatch(r".+_(\d+)\.[a-zA-Z0-9]+", file.name)
    ]
    assert files == ["bag_0.mcap"]
    shutil.copytree(bag, tmp_path / "bag", ignore=shutil.ignore_patterns("metadata.yaml"))
    with Bag(bag) as whole, Bag(tmp_path / "bag") as without:
        assert whole.topics == without.topics
        assert not whole.warnings


def test_a_folder_that_is_there_is_not_recorded_into(
    tmp_path: Path, drive: Drive, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(tmp_path / "run", "--record", str(tmp_path))
    assert run.code == 1
    assert run.output.splitlines() == [
        f"td3_driver train: bag {tmp_path}: exists already; choose a new folder to record into"
    ]
    words = ("--checkpoint", drive.checkpoint, "--out", tmp_path / "out", "--record", tmp_path)
    assert command("evaluate", *words) == 1
    assert "exists already" in capsys.readouterr().err


def test_a_killed_recorder_leaves_what_it_has_written(tmp_path: Path, ros: None) -> None:
    """Up to a chunk of MCAP, 1 MB, is in memory; what is in the file can be read."""
    node = rclpy.create_node("car")
    publisher = node.create_publisher(Odometry, f"{EGO}/odometry", names.VOLATILE_600)
    folder = tmp_path / "bag"
    recorder = Node(
        "ros.recorder_node", f"record.topics:=[{EGO}/odometry]", f"storage.uri:={folder}"
    )
    try:
        wait_until(lambda: publisher.get_subscription_count() > 0)
        message = Odometry(child_frame_id="x" * 20_000)

        def written() -> bool:
            stamp = message.header.stamp
            message.header.stamp = stamp_of(stamp.sec * 10**9 + stamp.nanosec + 50_000_000)
            publisher.publish(message)
            return (folder / "bag_0.mcap").stat().st_size > 2_000_000

        wait_until(written)
        recorder.kill()
    finally:
        recorder.kill()
        node.destroy_node()
    with Bag(folder) as bag:
        stamps = [m.message.header.stamp for m in bag.messages(f"{EGO}/odometry")]
        assert any("no metadata.yaml" in line for line in bag.warnings)
    times_ns = np.array([stamp.sec * 10**9 + stamp.nanosec for stamp in stamps])
    assert len(times_ns) >= 90
    assert (np.diff(times_ns) == 50_000_000).all()


def test_a_recorder_without_a_type_says_so(tmp_path: Path) -> None:
    recorder = Node("ros.recorder_node", "record.topics:=[/scan]", f"storage.uri:={tmp_path}/bag")
    assert recorder.wait() == 1
    assert "record.topics: '/scan' ends in none of" in recorder.output


def test_an_evaluation_is_recorded(drive: Drive, tmp_path: Path) -> None:
    """A bag for each drive; replaying it gives the policy's own actions."""
    words = ("--checkpoint", drive.checkpoint, "--out", tmp_path / "out", "--episodes", "2")
    lengths = ("--route-length", "30", "--record", tmp_path / "bags")
    assert command("evaluate", *words, *lengths) == 0
    bags = sorted((tmp_path / "bags").iterdir())
    assert len(bags) == 2
    for bag in bags:
        with Reader(bag) as reader:
            assert reader.message_count > 100
        words = ("replay", bag, "--checkpoint", drive.checkpoint, "--out", tmp_path / "replay")
        assert command(*words) == 0
        found = json.loads((tmp_path / "replay" / "metrics.json").read_text())
        assert found["frames"] > 20
        assert found["steer_mae"] == found["throttle_brake_mae"] == 0.0
