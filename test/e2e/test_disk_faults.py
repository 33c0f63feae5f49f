# SPDX-License-Identifier: Apache-2.0
"""Disks that fill up and files that cannot be deleted or read, under a driver at work.

One driver process for all; the tests build on each other.
"""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from td3_driver.checkpoints import checkpoint
from td3_driver.ros.driver.commander import FRESH_S

from .faulty_world import FaultyWorld
from .running import Node, children_of, learner_of, wait_until

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving: {episode: {stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}}
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own, for a few checkpoints."""
    folder = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def driver(
    world: FaultyWorld, disk: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Node]:
    config = tmp_path_factory.mktemp("config") / "config.yaml"
    config.write_text(CONFIG)
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={disk}", f"config_file:={config}", "save_freq:=0",
        "keep_last:=2", "world_timeout_s:=60.0", "answer_within_s:=60.0",
    )  # fmt: skip
    try:
        wait_until(lambda: b"spawn_main" in children_of(node))
        learner = learner_of(node)
        os.kill(learner, signal.SIGSTOP)  # however long it takes, it is not there for this frame
        world.spin(lambda: world.heard, "the driver listens")

        def early() -> bool:
            """It may not hear the first: that it listens is known before it knows of us."""
            world.early_ns = world.tick()
            return world.values("td3_driver: frames")["frames"] != "0"

        world.spin(early, "it has a frame")
        world.spin_for(2.0 * FRESH_S)
        os.kill(learner, signal.SIGCONT)
        node.wait_for("latest.pth at step 0")
        world.spin_for(0.5)
        yield node
    finally:
        node.kill()


def test_a_frame_from_before_there_was_an_agent_stays_unanswered(
    world: FaultyWorld, driver: Node
) -> None:
    """The world may just have given it up, and would take the answer for its next frame's."""
    assert world.early_ns > 0
    assert world.answers(world.early_ns) == []
    world.begin()


def save(world: FaultyWorld) -> tuple[bool, str]:
    """A few steps, then the service; what it answered."""
    for _ in range(5):
        world.step()
    answer = world.trigger("/save_checkpoint")
    return answer.success, answer.message


def numbered(disk: Path) -> list[Path]:
    return sorted(path for path in disk.glob("td3_*.pth") if path.is_file())


def test_old_checkpoints_make_room(world: FaultyWorld, driver: Node, disk: Path) -> None:
    for _ in range(15):
        world.step()
    assert all(save(world)[0] for _ in range(4))
    world.spin(lambda: len(numbered(disk)) == 2, "two files left")
    for path in [*numbered(disk), disk / "latest.pth"]:
        checkpoint.read(path)


def test_what_cannot_be_deleted_does_not_undo_a_save(
    world: FaultyWorld, driver: Node, disk: Path
) -> None:
    kept = numbered(disk)[0]
    subprocess.run(["mount", "--bind", str(kept), str(kept)], check=True)  # which makes it busy
    assert [save(world)[0] for _ in range(3)] == [True, True, True]
    driver.wait_for(f"{kept.name}: cannot be deleted")
    subprocess.run(["umount", str(kept)], check=True)
    assert driver.process.poll() is None


def test_a_full_disk_refuses_saves_and_nothing_else(
    world: FaultyWorld, driver: Node, disk: Path
) -> None:
    before = {path: path.read_bytes() for path in [*numbered(disk), disk / "latest.pth"]}
    with contextlib.suppress(OSError), (disk / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    saved, message = save(world)
    assert not saved
    assert "No space left on device" in message
    assert "\n" not in message
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in disk.glob("*.tmp")] == []
    for _ in range(5):
        world.step()  # each answered once
    (disk / "filler").unlink()
    assert save(world)[0]


def test_a_damaged_file_changes_nothing(world: FaultyWorld, driver: Node, disk: Path) -> None:
    whole = numbered(disk)[-1].read_bytes()
    damaged = disk / "damaged.pth"
    damaged.write_bytes(whole[: len(whole) // 2])
    assert world.set_parameter("checkpoint_path", str(damaged)).successful
    answer = world.trigger("/load_checkpoint")
    assert not answer.success
    assert str(damaged) in answer.message
    assert "\n" not in answer.message
    assert world.set_parameter("checkpoint_path", "").successful
    assert save(world)[0]
