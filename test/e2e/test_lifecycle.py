# SPDX-License-Identifier: Apache-2.0
"""The managed node under a lifecycle manager, and in real time."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from lifecycle_msgs.msg import Transition

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.messages.decoding import control_of, stamp_ns
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.online.run import REALTIME_NICENESS
from td3_driver.online.session import REALTIME_DEBT, REALTIME_OUTSTANDING

from .faulty_world import TOPICS, FaultyWorld
from .running import Node, alive, learner_of, wait_until

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000, updates_per_step: 1.0}
driving:
  episode: {max_steps: 100000, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}
"""
UPDATES = 20  # a step
SLOW = f"updates_per_step: {UPDATES}.0"


@pytest.fixture
def world() -> Iterator[FaultyWorld]:
    world = FaultyWorld()
    yield world
    world.close()


def drives(world: FaultyWorld) -> bool:
    return all(world.step() != FULL_BRAKE for _ in range(2))


def test_the_states_do_what_their_names_say(world: FaultyWorld, tmp_path: Path) -> None:
    node = Node(
        "ros.driver.node", "autostart:=false", "world_timeout_s:=60.0",
        f"checkpoint_roots:={tmp_path}",
    )  # fmt: skip
    try:
        assert world.state() == "unconfigured"
        # A bad parameter fails configure with the reason, and may be put right.
        assert world.set_parameter("checkpoint_dir", str(tmp_path)).successful
        assert world.set_parameter("resume", str(tmp_path / "gone.pth")).successful
        assert not world.change_state(Transition.TRANSITION_CONFIGURE)
        node.wait_for("gone.pth: no such file")
        assert world.set_parameter("resume", "").successful
        assert world.change_state(Transition.TRANSITION_CONFIGURE)
        assert world.state() == "inactive"
        assert "fixed" in world.set_parameter("seed", 3).reason
        world.tick()
        world.spin_for(0.5)
        assert not world.commands, "an inactive node gives no command"

        assert world.change_state(Transition.TRANSITION_ACTIVATE)
        world.begin()
        world.step_until(lambda: drives(world))
        assert world.change_state(Transition.TRANSITION_DEACTIVATE)
        world.until_braked()
        given = len(world.commands)
        world.tick()
        world.spin_for(0.3)
        assert len(world.commands) == given

        assert world.change_state(Transition.TRANSITION_ACTIVATE)
        world.step_until(lambda: drives(world))
        learner = learner_of(node)
        assert world.change_state(Transition.TRANSITION_DEACTIVATE)
        assert world.change_state(Transition.TRANSITION_CLEANUP)
        assert world.state() == "unconfigured"
        wait_until(lambda: not alive(learner))
        assert checkpoint.read(tmp_path / "latest.pth")["env_steps"] > 0
        world.spin(lambda: world.node.count_publishers(TOPICS.control) == 0)

        assert world.change_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
        assert node.wait() == 0
        assert "Traceback" not in node.output
    finally:
        node.kill()


def niceness(pid: int) -> set[int]:
    """Of a process's threads."""
    threads = os.listdir(f"/proc/{pid}/task")
    return {os.getpriority(os.PRIO_PROCESS, int(thread)) for thread in threads}


def test_silence_in_real_time_is_braked_for(world: FaultyWorld, tmp_path: Path) -> None:
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "stepping:=realtime",
        "world_timeout_s:=30.0", "silence_timeout_s:=0.5",
    )  # fmt: skip
    try:
        node.wait_for("latest.pth at step 0")
        (usual,) = niceness(node.process.pid)
        assert niceness(learner_of(node)) == {min(usual + REALTIME_NICENESS, 19)}
        world.begin()
        for silent, topic in (("image", "rgb_front/image"), ("odometry", "ego_vehicle/odometry")):
            world.step_until(lambda: drives(world))
            # On a busy machine both may have been, when it is told.
            told = re.compile(rf"{topic}.* silent for 0\.5 s; braking")
            world.run(skip={silent}, until=lambda told=told: bool(told.search(node.output)))
            world.until_braked()
            world.run(0.3, skip={silent})
            assert control_of(world.commands[-1]) == FULL_BRAKE
            lines = len(node.lines)
            world.step_until(lambda: drives(world))
            node.wait_for("silence: all right again", after=lines)
        # A frame that comes out of order is counted, not answered.
        world.step()
        newest = stamp_ns(world.commands[-1].header.stamp)
        stale_frames = int(world.values("td3_driver: frames")["stale_frames"])
        world.offset_ns -= 150_000_000
        stale = world.tick()
        assert stale < newest

        def counted() -> bool:
            return int(world.values("td3_driver: frames")["stale_frames"]) == stale_frames + 1

        world.spin(counted)
        assert not world.answers(stale)[1:]
        assert node.stop() == 0
    finally:
        node.kill()


def progress(world: FaultyWorld) -> tuple[int, int]:
    """Steps and updates so far."""
    world.values("td3_driver: learner")
    return told(world)


def settled(world: FaultyWorld) -> tuple[int, int]:
    """The same, once the learner has done what it was asked: in three looks nothing is new."""
    seen = [progress(world)]
    while len(seen) < 3 or len({*seen[-3:]}) > 1:
        seen.append(progress(world))
    return seen[-1]


def told(world: FaultyWorld) -> tuple[int, int]:
    """The same as it was last told of."""
    learner = world.diagnostics_of("td3_driver: learner")
    return int(learner["env_steps"]), int(learner["updates"])


def test_in_real_time_what_was_missed_is_not_made_up_for(
    world: FaultyWorld, tmp_path: Path
) -> None:
    """Not after a pause of the learner, not after a resume: driving would wait for the burst."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    parameters = (
        "stepping:=realtime", f"checkpoint_dir:={tmp_path}", "world_timeout_s:=60.0",
        f"config_file:={tmp_path}/config.yaml",
    )  # fmt: skip
    at_once = REALTIME_OUTSTANDING + int(REALTIME_DEBT)
    node = Node("ros.driver.node", *parameters)
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        world.run(until=lambda: told(world)[1] > 0)
        os.kill(learner_of(node), signal.SIGSTOP)
        paused = progress(world)
        world.run(until=lambda: told(world)[0] - paused[0] > 3 * at_once)
        goes_on = progress(world)
        os.kill(learner_of(node), signal.SIGCONT)
        world.run(until=lambda: told(world)[1] > paused[1])
        steps, updates = settled(world)
        assert paused[1] < updates <= paused[1] + at_once + steps - goes_on[0]
        assert node.stop() == 0
        node = Node("ros.driver.node", *parameters, f"resume:={tmp_path}/latest.pth")
        node.wait_for("resuming at step")
        world.begin()
        world.run(until=lambda: told(world)[0] > steps + at_once)
        resumed, updates_then = settled(world)
        assert updates_then - updates <= max(resumed - steps, 0) + at_once
    finally:
        node.kill()


def test_what_is_saved_while_a_frame_waits_knows_its_command(
    world: FaultyWorld, tmp_path: Path
) -> None:
    """The learner is at work for longer than the world, so that frames wait for its answers."""
    (tmp_path / "config.yaml").write_text(CONFIG.replace("updates_per_step: 1.0", SLOW))
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "world_timeout_s:=60.0",
        f"config_file:={tmp_path}/config.yaml", "answer_within_s:=20.0",
    )  # fmt: skip
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: drives(world))
        world.step_until(lambda: told(world)[1] > 0)
        waiting = world.tick()
        assert world.trigger("/save_checkpoint").success
        (file,) = tmp_path.glob("td3_*.pth")
        saved = checkpoint.read(file)
        assert saved["run"]["driver"]["decided"]
        assert saved["total_it"] % UPDATES == 0
        world.spin(lambda: bool(world.answers(waiting)), "the frame's answer")

        world.step()
        world.tick()
        world.spin_for(0.05)  # the driver has it, most times; the learner is not done
        assert node.stop() == 0
        world.until_braked()
        latest = checkpoint.read(tmp_path / "latest.pth")
        assert latest["env_steps"] - saved["env_steps"] in (1, 2)
        assert latest["run"]["driver"]["decided"]
    finally:
        node.kill()
