# SPDX-License-Identifier: Apache-2.0
"""The parameters of `world_node`, and the car and the simulation made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from td3_driver.bridge_twin.objects_file import Car, camera_config, default_car, read_car
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros.parameters import parameter
from td3_driver.world.camera.appearance import APPEARANCES
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import (
    DEFAULT_DIFFICULTY,
    DIFFICULTIES,
    roads_of,
)
from td3_driver.world.simulation import MOST_OTHERS, Simulation, WorldConfig


@dataclass(frozen=True)
class WorldParameters:
    """Parameters of `world_node`. Those of the bridge's names mean the same as there."""

    map: str = parameter(
        "",
        "OpenDRIVE files (.xodr), separated by ':', which are put side by side; the name of a "
        "difficulty stands for generated roads; empty: generate them from the seed.",
        path=True,
    )
    seed: int = parameter(0, "Seed of generated roads, textures and the first pose.", low=0)
    difficulty: str = parameter(
        DEFAULT_DIFFICULTY, "Difficulty of generated roads.", choices=tuple(DIFFICULTIES)
    )
    role_name: str = parameter("ego_vehicle", "Role name of the car, part of every topic.")
    camera: str = parameter("rgb_front", "Id of the front camera, part of its topics.")
    control_id: str = parameter("control", "Id of the actor.pseudo.control that moves the car.")
    synchronous_mode: bool = parameter(True, "Tick when we say; false: in real time.")
    synchronous_mode_wait_for_vehicle_control_command: bool = parameter(
        True, "Synchronous mode: wait for one command per tick, up to 1 s; false: run freely."
    )
    control_patience_s: float = parameter(
        1.0, "Wall time to wait for a command, s; the bridge's is 1.", low=0.01, high=3600.0
    )
    ignore_late_commands: bool = parameter(
        False,
        "Leave out a command whose stamp is of an earlier tick. The bridge looks at no stamp: it "
        "takes what comes too late for the next tick's, and so on, one tick late for ever.",
    )
    bridge_races: bool = parameter(
        False,
        "Wait as the bridge does, which a fast answer confuses: a command that comes while a tick "
        "is still being published skips that wait and ends the next one before its command. "
        "One tick in two hundred takes 50 ms longer, as with several listeners to the camera.",
    )
    fixed_delta_seconds: float = parameter(0.05, "Simulated time a tick, s.", low=0.001, high=0.1)
    objects_definition_file: str = parameter(
        "",
        "The bridge's objects.json with the car and its sensors; empty: the next three.",
        path=True,
    )
    image_width: int = parameter(160, "Camera width, px.", low=16, high=4096)
    image_height: int = parameter(120, "Camera height, px.", low=16, high=4096)
    fov: float = parameter(90.0, "Horizontal angle of view, degrees.", low=10.0, high=150.0)
    traffic: int = parameter(0, "Other vehicles.", low=0, high=MOST_OTHERS)
    pedestrians: int = parameter(0, "Pedestrians who cross the road.", low=0, high=MOST_OTHERS)
    scenery: bool = parameter(False, "Buildings and trees beside the roads.")
    lights: bool = parameter(
        False, "Traffic lights and stop signs where the map has them; traffic obeys them."
    )
    appearance: str = parameter(
        "plain",
        "Light and weather; random: new with each reset; mixed: with half of them.",
        choices=APPEARANCES,
    )


def car_of(given: WorldParameters) -> Car:
    """The car and its sensors that the parameters describe.

    Raises:
        OSError, ValueError: the objects file cannot be used.
    """
    if given.objects_definition_file:
        return read_car(Path(given.objects_definition_file), given.role_name, given.camera)
    front = CameraConfig(given.camera, given.image_width, given.image_height, given.fov)
    return default_car(given.role_name, given.control_id, (front,))


def simulation_of(given: WorldParameters, car: Car) -> Simulation:
    """The simulation that the parameters describe, with the car at its start.

    Raises:
        OSError, ValueError: the map cannot be used, or such a world cannot be simulated.
    """
    simulation = Simulation(_world_config(given, car), _road_map(given))
    if car.spawn is not None:
        simulation.reset_pose(car.spawn)
    return simulation


def _world_config(given: WorldParameters, car: Car) -> WorldConfig:
    return WorldConfig(
        fixed_delta_s=given.fixed_delta_seconds,
        seed=given.seed,
        cameras=tuple(map(camera_config, car.cameras())),
        traffic=given.traffic,
        pedestrians=given.pedestrians,
        scenery=given.scenery,
        lights=given.lights,
        appearance=given.appearance,
    )


def _road_map(given: WorldParameters) -> RoadMap:
    # A colon in a file's name parts nothing.
    named = [given.map] if Path(given.map).is_file() else given.map.split(":")
    return roads_of([name for name in named if name], given.seed, given.difficulty)
