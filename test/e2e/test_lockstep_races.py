# SPDX-License-Identifier: Apache-2.0
"""The bridge's race: a command that comes while a tick is still being published ends two waits."""

import re
from pathlib import Path

import numpy as np
import pytest
from sensor_msgs.msg import Image

from td3_driver.driving.safety import SafetyConfig, control_of

from .ear import ROLE, TICK_NS, Ear
from .running import Node, Script
from .test_doctor import doctor

STEPS = 700


def test_no_answer_stays_a_frame_late(tmp_path: Path) -> None:
    """With two more listeners to the camera: no chain, few frames without an answer, and what is
    stored is what the car did."""
    config = tmp_path / "config.yaml"
    config.write_text("agent: {learning_starts: 600, batch_size: 16}\n")
    ear = Ear()
    for _ in range(2):
        ear.node.create_subscription(Image, f"{ROLE}/rgb_front/image", lambda _: None, 10)
    world = Node("bridge_twin.world_node", "bridge_races:=true", "control_patience_s:=10.0")
    driver = Script(
        "telling_driver", f"checkpoint_dir:={tmp_path}", f"config_file:={config}",
        f"steps:={STEPS}", "world_timeout_s:=30.0",
    )  # fmt: skip
    try:
        ear.listen_until_it_ends(driver)
        assert driver.wait() == 0, driver.output
        told = re.search(r"(\d+) leaked", driver.output)
        assert told, driver.output
        leaked = int(told[1])
        assert world.stop() == 0
    finally:
        driver.kill()
        world.kill()
        ear.close()
    assert leaked, "there was no race"
    driving = [tick for tick, command in sorted(ear.commands.items()) if command.throttle]
    ticks = range(driving[0], driving[-1])
    unanswered = [tick for tick in ticks if not ear.counts[tick]]
    assert len(unanswered) <= leaked + 1
    assert len(unanswered) <= 0.02 * len(ticks)
    assert all(ear.counts[tick] <= 1 for tick in ticks)
    late = [tick for tick in ticks if tick in ear.commands and not obeyed(ear, tick)]
    assert all(tick + 1 not in late for tick in late), "a chain"
    assert len(late) <= leaked + 1
    stored = re.findall(r"^STORED (\d+) (\S+) (\S+)$", driver.output, re.MULTILINE)
    assert len(stored) > 0.9 * STEPS
    for stamp_ns, *action in stored:
        done = ear.executed[round(int(stamp_ns) / TICK_NS)]
        meant = control_of(np.array(action, np.float32), SafetyConfig())
        assert (done.throttle, done.steer, done.brake) == pytest.approx(
            (meant.throttle, meant.steer, meant.brake), abs=1e-5
        )


def test_doctor_counts_commands_that_come_late(tmp_path: Path) -> None:
    """A driver that answers each frame, as any other would, and never catches up."""
    world = Node("bridge_twin.world_node", "bridge_races:=true", "control_patience_s:=10.0")
    driver = Script("naive_driver")
    try:
        driver.wait_for("a frame late")
        # Chance may end the chain, until another begins.
        doctor(1, "FAIL  lock-step", "commands took effect later", seconds=3)
    finally:
        driver.kill()
        world.kill()


def obeyed(ear: Ear, tick: int) -> bool:
    """Whether the command for a tick was in force in the step after it."""
    meant, done = ear.commands[tick], ear.executed[tick + 1]
    return (meant.throttle, meant.steer, meant.brake) == (done.throttle, done.steer, done.brake)
