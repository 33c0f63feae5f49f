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

TRAIN = [sys.executable, "-m", "td3_driver.cli", "train"]
PATIENCE_S = 120.0  # for what has to come: a machine may be busy, a fault is there for ever


class Process:
    """A process, the first of a group of its own, and what it says.

    Args:
        command: the command line.
        environment: beside this process' own.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self.process = subprocess.Popen(
            list(command),
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
        """What it has said so far. All is said when `wait` or `stop` has returned, not before."""
        return "\n".join(self.lines)

    def wait_for(self, text: str, after: int = 0) -> None:
        """Until a line has this text, after so many lines that do not count."""

        def said() -> bool:
            return any(text in line for line in self.lines[after:])

        def ended() -> bool:
            return not self._reader.is_alive()

        wait_until(lambda: said() or ended(), what=lambda: f"{text!r} in {self.output}")
        assert said(), f"no {text!r} in {self.output}"

    def wait(self) -> int:
        """The exit code, when all is said."""
        code = self.process.wait(2.0 * PATIENCE_S)
        self._reader.join(PATIENCE_S)
        assert not self._reader.is_alive(), "another process has its output"
        return code

    def stop(self) -> int:
        """Ask it to end; the exit code, when all is said."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


class Program(Process):
    """A program of Python's.

    Args:
        command: its arguments, after the interpreter.
        environment: as of `Process`.
    """

    def __init__(self, *command: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__([sys.executable, *command], environment)


class RunningTrain(Program):
    """`td3_driver train` as a process."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        super().__init__(*TRAIN[1:], "--checkpoint-dir", str(folder), *options)

    def descendants(self) -> dict[str, int]:
        """Process ids of the world, the driver, the learner and the evaluator, by name."""
        found = {}
        for pid in tree(self.process.pid):
            for name, mark in (
                ("world", b"world_node"),
                ("driver", b"ros.driver.node"),
                ("learner", b"spawn_main"),
                ("evaluator", b"evaluation.selection"),
            ):
                if mark in command_of(pid):
                    found[name] = pid
        return found

    def kill_everything(self) -> None:
        """For a test's end: nothing stays, whatever happened."""
        if self.process.poll() is not None:
            return  # it has ended all that it started, and its number may be another's
        for pid in [*tree(self.process.pid), self.process.pid]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


class Node(Program):
    """One node as a process of its own, as `ros2 run` starts it.

    Args:
        module: below `td3_driver`.
        parameters: "name:=value".
    """

    def __init__(self, module: str, *parameters: str) -> None:
        # As the executables do, so that a learner need not import its driver first.
        given = ("td3_driver.start", f"td3_driver.{module}")
        super().__init__("-m", *given, *ros_args(parameters))


class Script(Program):
    """A node of the tests' own.

    Args:
        module: beside this one.
        parameters: "name:=value".
    """

    def __init__(self, module: str, *parameters: str) -> None:
        super().__init__("-m", f"{__package__}.{module}", *ros_args(parameters))


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


# So many times a driver has told its `/diagnostics`, twice a second, when it is no newcomer any
# more (`td3_driver.ros.company.NEWCOMER_S`, of the time in which it has looked), with a margin.
ESTABLISHED = 24


def ros_args(parameters: Sequence[str]) -> list[str]:
    """The command line that gives a node its parameters."""
    return ["--ros-args", *(word for parameter in parameters for word in ("-p", parameter))]


def learner_of(driver: Program) -> int:
    """The process id of a driver's learner."""
    (pid,) = (pid for pid in tree(driver.process.pid) if b"spawn_main" in command_of(pid))
    return pid


def children_of(program: Program) -> bytes:
    """The command lines of the processes that a program has started."""
    return b"\n".join(command_of(pid) for pid in tree(program.process.pid))


def command_of(pid: int) -> bytes:
    """The command line of a process; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


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
    condition: Callable[[], bool], what: Callable[[], str] = lambda: "condition"
) -> None:
    """Wait for a condition, with a deadline."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            raise AssertionError(f"not within {PATIENCE_S} s: {what()}")
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

    def ask(self, service: str) -> Future:
        """Call a Trigger service without waiting for its answer."""
        client = self._node.create_client(Trigger, service)
        wait_until(client.service_is_ready, what=lambda: f"service {service}")
        return client.call_async(Trigger.Request())

    def call(self, service: str) -> Trigger.Response:
        """The answer of a Trigger service."""
        future = self.ask(service)
        self.spin(future.done)
        return future.result()

    def spin(self, until: Callable[[], bool]) -> None:
        """Listen until a condition holds."""
        end_s = time.monotonic() + PATIENCE_S
        while not until():
            assert time.monotonic() < end_s, f"not within {PATIENCE_S} s"
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
