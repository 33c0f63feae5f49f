# SPDX-License-Identifier: Apache-2.0
"""Drive a checkpoint greedily, or measure another driver (mode:=observe).

In the embedded world, or with the CARLA bridge (world:=carla).
"""

from launch import LaunchDescription

from td3_driver.launching.driving import driving
from td3_driver.launching.tables import evaluate_arguments


def generate_launch_description() -> LaunchDescription:
    return driving(evaluate_arguments())
