# SPDX-License-Identifier: Apache-2.0
"""The embedded world as a CARLA server, the real bridge on it, and who spawns the car."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros.train.carla import (
    CarlaError,
    CarlaOptions,
    bridge_command,
    find_bridge,
    spawner_command,
)
from td3_driver.world.roads.generation import training_roads

from ..e2e.running import Process
from ..ports import free_port

try:
    BRIDGE = find_bridge()
except CarlaError as error:
    pytest.skip(f"{error}", allow_module_level=True)

EGO_VEHICLE = Path(__file__).resolve().parents[2] / "config" / "ego_vehicle.json"
HOST = "localhost"
_END_S = 15.0


def objects_file(
    folder: Path, role: str, camera: str, size_px: tuple[int, int], *, all_objects: bool = False
) -> Path:
    """A file as `config/ego_vehicle.json` with another role, camera and size of its picture.

    Args:
        all_objects: with the world's own sensor of objects, too.
    """
    given = json.loads(EGO_VEHICLE.read_text())
    car = given["objects"][-1]
    car["id"] = role
    for sensor in car["sensors"]:
        if sensor["type"] == "sensor.camera.rgb":
            sensor.update(id=camera, image_size_x=size_px[0], image_size_y=size_px[1])
    if all_objects:
        given["objects"].insert(0, {"type": "sensor.pseudo.objects", "id": "objects"})
    file = folder / "objects.json"
    file.write_text(json.dumps(given))
    return file


class Stack:
    """Server, bridge and spawner as processes of their own; whatever happens, none stays.

    Args:
        folder: for the map.
        objects: the objects file.
        lockstep: the bridge waits for a command for each frame.
        roads: the town; None: a generated one.
    """

    def __init__(
        self,
        folder: Path,
        objects: Path,
        *,
        lockstep: bool = True,
        roads: RoadMap | None = None,
    ) -> None:
        port = free_port()
        roads = roads or training_roads(0)
        self._map = folder / f"{roads.name}.xodr"
        self._map.write_text(roads.opendrive)
        self.options = CarlaOptions(
            bridge=BRIDGE, host=HOST, port=port, server=(), town=roads.name,
            role_name=json.loads(objects.read_text())["objects"][-1]["id"],
            objects_file=objects, lockstep=lockstep,
        )  # fmt: skip
        self._processes: list[Process] = []
        self.start_server()
        self.start_bridge()
        self.start_spawner()

    def start_server(self) -> None:
        port = str(self.options.port)
        words = ["-m", "td3_driver.cli", "world", "--map", str(self._map), "--carla-port", port]
        self.server = self._run([sys.executable, *words], {})
        self.server.wait_for("CARLA 0.9.16 on")

    def start_bridge(self) -> None:
        self.bridge = self._run(bridge_command(self.options), self._environment)

    def start_spawner(self) -> None:
        """Until the car and its sensors are there."""
        self.spawner = self._run(spawner_command(self.options), self._environment)
        self.spawner.wait_for("All objects spawned")

    def start_set_initial_pose(self, control_id: str = "control") -> Process:
        """The node that hears `/initialpose`, which is beside the spawner."""
        *before, spawner = self.options.bridge.spawner
        other = str(Path(spawner).with_name("set_initial_pose"))
        module = spawner.rpartition(".")[0] + ".set_initial_pose"
        command = [*before, module] if before else [other]
        parameters = {"role_name": self.options.role_name, "control_id": control_id}
        given = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        node = ["--ros-args", "-r", "__node:=set_initial_pose", *given]
        return self._run([*command, *node], self._environment)

    @property
    def _environment(self) -> Mapping[str, str]:
        return {**self.options.bridge.environment, "PYTHONUNBUFFERED": "1"}

    def _run(self, command: Sequence[str], environment: Mapping[str, str]) -> Process:
        process = Process(command, environment)
        self._processes.append(process)
        return process

    def end(self, process: Process) -> None:
        """Ask one to end; the bridge ends with code 1, or hangs."""
        if process.process.poll() is None:
            process.process.send_signal(signal.SIGINT)
            try:
                process.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()

    def __enter__(self) -> Stack:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in reversed(self._processes):
            process.kill()
        if error is not None:
            print(self.bridge.output[-5000:])
