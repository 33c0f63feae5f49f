# SPDX-License-Identifier: Apache-2.0
"""Drive a checkpoint greedily: train.launch.py in mode evaluate, with all of its arguments."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    train = PathJoinSubstitution([FindPackageShare("td3_driver"), "launch", "train.launch.py"])
    return LaunchDescription(
        [
            DeclareLaunchArgument("resume", description="The checkpoint to drive. Required."),
            DeclareLaunchArgument(
                "episodes", default_value="10", description="End after so many; 0: no end."
            ),
            DeclareLaunchArgument(
                "seed", default_value="1000", description="Seed of the routes and generated roads."
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(train),
                launch_arguments={"mode": "evaluate"}.items(),
            ),
        ]
    )
