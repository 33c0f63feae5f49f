# SPDX-License-Identifier: Apache-2.0
"""Two runs in one ROS domain: the second is refused, and learns nothing from the first's world."""

import os
import random
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sensor_msgs.msg import Image

from td3_driver.ros.train import domains

from .conftest import train
from .faulty_world import TOPICS, FaultyWorld
from .running import TRAIN, Node, learner_of


@pytest.fixture
def world() -> Iterator[FaultyWorld]:
    world = FaultyWorld()
    yield world
    world.close()


def steps(world: FaultyWorld) -> int:
    """How many the driver has stored."""
    return int(world.values("td3_driver: learner")["env_steps"])


def test_a_second_world_is_refused(world: FaultyWorld) -> None:
    second = Node("bridge_twin.world_node")
    try:
        assert second.wait() == 1
    finally:
        second.kill()
    (line,) = [line for line in second.lines if "ROS domain" in line]
    assert f"ROS domain {os.environ['ROS_DOMAIN_ID']} is taken by world /faulty_world" in line
    assert "ROS_DOMAIN_ID" in line
    assert "--domain auto" in line
    assert "Traceback" not in second.output


def test_a_second_driver_is_refused_and_never_commands(
    world: FaultyWorld, tmp_path: Path
) -> None:
    patient = "world_timeout_s:=60.0"
    first = Node("ros.driver.node", f"checkpoint_dir:={tmp_path / 'first'}", patient)
    second = None
    try:
        first.wait_for("latest.pth at step 0")
        world.begin()
        for _ in range(5):
            world.step()
        world.until_established()
        heard = len(world.commands)
        second = Node("ros.driver.node", f"checkpoint_dir:={tmp_path / 'second'}", patient)
        assert second.wait() == 1
        assert re.search(r"ROS domain \d+ is taken by driver /td3_driver; end that", second.output)
        assert second.output.count("driver /td3_driver") == 1
        assert "Traceback" not in second.output
        world.spin_for(0.5)
        assert len(world.commands) == heard, "nobody commanded the first one's car"
        learner_of(first)
    finally:
        first.kill()
        if second is not None:
            second.kill()


def test_while_another_world_is_there_nothing_is_stored(
    world: FaultyWorld, tmp_path: Path
) -> None:
    driver = Node("ros.driver.node", f"checkpoint_dir:={tmp_path}", "world_timeout_s:=60.0")
    try:
        driver.wait_for("latest.pth at step 0")
        world.begin()
        world.step_until(lambda: steps(world) >= 3)
        world.until_established()
        other = world.node.create_publisher(Image, TOPICS.image, 10)
        driver.wait_for("this domain also has world")
        assert driver.output.count("this domain also has") == 1
        world.step()  # the frame that was open
        before = steps(world)
        for _ in range(10):
            world.step()
        assert steps(world) == before
        world.node.destroy_publisher(other)
        world.spin(lambda: "this domain also has" not in world.safety())
        world.step_until(lambda: steps(world) > before)
    finally:
        driver.kill()


def test_a_free_domain_is_one_where_nobody_listens() -> None:
    domain = random.randrange(max(domains.DOMAINS) + 1, 233)  # which nobody else is given
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as somebody:
        somebody.bind(("", 7400 + 250 * domain + 10))
        with pytest.raises(RuntimeError, match=f"all ROS domains are in use: {domain} to"):
            domains.claim([domain])
    assert domains.claim([domain]) == domain
    with pytest.raises(RuntimeError):
        domains.claim([domain])


@pytest.mark.parametrize("domain", ["-1", "233", "any", ""])
def test_a_domain_that_is_none(domain: str) -> None:
    done = subprocess.run(
        [*TRAIN, f"--domain={domain}"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "expected auto or 0 to 232" in done.stderr


def test_a_run_in_a_domain_of_its_own(tmp_path: Path) -> None:
    """Beside a world in the domain that the environment names."""
    here = Node("bridge_twin.world_node")
    try:
        done = train(tmp_path, "--domain", "auto", "--steps", "50", evaluated=False)
    finally:
        here.kill()
    assert done.code == 0, done.output
    told = re.search(r"^ROS_DOMAIN_ID=(\d+)$", done.output, re.MULTILINE)
    assert told
    assert told[1] != os.environ["ROS_DOMAIN_ID"]
