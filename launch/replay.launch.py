# SPDX-License-Identifier: Apache-2.0
"""Play a recording to a checkpoint: what it would do goes to /td3_driver/proposed_control."""

from collections.abc import Mapping

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import ExecuteProcess

from td3_driver.launching.actions import described, node, others, parameters_of
from td3_driver.launching.arguments import DRIVER, Value
from td3_driver.launching.tables import replay_arguments

ARGUMENTS = replay_arguments()


def start(context: LaunchContext, values: Mapping[str, Value]) -> list[Action]:
    play = ["ros2", "bag", "play", str(values["bag"]), "--clock"]
    play += ["--rate", str(values["rate"]), "--delay", str(values["delay"])]
    play += ["--wait-for-all-acked", "1000"]
    parameters = [{"mode": "replay"}, parameters_of(DRIVER, ARGUMENTS, values)]
    return [
        node(context, "driver_node", parameters, name=DRIVER),
        others(context, [ExecuteProcess(cmd=play, name="player", output="screen")]),
    ]


def generate_launch_description() -> LaunchDescription:
    return described(ARGUMENTS, start)
