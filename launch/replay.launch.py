# SPDX-License-Identifier: Apache-2.0
"""Play a recording to a checkpoint: what it would do goes to /td3_driver/proposed_control."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, Shutdown
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

ARGUMENTS = {
    "bag": "The rosbag2 folder to play. Required.",
    "resume": "The checkpoint to ask. Required.",
}
OPTIONS = {
    "rate": ("1.0", "How much faster than it was recorded."),
    "delay": ("8.0", "Wait so long for the checkpoint to be loaded before playing, s."),
    "role_name": ("ego_vehicle", "CARLA role name of the car."),
    "camera": ("rgb_front", "Id of the front camera."),
    "sync": ("auto", "Odometry of an image: exact, nearest, interpolate; auto: as stamps are."),
}


def generate_launch_description() -> LaunchDescription:
    given = {name: LaunchConfiguration(name) for name in (*ARGUMENTS, *OPTIONS)}
    parameters = {
        name: ParameterValue(given[name], value_type=str)
        for name in ("resume", "role_name", "camera", "sync")
    }
    play = ["ros2", "bag", "play", given["bag"], "--clock"]
    play += ["--rate", given["rate"], "--delay", given["delay"]]
    return LaunchDescription(
        [
            *(DeclareLaunchArgument(name, description=text) for name, text in ARGUMENTS.items()),
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in OPTIONS.items()
            ),
            Node(
                package="td3_driver",
                executable="driver_node",
                name="td3_driver",
                parameters=[{"mode": "replay", "use_sim_time": True, **parameters}],
                output="screen",
                on_exit=Shutdown(),
            ),
            ExecuteProcess(
                cmd=[*play, "--wait-for-all-acked", "1000"],
                output="screen",
                on_exit=Shutdown(),
            ),
        ]
    )
