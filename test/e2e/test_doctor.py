# SPDX-License-Identifier: Apache-2.0
"""`td3_driver doctor` on live graphs: sound ones, and ones with what goes wrong at users'."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import rclpy
from carla_msgs.msg import CarlaControl, CarlaEgoVehicleControl, CarlaStatus
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import Pose
from nav_msgs.msg import Odometry
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node as RosNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

from td3_driver.ros.doctor.doctor import Verdict, examine
from td3_driver.ros.doctor.probe import Heard
from td3_driver.ros.names import EgoTopics

from .running import ESTABLISHED, PATIENCE_S, Node, wait_until


def doctor(
    code: int, *told: str, options: Sequence[str] = (), seconds: int = 4, path: str = ""
) -> None:
    """It exits with this code, and its table has all that is to be told.

    Who listens for seconds on a busy machine may not have heard all yet: asked again, it has.
    Python also finds what is in the folder `path`.
    """
    places = [place for place in (path, os.environ.get("PYTHONPATH")) if place]
    for longer in (1, 1, 2, 4, 8):
        listening = "--seconds", str(longer * seconds)
        done = subprocess.run(
            [sys.executable, "-m", "td3_driver.cli", "doctor", *listening, *options],
            capture_output=True, text=True, timeout=2.0 * PATIENCE_S, check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(places)},
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        if done.returncode == code and all(each in done.stdout for each in told):
            return
    raise AssertionError(f"{code} and {told}: {done.returncode}, {done.stdout}")


@pytest.fixture(scope="module")
def bystander() -> Iterator[RosNode]:
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("bystander", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@contextmanager
def listening(bystander: RosNode, kind: type, topic: str) -> Iterator[Callable[[], list[Any]]]:
    """Asks for all that was said on a topic so far."""
    said: list[Any] = []
    subscription = bystander.create_subscription(kind, topic, said.append, 10)
    executor = SingleThreadedExecutor(context=bystander.context)
    executor.add_node(bystander)

    def so_far() -> list[Any]:
        executor.spin_once(timeout_sec=0.1)
        return said

    try:
        yield so_far
    finally:
        executor.shutdown()
        bystander.destroy_subscription(subscription)


@pytest.fixture(scope="module")
def world(bystander: RosNode) -> Iterator[Node]:
    """A world that ticks: its topics are there before its first tick."""
    node = Node("bridge_twin.world_node")
    try:
        with listening(bystander, CarlaStatus, "/carla/status") as told:
            wait_until(lambda: bool(told()))
        yield node
    finally:
        node.kill()


def test_nothing_is_running() -> None:
    doctor(1, "FAIL  /carla/ego_vehicle/odometry", "is the bridge running?", seconds=1)


@pytest.mark.parametrize(
    ("wanted", "verdict"),
    [("0.9.13", "FAIL  carla package"), (version("carla"), "ok    carla package")],
)
def test_the_bridge_s_version_is_compared(wanted: str, verdict: str, tmp_path: Path) -> None:
    bridge = tmp_path / "carla_ros_bridge"  # as it is installed
    bridge.mkdir()
    (bridge / "__init__.py").touch()
    (bridge / "CARLA_VERSION").write_text(f"{wanted}\n")
    doctor(1, verdict, wanted, seconds=1, path=str(tmp_path))


def test_a_world_of_other_ticks(bystander: RosNode) -> None:
    """Before the other world is there."""
    world = Node("bridge_twin.world_node", "role_name:=slow", "fixed_delta_seconds:=0.1")
    try:
        wait_until(lambda: bystander.count_publishers("/carla/status") > 0)
        told = "fixed_delta_seconds is 0.1; the driver counts on 0.05"
        doctor(1, told, options=("--role-name", "slow"))
        assert world.stop() == 0
        wait_until(lambda: bystander.count_publishers("/carla/status") == 0)
    finally:
        world.kill()


def test_a_sound_world_that_nobody_drives(world: Node) -> None:
    objects = "ok    /carla/ego_vehicle/objects"
    doctor(0, "nobody drives", "generated", "160x120, bgra8", objects, "nothing is wrong")


def test_a_world_of_another_role_without_that_actor(world: Node) -> None:
    doctor(
        1,
        "roles in the graph: ego_vehicle",
        "does the bridge know this role name?",
        "needs an actor.pseudo.control with id 'other'",
        "note  /carla/hero/objects",
        options=("--role-name", "hero", "--control-id", "other"),
    )


def test_a_world_that_is_paused(world: Node, bystander: RosNode) -> None:
    control = bystander.create_publisher(CarlaControl, "/carla/control", 10)
    with listening(bystander, CarlaStatus, "/carla/status") as told:

        def paused() -> bool:
            control.publish(CarlaControl(command=CarlaControl.PAUSE))
            return bool(told()) and not told()[-1].synchronous_mode_running

        try:
            wait_until(paused)
            advice = "a bridge that is paused goes on with PLAY on /carla/control"
            doctor(1, "FAIL  frames", advice)
        finally:
            control.publish(CarlaControl(command=CarlaControl.PLAY))
    doctor(0)


def test_a_world_that_pauses_while_the_doctor_listens() -> None:
    """Its last status came, and says so."""
    status = CarlaStatus(synchronous_mode=True, fixed_delta_seconds=0.05)
    findings = examine(Heard(4.0, status=status), EgoTopics("ego_vehicle", "rgb_front", "control"))
    told = [finding for finding in findings if finding.what == "/carla/status"]
    assert [finding.verdict for finding in told] == [Verdict.HINT]
    assert "told of a pause; a bridge that is paused goes on with PLAY" in told[0].detail


@pytest.mark.parametrize("every", [1, 4])
def test_a_camera_that_does_not_show_every_tick(every: int) -> None:
    ticks = range(50_000_000, 4_000_000_000, 50_000_000)
    image = Image(height=2, width=2, encoding="bgra8", step=8, data=bytes(16))
    heard = Heard(
        4.0, images=[*ticks[::every]], odometries=[*ticks], image=image, odometry=Odometry()
    )
    findings = examine(heard, EgoTopics("ego_vehicle", "rgb_front", "control"))
    told = [finding for finding in findings if finding.what == "sensor_tick"]
    assert [finding.verdict for finding in told] == [Verdict.HINT] * (every > 1)
    assert all("a picture in one tick of 4" in finding.detail for finding in told)


@pytest.mark.parametrize(
    ("stamps_ms", "lock_step", "tick_s", "missing"),
    [
        (range(50, 4000, 50), False, 0.05, 0),
        (range(50, 4000, 150), False, 0.05, 0),  # a camera's own period
        ([0, 50, *range(150, 4000, 100)], False, 0.05, 39),  # as with the bridge, busy
        ([0, 50, *range(150, 4000, 100)], False, 0.0, 0),  # ticks of any length
        # Who listens has missed some; nobody else has.
        ([0, 50, *range(150, 4000, 100)], True, 0.05, 0),
        ([50], False, 0.05, 0),
        ([], False, 0.05, 0),
    ],
)
def test_in_real_time_pictures_are_missing(
    stamps_ms: Sequence[int], lock_step: bool, tick_s: float, missing: int
) -> None:
    status = CarlaStatus(
        synchronous_mode=lock_step, synchronous_mode_running=True, fixed_delta_seconds=tick_s
    )
    heard = Heard(4.0, images=[ms * 1_000_000 for ms in stamps_ms], status=status)
    findings = examine(heard, EgoTopics("ego_vehicle", "rgb_front", "control"))
    told = [finding for finding in findings if finding.what == "real time"]
    assert [finding.verdict for finding in told] == [Verdict.BAD] * bool(missing)
    assert all(f"{missing} of {missing + len(stamps_ms)} " in each.detail for each in told)


def test_mismatched_topics_and_rivals(world: Node, bystander: RosNode) -> None:
    role = "/carla/hero"
    best_effort = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    rivals = [
        bystander.create_publisher(Pose, f"{role}/odometry", 10),
        bystander.create_publisher(Image, f"{role}/rgb_front/image", best_effort),
        bystander.create_publisher(CarlaEgoVehicleControl, f"{role}/vehicle_control_cmd", 10),
        bystander.create_publisher(CarlaEgoVehicleControl, f"{role}/vehicle_control_cmd", 10),
    ]
    doctor(
        1,
        "has type geometry_msgs/msg/Pose; expected nav_msgs/msg/Odometry",
        "best effort; the driver's subscription is reliable",
        "published by /bystander, /bystander; the car obeys whoever came last",
        options=("--role-name", "hero"),
    )
    for publisher in rivals:
        bystander.destroy_publisher(publisher)


def test_a_driver_at_work_and_a_second_one(
    world: Node, bystander: RosNode, tmp_path: Path
) -> None:
    driver = Node(
        "ros.driver.node", f"checkpoint_dir:={tmp_path}", "answer_within_s:=5.0",
        "world_timeout_s:=60.0",
    )  # fmt: skip
    try:
        driver.wait_for("latest.pth at step 0")
        doctor(0, "frames, one command each", "published by /td3_driver")
        with listening(bystander, DiagnosticArray, "/diagnostics") as told:
            wait_until(lambda: len(told()) >= ESTABLISHED)
        rivals = [
            bystander.create_publisher(
                CarlaEgoVehicleControl, "/carla/ego_vehicle/vehicle_control_cmd", 10
            ),
            bystander.create_publisher(Odometry, "/carla/ego_vehicle/odometry", 10),
        ]
        driver.wait_for("this domain also has driver /bystander")
        doctor(
            1,
            "published by /bystander, /td3_driver; the car obeys whoever came last",
            "published by /bystander, /carla_ros_bridge; one bridge is enough",
            "td3_driver: safety",
        )
        for publisher in rivals:
            bystander.destroy_publisher(publisher)
    finally:
        driver.kill()
