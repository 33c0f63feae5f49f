# SPDX-License-Identifier: Apache-2.0
"""What CARLA's public examples and agents do that nothing else here does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import carla

from .town import STEP_S, attached, spawned, synchronous


def a_step_is_set_in_real_time(client: carla.Client) -> None:
    """`apply_settings` cues until a step has the wanted length, and gives up after 30 of them."""
    world = client.get_world()
    settings = world.get_settings()
    settings.synchronous_mode, settings.fixed_delta_seconds = False, STEP_S
    world.apply_settings(settings)
    delta_s = world.get_snapshot().timestamp.delta_seconds
    assert abs(delta_s - STEP_S) < 1e-6, delta_s
    settings.fixed_delta_seconds = None
    world.apply_settings(settings)


def what_is_missing_is_named(client: carla.Client) -> None:
    """An example that needs what is not simulated ends with its name, whatever the reply holds."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        camera = attached(world, "sensor.camera.rgb", car)
        nowhere = carla.Location(), carla.Location(z=-10.0)
        _refused("start_recorder", lambda: client.start_recorder("drive.log"))
        _refused("show_recorder_file_info", lambda: client.show_recorder_file_info("drive", True))
        _refused("enable_gbuffers", lambda: camera.enable_gbuffers(True))
        _refused("get_actor_bone_names", car.get_bone_names)
        _refused("cast_ray", lambda: world.cast_ray(*nowhere))
        _refused("get_names_of_all_objects", world.get_names_of_all_objects)
        lidar = world.get_blueprint_library().find("sensor.lidar.ray_cast")
        _refused("sensor.lidar.ray_cast", lambda: world.spawn_actor(lidar, carla.Transform()))


def the_box_of_what_has_gone(client: carla.Client) -> None:
    """A traffic manager asks for it while another thread destroys its cars."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        assert car.bounding_box.extent.x > 1.0
        client.apply_batch_sync([carla.command.DestroyActor(car.id)])
        assert car.bounding_box.extent.x == 0.0


def _refused(name: str, call: Callable[[], Any]) -> None:
    said = "nothing"
    try:
        call()
    except RuntimeError as error:
        said = str(error)
    assert said.startswith(f"{name}: not simulated by this server"), said
