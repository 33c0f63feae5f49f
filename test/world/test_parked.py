# SPDX-License-Identifier: Apache-2.0
"""Vehicles that somebody put somewhere: heeded by traffic, solid, and still there afterwards."""

import math

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import FULL_BRAKE, Pose
from td3_driver.world.bodies.vehicle import MASS_KG
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.ground.surface import OBSTACLE
from td3_driver.world.scene import OccupiedError
from td3_driver.world.simulation import Simulation, WorldConfig
from td3_driver.world.traffic.parked import Parked

SMALL = {"cameras": (CameraConfig(width_px=32, height_px=24),)}


def test_traffic_stops_behind_it_and_nobody_begins_in_it(loop: RoadMap) -> None:
    shapely = pytest.importorskip("shapely", "2.0")
    simulation = Simulation(WorldConfig(traffic=15, **SMALL), loop)
    places = [simulation.spawn_pose(seed) for seed in (2, 6)]
    parked = [simulation.park(place) for place in places]
    for seed in (4, 5):
        simulation.reset_pose(simulation.spawn_pose(seed))
        for _ in range(400):
            others = simulation.step(FULL_BRAKE).others
            boxes = shapely.polygons(others.corners())
            there = np.flatnonzero(np.isin(others.actor_ids, parked))
            for row in there.tolist():
                assert shapely.intersects(boxes[row], boxes).sum() == 1, "nobody but itself"
        assert others.poses[there].tolist() == [[p.x_m, p.y_m, p.yaw_rad] for p in places]
        standing = np.hypot(*others.velocities_mps.T) < 0.1
        assert standing.sum() > len(parked), "somebody waits behind it"


def test_nothing_is_put_where_something_stands(loop: RoadMap) -> None:
    simulation = Simulation(WorldConfig(traffic=5, **SMALL), loop)
    tick = simulation.step(FULL_BRAKE)
    x, y, yaw = tick.others.poses[0].tolist()
    at = simulation.spawn_pose(3)
    right = np.array([math.sin(at.yaw_rad), -math.cos(at.yaw_rad)])
    beside = np.array([at.x_m, at.y_m]) + np.arange(0.0, 20.0, 0.5)[:, None] * right
    hedge = beside[(simulation.surface.class_at(beside) == OBSTACLE).argmax()]
    in_hedge = Pose(*hedge.tolist(), at.yaw_rad)
    for pose in (tick.ego.pose, Pose(x, y, yaw + 0.5), in_hedge):
        with pytest.raises(OccupiedError):
            simulation.park(pose)


def test_one_that_is_run_into_slides_to_rest() -> None:
    """From 5 m/s and at 7 m/s2 it gets v^2 / 2a = 1.79 m far."""
    lot = Parked()
    first = lot.add(Pose(1.0, 2.0, 0.3))
    second = lot.add(Pose(50.0, 2.0, 0.0))
    assert first != second
    lot.push(1, np.array([3.0, 4.0]) * MASS_KG)
    for _ in range(40):
        lot.step(0.05)
    bodies = lot.bodies()
    assert not bodies.velocities_mps.any()
    assert bodies.poses[0].tolist() == [1.0, 2.0, 0.3]
    assert math.dist(bodies.poses[1, :2], (50.0, 2.0)) == pytest.approx(1.79, abs=0.05)
    lot.restart()
    assert lot.bodies().poses[1].tolist() == [50.0, 2.0, 0.0]
    assert lot.remove(first)
    assert not lot.remove(first)
    assert lot.bodies().actor_ids.tolist() == [second]
