# SPDX-License-Identifier: Apache-2.0
"""What RViz and Foxglove show with the views in config/, while a world and a driver run.

Their topics are there with types that they show, and every frame has its place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import rclpy
from derived_object_msgs.msg import ObjectArray
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage

from td3_driver.driving.messages.decoding import stamp_ns
from td3_driver.ros import names
from td3_driver.ros.driver.transforms import LISTENED_FRAMES

from ..viewers import (
    Shown,
    foxglove_layout,
    frames_in_foxglove,
    frames_in_rviz,
    has_field,
    plotted,
    rviz_view,
    shown_in_foxglove,
    shown_in_rviz,
)
from .running import PATIENCE_S, Node

CAR, CAMERA = "ego_vehicle", "ego_vehicle/rgb_front"
# What has a header: topic, type, and whether it is latched.
STAMPED: tuple[tuple[str, type, bool], ...] = (
    (f"/carla/{CAR}/odometry", Odometry, False),
    (f"/carla/{CAR}/objects", ObjectArray, False),
    (f"/carla/{CAMERA}/image", Image, False),
    (f"/carla/{CAMERA}/camera_info", CameraInfo, False),
    ("/td3_driver/route", PathMessage, True),
    ("/td3_driver/trajectory", PathMessage, False),
)


class Viewer:
    """A node that hears what a viewer would."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        self._context.init(args=[])
        self.node = rclpy.create_node("viewer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.parents: dict[str, set[str]] = {}  # of each frame
        self.places: dict[str, dict[int, Any]] = {}  # of each frame, by stamp
        self.heard: dict[str, list[Any]] = {topic: [] for topic, _, _ in STAMPED}
        listen = self.node.create_subscription
        for topic, kind, is_latched in STAMPED:
            qos = names.LATCHED_10 if is_latched else names.VOLATILE_200
            listen(kind, topic, self.heard[topic].append, qos)
        listen(TFMessage, "/tf", self._on_transforms, names.VOLATILE_200)
        listen(TFMessage, "/tf_static", self._on_transforms, names.LATCHED_10)

    def _on_transforms(self, message: TFMessage) -> None:
        for each in message.transforms:
            frame = each.child_frame_id
            self.parents.setdefault(frame, set()).add(each.header.frame_id)
            self.places.setdefault(frame, {})[stamp_ns(each.header.stamp)] = each.transform

    def types_of(self, topics: set[str]) -> dict[str, list[str]]:
        """The types of topics, which are discovered one by one."""
        types: dict[str, list[str]] = {}

        def known() -> bool:
            types.update(self.node.get_topic_names_and_types())
            return topics <= types.keys()

        self.until(known, lambda: f"not there: {topics - types.keys()}")
        return types

    def until(self, condition: Callable[[], bool], what: Callable[[], str]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, what()
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture(scope="module")
def viewer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    """In the midst of an episode."""
    folder = tmp_path_factory.mktemp("views")
    (folder / "config.yaml").write_text("agent: {learning_starts: 5000}\n")
    viewer = Viewer()
    world = Node("bridge_twin.world_node")
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={folder}", f"config_file:={folder}/config.yaml",
        "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        viewer.until(
            lambda: (
                all(viewer.heard.values())
                and len(viewer.places.get(CAR, ())) > 2 * LISTENED_FRAMES
                and {CAR, CAMERA, "td3_driver/map"} <= viewer.parents.keys()
            ),
            lambda: f"{viewer.heard.keys()}, {world.output}, {driver.output}",
        )
        yield viewer
        assert driver.stop() == 0, driver.output
        assert world.stop() == 0, world.output
    finally:
        driver.kill()
        world.kill()
        viewer.close()


@pytest.mark.parametrize(
    "shown", [shown_in_rviz(rviz_view()), shown_in_foxglove(foxglove_layout())]
)
def test_what_is_shown_is_there(viewer: Viewer, shown: Shown) -> None:
    topics = [*shown]
    assert len(topics) >= 4
    types = viewer.types_of({topic for _, topic, _ in topics})
    for where, topic, known in topics:
        assert not known or {*types[topic]} & known, where


def test_what_is_plotted_has_its_fields(viewer: Viewer) -> None:
    panels = foxglove_layout()["configById"].values()
    paths = [path for panel in panels for path in plotted(panel)]
    assert len(paths) > 8
    types = viewer.types_of({topic for topic, _ in paths})
    assert not [path for path in paths if not has_field(types[path[0]][0], path[1])]
    assert not has_field("nav_msgs/msg/Odometry", "twist.linear.x")


def test_every_frame_hangs_below_the_map(viewer: Viewer) -> None:
    """By one way; so there is a transform from each to each, as viewers ask for."""
    of_events = {f"{CAR}/{sensor}" for sensor in ("collision", "lane_invasion")}  # if there were
    parents = {frame: of for frame, of in viewer.parents.items() if frame not in of_events}
    assert parents == {CAR: {"map"}, CAMERA: {CAR}, "td3_driver/map": {"map"}}
    assert all(viewer.parents[frame] == {CAR} for frame in of_events & {*viewer.parents})
    known = {"map", *viewer.parents}
    for topic, messages in viewer.heard.items():
        assert {message.header.frame_id for message in messages} <= known, topic
    assert viewer.heard[f"/carla/{CAR}/odometry"][-1].child_frame_id == CAR
    assert viewer.heard[f"/carla/{CAMERA}/image"][-1].header.frame_id == CAMERA
    assert frames_in_rviz(rviz_view()) <= known
    assert frames_in_foxglove(foxglove_layout()) <= known


def test_the_car_is_where_odometry_has_it(viewer: Viewer) -> None:
    """Tick by tick, and told by the world alone."""

    def both() -> list[tuple[Any, Any]]:
        """One may have been heard without the other."""
        poses = viewer.heard[f"/carla/{CAR}/odometry"]
        stamped = {stamp_ns(message.header.stamp): message.pose.pose for message in poses}
        places = viewer.places[CAR]
        return [(places[stamp], stamped[stamp]) for stamp in places.keys() & stamped.keys()]

    viewer.until(lambda: len(both()) > LISTENED_FRAMES, lambda: f"{len(both())} of both")
    for place, pose in both():
        at = place.translation
        assert (at.x, at.y, at.z) == (pose.position.x, pose.position.y, pose.position.z)
        assert place.rotation == pose.orientation
    told = viewer.node.get_publishers_info_by_topic("/tf")
    assert [endpoint.node_name for endpoint in told] == ["carla_ros_bridge"]
