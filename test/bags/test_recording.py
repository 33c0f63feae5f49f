# SPDX-License-Identifier: Apache-2.0
"""Recordings made while driving: over real topics, and without ROS."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import carla_msgs
import numpy as np
import pytest
import rclpy
import yaml
from nav_msgs.msg import Odometry
from rosbags.rosbag2 import Reader

from td3_driver.agent import checkpoint, replay_file
from td3_driver.agent.replay import Replay
from td3_driver.agent.replay_log import ReplayLink
from td3_driver.bags.reading import Bag
from td3_driver.configuration import load_configuration
from td3_driver.online.run import ROW
from td3_driver.ros import names
from td3_driver.ros.conversions import stamp_of

from ..e2e.conftest import Finished, train
from ..e2e.running import Node, wait_until
from .conftest import Drive
from .test_prefill import COLUMNS, column, prefilled
from .test_replay import command

STEPS = 250
EGO = "/carla/ego_vehicle"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder = tmp_path_factory.mktemp("recording")
    return train(
        folder / "run", "--steps", str(STEPS), "--seed", "4", "--save-replay",
        "--record", str(folder / "bag"),
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
    # The frames after the last step were braked for, and are in the bag, too.
    assert rows <= found.rows_written < rows + 60
    for name in COLUMNS:
        mine, theirs = column(learned, name), column(found, name)[:rows]
        # Only the newest row goes on in the bag: what was done there, and what that was worth.
        last = rows - 1 if name in ("actions", "rewards", "flags") else rows
        assert np.array_equal(mine[:last], theirs[:last]), name


def test_rosbag2_accepts_the_bag(trained: Finished) -> None:
    """What `rosbag2_storage/yaml.hpp` of Jazzy reads, with the types it expects."""
    bag = trained.folder.parent / "bag"
    about = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert about["version"] == 9
    assert about["storage_identifier"] == "mcap"
    assert (bag / about["relative_file_paths"][0]).is_file()
    assert [file["path"] for file in about["files"]] == about["relative_file_paths"]
    topics = {
        topic["topic_metadata"]["name"]: topic for topic in about["topics_with_message_count"]
    }
    listed = yaml.safe_load(
        (Path(__file__).parents[2] / "config" / "record_topics.yaml").read_text()
    )["/**"]["ros__parameters"]["record"]["topics"]
    assert sorted(topics) == sorted(listed)
    assert about["message_count"] == sum(topic["message_count"] for topic in topics.values())
    for name, topic in topics.items():
        (quality,) = topic["topic_metadata"]["offered_qos_profiles"]
        latched = name.endswith(("world_info", "vehicle_info", "route"))
        assert quality["durability"] == ("transient_local" if latched else "volatile")
        assert quality["reliability"] == "reliable"
        assert quality["history"] == "keep_last"
        assert quality["deadline"] == {"sec": 9223372036, "nsec": 854775807}
    assert topics["/carla/world_info"]["message_count"] == 1
    assert topics[f"{EGO}/rgb_front/image"]["message_count"] >= STEPS
    # The hash that the built interface package has of the same type.
    places = [folder / "share/carla_msgs/msg" for folder in Path(carla_msgs.__file__).parents]
    share = next(place for place in places if place.is_dir())
    if not list(share.glob("*.json")):
        pytest.skip("Humble's interface packages have no type hashes; all else holds")
    for name, kind in ((f"{EGO}/vehicle_status", "CarlaEgoVehicleStatus"),
                       (f"{EGO}/vehicle_control_cmd", "CarlaEgoVehicleControl")):  # fmt: skip
        built = json.loads((share / f"{kind}.json").read_text())["type_hashes"]
        hashes = {entry["type_name"]: entry["hash_string"] for entry in built}
        found = topics[name]["topic_metadata"]["type_description_hash"]
        assert found == hashes[f"carla_msgs/msg/{kind}"]


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


def test_a_killed_recorder_leaves_what_it_has_written(tmp_path: Path) -> None:
    """Up to a chunk of MCAP, 1 MB, is in memory; what is in the file can be read."""
    rclpy.init(args=[])
    node = rclpy.create_node("car")
    publisher = node.create_publisher(Odometry, f"{EGO}/odometry", names.VOLATILE_10)
    folder = tmp_path / "bag"
    recorder = Node(
        "ros.recorder_node", f"record.topics:=[{EGO}/odometry]", f"storage.uri:={folder}"
    )
    try:
        wait_until(lambda: publisher.get_subscription_count() > 0, 60.0)
        message = Odometry(child_frame_id="x" * 20_000)

        def written() -> bool:
            stamp = message.header.stamp
            message.header.stamp = stamp_of(stamp.sec * 10**9 + stamp.nanosec + 50_000_000)
            publisher.publish(message)
            return (folder / "bag.mcap").stat().st_size > 2_000_000

        wait_until(written, 60.0)
        recorder.process.send_signal(signal.SIGKILL)
        recorder.process.wait(10.0)
    finally:
        recorder.kill()
        node.destroy_node()
        rclpy.try_shutdown()
    with Bag(folder) as bag:
        stamps = [m.message.header.stamp for m in bag.messages(f"{EGO}/odometry")]
        assert any("no metadata.yaml" in line for line in bag.warnings)
    times_ns = np.array([stamp.sec * 10**9 + stamp.nanosec for stamp in stamps])
    assert len(times_ns) >= 90
    assert (np.diff(times_ns) == 50_000_000).all()


def test_a_recorder_without_a_type_says_so(tmp_path: Path) -> None:
    recorder = Node("ros.recorder_node", "record.topics:=[/tf]", f"storage.uri:={tmp_path}/bag")
    assert recorder.process.wait(30.0) == 1
    recorder.wait_for("record.topics: '/tf' ends in none of")


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
