# SPDX-License-Identifier: Apache-2.0
"""What somebody else in the ROS domain can have a driver at work do: not much.

One driver process for all; the tests build on each other.
"""

import array
import math
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from builtin_interfaces.msg import Time
from carla_msgs.msg import CarlaCollisionEvent
from derived_object_msgs.msg import Object
from lifecycle_msgs.msg import Transition
from rclpy.qos import QoSProfile
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header
from std_srvs.srv import Trigger

from td3_driver.checkpoints import checkpoint
from td3_driver.driving.types import FULL_BRAKE
from td3_driver.ros.driver.checkpoint_services import MOST_WAITING

from .faulty_world import FaultyWorld, Messages
from .running import Node, learner_of

CONFIG = """
agent: {learning_starts: 10, batch_size: 4, replay_capacity: 5000}
driving: {episode: {stuck_steps: 100000, off_road_m: 1000.0, wrong_way_rad: 7.0}}
"""
Spoil = Callable[[Messages], None]
SERVICES = "/save_checkpoint", "/load_checkpoint"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's files, among them the folder of the run and one that was opened to requests."""
    home = tmp_path_factory.mktemp("home")
    (home / ".bashrc").write_text("export PATH\n")
    (home / "opened").mkdir()
    (home / "config.yaml").write_text(CONFIG)
    run = home / "run"
    run.mkdir()
    (run / "notes.pth").write_text("no checkpoint\n")
    (run / "a_folder.pth").mkdir()
    os.mkfifo(run / "fifo.pth")
    (run / "link.pth").symlink_to(home / ".bashrc")
    (run / "dangling.pth").symlink_to(home / "new.pth")
    (run / "way_out").symlink_to(home)
    (run / "device.pth").symlink_to("/dev/zero")
    return home


@pytest.fixture(scope="module")
def driver(world: FaultyWorld, home: Path) -> Iterator[Node]:
    node = Node(
        "ros.driver.node", f"checkpoint_dir:={home}/run", f"config_file:={home}/config.yaml",
        f"checkpoint_roots:={home}/opened", "on_loss:=wait", "save_freq:=0", "keep_last:=2",
        "world_timeout_s:=60.0", "answer_within_s:=5.0", "learner_timeout_s:=3.0",
    )  # fmt: skip
    try:
        node.wait_for("latest.pth at step 0")
        world.begin()
        yield node
    finally:
        node.kill()


def files(folder: Path) -> dict[str, object]:
    """Everything below it but a run's own files: what it is and what is in it."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_ino,
            path.read_bytes() if path.is_file() and not path.is_symlink() else None,
        )
        for path in sorted(folder.rglob("*"))
        if not path.is_relative_to(folder / "run")
        or path.name in ("notes.pth", "fifo.pth", "a_folder.pth", "link.pth", "dangling.pth")
    }


def asked(world: FaultyWorld, service: str, path: str) -> Trigger.Response:
    """The answer to a request that names a file."""
    world.set_parameter("checkpoint_path", path)
    return world.trigger(service)


def test_no_request_reaches_a_file_that_is_none_of_its_business(
    world: FaultyWorld, driver: Node, home: Path
) -> None:
    run = home / "run"
    before = files(home)
    for path in (
        "/",
        str(home),
        str(home / ".bashrc"),
        str(home / "new.pth"),
        str(run / ".." / "new.pth"),
        str(run / "way_out" / "new.pth"),
        str(run / "notes.pth"),
        str(run / "a_folder.pth"),
        str(run / "fifo.pth"),
        str(run / "link.pth"),
        str(run / "dangling.pth"),
        str(run / "device.pth"),
        str(run / "best.pth"),
        str(run / "nowhere" / "a.pth"),
        str(home / "opened" / "nowhere" / "a.pth"),
        "~/a.pth",
        "/proc/self/root/etc/a.pth",
        "/dev/stdout.pth",
        "a" * 255 + ".pth",
        "a\nb.pth",
        "\N{RIGHT-TO-LEFT OVERRIDE}a.pth",
        "x/" * 500_000 + "a.pth",
    ):
        for service in SERVICES:
            answer = asked(world, service, path)
            assert not answer.success, path
            assert answer.message.isprintable()
            assert 0 < len(answer.message) < 1000
        world.step()
    assert files(home) == before
    assert not (run / "nowhere").exists()
    assert "Traceback" not in driver.output
    assert asked(world, "/save_checkpoint", "").success
    assert asked(world, "/load_checkpoint", "").success


def test_what_was_opened_at_the_start_is_reached_and_nothing_beside_it(
    world: FaultyWorld, driver: Node, home: Path
) -> None:
    """Neither does latest.pth appear beside a file that was named, nor is anything deleted."""
    opened, run = home / "opened", home / "run"
    for name in ("td3_1.pth", "td3_2.pth", "td3_3.pth"):
        (opened / name).write_bytes(checkpoint.newest(run).read_bytes())
    before = {path.name for path in opened.iterdir()}
    for name in ("mine.pth", "mine.pth"):
        world.step()
        answer = asked(world, "/save_checkpoint", str(opened / name))
        assert answer.success, answer.message
        assert answer.message.startswith(f"{opened / name} step ")
    assert {path.name for path in opened.iterdir()} == before | {"mine.pth"}
    assert asked(world, "/load_checkpoint", str(opened / "mine.pth")).success
    # A name without a folder is of the run's own.
    assert asked(world, "/save_checkpoint", "named.pth").success
    assert checkpoint.read(run / "named.pth")
    assert not asked(world, "/save_checkpoint", str(opened / "td3_1.pth")).success
    world.set_parameter("checkpoint_path", "")


def test_every_one_of_many_requests_is_answered(world: FaultyWorld, driver: Node) -> None:
    deep = QoSProfile(depth=500)  # of a client's own queue of answers
    clients = [world.node.create_client(Trigger, name, qos_profile=deep) for name in SERVICES]
    for client in clients:
        world.spin(client.service_is_ready)
    futures = [client.call_async(Trigger.Request()) for _ in range(60) for client in clients]
    world.spin(lambda: all(future.done() for future in futures), "answers")
    refused = [future.result().message for future in futures if not future.result().success]
    assert 0 < len(refused) <= len(futures) - MOST_WAITING
    assert all("are waiting for their answers already" in message for message in refused)
    for client in clients:
        world.node.destroy_client(client)
    world.step()


def test_parameters_that_are_fixed_stay(world: FaultyWorld, driver: Node, home: Path) -> None:
    for name, value in (
        ("checkpoint_dir", str(home)),
        ("checkpoint_roots", "/"),
        ("overwrite", True),
        ("resume", "/etc/passwd"),
        ("exploration", float("nan")),
        ("exploration", float("inf")),
        ("exploration", -1.0),
        ("exploration", "much"),
        ("learning", 3),
        ("no_such_parameter", 1),
    ):
        answer = world.set_parameter(name, value)
        assert not answer.successful, name
        assert answer.reason, name
    assert world.step() is not None
    assert "Traceback" not in driver.output


def odometry(field: str, value: float) -> Spoil:
    """Odometry with an absurd number in one place."""

    def spoil(messages: Messages) -> None:
        *parents, leaf = field.split(".")
        part = messages["odometry"]
        for name in parents:
            part = getattr(part, name)
        setattr(part, leaf, value)

    return spoil


def image(width: int, height: int, step: int, size: int, encoding: str = "bgra8") -> Spoil:
    """A picture that says of itself what is not so, or is absurdly large."""

    def spoil(messages: Messages) -> None:
        picture = messages["image"]
        picture.width, picture.height, picture.step = width, height, step
        picture.encoding, picture.data = encoding, array.array("B", bytes(size))

    return spoil


SPOILT = [
    *(odometry(f"pose.pose.position.{axis}", value) for axis in "xyz" for value in (1e300, -1e8)),
    *(odometry(f"twist.twist.{part}", 1e300) for part in ("linear.x", "linear.y", "angular.z")),
    odometry("twist.twist.linear.x", math.nan),
    odometry("pose.pose.orientation.z", math.inf),
    image(2**32 - 1, 2**32 - 1, 2**32 - 1, 4),
    image(64, 48, 0, 0),
    image(0, 0, 0, 0),
    image(64, 48, 256, 64 * 48 * 4, "x" * 100_000),
    image(64, 48, 256, 64 * 48 * 4, "bayer\n\x1b[2J"),
    image(5000, 4000, 5000, 20_000_000, "mono8"),
]


def test_absurd_topics_brake_the_car_and_teach_it_nothing(
    world: FaultyWorld, driver: Node
) -> None:
    for _ in range(20):
        world.step()
    for spoil in SPOILT:
        assert world.step(spoil) == FULL_BRAKE, SPOILT.index(spoil)
        world.step()
    collision = CarlaCollisionEvent(header=Header(stamp=Time(sec=2**31 - 1, nanosec=2**32 - 1)))
    flood = world.node.create_publisher(
        CarlaCollisionEvent, "/carla/ego_vehicle/collision", 1000
    )
    for _ in range(500):
        flood.publish(collision)
    world.step()
    world.node.destroy_publisher(flood)
    # Another car of absurd size and speed beside the road, and a crowd.
    absurd = Object(shape=SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[1e300] * 3))
    absurd.twist.linear.x, absurd.pose.position.x = 1e300, math.nan
    world.users = [absurd, *(Object() for _ in range(20_000))]
    for _ in range(3):
        world.step()
    world.users = []
    for _ in range(40):
        world.step()
    learner = world.values("td3_driver: learner")
    assert learner["updates_discarded"] == "0"
    assert 0.0 < float(learner["critic_loss"]) < 1e3
    assert "Traceback" not in driver.output
    assert all(line.isprintable() for line in driver.lines)


def test_a_request_that_waits_when_the_learner_hangs_is_answered_too(
    world: FaultyWorld, driver: Node
) -> None:
    pid = learner_of(driver)
    client = world.node.create_client(Trigger, "/save_checkpoint")
    world.spin(client.service_is_ready)
    os.kill(pid, signal.SIGSTOP)
    try:
        future = client.call_async(Trigger.Request())
        world.spin(future.done, "an answer")
        assert "has not answered" in future.result().message
    finally:
        os.kill(pid, signal.SIGCONT)
    world.spin(lambda: not world.learner_hangs(), "a learner that answers")
    # The learner's own answer, which came late, is not taken for a later request's.
    world.step()
    answer = world.trigger("/save_checkpoint")
    assert answer.success, answer.message
    step = int(answer.message.rpartition(" ")[2])
    assert f"td3_{step}.pth" in answer.message
    assert step == int(world.values("td3_driver: learner")["env_steps"])
    world.step_until(lambda: world.step() != FULL_BRAKE)


def test_a_stranger_who_configures_the_node_gains_no_file(
    world: FaultyWorld, driver: Node, home: Path
) -> None:
    """The lifecycle's services are open to everybody too."""
    before = files(home)
    assert world.change_state(Transition.TRANSITION_DEACTIVATE)
    assert world.change_state(Transition.TRANSITION_CLEANUP)
    kept = {path.name: path.read_bytes() for path in (home / "run").glob("td3_*.pth")}

    def refused(name: str, value: str, reason: str) -> None:
        usual = str(home / "run") if name == "checkpoint_dir" else ""
        assert world.set_parameter(name, value).successful
        assert not world.change_state(Transition.TRANSITION_CONFIGURE)
        driver.wait_for(reason)
        assert world.set_parameter(name, usual).successful

    for elsewhere in (home, home / "elsewhere"):
        refused("checkpoint_dir", str(elsewhere), f"checkpoint_dir: {elsewhere}: is outside")
    refused("resume", str(home / ".bashrc"), f"parameter resume: {home}/.bashrc: is outside")
    refused("prefill", "/etc/passwd", "parameter prefill: /etc/passwd: is outside")
    refused("config_file", "/etc/passwd", "parameter config_file: /etc/passwd: is outside")
    # And as it was started, it would begin a second run over the first.
    assert world.set_parameter("config_file", str(home / "config.yaml")).successful
    assert not world.change_state(Transition.TRANSITION_CONFIGURE)
    driver.wait_for("holds another run")
    assert not world.set_parameter("overwrite", True).successful
    assert files(home) == before
    assert {path.name: path.read_bytes() for path in (home / "run").glob("td3_*.pth")} == kept
    assert world.set_parameter("resume", str(home / "run" / "latest.pth")).successful
    assert world.change_state(Transition.TRANSITION_CONFIGURE)
    assert world.change_state(Transition.TRANSITION_CLEANUP)
    assert world.change_state(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert driver.wait() == 0
    assert "Traceback" not in driver.output


