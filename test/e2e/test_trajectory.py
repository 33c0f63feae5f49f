# SPDX-License-Identifier: Apache-2.0
"""`~/trajectory` and `~/route` are an episode's: a car that reaches no start draws nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose
from nav_msgs.msg import Path as PathMessage

from td3_driver.driving.messages.decoding import stamp_ns
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


def noting(sent_ns: dict[int, int]) -> Callable[[Any, dict[str, int]], None]:
    """A callback that notes when a message was published, by its stamp."""

    def note(message: Any, info: dict[str, int]) -> None:
        sent_ns[stamp_ns(message.header.stamp)] = info["source_timestamp"]

    return note


def test_it_grows_only_while_an_episode_runs(world: Immovable, tmp_path: Path) -> None:
    node = Node("ros.driver.node", f"checkpoint_dir:={tmp_path}", "world_timeout_s:=60.0")
    drawn: list[int] = []
    world.node.create_subscription(
        PathMessage,
        "/td3_driver/trajectory",
        lambda message: drawn.append(len(message.poses)),
        names.VOLATILE_10,
    )
    routes_ns: dict[int, int] = {}
    commands_ns: dict[int, int] = {}
    listen, control = world.node.create_subscription, "/carla/ego_vehicle/vehicle_control_cmd"
    listen(PathMessage, "/td3_driver/route", noting(routes_ns), names.LATCHED_1)
    listen(CarlaEgoVehicleControl, control, noting(commands_ns), names.VOLATILE_10)
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        for _ in range(60):
            assert world.step() == FULL_BRAKE
        drawn.clear()
        world.spin(lambda: bool(drawn), "a trajectory")
        assert drawn[-1] == 0
        world.movable = True
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(10)))
        world.spin(lambda: drawn[-1] > 0, "a trajectory")
        # With its command the world goes on: a route has to be out before it.
        world.spin(lambda: bool(routes_ns) and routes_ns.keys() <= commands_ns.keys(), "both")
        assert all(sent_ns < commands_ns[stamp] for stamp, sent_ns in routes_ns.items())
        assert node.stop() == 0, node.output
    finally:
        node.kill()
