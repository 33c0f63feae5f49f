# SPDX-License-Identifier: Apache-2.0
"""`driver_node` on the real bridge: it learns, in step with it, and outlives what may happen."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensor_msgs.msg import Image

from ..e2e.ear import ROLE, Ear
from ..e2e.running import Node, Script
from ..e2e.test_doctor import doctor
from .stack import Stack, objects_file

STEPS = 2000
LISTENERS = 2
LEARNING = "agent: {learning_starts: 1000, batch_size: 16}\n"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with Stack(folder, objects_file(folder, "ego_vehicle", "rgb_front", (320, 240))) as stack:
        yield stack


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """A run in a folder of its own, with little to learn."""
    config = tmp_path / "config.yaml"
    config.write_text(LEARNING)
    return [f"checkpoint_dir:={tmp_path / 'run'}", f"config_file:={config}"]


def test_it_learns_in_step_with_the_bridge(
    stack: Stack, settings: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """Two more listeners to the camera hold the bridge up while its next wait may already end.

    A bridge that lost patience ticks on without a command; what is then late has to stay one
    frame.
    """
    ear = Ear()
    for _ in range(LISTENERS):
        topic = f"{ROLE}/rgb_front/image"
        ear.node.create_subscription(Image, topic, lambda _: None, 10, raw=True)
    driver = Script("telling_driver", *settings, f"steps:={STEPS}", "world_timeout_s:=10.0")
    said = len(stack.bridge.lines)
    try:
        ear.listen_until_it_ends(driver, within_s=600.0)
        assert driver.wait() == 0, driver.output
    finally:
        driver.kill()
        ear.close()
    driven = [tick for tick, command in sorted(ear.commands.items()) if command.throttle]
    ticks = range(driven[0], driven[-1])
    unanswered = [tick for tick in ticks if not ear.counts[tick]]
    # The bridge keeps ten messages for who listens; a busy machine may be later than that.
    heard = [tick for tick in ticks if tick in ear.commands and tick + 1 in ear.executed]
    late = [tick for tick in heard if not _obeyed(ear, tick)]
    leaked = sum(map(int, re.findall(r"(\d+) leaked", driver.output)[-1:]))
    stored = len(re.findall(r"^STORED ", driver.output, re.MULTILINE))
    bridge = Counter(
        re.sub(r"[\d.]+", "N", line.partition("]: ")[2])
        for line in stack.bridge.lines[said:]
        if "[WARN]" in line
    )
    with capfd.disabled():
        print(
            f"\n{len(ticks)} frames, {stored} steps stored, {len(unanswered)} unanswered,"
            f" {len(late)} late, {leaked} leaked;"
            f" the bridge: {dict(bridge) or 'no warnings'}"
        )
    assert stored > 0.9 * STEPS
    assert len(heard) > 0.9 * len(ticks)
    assert all(tick + 1 not in late for tick in late), "a chain"
    assert len(late) + len(unanswered) <= 0.02 * len(ticks)
    assert max(ear.counts[tick] for tick in ticks) == 1


def test_doctor_finds_nothing_wrong(stack: Stack, settings: list[str]) -> None:
    driver = Node("ros.driver.node", *settings, "world_timeout_s:=10.0")
    try:
        driver.wait_for("latest.pth at step 0")
        doctor(0, "frames, one command each", "published by /td3_driver", seconds=5)
    finally:
        driver.kill()


def test_a_driver_that_waits_outlives_its_bridge(stack: Stack, settings: list[str]) -> None:
    """The new bridge loads the town anew, so that its time begins again."""
    driver = Node("ros.driver.node", *settings, "on_loss:=wait", "world_timeout_s:=5.0")
    try:
        driver.wait_for("episode 1: ")
        stack.end(stack.spawner)
        stack.end(stack.bridge)
        driver.wait_for("the world is lost: no frame for")
        said = len(driver.lines)
        stack.start_bridge()
        stack.start_spawner()
        driver.wait_for("world: all right again", after=said)
        said = len(driver.lines)
        driver.wait_for("episode ", after=said)
        assert driver.stop() == 0, driver.output
        assert "Traceback" not in driver.output
    finally:
        driver.kill()


def test_a_driver_leaves_when_its_server_is_killed(stack: Stack, settings: list[str]) -> None:
    """The bridge outlives it and publishes nothing."""
    driver = Node("ros.driver.node", *settings, "world_timeout_s:=5.0")
    try:
        driver.wait_for("episode 1: ")
        stack.server.kill()
        assert driver.wait() == 1, driver.output
        assert "the world is lost: no frame for" in driver.output
        assert "Traceback" not in driver.output
        assert stack.bridge.process.poll() is None
    finally:
        driver.kill()


def _obeyed(ear: Ear, tick: int) -> bool:
    """Whether the command for a tick was in force in the step after it."""
    meant, done = ear.commands[tick], ear.executed[tick + 1]
    return (meant.throttle, meant.steer, meant.brake) == (done.throttle, done.steer, done.brake)
