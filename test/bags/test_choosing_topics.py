# SPDX-License-Identifier: Apache-2.0
"""Which camera, which odometry, which car: what tells them apart, and when it is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer

from td3_driver.bags.reading import Bag, BagError
from td3_driver.bags.topics import TopicNames, find_topics

from .conftest import Drive
from .making import TYPES
from .test_replay import command

TWO_CAMERAS = Path(__file__).parents[1] / "data" / "bag_wrong_camera_taken" / "carla_two_cameras"
CAR = "/carla/ego_vehicle"
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, ODOMETRY = "sensor_msgs/msg/CameraInfo", "nav_msgs/msg/Odometry"
CONTROL, STATUS = "carla_msgs/msg/CarlaEgoVehicleControl", "carla_msgs/msg/CarlaEgoVehicleStatus"

Sent = tuple[str, str, dict[str, Any]]  # topic, type, what differs from an empty message


def camera(topic: str, frame: str = "camera", encoding: str = "bgr8") -> Sent:
    return topic, IMAGE, {"frame": frame, "encoding": encoding}


def compressed(topic: str, format_: str = "jpeg") -> Sent:
    return topic, COMPRESSED, {"format": format_}


def plain(topic: str, kind: str) -> Sent:
    return topic, kind, {}


def empty(kind: str) -> Any:
    """A message with nothing in it."""
    values: dict[str, Any] = {}
    for name, (node, content) in TYPES.fielddefs[kind][1]:
        if int(node) == 2:
            values[name] = empty(content)
        elif int(node) == 3:
            values[name] = np.zeros(content[1])
        elif int(node) == 4:
            base = content[0][1][0] if int(content[0][0]) == 1 else ""
            values[name] = np.zeros(0, base) if base and base != "string" else []
        else:
            values[name] = "" if content[0] == "string" else TYPES_ZERO.get(content[0], 0)
    return TYPES.types[kind](**values)


TYPES_ZERO = {"bool": False, "float32": 0.0, "float64": 0.0}


def bag_of(path: Path, *sent: Sent, silent: Sequence[Sent] = ()) -> Bag:
    """A bag with a message on each topic, none on `silent` ones."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for number, (topic, kind, values) in enumerate([*silent, *sent]):
            connection = writer.add_connection(topic, kind, typestore=TYPES)
            message = empty(kind)
            if "frame" in values:
                message.header.frame_id = values["frame"]
            for name in ("encoding", "format"):
                if name in values:
                    setattr(message, name, values[name])
            if number >= len(silent):
                writer.write(connection, number, TYPES.serialize_cdr(message, kind))
    return Bag(path)


def found(path: Path, *sent: Sent, **given: str) -> TopicNames:
    with bag_of(path, *sent, plain("/odom", ODOMETRY)) as bag:
        return find_topics(bag, **given)


def test_the_camera_behind_the_car_is_not_taken(
    drive: Drive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--checkpoint", drive.checkpoint, "--out", tmp_path)
    assert command("replay", TWO_CAMERAS, *words) == 0
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["topics"]["image"] == f"{CAR}/camera_front/image"
    said = [line for line in capsys.readouterr().err.splitlines() if "--image" in line]
    assert said == [line for line in metrics["notes"] if "--image" in line]
    assert "rgb_view" in said[0]
    words = (*words, "--image", f"{CAR}/rgb_view/image")
    assert command("replay", TWO_CAMERAS, *words) == 0
    assert not [line for line in capsys.readouterr().err.splitlines() if "--image" in line]


CLEAR = {
    "the only one, whatever it is called": (
        [camera(f"{CAR}/rgb_view/image")],
        f"{CAR}/rgb_view/image",
    ),
    "the name that is expected": (
        [camera(f"{CAR}/rgb_front/image"), camera(f"{CAR}/front/image")],
        f"{CAR}/rgb_front/image",
    ),
    "the bridge's own example": (
        [
            camera(f"{CAR}/rgb_view/image"),
            camera(f"{CAR}/depth_front/image", encoding="32FC1"),
            camera(f"{CAR}/semantic_segmentation_front/image"),
            camera(f"{CAR}/dvs_front/image"),
            camera(f"{CAR}/rgb_1/image"),
        ],
        f"{CAR}/rgb_1/image",
    ),
    "the frames tell": (
        [camera("/cam0/image_raw", "rear_camera"), camera("/cam1/image_raw", "front_camera")],
        "/cam1/image_raw",
    ),
    "distances are no picture": (
        [camera("/a/image_raw", encoding="16UC1"), camera("/b/image_raw")],
        "/b/image_raw",
    ),
    "a sensor for depth and colour": (
        [
            camera("/camera/color/image_raw"),
            camera("/camera/depth/image_rect_raw", encoding="16UC1"),
            camera("/camera/infra1/image_rect_raw", encoding="mono8"),
            camera("/camera/infra2/image_rect_raw", encoding="mono8"),
        ],
        "/camera/color/image_raw",
    ),
    "all around": (
        [
            camera(f"/{name}/image_raw", name)
            for name in ("CAM_FRONT", "CAM_FRONT_LEFT", "CAM_FRONT_RIGHT", "CAM_BACK")
        ],
        "/CAM_FRONT/image_raw",
    ),
    "one with its camera_info": (
        [
            camera("/cam/image_raw"),
            plain("/cam/camera_info", INFO),
            camera("/tracker/image"),
        ],
        "/cam/image_raw",
    ),
    "one camera, sent in several ways": (
        [
            camera("/cam/image_rect_color"),
            camera("/cam/image_raw"),
            compressed("/cam/image_raw/compressed"),
            compressed("/cam/image_raw/compressedDepth", "16UC1; compressedDepth png"),
        ],
        "/cam/image_raw",
    ),
}


@pytest.mark.parametrize("case", CLEAR)
def test_what_is_clear_is_taken_and_said(case: str, tmp_path: Path) -> None:
    sent, expected = CLEAR[case]
    with bag_of(tmp_path / "bag", *sent, plain("/odom", ODOMETRY)) as bag:
        assert find_topics(bag).image == expected
        said = [line for line in bag.warnings if "--image" in line]
        known = len(sent) == 1 or expected.endswith("rgb_front/image")
        assert len(said) == (0 if known else 1)


@pytest.mark.parametrize(
    "sent",
    [
        [camera("/car/front"), camera("/car/rear")],  # whatever the names mean there
        [camera("/left/image_raw", "left"), camera("/right/image_raw", "right")],
        [camera(f"{CAR}/rgb_a/image"), camera(f"{CAR}/rgb_b/image")],
        [camera("/carla/hero/rgb_front/image"), camera("/carla/other/rgb_front/image")],
    ],
)
def test_what_is_not_clear_is_asked(sent: list[Sent], tmp_path: Path) -> None:
    names = ", ".join(topic for topic, _, _ in sent)
    with pytest.raises(BagError, match=re.escape(f"image may be any of {names}; ")) as asked:
        found(tmp_path / "bag", *sent)
    assert "--image TOPIC" in str(asked.value)
    assert "\n" not in str(asked.value)
    chosen = found(tmp_path / "again", *sent, image=sent[0][0])
    assert chosen.image == sent[0][0]


def test_odometry_and_commands_are_asked_for_too(tmp_path: Path) -> None:
    cam = camera("/cam/image_raw")
    with pytest.raises(BagError, match=r"odometry may be any of /filtered/odom, /odom; .*--odome"):
        found(tmp_path / "odometry", cam, plain("/filtered/odom", ODOMETRY))
    commands = plain("/a/command", CONTROL), plain("/b/command", CONTROL)
    with pytest.raises(BagError, match=r"control may be any of /a/command, /b/command; .*--contr"):
        found(tmp_path / "control", cam, *commands)
    assert found(tmp_path / "given", cam, *commands, control="/b/command").control == "/b/command"
    given = found(tmp_path / "one", cam, plain("/filtered/odom", ODOMETRY), odometry="/odom")
    assert given.odometry == "/odom"


def test_two_cars_are_not_mixed(tmp_path: Path) -> None:
    sent = [
        sent
        for car in ("hero", "other")
        for sent in (
            camera(f"/carla/{car}/rgb_front/image"),
            plain(f"/carla/{car}/odometry", ODOMETRY),
            plain(f"/carla/{car}/vehicle_status", STATUS),
        )
    ]
    sent.append(plain("/carla/other/vehicle_control_cmd", CONTROL))
    with bag_of(tmp_path / "bag", *sent) as bag:
        hero = find_topics(bag, image="/carla/hero/rgb_front/image")
        assert hero.odometry == "/carla/hero/odometry"
        assert hero.status == "/carla/hero/vehicle_status"
        assert hero.control is None  # the other's is not its
        other = find_topics(bag, odometry="/carla/other/odometry")
        assert other.image == "/carla/other/rgb_front/image"
        assert other.control == "/carla/other/vehicle_control_cmd"
    lone = [camera("/carla/hero/rgb_front/image"), plain("/carla/other/odometry", ODOMETRY)]
    with (
        bag_of(tmp_path / "lone", *lone) as bag,
        pytest.raises(BagError, match=r"no topic of type nav_msgs/msg/Odometry of .*--odometry"),
    ):
        find_topics(bag)
    outside = [camera("/carla/rgb_view/image"), plain("/carla/hero/odometry", ODOMETRY)]
    with bag_of(tmp_path / "outside", *outside) as bag:  # a camera that is on no car
        assert find_topics(bag).odometry == "/carla/hero/odometry"
    robots = [
        sent
        for robot in ("one", "two")
        for sent in (camera(f"/{robot}/cam/image_raw"), plain(f"/{robot}/odom", ODOMETRY))
    ]
    with bag_of(tmp_path / "robots", *robots) as bag:
        two = find_topics(bag, image="/two/cam/image_raw")
        assert two.odometry == "/two/odom"


def test_topics_that_nothing_was_sent_on_do_not_count(tmp_path: Path) -> None:
    cams = camera("/a/image_raw"), camera("/b/image_raw")
    with bag_of(tmp_path / "bag", cams[0], plain("/odom", ODOMETRY), silent=[cams[1]]) as bag:
        assert find_topics(bag).image == "/a/image_raw"
