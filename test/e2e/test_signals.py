# SPDX-License-Identifier: Apache-2.0
"""Signals to a whole process group, as Ctrl-C, `timeout` and systemd send them, and twice."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rosbags.rosbag2 import Reader

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.types import FULL_BRAKE

from .faulty_world import FaultyWorld
from .running import Node, Program, alive, children_of, learner_of, ros_args, wait_until

SHORT = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving:
  episode: {max_steps: 20, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}
"""
START = "-m", "td3_driver.start"
DRIVER, WORLD = "td3_driver.ros.driver.node", "td3_driver.bridge_twin.world_node"
BOTH = signal.SIGTERM, signal.SIGHUP

# A node that is asked to end twice more when all that it was made of is gone.
LATE = """
import os, signal, sys, time
from rclpy.node import Node
from td3_driver.ros.process import run_node

def loop(node, executor, stop):
    node.stop = stop
    return 0

class Late(Node):
    def destroy_node(self):
        super().destroy_node()
        for number in (signal.SIGINT, signal.SIGTERM):
            self.stop.requested = False
            os.kill(os.getpid(), number)
            while not self.stop.requested:
                time.sleep(0.01)
        time.sleep(0.2)

run_node(lambda: Late("late"), loop)
"""


# A driver that waits for its learner, where it does, for as long as a test may take.
PATIENT = """
from td3_driver.learner.client import LearnerClient
from td3_driver.ros.driver import node, pilot

LearnerClient.stop.__defaults__ = (600.0,)
pilot.LAST_SAVE_WITHIN_S = 600.0
node.main()
"""


def group(program: Program, number: signal.Signals) -> None:
    os.killpg(program.process.pid, number)


def until_handled(program: Program, number: signal.Signals) -> None:
    """Wait until a process has a handler for a signal: before, none of our code runs."""

    def handled() -> bool:
        status = Path(f"/proc/{program.process.pid}/status").read_text()
        (caught,) = [line for line in status.splitlines() if line.startswith("SigCgt")]
        return bool(int(caught.split()[1], 16) >> (number - 1) & 1)

    wait_until(handled, what=lambda: f"a handler of {number.name}")


@pytest.fixture(scope="module")
def saved(world: FaultyWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What a driver left whose group was told to end, amid an episode, and again while saving."""
    folder = tmp_path_factory.mktemp("saved")
    (folder / "config.yaml").write_text(SHORT.replace("20", "100000"))
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={folder}/run", f"config_file:={folder}/config.yaml",
        "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        learner = learner_of(driver)
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(5)))
        steps = int(world.values("td3_driver: learner")["env_steps"])
        group(driver, signal.SIGTERM)
        driver.wait_for("asked to stop")
        group(driver, signal.SIGHUP)
        group(driver, signal.SIGINT)
        assert driver.wait() == 0, driver.output
        world.until_braked()
        assert "Traceback" not in driver.output
        assert checkpoint.read(folder / "run" / "latest.pth")["env_steps"] >= steps > 0
        wait_until(lambda: not alive(learner))
        yield folder / "run" / "latest.pth"
    finally:
        driver.kill()


def test_an_evaluation_tells_each_drive_and_what_came_of_it(
    world: FaultyWorld, saved: Path, tmp_path: Path
) -> None:
    """Of a run that was saved amid an episode, which is none of the evaluation's."""
    (tmp_path / "config.yaml").write_text(SHORT)
    driver = Node(
        "ros.driver.node", "mode:=evaluate", f"resume:={saved}", "episodes:=2",
        f"config_file:={tmp_path}/config.yaml", "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        driver.wait_for(f"driving with the agent of step {checkpoint.read(saved)['env_steps']}")
        world.begin()
        world.go_on(driver)
        assert driver.wait() == 0
        for number in (1, 2):
            assert f"drive {number} of 2: time_limit after 20 steps, " in driver.output
        table = driver.lines[driver.lines.index("  drives        2") :]
        assert [line.split()[0] for line in table[:7]] == [
            "drives", "success", "completion", "lateral", "speed", "return", "ended",
        ]  # fmt: skip
        assert table[6] == "  ended by      time_limit 2"
        assert "resumed episode" not in driver.output
    finally:
        driver.kill()


@pytest.mark.parametrize("mode", ["train", "evaluate"])
def test_a_group_that_is_told_to_end_while_it_starts_ends_soon(saved: Path, mode: str) -> None:
    driver = Program("-c", PATIENT, *ros_args([f"mode:={mode}", f"resume:={saved}"]))
    try:
        wait_until(lambda: b"spawn_main" in children_of(driver))
        learner = learner_of(driver)
        os.kill(learner, signal.SIGSTOP)  # so whoever waits for it does so for ever
        group(driver, signal.SIGINT)
        group(driver, signal.SIGTERM)
        assert driver.wait() == 0
        assert "Traceback" not in driver.output
        wait_until(lambda: not alive(learner))
    finally:
        driver.kill()


def test_a_last_save_that_fails_is_an_error(world: FaultyWorld, tmp_path: Path) -> None:
    driver = Node("ros.driver.node", f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0")
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: world.step() != FULL_BRAKE)
        (tmp_path / "run").rename(tmp_path / "away")
        (tmp_path / "run").write_text("in the way")
        group(driver, signal.SIGTERM)
        assert driver.wait() == 1
        assert "[ERROR]" in driver.output
        assert "what was learned last is not saved: " in driver.output
        assert "Traceback" not in driver.output
    finally:
        driver.kill()


@pytest.mark.parametrize("module", [DRIVER, WORLD, "td3_driver.evaluation.selection"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_it_is_imported_a_program_ends_without_a_word(
    module: str, number: signal.Signals, tmp_path: Path
) -> None:
    """However long that takes: of what it imports one module is never done."""
    (tmp_path / "numpy.py").write_text("import time\ntime.sleep(600.0)\n")
    path = f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"
    program = Program(*START, module, environment={"PYTHONPATH": path})
    try:
        until_handled(program, signal.SIGTERM)
        group(program, number)
        assert program.wait() == 0
        assert program.lines == []
    finally:
        program.kill()


def test_a_command_that_is_told_to_end_closes_its_bag(tmp_path: Path) -> None:
    command = Program(
        "-m", "td3_driver.cli", "evaluate", "--policy", "pure_pursuit", "--episodes", "1000",
        "--out", str(tmp_path), "--record", f"{tmp_path}/bags",
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(tmp_path.glob("bags/*"))) > 1, what=lambda: command.output)
        for number in BOTH:
            group(command, number)
        assert command.wait() == 1
        assert command.lines[-1] == "td3_driver evaluate: interrupted"
        assert "Traceback" not in command.output
        for bag in tmp_path.glob("bags/*"):
            with Reader(bag) as reader:
                assert reader.message_count >= 0
    finally:
        command.kill()


def test_a_listener_that_is_told_to_end_says_so() -> None:
    command = Program("-m", "td3_driver.cli", "doctor", "--seconds", "600")
    try:
        until_handled(command, signal.SIGTERM)
        group(command, signal.SIGTERM)
        group(command, signal.SIGINT)
        assert command.wait() == 1
        (line,) = command.lines
        assert line in ("td3_driver: interrupted", "td3_driver doctor: interrupted")
    finally:
        command.kill()


def test_signals_when_the_node_is_gone_wake_nobody() -> None:
    program = Program("-c", LATE)
    try:
        assert program.wait() == 0
        assert program.lines == []
    finally:
        program.kill()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """Also for who waits where a learner is lost: this one never was."""
    parameters = f"checkpoint_dir:={tmp_path}", "device:=cuda", "on_loss:=wait"
    driver = Program(*START, DRIVER, *ros_args(parameters))
    try:
        assert driver.wait() == 1
        (line,) = [line for line in driver.lines if "[INFO]" not in line]
        assert "device cuda: cannot be used (" in line
        assert "[ERROR]" in line
    finally:
        driver.kill()
