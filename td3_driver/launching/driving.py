# SPDX-License-Identifier: Apache-2.0
"""The launch description of the driver with its world: the embedded one, or CARLA's bridge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ament_index_python.packages import PackageNotFoundError, get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.parameter_descriptions import ParameterValue

from td3_driver.configuration import load_configuration
from td3_driver.launching.actions import (
    DRIVER_STOP_S,
    OBSERVER_STOP_S,
    described,
    full_name,
    node,
    others,
    parameters_of,
)
from td3_driver.launching.arguments import (
    DRIVER,
    WORLD,
    Argument,
    ArgumentsError,
    Value,
    driver_parameters,
    place,
)


def driving(arguments: Sequence[Argument]) -> LaunchDescription:
    """A launch description that learns to drive, drives a checkpoint, or measures who drives.

    Args:
        arguments: the arguments of the launch file.
    """

    def start(context: LaunchContext, told: Mapping[str, Value]) -> list[Action]:
        if told["mode"] == "evaluate" and not told["resume"]:
            raise ArgumentsError("resume: empty; mode:=evaluate needs the checkpoint to drive")
        if told["mode"] == "observe" and not told["out"]:
            raise ArgumentsError("out: empty; mode:=observe needs a folder for results")
        name = full_name(context, DRIVER)
        driver = node(
            context,
            "driver_node",
            [
                _typed(driver_parameters(Path(str(told["params_file"])), name)),
                parameters_of(DRIVER, arguments, told),
                {"place": ParameterValue(place(told), value_type=str)},
            ],
            name=DRIVER,
            stop_s=OBSERVER_STOP_S if told["mode"] == "observe" else DRIVER_STOP_S,
        )
        return [*_world(context, arguments, told), driver]

    return described(arguments, start)


def _typed(parameters: Mapping[str, Any]) -> dict[str, object]:
    """Parameters read from a file, with types, so that a text of digits stays a text."""
    return {
        name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
        for name, value in parameters.items()
    }


def _world(
    context: LaunchContext, arguments: Sequence[Argument], values: Mapping[str, Value]
) -> list[Action]:
    lockstep = values["stepping"] == "lockstep"
    if values["world"] == "embedded":
        usual = "mixed" if values["mode"] == "train" else "plain"
        told = {**values, "appearance": values["appearance"] or usual}
        parameters = parameters_of(WORLD, arguments, told)
        view = load_configuration(str(values["preset"])).driving.view
        if view.beside:
            raise ArgumentsError(
                f"preset: {values['preset']} has driving.view.cameras, of which a launch file's"
                " embedded world has but the front one; use td3_driver train, or world:=carla"
            )
        own = {"synchronous_mode": lockstep, "fov": view.fov_deg}
        return [node(context, "world_node", [parameters, own])]
    if values["bridge"] == "expect":
        return []
    bridge = _include(
        "carla_ros_bridge",
        "carla_ros_bridge.launch.py",
        {
            **{name: str(values[name]) for name in ("host", "port", "town", "timeout")},
            "synchronous_mode": str(lockstep),
            "synchronous_mode_wait_for_vehicle_control_command": str(lockstep),
            "fixed_delta_seconds": "0.05",
            # The bridge's default is a list that it searches as one string, so that any
            # part of a role name matches; one name matches itself.
            "ego_vehicle_role_name": str(values["role_name"]),
        },
    )
    spawner = _include(
        "carla_spawn_objects",
        "carla_spawn_objects.launch.py",
        {"objects_definition_file": str(values["objects_definition_file"])},
    )
    return [others(context, [bridge, spawner])]


def _include(
    package: str, launch_file: str, arguments: Mapping[str, str]
) -> IncludeLaunchDescription:
    try:
        share = Path(get_package_share_directory(package))
    except PackageNotFoundError as error:
        raise ArgumentsError(
            f"world:=carla: no package {package} here; source the workspace that has the bridge, "
            "or start bridge and car yourself (bridge:=expect)"
        ) from error
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(share / launch_file)),
        launch_arguments=arguments.items(),
    )
