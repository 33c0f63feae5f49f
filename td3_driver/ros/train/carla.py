# SPDX-License-Identifier: Apache-2.0
"""CARLA's bridge as the world of a run: where it is installed, and its processes."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path

from td3_driver.ros.tether import tethered_hard
from td3_driver.ros.train.children import Process

WORKSPACE = "CARLA_WORKSPACE"
LOCAL = ("localhost", "127.0.0.1")  # where the embedded world listens as a server
_CONNECT_S = 5.0
_SERVER_START_S = 120.0
# Package, executable, and the module in which the executable's `main` is.
_BRIDGE = ("carla_ros_bridge", "bridge", "bridge")
_SPAWNER = ("carla_spawn_objects", "carla_spawn_objects", "carla_spawn_objects")
_SERVER = "CARLA server"
# In the order of their end. The spawner destroys what it spawned, while the bridge still waits
# for commands; in asynchronous mode, or when its server has gone, the bridge may hang at its end.
_STOP_S = {_SPAWNER[0]: 8.0, _BRIDGE[0]: 8.0, _SERVER: 5.0}


class CarlaError(ValueError):
    """There is no CARLA to drive in; one line says what is missing and how to get it."""


@dataclass(frozen=True)
class Bridge:
    """An installed carla_ros_bridge with its carla_spawn_objects.

    Attributes:
        bridge, spawner: the beginnings of their command lines.
        environment: what their processes need in it, beside what is there.
    """

    bridge: Sequence[str]
    spawner: Sequence[str]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class CarlaOptions:
    """What `CarlaWorld` starts.

    Attributes:
        bridge: the installed bridge.
        host, port: of the CARLA server.
        server: command line of a server to start; None: there is one.
        town: that the bridge loads: a name, or a path of an OpenDRIVE file.
        role_name: of the car.
        objects_file: car and sensors, for the spawner.
        lockstep: the server waits for the bridge, and the bridge for one command a frame.
    """

    bridge: Bridge
    host: str
    port: int
    server: Sequence[str] | None
    town: str
    role_name: str
    objects_file: Path
    lockstep: bool

    def record(self) -> dict[str, object]:
        """What a run's record tells of it."""
        return {
            "carla": f"{self.host}:{self.port}",
            "server": None if self.server is None else list(self.server),
            "bridge": list(self.bridge.bridge),
            "town": self.town,
            "synchronous_mode": self.lockstep,
        }


def find_bridge() -> Bridge:
    """Find the bridge: in the workspace that `CARLA_WORKSPACE` names, or that is sourced.

    A package counts as found if it has its executable below a prefix of `AMENT_PREFIX_PATH`, or
    if Python can import it.

    Raises:
        CarlaError: it is not there.
    """
    changed = _workspace_environment()
    environment = {**os.environ, **changed}
    # Outside a ROS installation nothing else sets it, and the bridge asks for it.
    changed.setdefault("ROS_VERSION", environment.get("ROS_VERSION", "2"))
    return Bridge(_command(*_BRIDGE, environment), _command(*_SPAWNER, environment), changed)


def listens(host: str, port: int) -> bool:
    """Whether a server accepts connections there.

    Raises:
        CarlaError: the host cannot be reached.
    """
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError as error:
        # Without IPv6, localhost may still have an address of it too, which is tried last.
        if error.errno in (errno.ECONNREFUSED, errno.EADDRNOTAVAIL):
            return False
        raise CarlaError(f"--host {host} --port {port}: {error.strerror or error}") from error
    return True


class CarlaWorld:
    """A CARLA server, if it is to be started, the bridge, and the spawner of the car.

    Args:
        options: what to start.
        log: called from threads with each line that one of them writes.
    """

    def __init__(self, options: CarlaOptions, log: Callable[[str], None]) -> None:
        self._options = options
        self._log = log
        self._processes: dict[str, Process] = {}
        self._ending = False
        self._exit_code: int | None = None

    @property
    def exit_code(self) -> int | None:
        """The exit code of the first that ended, or 1; None while all run."""
        if self._exit_code is None:
            for name, process in self._processes.items():
                if process.exit_code is not None:
                    self._exit_code = process.exit_code
                    self._log(f"{name} ended (exit code {process.exit_code})")
                    break
        return self._exit_code

    def start(self, skip: Callable[[], bool]) -> None:
        """Start them; wait for the server, up to a limit, until it ends or asked to `skip`."""
        options = self._options
        if options.server is not None:
            self._start(_SERVER, options.server, {})
            leave_by_s = time.monotonic() + _SERVER_START_S
            while not listens(options.host, options.port):
                if skip() or self.exit_code is not None:
                    return
                if time.monotonic() > leave_by_s:
                    self._log(f"{_SERVER} does not listen after {_SERVER_START_S:.0f} s")
                    self._exit_code = 1
                    return
                time.sleep(0.1)
        environment = options.bridge.environment
        self._start(_BRIDGE[0], bridge_command(options), environment)
        self._start(_SPAWNER[0], spawner_command(options), environment)

    def stop(self) -> None:
        """End them, the last first; kill those that do not end in time."""
        # What bridge and spawner write at their end are tracebacks of shutting down twice.
        self._ending = True
        server = self._processes.get(_SERVER)
        # Without a server the others only wait for it.
        lost = server is not None and server.exit_code is not None
        for name, within_s in _STOP_S.items():
            if name in self._processes:
                self._processes[name].stop(0.5 if lost else within_s)

    def _start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        unbuffered = {**environment, "PYTHONUNBUFFERED": "1"}
        self._processes[name] = Process(
            [*tethered_hard(_STOP_S[name]), *command], self._hear, environment=unbuffered
        )

    def _hear(self, line: str) -> None:
        if not self._ending:
            self._log(line)


def bridge_command(options: CarlaOptions) -> list[str]:
    """The command line of the bridge."""
    return [
        *options.bridge.bridge,
        *_ros_args(
            _BRIDGE[0],
            {
                "use_sim_time": "true",
                "host": options.host,
                "port": options.port,
                "timeout": 20,
                "passive": "false",
                "synchronous_mode": _text(options.lockstep),
                "synchronous_mode_wait_for_vehicle_control_command": _text(options.lockstep),
                "fixed_delta_seconds": 0.05,
                "town": options.town,
                "register_all_sensors": "true",
                # Its default is a list that it searches as one text: any part of a name matches.
                "ego_vehicle_role_name": options.role_name,
            },
        ),
    ]


def spawner_command(options: CarlaOptions) -> list[str]:
    """The command line of the spawner of the car and its sensors."""
    file = str(options.objects_file)
    parameters = {"objects_definition_file": file, "spawn_sensors_only": "false"}
    return [*options.bridge.spawner, *_ros_args(_SPAWNER[0], parameters)]


def _text(value: bool) -> str:
    return str(value).lower()


def _ros_args(node: str, parameters: Mapping[str, object]) -> list[str]:
    given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    return ["--ros-args", "-r", f"__node:={node}", *given]


def _workspace_environment() -> dict[str, str]:
    """What sourcing the workspace changes in the environment."""
    workspace = os.environ.get(WORKSPACE)
    if not workspace:
        return {}
    setup = Path(workspace).expanduser().resolve() / "install" / "setup.bash"
    if not setup.is_file():
        raise CarlaError(f"{WORKSPACE}: no file {setup}; expected a workspace that colcon built")
    sourced = subprocess.run(
        ["bash", "-c", '. "$0" >&2 && env -0', str(setup)],
        capture_output=True,
        text=True,
        errors="surrogateescape",  # as in os.environ
        check=False,
    )
    if sourced.returncode != 0:
        said = sourced.stderr.strip().splitlines()
        raise CarlaError(f"{WORKSPACE}: {setup} fails: {said[-1] if said else 'no reason given'}")
    lines = (line.partition("=") for line in sourced.stdout.split("\0") if "=" in line)
    after = {name: value for name, _, value in lines}
    return {name: value for name, value in after.items() if os.environ.get(name) != value}


def _command(
    package: str, executable: str, module: str, environment: Mapping[str, str]
) -> list[str]:
    for prefix in environment.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        file = Path(prefix, "lib", package, executable)
        if prefix and file.is_file():
            return [str(file)]
    path = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    if PathFinder.find_spec(package, [*path, *sys.path]) is not None:
        return [sys.executable, "-m", f"{package}.{module}"]
    raise CarlaError(
        f"no package {package} here: source the workspace that has CARLA's ROS bridge, or name it"
        f" in {WORKSPACE} (docs/carla.md)"
    )
