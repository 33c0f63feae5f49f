# SPDX-License-Identifier: Apache-2.0
"""Steps a second, start and memory of the embedded world, in process and over DDS.

Needs the environment of `make setup`, not that of the peers.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np

from bench.report import Section
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.ros.train.domains import this_machine_only
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig

TOWN = Path(__file__).resolve().parents[2] / "shared/maps/Town01.xodr"
_STEPS = 600
_START_S = 60.0
_PATIENCE_S = 20.0

_FULL = {"traffic": 20, "scenery": True, "appearance": "random"}
_WORLDS: dict[str, dict[str, object]] = {
    "160x120": {},
    "160x120, 20 vehicles": {"traffic": 20},
    "160x120, 20 vehicles, lights": {"traffic": 20, "lights": True},
    "160x120, 50 vehicles": {"traffic": 50},
    "160x120, 100 vehicles": {"traffic": 100},
    "160x120, 20 vehicles, 10 pedestrians, scenery, random looks": {**_FULL, "pedestrians": 10},
    "800x600, 20 vehicles, scenery, random looks": {
        **_FULL,
        "cameras": (CameraConfig(width_px=800, height_px=600),),
    },
}


# Steps a second, the same a second of processor time, start in s, peak in MB.
Figures = tuple[float, float, float, float]


def measure(rounds: int) -> Section:
    """Every figure `rounds` times, in turns, in fresh processes."""
    section = Section(
        "World",
        f"Town01; {_STEPS} steps of a slow drive, one thread. Start: from the file to the first"
        " picture, without the imports. Memory: the process's peak. Medians, and quartiles in"
        " brackets. Over DDS a client in another process answers each picture, and takes what"
        " is told of other vehicles; the processor time is that of both.",
        ["world", "steps/s", "steps/s of CPU", "start s", "peak MB"],
    )
    cases: dict[str, Callable[[], Figures]] = {
        name: lambda world=world: _in_process(world)  # type: ignore[misc]
        for name, world in _WORLDS.items()
    }
    for name, count in (("over DDS, 160x120", 0), ("over DDS, 160x120, 20 vehicles", 20)):
        cases[name] = lambda count=count: _over_dds(count)  # type: ignore[misc]
    results = [[case() for case in cases.values()] for _ in range(rounds)]
    for row, name in enumerate(cases):
        columns = np.array([result[row] for result in results]).T
        section.add(name, *(quartiles(column) for column in columns))
    return section


def quartiles(values: np.ndarray) -> str:
    """The median, and the quartiles in brackets; empty where there is no figure."""
    if np.isnan(values).any():
        return ""
    low, median, high = np.percentile(values, (25, 50, 75))
    digits = 0 if median >= 10.0 else 2
    return f"**{median:.{digits}f}** ({low:.{digits}f}–{high:.{digits}f})"


def _in_process(world: dict[str, object]) -> Figures:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_drive, args=(world, theirs))
    process.start()
    theirs.close()
    result: Figures = ours.recv()
    process.join()
    return result


def _drive(world: dict[str, object], pipe: Connection) -> None:
    cv2.setNumThreads(1)
    start = time.perf_counter()
    simulation = Simulation(WorldConfig(**world), RoadMap.from_file(TOWN))  # type: ignore[arg-type]
    simulation.step(Control())
    started_s = time.perf_counter() - start
    start, start_cpu = time.perf_counter(), time.process_time()
    for step in range(_STEPS):
        simulation.step(Control(throttle=0.4 if step % 40 < 30 else 0.0))
    rate = _STEPS / (time.perf_counter() - start)
    rate_cpu = _STEPS / (time.process_time() - start_cpu)
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pipe.send((rate, rate_cpu, started_s, peak_mb))


def _over_dds(traffic: int) -> Figures:
    """As a driver would: one command for each picture."""
    os.environ["ROS_DOMAIN_ID"] = str(random.SystemRandom().randint(1, 101))
    os.environ.update([this_machine_only()])
    import rclpy
    from carla_msgs.msg import CarlaEgoVehicleControl
    from rclpy.executors import SingleThreadedExecutor
    from sensor_msgs.msg import Image

    from td3_driver.ros import names
    from td3_driver.ros.road_users import listen_to_road_users
    from td3_driver.ros.train.children import Child
    from td3_driver.ros.wires import Wires

    role = f"bench_{os.getpid()}"  # should somebody else use the same domain
    parameters = {
        "map": str(TOWN),
        "traffic": traffic,
        "control_patience_s": _PATIENCE_S,
        "role_name": role,
    }
    world = Child("td3_driver.bridge_twin.world_node", parameters, print)
    rclpy.init()
    node = rclpy.create_node("bench")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    commands = node.create_publisher(
        CarlaEgoVehicleControl, f"/carla/{role}/vehicle_control_cmd", 10
    )
    times_s: list[float] = []
    cpu_s: list[float] = []

    def answer(_: Image) -> None:
        times_s.append(time.perf_counter())
        if len(times_s) in (100, _STEPS + 100):
            cpu_s.append(time.process_time() + _cpu_s(world.pid))
        throttle = 0.4 if len(times_s) % 40 < 30 else 0.0
        commands.publish(CarlaEgoVehicleControl(throttle=throttle))

    node.create_subscription(Image, f"/carla/{role}/rgb_front/image", answer, 10)
    if traffic:
        objects = f"/carla/{role}/objects"
        listen_to_road_users(Wires(node), objects, lambda *_: None, names.VOLATILE_10)
    try:
        give_up_s = time.monotonic() + _START_S
        while len(times_s) < _STEPS + 100 and time.monotonic() < give_up_s:
            executor.spin_once(timeout_sec=1.0)
        peak_mb = _peak_mb(world.pid)
    finally:
        world.stop(5.0)
        executor.shutdown()
        node.destroy_node()
        rclpy.shutdown()
    if len(times_s) < _STEPS + 100:
        raise TimeoutError(f"the world sent {len(times_s)} pictures in {_START_S:g} s")
    rate = _STEPS / (times_s[_STEPS + 99] - times_s[99])
    return rate, _STEPS / (cpu_s[1] - cpu_s[0]), float("nan"), peak_mb


def _cpu_s(pid: int) -> float:
    """Processor time of a process with all its threads, s."""
    of = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(of[11]) + int(of[12])) / os.sysconf("SC_CLK_TCK")


def _peak_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))
