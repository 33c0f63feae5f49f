# SPDX-License-Identifier: Apache-2.0
"""`driver_node` beside a camera and odometry with stamps of their own, over real topics."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl
from rosbags.rosbag2 import Reader

from td3_driver.driving.messages.decoding import stamp_ns
from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.ros import names

from ..e2e.running import Node
from .conftest import Drive
from .making import rewrite, without
from .test_live_replay import Player, ros
from .test_own_stamps import stamp_of, stamped
from .test_replay import actions, replayed

__all__ = ["ros"]  # a fixture

LATER_NS = 7_000_000
FRAMES = 80
IN_FLIGHT = 12  # some pass before it shows whose stamps they are
COMMAND = "/carla/ego_vehicle/vehicle_control_cmd"


def own_stamps(topic: str, time_ns: int, kind: str, message: Any) -> Iterator[Any]:
    """Images 7 ms after the odometry, without the routes of the driver of then."""
    if time_ns > FRAMES * 50_000_000 or topic.endswith(("/route", "/collision", "/objects")):
        return
    if topic.endswith("/image"):
        stamped(message, stamp_of(message) + LATER_NS)
    yield topic, time_ns, kind, message


@pytest.fixture(scope="module")
def bag(drive: Drive, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rewrite(drive.bag, tmp_path_factory.mktemp("own") / "bag", own_stamps)


def play(
    player: Player, bag: Path, spin_s: float = 0.04, answered: Callable[[], int] | None = None
) -> None:
    """All of it, a little slower than real time; more so where answers lag behind."""
    images = 0
    with Reader(bag) as reader:
        for connection, _, data in reader.messages():
            player.publishers[connection.topic].publish(bytes(data))
            if not connection.topic.endswith("/image"):
                continue
            images += 1
            player.spin(spin_s)
            end_s = time.monotonic() + 0.3
            while answered and images - answered() > IN_FLIGHT and time.monotonic() < end_s:
                player.spin(0.02)


@pytest.mark.parametrize("sync", ["auto", "interpolate", "nearest"])
def test_a_replay_proposes_for_every_image(sync: str, drive: Drive, bag: Path, ros: None) -> None:
    node = Node("ros.driver.node", "mode:=replay", f"resume:={drive.checkpoint}", f"sync:={sync}")
    player = Player(bag)
    try:
        player.wait_for_listener()
        play(player, bag)
        # Live it follows the lanes ahead, and the last image has no odometry after it.
        expected = FRAMES - (20 if sync == "auto" else 12)
        player.spin_until(lambda: len(player.proposed) > expected)
        player.settle()
        found = {stamp_ns(message.header.stamp): message for message in player.proposed}
        assert all(stamp % 50_000_000 == LATER_NS for stamp in found)
        assert len(found) > expected
        mode = "nearest" if sync == "nearest" else "interpolate"
        offline = replayed(drive, bag, sync=Sync(mode))
        stamps = np.round(offline.rows["stamp_s"] * 1e9).astype(np.int64).tolist()
        both = [
            (found[stamp].steer / drive.trained.driving.safety.max_steer, action[0])
            for stamp, action in zip(stamps, actions(offline), strict=True)
            if stamp in found
        ]
        assert len(both) > 40
        assert np.median(np.abs(np.array([one - other for one, other in both]))) < 0.02
        assert node.stop() == 0
        told = "stamps of their own: odometry is interpolated" in node.output
        assert told == (sync == "auto")
    finally:
        node.kill()
        player.close()


def test_in_real_time_every_image_gets_one_command(drive: Drive, bag: Path, ros: None) -> None:
    """Nobody obeys them: the car is never where an episode begins. Each is an answer still."""
    node = Node(
        "ros.driver.node", "mode:=evaluate", f"resume:={drive.checkpoint}",
        "stepping:=realtime", "sync:=auto",
        f"checkpoint_dir:={bag.parent / 'checkpoints'}",
    )  # fmt: skip
    quiet = rewrite(bag, bag.parent / "quiet", without("_cmd"))
    player = Player(quiet)
    answers: list[int] = []
    player.node.create_subscription(
        CarlaEgoVehicleControl,
        COMMAND,
        lambda message: answers.append(stamp_ns(message.header.stamp)),
        names.VOLATILE_10,
    )
    try:
        player.spin_until(lambda: "driving in" in node.output or player.listened("/odometry"))
        player.spin_until(lambda: player.listened("/image"))

        def own() -> list[int]:
            return [stamp for stamp in answers if stamp % 50_000_000 == LATER_NS]

        play(player, quiet, 0.06, lambda: len(set(own())))
        player.spin_until(lambda: len(set(own())) > FRAMES // 2)
        assert own() == sorted(own())
        node.wait_for("stamps of their own: odometry is interpolated")
    finally:
        node.kill()
        player.close()
        rclpy.try_shutdown()
