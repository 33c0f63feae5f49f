# SPDX-License-Identifier: Apache-2.0
"""Ticks a second of the embedded world as a CARLA server, with CARLA's own client.

Needs the environment of `make setup`, not that of the peers.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import socket
import subprocess
import sys
import time
from multiprocessing.connection import Connection

import numpy as np

from bench.report import Section
from bench.world import TOWN, quartiles

_TICKS = 1000
_PATIENCE_S = 60.0
_WIDTH_PX, _HEIGHT_PX = 320, 240
_CASES = {
    "one car": (False, 0),
    "one car, camera": (True, 0),
    "one car, 20 others": (False, 20),
    "one car, camera, 20 others": (True, 20),
}


def measure(rounds: int) -> Section:
    """Every figure `rounds` times, in turns, with a fresh server and a fresh client."""
    section = Section(
        "CARLA server",
        f"Town01, {_TICKS} ticks of `carla.Client` in synchronous mode, in a process of its own,"
        f" while the car drives; the camera has {_WIDTH_PX}x{_HEIGHT_PX} pixels, and each picture"
        " is waited for. Start: from the command to the end of the first tick. Medians, and"
        " quartiles in brackets.",
        ["world", "ticks/s", "start s"],
    )
    results = [[_in_process(*case) for case in _CASES.values()] for _ in range(rounds)]
    for row, name in enumerate(_CASES):
        columns = np.array([result[row] for result in results]).T
        section.add(name, *(quartiles(column) for column in columns))
    return section


def _in_process(camera: bool, traffic: int) -> tuple[float, float]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_drive, args=(camera, traffic, theirs))
    process.start()
    theirs.close()
    result: tuple[float, float] = ours.recv()
    process.join()
    return result


def _drive(camera: bool, traffic: int, pipe: Connection) -> None:
    import carla

    port = _free_port()
    command = ["world", "--map", str(TOWN), "--traffic", str(traffic), "--carla-port", str(port)]
    start_s = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, "-m", "td3_driver.cli", *command], stdout=subprocess.DEVNULL
    )
    try:
        _await(port)
        client = carla.Client("127.0.0.1", port)
        client.set_timeout(_PATIENCE_S)
        world = client.get_world()
        settings = world.get_settings()
        settings.synchronous_mode, settings.fixed_delta_seconds = True, 0.05
        world.apply_settings(settings)
        world.tick()
        started_s = time.perf_counter() - start_s
        pipe.send((_rate(world, camera), started_s))
    finally:
        server.terminate()
        server.wait()


def _rate(world: object, camera: bool) -> float:
    """Ticks a second."""
    import carla

    assert isinstance(world, carla.World)
    blueprints = world.get_blueprint_library()
    car = next(
        made
        for place in world.get_map().get_spawn_points()
        if (made := world.try_spawn_actor(blueprints.find("vehicle.tesla.model3"), place))
    )
    pictures: queue.Queue[carla.Image] = queue.Queue()
    if camera:
        lens = blueprints.find("sensor.camera.rgb")
        lens.set_attribute("image_size_x", str(_WIDTH_PX))
        lens.set_attribute("image_size_y", str(_HEIGHT_PX))
        mounted = carla.Transform(carla.Location(1.6, 0.0, 1.5))
        sensor = world.spawn_actor(lens, mounted, attach_to=car)
        sensor.listen(pictures.put)
        _until_heard(world, pictures)
    start_s = time.perf_counter()
    for number in range(_TICKS):
        throttle = 0.4 if number % 40 < 30 else 0.0
        car.apply_control(carla.VehicleControl(throttle=throttle))
        frame = world.tick()
        while camera and pictures.get(timeout=_PATIENCE_S).frame < frame:
            pass
    rate = _TICKS / (time.perf_counter() - start_s)
    if camera:
        sensor.stop()  # it also has to be kept so long: else it falls silent
    return rate


def _until_heard(world: object, pictures: queue.Queue[object]) -> None:
    """Tick until a picture comes: the client connects in the background."""
    end_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end_s:
        world.tick()  # type: ignore[attr-defined]
        try:
            pictures.get(timeout=0.1)
        except queue.Empty:
            continue
        return
    raise TimeoutError(f"no picture in {_PATIENCE_S:g} s")


def _await(port: int) -> None:
    """Wait until a server listens."""
    end_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end_s:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.01)
        else:
            return
    raise TimeoutError(f"no server at port {port} in {_PATIENCE_S:g} s")


def _free_port() -> int:
    """A port that the system gives to nobody by itself, with its next one."""
    return 20_000 + 2 * (os.getpid() % 5_000)
