# SPDX-License-Identifier: Apache-2.0
"""Calls that a CARLA server answers and this one does not: its client is told so, by name."""

from __future__ import annotations

from typing import NoReturn

from td3_driver.carla_server.rpc import Method
from td3_driver.carla_server.structures import CallError

# By whether CARLA's reply holds a value, since the client cannot read a refusal of the other form.
_WITH_A_VALUE = (
    # the recorder
    "replay_file",
    "show_recorder_actors_blocked",
    "show_recorder_collisions",
    "show_recorder_file_info",
    "start_recorder",
    # what Unreal's meshes and scenes are made of
    "are_gbuffers_enabled",
    "cast_ray",
    "get_actor_bone_names",
    "get_actor_bone_relative_transforms",
    "get_actor_bone_world_transforms",
    "get_actor_component_names",
    "get_actor_component_relative_transform",
    "get_actor_component_world_transform",
    "get_actor_socket_names",
    "get_actor_socket_relative_transforms",
    "get_actor_socket_world_transforms",
    "get_bones_transform",
    "get_gbuffer_token",
    "get_names_of_all_objects",
    "get_vehicle_bone_world_transforms",
    "project_point",
    # others
    "get_ackermann_controller_settings",
    "get_imui_gravity",
    "get_wheel_pitch_angle",
    "is_sensor_enabled_for_ros",
    "request_file",
)
_WITHOUT = (
    # the recorder
    "set_replayer_ignore_hero",
    "set_replayer_ignore_spectator",
    "set_replayer_time_factor",
    "stop_recorder",
    "stop_replayer",
    # what Unreal's meshes and scenes are made of
    "apply_color_texture_to_objects",
    "apply_float_color_texture_to_objects",
    "blend_pose",
    "enable_gbuffers",
    "get_pose_from_animation",
    "set_bones_transform",
    # forces, and other models of a vehicle
    "add_actor_angular_impulse",
    "add_actor_force",
    "add_actor_force_at_location",
    "add_actor_impulse_at_location",
    "add_actor_torque",
    "apply_ackermann_control_to_vehicle",
    "apply_ackermann_controller_settings",
    "enable_carsim",
    "enable_chrono_physics",
    "restore_physx_physics",
    "set_wheel_pitch_angle",
    "use_carsim_road",
    # others
    "disable_sensor_for_ros",
    "enable_sensor_for_ros",
    "send",
    "set_ignored_vehicles",
    "set_imui_gravity",
)


def refused() -> dict[str, Method]:
    """All of them, by name."""
    return {
        name: _refusal(name, returns=returns)
        for names, returns in ((_WITH_A_VALUE, True), (_WITHOUT, False))
        for name in names
    }


def _refusal(name: str, *, returns: bool) -> Method:
    def refuse() -> NoReturn:
        raise CallError(f"{name}: not simulated by this server (td3_driver's embedded world)")

    return Method(refuse, (), (), 0, returns, bare=False)
