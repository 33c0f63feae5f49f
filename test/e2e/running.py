# SPDX-License-Identifier: Apache-2.0
"""A training run in the background, seen as an operator sees it: its log and its topics."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import rclpy
from carla_msgs.msg import CarlaEgoVehicleControl
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from rclpy.task import Future
from sensor_msgs.msg import CameraInfo
from std_srvs.srv import Trigger

from .conftest import TRAIN


class RunningTrain:
    """`td3_driver train` as a process, with its output as it comes."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [*TRAIN, "--checkpoint-dir", str(folder), *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str, within_s: float = 60.0) -> None:
        wait_until(lambda: text in self.output, within_s, lambda: f"{text!r} in {self.output}")

    def wait(self, within_s: float) -> int:
        code = self.process.wait(within_s)
        self._reader.join(5.0)
        return code

    def descendants(self) -> dict[str, int]:
        """Process ids of the world, the driver, the learner and the evaluator, by name."""
        found = {}
        for pid in tree(self.process.pid):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            for name, mark in (
                ("world", "world_node"),
                ("driver", "ros.driver.node"),
                ("learner", "spawn_main"),
                ("evaluator", "evaluation.selection"),
            ):
                if mark in command:
                    found[name] = pid
        return found

    def kill_everything(self) -> None:
        """For a test's end: nothing stays, whatever happened."""
        for pid in [*tree(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait(10.0)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


class Program:
    """A process, the first of a group of its own, and what it says."""

    def __init__(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, text: str) -> None:
        wait_until(
            lambda: any(text in line for line in self.lines), 60.0, lambda: f"{text}: {self.lines}"
        )

    def stop(self) -> int:
        """Ask it to end; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20.0)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def wait(self, within_s: float) -> int:
        """The exit code, when all is said."""
        code = self.process.wait(within_s)
        self._reader.join(5.0)
        return code

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


class Node(Program):
    """One node as a process of its own, as `ros2 run` starts it.

    Args:
        module: below `package`.
        parameters: "name:=value".
    """

    def __init__(self, module: str, *parameters: str, package: str = "td3_driver") -> None:
        super().__init__("-m", f"{package}.{module}", *ros_args(parameters))


class Spoiled(Program):
    """A program of this package in which one function raises once `break_it` was called.

    Args:
        module: whose `main` is run.
        where, error: see `raising`.
        file: one that is not there yet.
        arguments: of its command line.
    """

    def __init__(
        self, module: str, where: str, error: str, file: Path, arguments: Sequence[str]
    ) -> None:
        self._file = file
        spoiled = {"SPOILED": f"{where} {error} {file}"}
        script = str(Path(__file__).with_name("raising.py"))
        super().__init__(script, module, *arguments, environment=spoiled)

    def break_it(self) -> None:
        self._file.touch()


def ros_args(parameters: Sequence[str]) -> list[str]:
    """The command line that gives a node its parameters."""
    return ["--ros-args", *(word for parameter in parameters for word in ("-p", parameter))]


def learner_of(driver: Program) -> int:
    """The process id of a driver's learner."""
    (pid,) = (
        pid
        for pid in tree(driver.process.pid)
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return pid


def tree(root: int) -> list[int]:
    """The process ids of all descendants."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # it ended meanwhile
            match = re.match(r"(\d+) \(.*\) \S (\d+)", stat, re.DOTALL)
            assert match is not None
            parents[int(match[1])] = int(match[2])
    found, wanted = [], {root}
    while wanted:
        wanted = {pid for pid, parent in parents.items() if parent in wanted}
        found += sorted(wanted)
    return found


def alive(pid: int) -> bool:
    """The process exists and is no zombie."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def wait_until(
    condition: Callable[[], bool], within_s: float, what: Callable[[], str] = lambda: "condition"
) -> None:
    """Wait for a condition, with a deadline."""
    end_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > end_s:
            raise AssertionError(f"not within {within_s} s: {what()}")
        time.sleep(0.02)


class Observer:
    """A plain rclpy client beside the run: calls its services, counts frames and commands."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        self._context.init(args=[])
        self._node = rclpy.create_node("observer", context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self.frames: list[int] = []
        self.commands: list[int] = []
        deep = QoSProfile(depth=5000)
        role = "/carla/ego_vehicle"
        self._node.create_subscription(
            CameraInfo, f"{role}/rgb_front/camera_info", self._on(self.frames), deep
        )
        self._node.create_subscription(
            CarlaEgoVehicleControl, f"{role}/vehicle_control_cmd", self._on(self.commands), deep
        )

    def ask(self, service: str, within_s: float = 30.0) -> Future:
        """Call a Trigger service without waiting for its answer."""
        client = self._node.create_client(Trigger, service)
        wait_until(client.service_is_ready, within_s, lambda: f"service {service}")
        return client.call_async(Trigger.Request())

    def call(self, service: str, within_s: float = 30.0) -> tuple[Trigger.Response, float]:
        """The answer of a Trigger service, and how long it took, s."""
        future = self.ask(service, within_s)
        started_s = time.monotonic()
        self._executor.spin_until_future_complete(future, timeout_sec=within_s)
        took_s = time.monotonic() - started_s
        response = future.result()
        assert response is not None, f"{service} did not answer"
        return response, took_s

    def spin(self, until: Callable[[], bool], within_s: float) -> None:
        """Listen until a condition holds."""
        end_s = time.monotonic() + within_s
        while not until():
            assert time.monotonic() < end_s, f"not within {within_s} s"
            self._executor.spin_once(timeout_sec=0.1)

    def close(self) -> None:
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.try_shutdown()

    def _on(self, stamps: list[int]) -> Callable[[CameraInfo | CarlaEgoVehicleControl], None]:
        def callback(message: CameraInfo | CarlaEgoVehicleControl) -> None:
            stamp = message.header.stamp
            stamps.append(stamp.sec * 1_000_000_000 + stamp.nanosec)

        return callback
