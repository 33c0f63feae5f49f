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


def physics_control_is_kept(client: carla.Client) -> None:
    """CARLA's smoke tests read back what they have applied; wheels' places stay the car's own."""
    with synchronous(client) as world:
        car = spawned(world, "vehicle.tesla.model3")
        world.tick()
        before = car.get_physics_control()
        for how in ("alone", "in a batch"):
            wanted = car.get_physics_control()
            wanted.drag_coefficient += 1.0
            wheels = wanted.wheels
            wheels[0].tire_friction += 1.0
            wheels[0].position = carla.Vector3D(x=1e6)
            wanted.wheels = wheels
            if how == "alone":
                car.apply_physics_control(wanted)
            else:
                command = carla.command.ApplyVehiclePhysicsControl(car, wanted)
                assert not client.apply_batch_sync([command])[0].error
            world.tick()
            told = car.get_physics_control()
            assert told.drag_coefficient == wanted.drag_coefficient, how
            assert told.wheels[0].tire_friction == wheels[0].tire_friction, how
            moved = told.wheels[0].position - before.wheels[0].position
            assert abs(moved.x) < 1.0, how  # cm; it may settle downwards


def a_control_that_does_not_stick(client: carla.Client) -> None:
    """Without `sticky_control` a command holds for one tick, as CARLA's smoke tests want it."""
    with synchronous(client) as world:
        speeds_mps = {}
        for sticky in ("true", "false"):
            car = spawned(world, "vehicle.tesla.model3", sticky_control=sticky)
            world.tick()
            car.apply_control(carla.VehicleControl(throttle=1.0))
            world.tick()
            assert car.get_control().throttle == 1.0
            for _ in range(20):
                world.tick()
            assert car.get_control().throttle == (1.0 if sticky == "true" else 0.0)
            speeds_mps[sticky] = car.get_velocity().length()
            car.destroy()
            world.tick()
        assert speeds_mps["true"] > 2.0 * speeds_mps["false"], speeds_mps


def a_layered_town(client: carla.Client) -> None:
    """It has the name by which it was asked for, and the roads of the town without layers."""
    plain = client.get_world().get_map()
    name = f"{plain.name.rpartition('/')[2]}_Opt"
    layered = client.load_world(name).get_map()
    assert layered.name.endswith(f"/{name}"), layered.name
    assert layered.to_opendrive() == plain.to_opendrive()
    client.load_world(plain.name)


def _refused(name: str, call: Callable[[], Any]) -> None:
    said = "nothing"
    try:
        call()
    except RuntimeError as error:
        said = str(error)
    assert said.startswith(f"{name}: not simulated by this server"), said
