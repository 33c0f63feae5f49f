# SPDX-License-Identifier: Apache-2.0
"""The server shows the same world as everything else here: to the byte, and to a float's end."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control, Pose
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig

from .serving import MAPS, Serving

COMMANDS = 80
FILE = MAPS / "circle.xodr"
FLOAT_M = 1e-5  # the last place of a float at 100 m


def commands() -> list[tuple[float, float, float]]:
    """Throttle, steer and brake: some of everything."""
    rng = np.random.default_rng(7)
    steer = np.clip(0.05 * rng.standard_normal(COMMANDS).cumsum(), -0.4, 0.4)
    throttle, brake = np.full(COMMANDS, 0.6), np.zeros(COMMANDS)
    throttle[50:60], brake[50:60] = 0.0, 0.7
    exact = np.stack([throttle, steer, brake], axis=1).astype(np.float32)  # as the wire has them
    return [tuple(map(float, row)) for row in exact]


def test_a_drive_is_the_same() -> None:
    camera = CameraConfig(width_px=64, height_px=48, x_m=1.5)
    config = WorldConfig(cameras=(camera,))
    simulation = Simulation(config, RoadMap.from_file(FILE))
    start = simulation.spawn_pose(config.seed)
    # What can be said in the wire's floats.
    x, y, yaw_deg = map(float, np.float32([start.x_m, -start.y_m, -math.degrees(start.yaw_rad)]))
    simulation.reset_pose(Pose(x, -y, -math.radians(yaw_deg)))
    told = {
        "location": [x, y, 0.0],
        "yaw_deg": yaw_deg,
        "camera": [camera.x_m, -camera.y_m, camera.z_m],
        "size_px": [camera.width_px, camera.height_px],
        "commands": commands(),
    }
    serving = Serving("--map", str(FILE))
    try:
        printed = serving.run_client("parity", "drive", said=json.dumps(told))
    finally:
        assert serving.stop() == 0
    rows = [json.loads(line) for line in printed.splitlines()]
    assert len(rows) == COMMANDS
    for row, (throttle, steer, brake) in zip(rows, told["commands"], strict=True):
        tick = simulation.step(Control(throttle, steer, brake))
        x, y, yaw_deg, velocity_x, velocity_y, digest = row
        pose, ego = tick.ego.pose, tick.ego
        assert math.hypot(x - pose.x_m, y + pose.y_m) < FLOAT_M
        assert abs(math.remainder(math.radians(yaw_deg) + pose.yaw_rad, math.tau)) < 1e-6
        speed_mps = math.hypot(ego.speed_mps, ego.lateral_speed_mps)
        assert abs(math.hypot(velocity_x, velocity_y) - speed_mps) < 1e-5
        assert digest == hashlib.sha256(tick.image.tobytes()).hexdigest()
