# SPDX-License-Identifier: Apache-2.0
"""Cameras beside the first one: each sees from its own place, and changes nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control, Pose
from td3_driver.driving.view import Mount, ViewConfig
from td3_driver.world.camera.camera import CameraConfig, CameraError
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig, WorldConfigError

LEFT = CameraConfig("left", 96, 64, 60.0, 1.0, 0.6, 1.4, pitch_deg=4.0, yaw_deg=80.0, roll_deg=3.0)
# From where it sees the car that it is on.
BEHIND = CameraConfig("behind", 80, 60, 90.0, -6.0, 0.0, 3.0, pitch_deg=15.0)
FULL = WorldConfig(
    seed=4, traffic=6, pedestrians=2, scenery=True, lights=True, appearance="random"
)


@pytest.fixture(scope="module")
def roads() -> RoadMap:
    return RoadMap(generate_opendrive(3, "town"), "roads")


def only(*cameras: CameraConfig) -> WorldConfig:
    """The world with these cameras."""
    return replace(FULL, cameras=cameras)


def test_each_sees_what_it_would_see_alone_and_the_world_goes_the_same_way(
    roads: RoadMap,
) -> None:
    """Through dusk and rain, which each new start draws."""
    together = Simulation(only(CameraConfig(), LEFT, BEHIND), roads)
    singles = [Simulation(config, roads) for config in (FULL, only(LEFT), only(BEHIND))]
    for step in range(12):
        if step == 6:
            place = together.spawn_pose(9)
            for world in (together, *singles):
                world.reset_pose(Pose(place.x_m, place.y_m, place.yaw_rad))
        control = Control(throttle=0.6, steer=0.1)
        tick = together.step(control)
        pictures = [tick.image, *(taken() for taken in tick.beside)]
        for picture, world in zip(pictures, singles, strict=True):
            assert np.array_equal(picture, world.step(control).image)
        assert pictures[1].shape == (64, 96, 4)


def test_a_picture_is_taken_once_when_it_is_asked_for(roads: RoadMap) -> None:
    world = Simulation(only(CameraConfig(), LEFT), roads)
    (taken,) = world.step(Control()).beside
    assert taken() is taken()


def test_a_view_says_which_cameras_there_are() -> None:
    small = CameraConfig(width_px=64, height_px=48)
    config = only(small)
    assert config.through(ViewConfig(fov_deg=120.0)) == only(replace(small, fov_deg=120.0))
    front, aside = Mount("front", z_m=2.0, pitch_deg=6.0), Mount("aside", y_m=-1.0, yaw_deg=-90.0)
    seen = config.through(ViewConfig(fov_deg=120.0, cameras=(front, aside)))
    size = (64, 48, 120.0)
    assert seen.cameras == (
        CameraConfig("front", *size, 1.6, 0.0, 2.0, pitch_deg=6.0),
        CameraConfig("aside", *size, 1.6, -1.0, 1.5, yaw_deg=-90.0),
    )
    assert replace(seen, cameras=config.cameras) == config


def test_a_camera_that_cannot_exist_is_refused(roads: RoadMap) -> None:
    with pytest.raises(CameraError, match="fov_deg"):
        Simulation(only(CameraConfig(), replace(LEFT, fov_deg=190.0)), roads)


def test_a_world_without_a_camera_is_refused() -> None:
    with pytest.raises(WorldConfigError, match="cameras: there is none"):
        only()
