# SPDX-License-Identifier: Apache-2.0
"""`~/trajectory` is an episode's: a car that reaches no start draws nothing, for ever."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from geometry_msgs.msg import Pose
from nav_msgs.msg import Path as PathMessage

from td3_driver.driving.types import FULL_BRAKE
from td3_driver.ros import names

from .faulty_world import FaultyWorld
from .running import Node


class Immovable(FaultyWorld):
    """No `set_transform` has an effect before `movable` is set."""

    movable = False

    def _on_transform(self, message: Pose) -> None:
        if self.movable:
            super()._on_transform(message)


@pytest.fixture
def world() -> Iterator[Immovable]:
    world = Immovable()
    yield world
    world.close()


def test_it_grows_only_while_an_episode_runs(world: Immovable, tmp_path: Path) -> None:
    node = Node("ros.driver_node", f"checkpoint_dir:={tmp_path}", "world_timeout_s:=60.0")
    drawn: list[int] = []
    world.node.create_subscription(
        PathMessage,
        "/td3_driver/trajectory",
        lambda message: drawn.append(len(message.poses)),
        names.VOLATILE_10,
    )
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        for _ in range(60):
            assert world.step() == FULL_BRAKE
        drawn.clear()
        world.spin(lambda: bool(drawn), 10.0, "a trajectory")
        assert drawn[-1] == 0
        world.movable = True
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(10)))
        drawn.clear()
        world.spin(lambda: bool(drawn), 10.0, "a trajectory")
        assert drawn[-1] > 0
        assert node.stop() == 0, node.output
    finally:
        node.kill()
