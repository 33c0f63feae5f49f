# SPDX-License-Identifier: Apache-2.0
"""A learner that reads nothing any more, under a driver that was told to drive on: for long."""

import os
import signal
from pathlib import Path

import pytest

from .faulty_world import FaultyWorld
from .running import Node, learner_of

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving: {episode: {max_steps: 1, stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}}
"""
EPISODES = 80  # what is said of 49 filled the socket


@pytest.mark.parametrize("learning", [True, False])
def test_every_frame_is_answered_whatever_there_is_to_tell_the_learner(
    world: FaultyWorld, tmp_path: Path, learning: bool
) -> None:
    """Where nothing is learned it owes no answer, and nobody knows that it hangs; else it is known
    after a second, and then it is told nothing."""
    (tmp_path / "config.yaml").write_text(CONFIG)
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}/run", "world_timeout_s:=60.0",
        f"config_file:={tmp_path}/config.yaml", "on_loss:=drive", "learner_timeout_s:=1.0",
        "answer_within_s:=0.3", f"learning:={str(learning).lower()}",
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        before = len(world.episodes)
        world.step_until(lambda: len(world.episodes) > before)
        learner = learner_of(driver)
        os.kill(learner, signal.SIGSTOP)
        began = len(world.episodes)
        while len(world.episodes) < began + EPISODES:
            world.step()  # is answered: a driver that waits for its learner never would
        dropped = int(world.values("td3_driver: learner")["requests_dropped"])
        assert dropped >= EPISODES // 2 if learning else dropped == 0
        os.kill(learner, signal.SIGCONT)
        world.spin(lambda: not world.learner_hangs(), "a learner that answers")
        assert world.trigger("/save_checkpoint").success
        assert driver.stop() == 0
        assert "Traceback" not in driver.output
    finally:
        driver.kill()
