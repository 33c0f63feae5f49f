# SPDX-License-Identifier: Apache-2.0
"""Drive a checkpoint greedily: in the embedded world, or on a bridge that already runs."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.conditions import LaunchConfigurationEquals
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("td3_driver")

ARGUMENTS = {
    "world": ("embedded", "Where to drive: embedded, or carla (a bridge that already runs)."),
    "resume": ("", "The checkpoint to drive. Required."),
    "episodes": ("10", "End after so many episodes; 0: until stopped."),
    "role_name": ("ego_vehicle", "CARLA role name of the car."),
    "camera": ("rgb_front", "Id of the front camera."),
    "preset": ("default", "The preset that the checkpoint was trained with."),
    "stepping": ("lockstep", "lockstep, or realtime (20 Hz)."),
    "seed": ("1000", "Seed of the routes, and of generated roads."),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "td3_driver.yaml"]),
        "Parameter file of driver_node; the arguments here go over it.",
    ),
    "map": ("", "world:=embedded: OpenDRIVE file; empty: generated roads."),
}

DRIVER_ARGUMENTS = (
    "resume", "episodes", "role_name", "camera", "preset", "stepping", "seed",
)  # fmt: skip
INTEGERS = ("episodes", "seed")
WORLD_ARGUMENTS = ("role_name", "camera", "seed", "map")


def configured(names: tuple[str, ...]) -> dict[str, ParameterValue]:
    """Arguments as parameters; a path of digits must not become a number."""
    return {
        name: ParameterValue(
            LaunchConfiguration(name), value_type=int if name in INTEGERS else str
        )
        for name in names
    }


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in ARGUMENTS.items()
            ),
            Node(
                package="td3_driver",
                executable="world_node",
                parameters=[configured(WORLD_ARGUMENTS)],
                condition=LaunchConfigurationEquals("world", "embedded"),
                output="screen",
            ),
            Node(
                package="td3_driver",
                executable="driver_node",
                name="td3_driver",
                parameters=[
                    LaunchConfiguration("params_file"),
                    {"mode": "evaluate", **configured(DRIVER_ARGUMENTS)},
                ],
                output="screen",
                on_exit=Shutdown(),
            ),
        ]
    )
