# SPDX-License-Identifier: Apache-2.0
"""A camera that shows only every few ticks: one command per tick all the same, and learning."""

import itertools
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray

from td3_driver.ros import diagnostics

from .ear import Ear
from .running import Node

CASES = Path(__file__).resolve().parents[1] / "data" / "objects_sensor_tick"


def with_sensor_tick(folder: Path, sensor_tick: str) -> Path:
    """The case's car, on any map, with a camera that delivers so often."""
    content = json.loads((CASES / "tick_equal.json").read_text())
    car = content["objects"][1]
    del car["spawn_point"]
    car["sensors"][0]["sensor_tick"] = sensor_tick
    file = folder / "objects.json"
    file.write_text(json.dumps(content))
    return file


@contextmanager
def driven(
    folder: Path, sensor_tick: str, *parameters: str, steps: int = 60, synchronous: bool = True
) -> Iterator[tuple[Ear, Node, Node]]:
    """A world with such a camera, a driver that learns in it, and who listens to both."""
    config = folder / "config.yaml"
    config.write_bytes(b"\xef\xbb\xbfagent: {learning_starts: 20, batch_size: 16}\n")
    ear = Ear()
    world = Node(
        "bridge_twin.world_node",
        f"objects_definition_file:={with_sensor_tick(folder, sensor_tick)}",
        "control_patience_s:=10.0", f"synchronous_mode:={str(synchronous).lower()}",
    )  # fmt: skip
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={folder}", f"config_file:={config}",
        f"steps:={steps}", "world_timeout_s:=30.0", *parameters,
    )  # fmt: skip
    try:
        yield ear, world, driver
    finally:
        driver.kill()
        world.kill()
        ear.close()


@pytest.mark.parametrize(("sensor_tick", "gaps"), [("0.1", {2}), ("0.25", {5}), ("0.125", {2, 3})])
def test_in_lockstep_a_slow_camera_is_driven_by(
    tmp_path: Path, sensor_tick: str, gaps: set[int]
) -> None:
    with driven(tmp_path, sensor_tick) as (ear, world, driver):
        ear.listen_until_it_ends(driver)
        assert driver.wait() == 0, driver.output
        assert "the run is complete" in driver.output
        assert world.stop() == 0
        assert "Traceback" not in driver.output + world.output
        loss = f"a picture every {min(gaps) * 0.05:.3g} s, in one tick of {min(gaps)}: "
        assert driver.output.count(loss) == 1, driver.output
        # One frame from before there was an agent may stay unanswered (docs/architecture.md).
        assert re.search(r" 0 unexpected, [01] timeouts, 0 late", world.output), world.output
        between = {b - a for a, b in itertools.pairwise(sorted(ear.pictures))}
        assert between == gaps
        # From the first action on; before, the driver gets to know the camera, and brakes.
        driving = [tick for tick, command in sorted(ear.commands.items()) if command.throttle]
        first, last = driving[0], max(ear.commands)
        assert last - first > 40 * min(gaps)
        assert all(ear.counts[tick] == 1 for tick in range(first, last + 1)), ear.counts
        for tick in range(first + 1, last):  # of the last one the picture may be on its way
            if tick not in ear.pictures:
                now, before = ear.commands[tick], ear.commands[tick - 1]
                held = (now.throttle, now.steer, now.brake)
                assert held == (before.throttle, before.steer, before.brake), tick


def test_up_to_the_tick_it_is_a_camera_like_any_other(tmp_path: Path) -> None:
    with driven(tmp_path, "0.02") as (ear, world, driver):
        ear.listen_until_it_ends(driver)
        assert driver.wait() == 0, driver.output
        assert world.stop() == 0
        assert "decisions a second" not in driver.output
        assert {b - a for a, b in itertools.pairwise(sorted(ear.pictures))} == {1}


def test_in_real_time_the_driver_waits_as_long_as_the_sensor_needs(tmp_path: Path) -> None:
    """Longer than `silence_timeout_s`, and than what counts as a jump of time.

    It would brake before each picture and take each for a jump, if it were not for the camera's
    own period; its log tells of the first only. A machine that stands still makes some, too.
    """
    steps = 8
    sluggish = driven(tmp_path, "0.6", "stepping:=realtime", steps=steps, synchronous=False)
    with sluggish as (ear, _, driver):
        told: dict[str, str] = {}

        def heed(message: DiagnosticArray) -> None:
            for status in message.status:
                told.update(diagnostics.values(status))

        ear.node.create_subscription(DiagnosticArray, "/diagnostics", heed, 10)
        ear.listen_until_it_ends(driver)
        assert driver.wait() == 0, driver.output
        assert int(told["frames"]) > steps // 2
        assert int(told.get("silence", 0)) <= steps // 2, driver.output
        assert int(told["time_jumps"]) <= steps // 2, driver.output
        actions = {tick for tick, command in ear.commands.items() if command.throttle}
        assert len(actions) >= steps
        ear.until(lambda: actions <= {*ear.pictures})  # an action belongs to a picture
        assert {b - a for a, b in itertools.pairwise(sorted(ear.pictures))} == {12}
