# SPDX-License-Identifier: Apache-2.0
"""A learner that computes nonsense, hangs or dies, under a driver that was told to drive on.

One driver process for all; the tests build on each other.
"""

import os
import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from td3_driver.agent import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.configuration import load_configuration
from td3_driver.driving.messages.decoding import control_of, stamp_ns
from td3_driver.driving.safety import SafetyConfig
from td3_driver.driving.safety import control_of as action_to_control
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.learner.process import NONFINITE_LIMIT

from .ear import TICK_NS
from .faulty_world import FaultyWorld
from .running import Node, Script, learner_of

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving:
  episode: {max_steps: 100000, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints: sound; of a critic, and of an actor, whose numbers are finite but overflow."""
    folder = tmp_path_factory.mktemp("learner")
    (folder / "config.yaml").write_text(CONFIG)
    config = load_configuration("default", folder / "config.yaml").agent
    for name, network in (("sound", ""), ("critic", "critic"), ("actor", "actor_cnn")):
        # Of a run that looked less far ahead; this one's settings are to remain.
        agent = TD3Agent(87, 2, config=replace(config, discount=0.9))
        if network:
            with torch.no_grad():
                for weights in getattr(agent, network).parameters():
                    weights.fill_(3e38)
        agent.save_checkpoint(folder / name / "td3_0.pth")
    return folder


@pytest.fixture(scope="module")
def driver(world: FaultyWorld, folder: Path) -> Iterator[Node]:
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={folder}/run", f"config_file:={folder}/config.yaml",
        f"resume:={folder}/critic/td3_0.pth", "on_loss:=drive", "learner_timeout_s:=3.0",
        f"checkpoint_roots:={folder}",
        "answer_within_s:=0.3", "world_timeout_s:=60.0", "save_freq:=0",
    )  # fmt: skip
    try:
        node.wait_for("resuming at step 0")
        world.begin()
        yield node
    finally:
        node.kill()


def drives(world: FaultyWorld, frames: int = 2) -> bool:
    """Steps until it is driven by the policy for so many frames on end; see `step_until`."""
    return all(world.step() != FULL_BRAKE for _ in range(frames))


def updates_made(world: FaultyWorld) -> int:
    return int(world.values("td3_driver: learner")["updates"])


def load(world: FaultyWorld, file: Path) -> str:
    """Through the parameter that may change, and the service; its answer."""
    assert world.set_parameter("checkpoint_path", str(file)).successful
    response = world.trigger("/load_checkpoint")
    assert response.success, response.message
    return response.message


def test_updates_that_are_not_finite_change_nothing_and_end_learning(
    world: FaultyWorld, driver: Node, folder: Path
) -> None:
    world.step_until(lambda: "too many updates in a row" in driver.output)
    assert "an update was not finite and has been discarded" in driver.output
    learner = world.values("td3_driver: learner")
    assert int(learner["updates_discarded"]) == NONFINITE_LIMIT
    assert world.diagnostics["td3_driver: learner"].message == "halted"
    updates = learner["updates"]
    world.step_until(lambda: drives(world))
    assert world.values("td3_driver: learner")["updates"] == updates
    assert world.trigger("/save_checkpoint").success
    before = checkpoint.read(folder / "critic" / "td3_0.pth")
    after = checkpoint.read(checkpoint.newest(folder / "run"))
    for key in ("critic_state_dict", "critic_cnn_state_dict", "actor_state_dict"):
        for name, weights in before[key].items():
            assert torch.equal(weights, after[key][name]), (key, name)
    assert all(
        torch.isfinite(moment).all()
        for state in after["critic_optimizer_state_dict"]["state"].values()
        for moment in state.values()
    )


def test_an_action_that_is_not_finite_is_a_full_brake(
    world: FaultyWorld, driver: Node, folder: Path
) -> None:
    load(world, folder / "actor" / "td3_0.pth")
    world.step_until(lambda: "the policy's action is not finite; braking" in driver.output)
    assert all(world.step() == FULL_BRAKE for _ in range(5))


def test_a_sound_checkpoint_puts_both_right(
    world: FaultyWorld, driver: Node, folder: Path
) -> None:
    answer = load(world, folder / "sound" / "td3_0.pth")
    told = "td3_0.pth step 0; settings are this run's: agent.discount 0.99 (saved: 0.9)"
    assert answer.endswith(told)
    driver.wait_for("resuming at step 0 from " + answer.split()[0] + "; settings are this run's")
    world.step_until(lambda: drives(world))
    driver.wait_for("learning: all right again")
    assert_learns(world)


def assert_learns(world: FaultyWorld) -> None:
    made = updates_made(world)
    world.step_until(lambda: updates_made(world) >= made + 3)


def test_learning_can_be_switched_off_and_on(world: FaultyWorld, driver: Node) -> None:
    assert world.set_parameter("learning", False).successful
    world.step()
    world.spin(lambda: updates_made(world) == updates_made(world))  # what it was asked is done
    updates = updates_made(world)
    world.step_until(lambda: drives(world, 5))
    assert updates_made(world) == updates
    assert world.set_parameter("learning", True).successful
    steps = 0
    while updates_made(world) < updates + 3:
        assert steps < 100, "it does not learn"
        world.step()
        steps += 1
    assert updates_made(world) <= updates + steps, "what was missed is made up for"


def test_a_learner_that_hangs_is_driven_without_until_it_answers(
    world: FaultyWorld, driver: Node
) -> None:
    pid = learner_of(driver)
    os.kill(pid, signal.SIGSTOP)
    try:
        world.step_until(world.learner_hangs)
        assert "driving on with the last weights" in world.safety()
        world.step_until(lambda: drives(world, 5))
        refused = world.trigger("/save_checkpoint")
        assert not refused.success
        assert "has not answered" in refused.message
    finally:
        os.kill(pid, signal.SIGCONT)
    world.spin(lambda: not world.learner_hangs(), "a learner that answers")
    assert_learns(world)


def test_a_learner_that_is_killed_is_driven_without(world: FaultyWorld, driver: Node) -> None:
    os.kill(learner_of(driver), signal.SIGKILL)
    driver.wait_for("the learner process ended (signal 9); driving on with the last weights")
    world.step_until(lambda: drives(world, 5))
    assert driver.stop() == 1
    driver.wait_for("what was learned last is not saved: the learner process ended (signal 9)")
    assert "Traceback" not in driver.output


def test_no_transition_leads_over_what_was_braked_for(
    world: FaultyWorld, folder: Path, tmp_path: Path
) -> None:
    """Whoever waits for a learner that hangs brakes; what it stores then begins anew."""
    driver = Script(
        "telling_driver", f"checkpoint_dir:={tmp_path}", f"config_file:={folder}/config.yaml",
        "on_loss:=wait", "learner_timeout_s:=1.0", "answer_within_s:=0.3",
        "world_timeout_s:=60.0", "save_freq:=0",
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        world.commands.clear()
        for _ in range(2):
            world.step_until(lambda: drives(world))
            os.kill(learner_of(driver), signal.SIGSTOP)
            try:
                world.step_until(world.learner_hangs)
                assert all(world.step() == FULL_BRAKE for _ in range(5))
            finally:
                os.kill(learner_of(driver), signal.SIGCONT)
        world.step_until(lambda: drives(world))
        world.step_until(lambda: driver.output.count("STORED") > 10)
        assert driver.stop() == 0, driver.output
    finally:
        driver.kill()
    done = {stamp_ns(each.header.stamp): control_of(each) for each in world.commands}
    stored = re.findall(r"^STORED (\d+) (\S+) (\S+)$", driver.output, re.MULTILINE)
    assert len(stored) > 10
    for stamp, *action in stored:
        meant = action_to_control(np.array(action, np.float32), SafetyConfig())
        was = done.get(int(stamp) - TICK_NS)
        if was is not None:  # else it was given before the commands were kept
            assert was.moves_like(meant), (stamp, was, meant)
