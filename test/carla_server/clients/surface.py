# SPDX-License-Identifier: Apache-2.0
"""Every method of the client's classes, and what comes of it on this server.

A table for each class tells for each public name a call and its outcome:

- DONE: the call returns;
- HERE: it returns, and no server was asked;
- REFUSED: it raises a RuntimeError that names what this server does not do;
- UNHEARD: the client does not wait for the answer: the server's log names what it does not do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import carla
import pytest

from .town import attached, free_port, kept, spawned, synchronous

DONE, HERE, REFUSED, UNHEARD = "done", "here", "refused", "unheard"
Calls = dict[str, tuple[str, Callable[[], object]]]

ORIGIN = carla.Vector3D()
PLACE = carla.Location(10.0, 20.0, 0.0)
WHEEL = carla.VehicleWheelLocation.FL_Wheel
DOOR = carla.VehicleDoor.All
BUFFER = carla.GBufferTextureID.SceneColor


def check(client: Any) -> None:
    """Call everything."""
    town = client.get_world().get_map().name
    with synchronous(client) as world:
        for kind, inherited, calls in tables(client, world):
            names = {name for name in dir(kind) if not name.startswith("_")}
            names -= {name for of in inherited for name in dir(of)}
            assert names == calls.keys(), f"{kind.__name__}: {names ^ calls.keys()}"
            for name, (outcome, call) in calls.items():
                print(f"{kind.__name__}.{name}")  # the last one is where it went wrong
                compare(outcome, call)
    client.load_world(town)


def compare(outcome: str, call: Callable[[], object]) -> None:
    """Make a call, and see whether what comes of it is what is expected."""
    if outcome == REFUSED:
        with pytest.raises(RuntimeError, match=r"rpc_error|this server|not found"):
            call()
        return
    call()


def tables(client: Any, world: Any) -> Iterator[tuple[Any, tuple[Any, ...], Calls]]:
    """Each class, those whose methods stand in another table, and its own methods."""
    places = world.get_map().get_spawn_points()
    car = spawned(world, "vehicle.tesla.model3", places[0])
    walker = spawned(world, "walker.pedestrian.0001", places[1])
    camera = attached(world, "sensor.camera.rgb", car)
    lane_sensor = attached(world, "sensor.other.lane_invasion", car)
    controller = attached(world, "controller.ai.walker", walker)
    world.tick()
    lights = world.get_actors().filter("traffic.traffic_light")
    yield carla.Actor, (), of_actor(car, places[0])
    driver = kept(client.get_trafficmanager(free_port()))
    yield carla.Vehicle, (carla.Actor,), of_vehicle(car, driver)
    driver.shut_down()
    yield carla.Walker, (carla.Actor,), of_walker(walker)
    yield carla.ServerSideSensor, (carla.Actor,), of_camera(camera)
    yield carla.LaneInvasionSensor, (carla.Actor,), of_client_side_sensor(lane_sensor)
    yield carla.WalkerAIController, (carla.Actor,), of_controller(controller, places[2].location)
    yield carla.TrafficLight, (carla.TrafficSign,), of_light(lights[0])
    yield carla.DebugHelper, (), of_debug(world.debug)
    yield carla.LightManager, (), of_light_manager(world.get_lightmanager())
    yield carla.World, (), of_world(world)
    yield carla.Client, (), of_client(client)


def of_actor(car: Any, place: Any) -> Calls:
    read = (
        "actor_state attributes bounding_box id is_active is_alive is_dormant parent "
        "semantic_tags type_id"
    )
    asked = "get_acceleration get_angular_velocity get_location get_transform get_velocity"
    bones = (
        "get_bone_names get_bone_relative_transforms get_bone_world_transforms "
        "get_component_names get_socket_names get_socket_relative_transforms "
        "get_socket_world_transforms"
    )
    return {
        **{name: (HERE, lambda name=name: getattr(car, name)) for name in read.split()},
        **{name: (HERE, getattr(car, name)) for name in asked.split()},
        **{name: (REFUSED, getattr(car, name)) for name in bones.split()},
        "get_component_relative_transform": (
            REFUSED, lambda: car.get_component_relative_transform("wheel")
        ),
        "get_component_world_transform": (
            REFUSED, lambda: car.get_component_world_transform("wheel")
        ),
        "get_world": (HERE, car.get_world),
        "add_impulse": (DONE, lambda: car.add_impulse(ORIGIN)),
        "add_angular_impulse": (UNHEARD, lambda: car.add_angular_impulse(ORIGIN)),
        "add_force": (UNHEARD, lambda: car.add_force(ORIGIN)),
        "add_torque": (UNHEARD, lambda: car.add_torque(ORIGIN)),
        "set_target_velocity": (DONE, lambda: car.set_target_velocity(ORIGIN)),
        "set_target_angular_velocity": (DONE, lambda: car.set_target_angular_velocity(ORIGIN)),
        "enable_constant_velocity": (DONE, lambda: car.enable_constant_velocity(ORIGIN)),
        "disable_constant_velocity": (DONE, car.disable_constant_velocity),
        "set_location": (DONE, lambda: car.set_location(place.location)),
        "set_transform": (DONE, lambda: car.set_transform(place)),
        "set_collisions": (DONE, lambda: car.set_collisions(True)),
        "set_enable_gravity": (DONE, lambda: car.set_enable_gravity(True)),
        "set_simulate_physics": (DONE, lambda: car.set_simulate_physics(True)),
        "destroy": (DONE, lambda: destroyed(attached(car.get_world(), "sensor.other.imu", car))),
    }  # fmt: skip


def destroyed(actor: Any) -> None:
    """Before it is in a snapshot, the wheel takes an actor for dead or not by chance."""
    actor.get_world().tick()
    assert actor.destroy()


def of_vehicle(car: Any, driver: Any) -> Calls:
    read = (
        "get_control get_failure_state get_speed_limit get_traffic_light get_traffic_light_state "
        "is_at_traffic_light get_light_state"
    )
    return {
        **{name: (HERE, getattr(car, name)) for name in read.split()},
        "apply_control": (DONE, lambda: car.apply_control(carla.VehicleControl(throttle=0.1))),
        "apply_ackermann_control": (
            UNHEARD, lambda: car.apply_ackermann_control(carla.VehicleAckermannControl(speed=1.0))
        ),
        "apply_ackermann_controller_settings": (
            UNHEARD,
            lambda: car.apply_ackermann_controller_settings(carla.AckermannControllerSettings()),
        ),
        "get_ackermann_controller_settings": (REFUSED, car.get_ackermann_controller_settings),
        "get_physics_control": (DONE, car.get_physics_control),
        "apply_physics_control": (
            DONE, lambda: car.apply_physics_control(car.get_physics_control())
        ),
        "get_telemetry_data": (DONE, car.get_telemetry_data),
        "get_wheel_steer_angle": (DONE, lambda: car.get_wheel_steer_angle(WHEEL)),
        "set_wheel_steer_direction": (DONE, lambda: car.set_wheel_steer_direction(WHEEL, 1.0)),
        "get_wheel_pitch_angle": (REFUSED, lambda: car.get_wheel_pitch_angle(WHEEL)),
        "set_wheel_pitch_angle": (UNHEARD, lambda: car.set_wheel_pitch_angle(WHEEL, 1.0)),
        "open_door": (DONE, lambda: car.open_door(DOOR)),
        "close_door": (DONE, lambda: car.close_door(DOOR)),
        "set_light_state": (
            DONE, lambda: car.set_light_state(carla.VehicleLightState.Position)
        ),
        "set_autopilot": (DONE, lambda: car.set_autopilot(False, driver.get_port())),
        "show_debug_telemetry": (DONE, lambda: car.show_debug_telemetry(True)),
        "enable_carsim": (UNHEARD, lambda: car.enable_carsim("a.simfile")),
        "use_carsim_road": (UNHEARD, lambda: car.use_carsim_road(True)),
        "enable_chrono_physics": (
            UNHEARD, lambda: car.enable_chrono_physics(1, 0.1, "a", "b", "c", "d")
        ),
        "restore_physx_physics": (UNHEARD, car.restore_physx_physics),
        "get_vehicle_bone_world_transforms": (REFUSED, car.get_vehicle_bone_world_transforms),
    }  # fmt: skip


def of_walker(walker: Any) -> Calls:
    return {
        "apply_control": (DONE, lambda: walker.apply_control(carla.WalkerControl(speed=1.0))),
        "get_control": (HERE, walker.get_control),
        "blend_pose": (UNHEARD, lambda: walker.blend_pose(0.5)),
        "hide_pose": (UNHEARD, walker.hide_pose),
        "show_pose": (UNHEARD, walker.show_pose),
        "get_pose_from_animation": (UNHEARD, walker.get_pose_from_animation),
        "get_bones": (REFUSED, walker.get_bones),
        "set_bones": (UNHEARD, lambda: walker.set_bones(carla.WalkerBoneControlIn())),
    }


def of_camera(camera: Any) -> Calls:
    return {
        "listen": (DONE, lambda: camera.listen(lambda image: None)),
        "is_listening": (HERE, camera.is_listening),
        "stop": (DONE, camera.stop),
        "enable_for_ros": (UNHEARD, camera.enable_for_ros),
        "disable_for_ros": (UNHEARD, camera.disable_for_ros),
        "is_enabled_for_ros": (REFUSED, camera.is_enabled_for_ros),
        "enable_gbuffers": (REFUSED, lambda: camera.enable_gbuffers(True)),
        "is_listening_gbuffer": (HERE, lambda: camera.is_listening_gbuffer(BUFFER)),
        "listen_to_gbuffer": (
            REFUSED, lambda: camera.listen_to_gbuffer(BUFFER, lambda image: None)
        ),
        "stop_gbuffer": (REFUSED, lambda: camera.stop_gbuffer(BUFFER)),
        "send": (HERE, lambda: camera.send("text")),
        "set_ignored_vehicles": (REFUSED, lambda: camera.set_ignored_vehicles([1])),
        # The wheel cannot give Python the list, whatever the server says.
        "get_ignored_vehicles": (HERE, lambda: None),
    }  # fmt: skip


def of_client_side_sensor(sensor: Any) -> Calls:
    return {
        "listen": (HERE, lambda: sensor.listen(lambda event: None)),
        "is_listening": (HERE, sensor.is_listening),
        "stop": (HERE, sensor.stop),
    }


def of_controller(controller: Any, place: Any) -> Calls:
    """A walk's way is found in a mesh that this server has none of: the client says so."""
    return {
        "start": (DONE, controller.start),
        "go_to_location": (HERE, lambda: controller.go_to_location(place)),
        "set_max_speed": (HERE, lambda: controller.set_max_speed(1.4)),
        "stop": (HERE, controller.stop),
    }


def of_light(light: Any) -> Calls:
    read = (
        "state get_state get_green_time get_yellow_time get_red_time get_elapsed_time is_frozen "
        "get_pole_index get_opendrive_id"
    )

    def call(name: str) -> Callable[[], object]:
        return (lambda: light.state) if name == "state" else getattr(light, name)  # type: ignore

    return {
        **{name: (HERE, call(name)) for name in read.split()},
        "set_state": (DONE, lambda: light.set_state(carla.TrafficLightState.Red)),
        "set_green_time": (DONE, lambda: light.set_green_time(5.0)),
        "set_yellow_time": (DONE, lambda: light.set_yellow_time(2.0)),
        "set_red_time": (DONE, lambda: light.set_red_time(1.0)),
        "freeze": (DONE, lambda: light.freeze(True)),
        "reset_group": (DONE, light.reset_group),
        "get_group_traffic_lights": (DONE, light.get_group_traffic_lights),
        "get_affected_lane_waypoints": (DONE, light.get_affected_lane_waypoints),
        "get_stop_waypoints": (DONE, light.get_stop_waypoints),
        "get_light_boxes": (DONE, light.get_light_boxes),
    }


def of_debug(debug: Any) -> Calls:
    box = carla.BoundingBox(PLACE, ORIGIN)
    given = {
        "point": (PLACE,),
        "line": (PLACE, PLACE),
        "arrow": (PLACE, PLACE),
        "box": (box, carla.Rotation()),
        "string": (PLACE, "text"),
        "hud_point": (PLACE,),
        "hud_line": (PLACE, PLACE),
        "hud_arrow": (PLACE, PLACE),
        "hud_box": (box, carla.Rotation()),
    }
    return {
        **{
            f"draw_{name}": (DONE, lambda name=name: getattr(debug, f"draw_{name}")(*given[name]))
            for name in given
        },
        "clear_debug_shape": (DONE, debug.clear_debug_shape),
        "clear_debug_string": (DONE, debug.clear_debug_string),
    }


def of_light_manager(lights: Any) -> Calls:
    """Street lights; there are none."""
    group, nothing = carla.LightGroup.NONE, [[]]
    of_none = "get_color get_intensity get_light_group get_light_state is_active turn_on turn_off "
    with_values = (
        "set_active set_color set_colors set_intensities set_intensity set_light_group "
        "set_light_groups set_light_state set_light_states"
    )
    values = {"set_active": [[]], "set_intensities": [[]], "set_colors": [[]]}
    values |= {"set_light_groups": [[]], "set_light_states": [[]]}
    values |= {"set_color": [carla.Color()], "set_intensity": [1.0], "set_light_group": [group]}
    values |= {"set_light_state": [carla.LightState()]}
    return {
        "get_all_lights": (HERE, lambda: lights.get_all_lights(group)),
        "get_turned_on_lights": (HERE, lambda: lights.get_turned_on_lights(group)),
        "get_turned_off_lights": (HERE, lambda: lights.get_turned_off_lights(group)),
        **{
            name: (HERE, lambda name=name: getattr(lights, name)(*nothing))
            for name in of_none.split()
        },
        **{
            name: (HERE, lambda name=name: getattr(lights, name)(*nothing, *values[name]))
            for name in with_values.split()
        },
        "set_day_night_cycle": (DONE, lambda: lights.set_day_night_cycle(True)),
    }


def of_world(world: Any) -> Calls:
    here = world.get_map().get_spawn_points()[3]
    waypoint = world.get_map().get_waypoint(here.location)
    landmark = world.get_map().get_all_landmarks_of_type("1000001")[0]
    any_label, diffuse = carla.CityObjectLabel.Any, carla.MaterialParameter.Diffuse
    colors, floats = carla.TextureColor(2, 2), carla.TextureFloatColor(2, 2)
    ids: list[int] = []
    settings = world.get_settings()
    audi = world.get_blueprint_library().find("vehicle.audi.a2")
    return {
        "id": (HERE, lambda: world.id),
        "debug": (HERE, lambda: world.debug),
        "tick": (DONE, world.tick),
        "wait_for_tick": (DONE, lambda: tick_and_wait(world)),
        "on_tick": (DONE, lambda: ids.append(world.on_tick(lambda snapshot: None))),
        "remove_on_tick": (HERE, lambda: world.remove_on_tick(ids[0])),
        "get_snapshot": (HERE, world.get_snapshot),
        "get_settings": (DONE, world.get_settings),
        "apply_settings": (DONE, lambda: world.apply_settings(settings)),
        "get_map": (HERE, world.get_map),
        "get_weather": (DONE, world.get_weather),
        "set_weather": (DONE, lambda: world.set_weather(carla.WeatherParameters.ClearNoon)),
        "get_blueprint_library": (DONE, world.get_blueprint_library),
        "get_spectator": (DONE, world.get_spectator),
        "get_actor": (DONE, lambda: world.get_actor(999_999)),
        "get_actors": (DONE, world.get_actors),
        "spawn_actor": (DONE, lambda: destroyed(spawned(world, "vehicle.audi.a2", here))),
        "try_spawn_actor": (DONE, lambda: destroyed(world.try_spawn_actor(audi, here))),
        "freeze_all_traffic_lights": (DONE, lambda: world.freeze_all_traffic_lights(False)),
        "reset_all_traffic_lights": (DONE, world.reset_all_traffic_lights),
        "get_traffic_light": (HERE, lambda: world.get_traffic_light(landmark)),
        "get_traffic_light_from_opendrive_id": (
            HERE, lambda: world.get_traffic_light_from_opendrive_id(landmark.id)
        ),
        "get_traffic_lights_from_waypoint": (
            HERE, lambda: world.get_traffic_lights_from_waypoint(waypoint, 50.0)
        ),
        "get_traffic_lights_in_junction": (
            HERE, lambda: world.get_traffic_lights_in_junction(10_000)
        ),
        "get_traffic_sign": (HERE, lambda: world.get_traffic_sign(landmark)),
        "get_vehicles_light_states": (DONE, world.get_vehicles_light_states),
        "get_lightmanager": (DONE, world.get_lightmanager),
        "get_random_location_from_navigation": (
            HERE, lambda: world.get_random_location_from_navigation()
        ),
        "set_pedestrians_cross_factor": (HERE, lambda: world.set_pedestrians_cross_factor(0.1)),
        "set_pedestrians_seed": (HERE, lambda: world.set_pedestrians_seed(1)),
        "get_environment_objects": (DONE, lambda: world.get_environment_objects(any_label)),
        "enable_environment_objects": (
            DONE, lambda: world.enable_environment_objects({1}, True)
        ),
        "get_level_bbs": (DONE, lambda: world.get_level_bbs(any_label)),
        "load_map_layer": (DONE, lambda: world.load_map_layer(carla.MapLayer.All)),
        "unload_map_layer": (DONE, lambda: world.unload_map_layer(carla.MapLayer.Props)),
        "set_annotations_traverse_translucency": (
            DONE, lambda: world.set_annotations_traverse_translucency(True)
        ),
        "cast_ray": (REFUSED, lambda: world.cast_ray(PLACE, carla.Location())),
        "project_point": (REFUSED, lambda: world.project_point(PLACE, ORIGIN, 1.0)),
        "ground_projection": (REFUSED, lambda: world.ground_projection(PLACE, 1.0)),
        "get_names_of_all_objects": (REFUSED, world.get_names_of_all_objects),
        "get_imui_sensor_gravity": (REFUSED, world.get_imui_sensor_gravity),
        "set_imui_sensor_gravity": (UNHEARD, lambda: world.set_imui_sensor_gravity(9.81)),
        "apply_color_texture_to_object": (
            REFUSED, lambda: world.apply_color_texture_to_object("a", diffuse, colors)
        ),
        "apply_color_texture_to_objects": (
            REFUSED, lambda: world.apply_color_texture_to_objects(["a"], diffuse, colors)
        ),
        "apply_float_color_texture_to_object": (
            REFUSED, lambda: world.apply_float_color_texture_to_object("a", diffuse, floats)
        ),
        "apply_float_color_texture_to_objects": (
            REFUSED, lambda: world.apply_float_color_texture_to_objects(["a"], diffuse, floats)
        ),
        "apply_textures_to_object": (
            REFUSED,
            lambda: world.apply_textures_to_object("a", colors, floats, floats, floats),
        ),
        "apply_textures_to_objects": (
            REFUSED,
            lambda: world.apply_textures_to_objects(["a"], colors, floats, floats, floats),
        ),
    }  # fmt: skip


def tick_and_wait(world: Any) -> None:
    """In synchronous mode somebody has to tick while another waits."""
    callback = world.on_tick(lambda snapshot: None)
    try:
        frame = world.tick()
        assert world.get_snapshot().frame >= frame
    finally:
        world.remove_on_tick(callback)


def of_client(client: Any) -> Calls:
    name = client.get_world().get_map().name.rpartition("/")[2]
    return {
        "get_client_version": (HERE, client.get_client_version),
        "get_server_version": (DONE, client.get_server_version),
        "set_timeout": (HERE, lambda: client.set_timeout(60.0)),
        "get_world": (DONE, client.get_world),
        "get_available_maps": (DONE, client.get_available_maps),
        "get_required_files": (DONE, lambda: client.get_required_files("", False)),
        "request_file": (REFUSED, lambda: client.request_file("a")),
        "set_files_base_folder": (HERE, lambda: client.set_files_base_folder("/tmp")),
        "get_trafficmanager": (
            DONE, lambda: kept(client.get_trafficmanager(free_port())).shut_down()
        ),
        "apply_batch": (DONE, lambda: client.apply_batch([])),
        "apply_batch_sync": (DONE, lambda: client.apply_batch_sync([], True)),
        "start_recorder": (REFUSED, lambda: client.start_recorder("a.log")),
        "stop_recorder": (UNHEARD, client.stop_recorder),
        "replay_file": (REFUSED, lambda: client.replay_file("a.log", 0.0, 0.0, 0)),
        "stop_replayer": (UNHEARD, lambda: client.stop_replayer(True)),
        "set_replayer_ignore_hero": (UNHEARD, lambda: client.set_replayer_ignore_hero(True)),
        "set_replayer_ignore_spectator": (
            UNHEARD, lambda: client.set_replayer_ignore_spectator(True)
        ),
        "set_replayer_time_factor": (UNHEARD, lambda: client.set_replayer_time_factor(1.0)),
        "show_recorder_actors_blocked": (
            REFUSED, lambda: client.show_recorder_actors_blocked("a", 1.0, 1.0)
        ),
        "show_recorder_collisions": (
            REFUSED, lambda: client.show_recorder_collisions("a", "a", "a")
        ),
        "show_recorder_file_info": (REFUSED, lambda: client.show_recorder_file_info("a", True)),
        "load_world_if_different": (DONE, lambda: client.load_world_if_different(name)),
        "load_world": (DONE, lambda: client.load_world(name, False)),
        "reload_world": (DONE, lambda: client.reload_world(False)),
        "generate_opendrive_world": (
            DONE,
            lambda: client.generate_opendrive_world(client.get_world().get_map().to_opendrive()),
        ),
    }  # fmt: skip
