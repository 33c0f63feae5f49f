# SPDX-License-Identifier: Apache-2.0
"""A town without a road to drive on: the car is braked, what was learned is saved, exit 1."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.types import FULL_BRAKE

from ..opendrive.making import document, lane, road, section
from .faulty_world import FaultyWorld
from .running import Node, wait_until

NO_ROADS = '<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4"/></OpenDRIVE>'
TOO_SHORT = document(road(1, 8.0, section(0, lane(-1, "driving"))))
ONLY_BUSES = document(road(1, 100.0, section(0, lane(-1, "bus"))))
MAPS = Path(__file__).resolve().parents[1] / "data" / "maps"


@pytest.fixture
def world() -> Iterator[FaultyWorld]:
    """One for each test: towns are latched."""
    world = FaultyWorld()
    yield world
    world.close()


def driver(folder: Path) -> Node:
    return Node("ros.driver.node", f"checkpoint_dir:={folder}", "world_timeout_s:=60.0")


def assert_ends(node: Node, said: str) -> None:
    assert node.wait() == 1
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
        assert_ends(node, "not readable as XML")
        world.until_braked()
        # Of five frames that were decided on in a row, each but the last has seen its step end.
        assert checkpoint.read(tmp_path / "latest.pth")["env_steps"] >= 4
    finally:
        node.kill()


@pytest.mark.parametrize(
    ("town", "said"),
    [
        ("", "not readable as XML"),
        (NO_ROADS, "it has no road that can be read"),
        (ONLY_BUSES, "its lanes are of type bus"),
    ],
    ids=["empty", "no roads", "only bus lanes"],
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


def test_a_town_without_a_route(world: FaultyWorld, tmp_path: Path) -> None:
    node = driver(tmp_path)
    try:
        node.wait_for("latest.pth at step 0")
        world.announce("spoilt", TOO_SHORT)
        node.wait_for("driving in spoilt")

        def ticked_and_said() -> bool:  # it may not listen to the first frames
            world.tick()
            world.spin_for(0.1)
            return "no drivable stretch of 10 m" in node.output

        wait_until(ticked_and_said, lambda: "the mistake")
        assert_ends(node, "no drivable stretch of 10 m")
    finally:
        node.kill()


def test_what_a_town_lacks_is_said_and_the_rest_is_driven(
    world: FaultyWorld, tmp_path: Path
) -> None:
    """Lanes that end inside a road, which took CARLA's library and the process with it."""
    world.announce("odd", (MAPS / "lane_drop.xodr").read_text())
    node = driver(tmp_path)
    try:
        node.wait_for("driving in odd, 5 lanes")
        world.announce("broken", (MAPS / "dangling_junction.xodr").read_text())
        node.wait_for("map broken: 1 link left out, no way for a car: junction 9: it joins")
        node.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: bool(world.routes))
        assert abs(world.routes[-1].poses[0].pose.position.y) == pytest.approx(1.75, abs=0.3)
    finally:
        node.kill()
