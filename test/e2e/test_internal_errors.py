# SPDX-License-Identifier: Apache-2.0
"""An error that nobody foresaw, in every kind of callback of the real processes.

The car is braked and the agent saved, whatever ends the driver; no process hides its error.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosbags.rosbag2 import Reader
from std_srvs.srv import Trigger

from td3_driver.agent import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.driving.types import FULL_BRAKE

from .faulty_world import TOPICS, FaultyWorld
from .raising import SAID
from .running import Node, Program, Spoiled, alive, learner_of, ros_args, tree, wait_until

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving:
  episode: {max_steps: 100000, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}
"""
ROS = "td3_driver.ros."
DRIVER = f"{ROS}driver."


@pytest.fixture
def world() -> Iterator[FaultyWorld]:
    world = FaultyWorld()
    yield world
    world.close()


def nothing(world: FaultyWorld) -> None:
    """What raises comes by itself."""


def save(world: FaultyWorld) -> None:
    world.ask(Trigger, "/save_checkpoint", Trigger.Request())


def set_exploration(world: FaultyWorld) -> None:
    given = [Parameter("exploration", value=0.5).to_parameter_msg()]
    request = SetParameters.Request(parameters=given)
    world.ask(SetParameters, "/td3_driver/set_parameters", request)


def deactivate(world: FaultyWorld) -> None:
    request = ChangeState.Request()
    request.transition.id = Transition.TRANSITION_DEACTIVATE
    world.ask(ChangeState, "/td3_driver/change_state", request)


def another_town(world: FaultyWorld) -> None:
    world.announce(world.road_map.name, world.road_map.opendrive)


@pytest.mark.parametrize(
    ("where", "error", "provoke"),
    [
        pytest.param(f"{DRIVER}intake:Intake._on_image", "ValueError", nothing, id="image"),
        pytest.param(f"{DRIVER}intake:Intake._on_odometry", "OSError", nothing, id="odometry"),
        pytest.param(f"{DRIVER}pilot:Pilot._on_world_info", "KeyError", another_town, id="map"),
        pytest.param(f"{DRIVER}pilot:Pilot._look", "ValueError", nothing, id="timer"),
        # What raises here is called again while the driver ends.
        pytest.param(f"{DRIVER}reports:Reports.status", "OSError", nothing, id="status"),
        pytest.param(f"{DRIVER}checkpoint_services:_told", "TypeError", save, id="service"),
        pytest.param(f"{DRIVER}pilot:Pilot.hear_learner", "ValueError", nothing, id="learner"),
        pytest.param(
            f"{DRIVER}node:DriverNode._follow",
            "RuntimeError",
            set_exploration,
            id="parameter",
        ),
        pytest.param(f"{DRIVER}pilot:Pilot.deactivate", "ValueError", deactivate, id="transition"),
        pytest.param(
            "rclpy.executors:SingleThreadedExecutor.spin_once", "OSError", nothing, id="executor"
        ),
        pytest.param(f"{DRIVER}commander:Commander.take", "SystemExit", nothing, id="exit"),
        pytest.param(f"{DRIVER}commander:Commander.take", "MemoryError", nothing, id="memory"),
    ],
)
def test_whatever_ends_the_driver_it_brakes_and_saves_first(
    world: FaultyWorld,
    tmp_path: Path,
    where: str,
    error: str,
    provoke: Callable[[FaultyWorld], None],
) -> None:
    (tmp_path / "config.yaml").write_text(CONFIG)
    parameters = (
        f"checkpoint_dir:={tmp_path}/run", f"config_file:={tmp_path}/config.yaml",
        "world_timeout_s:=60.0", "answer_within_s:=8.0",
    )  # fmt: skip
    driver = Spoiled("ros.driver.node", where, error, tmp_path / "break", ros_args(parameters))
    try:
        driver.wait_for("latest.pth at step 0")
        learner = learner_of(driver)
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(5)))
        steps = int(world.values("td3_driver: learner")["env_steps"])
        assert steps > 0
        driver.break_it()
        provoke(world)
        world.go_on(driver)
        assert driver.wait() == 1, driver.output
        world.until_braked()
        assert checkpoint.read(tmp_path / "run" / "latest.pth")["env_steps"] >= steps
        assert "Traceback" in driver.output
        assert SAID in driver.output
        wait_until(lambda: not alive(learner))
    finally:
        driver.kill()


def test_signals_again_and_again_cut_nothing_short(world: FaultyWorld, tmp_path: Path) -> None:
    driver = Node("ros.driver.node", f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0")
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(5)))
        steps = int(world.values("td3_driver: learner")["env_steps"])
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGINT) * 5:
            driver.process.send_signal(number)
            world.spin_for(0.01)
        assert driver.wait() == 0
        world.until_braked()
        assert checkpoint.read(tmp_path / "run" / "latest.pth")["env_steps"] >= steps
        assert "Traceback" not in driver.output
    finally:
        driver.kill()


def test_a_learner_that_hangs_at_the_end_does_not_keep_the_driver(
    world: FaultyWorld, tmp_path: Path
) -> None:
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0", "steps:=3"
    )
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        os.kill(learner_of(driver), signal.SIGSTOP)
        world.go_on(driver, until=lambda: "the run is complete" in driver.output)
        driver.process.send_signal(signal.SIGTERM)
        assert driver.wait() == 1
        assert "what was learned last is not saved: the learner has not answered" in driver.output
    finally:
        driver.kill()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--params-file", "gone.yaml"], "gone.yaml"),
        (["-p", "record.topics:=3"], "record.topics"),
        (["-p", "record.topics:=[/odometry]", "-p", "storage.uri:=/dev/null/bag"], "/dev/null"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(arguments: list[str], said: str) -> None:
    node = Program("-m", "td3_driver.ros.recorder_node", "--ros-args", *arguments)
    try:
        assert node.wait() == 1
        lines = [line for line in node.lines if "[rcl]" not in line]
        assert len(lines) == 1
        assert lines[0].startswith("error: ")
        assert said in lines[0]
    finally:
        node.kill()


def test_an_inactive_driver_that_fails_leaves_the_car_to_who_drives(
    world: FaultyWorld, tmp_path: Path
) -> None:
    driver = Spoiled(
        "ros.driver.node", f"{DRIVER}pilot:Pilot._look", "ValueError", tmp_path / "break",
        ros_args([f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0"]),
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: all(world.step() != FULL_BRAKE for _ in range(5)))
        assert world.change_state(Transition.TRANSITION_DEACTIVATE)
        world.until_braked()
        given = len(world.commands)
        driver.break_it()
        assert driver.wait() == 1
        world.spin_for(0.2)
        assert len(world.commands) == given
        assert checkpoint.read(tmp_path / "run" / "latest.pth")["env_steps"] > 0
    finally:
        driver.kill()


def test_a_learner_that_fails_says_why(world: FaultyWorld, tmp_path: Path) -> None:
    """Also with the error that a closed pipe gives: it is none of the driver's."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    parameters = (
        f"checkpoint_dir:={tmp_path}/run", f"config_file:={tmp_path}/config.yaml",
        "world_timeout_s:=60.0",
    )  # fmt: skip
    driver = Spoiled(
        "ros.driver.node", "td3_driver.agent.td3:TD3Agent.train", "EOFError", tmp_path / "break",
        ros_args(parameters),
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        driver.break_it()
        world.go_on(driver)
        assert driver.wait() == 1
        assert "the learner process ended (exit code 1)" in driver.output
        assert SAID in driver.output
        assert "Traceback" in driver.output
        world.until_braked()
    finally:
        driver.kill()


def test_a_save_that_fails_is_answered(world: FaultyWorld, tmp_path: Path) -> None:
    driver = Spoiled(
        "ros.driver.node", "td3_driver.learner.resume:write", "TypeError", tmp_path / "break",
        ros_args([f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0"]),
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        driver.break_it()
        answer = world.trigger("/save_checkpoint")
        assert not answer.success
        assert SAID in answer.message
        driver.wait_for("Traceback")
        (tmp_path / "break").unlink()
        assert world.trigger("/save_checkpoint").success
        assert driver.stop() == 0
    finally:
        driver.kill()


@pytest.mark.parametrize("error", ["ValueError", "OSError", "SystemExit"])
def test_a_world_that_fails_says_why(tmp_path: Path, error: str) -> None:
    file = tmp_path / "break"
    where = "td3_driver.bridge_twin.topics:BridgeTopics.publish"
    given = ros_args(["synchronous_mode:=false"])
    node = Spoiled("bridge_twin.world_node", where, error, file, given)
    try:
        node.break_it()
        assert node.wait() == 1
        assert "Traceback" in node.output
        assert SAID in node.output
    finally:
        node.kill()


@pytest.mark.parametrize("error", ["ValueError", "OSError"])
def test_a_recorder_that_fails_closes_its_bag(
    world: FaultyWorld, tmp_path: Path, error: str
) -> None:
    topic = TOPICS.image
    recorder = Spoiled(
        "ros.recorder_node", f"{ROS}recorder_node:RecorderNode._write", error, tmp_path / "break",
        ros_args([f"record.topics:=[{topic}]", f"storage.uri:={tmp_path}/bag"]),
    )  # fmt: skip
    try:
        listened = world.node.count_subscribers
        wait_until(lambda: listened(topic) > 0, what=lambda: f"a listener: {recorder.output}")
        file = tmp_path / "bag" / "bag_0.mcap"

        def written() -> bool:
            world.tick()
            world.spin_for(0.005)
            return file.stat().st_size > 500_000

        wait_until(written)
        recorder.break_it()
        world.run(until=lambda: recorder.process.poll() is not None)
        assert recorder.wait() == 1
        assert "Traceback" in recorder.output
        assert SAID in recorder.output
        with Reader(tmp_path / "bag") as reader:
            assert reader.message_count >= 40  # of 12 kB
    finally:
        recorder.kill()


def test_a_train_command_that_fails_ends_its_driver_in_order(tmp_path: Path) -> None:
    arguments = ["train", "--checkpoint-dir", f"{tmp_path}/run", "--steps", "100000"]
    where = f"{ROS}train.train:Progress.learner"
    command = Spoiled("cli", where, "ValueError", tmp_path / "break", arguments)
    try:
        command.wait_for("at step 250")
        pids = tree(command.process.pid)
        command.break_it()
        assert command.wait() == 1
        assert "Traceback" in command.output
        assert SAID in command.output
        assert checkpoint.read(tmp_path / "run" / "latest.pth")["env_steps"] >= 250
        wait_until(lambda: not any(alive(pid) for pid in pids))
    finally:
        command.kill()


def test_an_evaluator_that_fails_says_why_and_leaves_no_half_file(tmp_path: Path) -> None:
    agent = TD3Agent(87, 2, config=load_configuration("default").agent)
    folder = tmp_path / "run"
    agent.save_checkpoint(folder / "td3_0.pth")
    evaluator = Spoiled(
        "evaluation.selection", "td3_driver.online.trained:Greedy.act", "ValueError",
        tmp_path / "break", ["--folder", str(folder), "--since-ns", "0"],
    )  # fmt: skip
    try:
        evaluator.break_it()
        assert evaluator.wait() == 1
        assert "Traceback" in evaluator.output
        assert SAID in evaluator.output
        assert [path.name for path in folder.iterdir() if path.suffix != ""] == ["td3_0.pth"]
    finally:
        evaluator.kill()
