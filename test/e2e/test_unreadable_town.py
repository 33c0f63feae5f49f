# SPDX-License-Identifier: Apache-2.0
"""A town without a road to drive on: the car is braked, what was learned is saved, exit 1."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.agent import checkpoint
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.ros.conversions import control_of

from .faulty_world import FaultyWorld
from .running import Node

NO_ROADS = '<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4"/></OpenDRIVE>'


@pytest.fixture
def world() -> Iterator[FaultyWorld]:
    """One for each test: towns are latched."""
    world = FaultyWorld()
    yield world
    world.close()


def driver(folder: Path) -> Node:
    return Node("ros.driver_node", f"checkpoint_dir:={folder}", "world_timeout_s:=60.0")


def assert_ends(node: Node, said: str) -> None:
    assert node.process.wait(30.0) == 1
    (line,) = [line for line in node.lines if said in line]
    assert "/carla/world_info: map spoilt" in line
    assert "Traceback" not in node.output


def test_half_a_document_in_the_midst_of_a_drive(world: FaultyWorld, tmp_path: Path) -> None:
    node = driver(tmp_path)
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(5)))
        town = world.road_map.opendrive
        world.announce("spoilt", town[: len(town) // 2])
        assert_ends(node, "not a readable OpenDRIVE road network")
        world.spin_for(0.1)
        assert control_of(world.commands[-1]) == FULL_BRAKE
        assert checkpoint.read(tmp_path / "latest.pth")["env_steps"] >= 5
    finally:
        node.kill()


@pytest.mark.parametrize(
    ("town", "said"),
    [("", "not a readable OpenDRIVE road network"), (NO_ROADS, "has no driving lane")],
    ids=["empty", "no roads"],
)
def test_a_run_that_cannot_begin(
    town: str, said: str, world: FaultyWorld, tmp_path: Path
) -> None:
    world.announce("spoilt", town)
    node = driver(tmp_path)
    try:
        assert_ends(node, said)
    finally:
        node.kill()
