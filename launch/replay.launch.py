# SPDX-License-Identifier: Apache-2.0
"""Play a recording to a checkpoint: what it would do goes to /td3_driver/proposed_control."""

from collections.abc import Mapping

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import ExecuteProcess, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessIO
from launch.events.process import ProcessExited, ProcessIO

from td3_driver.launching.actions import described, errand, node, others, parameters_of
from td3_driver.launching.arguments import DRIVER, Value
from td3_driver.launching.tables import replay_arguments
from td3_driver.ros.names import READY_TO_PLAY

ARGUMENTS = replay_arguments()
# Fast DDS asks every 3 s what has arrived.
ACKNOWLEDGED_WITHIN_MS = "5000"
RESUME = ["ros2", "service", "call", "/rosbag2_player/resume", "rosbag2_interfaces/srv/Resume"]


def start(context: LaunchContext, values: Mapping[str, Value]) -> list[Action]:
    play = ["ros2", "bag", "play", str(values["bag"]), "--clock", "--rate", str(values["rate"])]
    play += ["--start-paused", "--disable-keyboard-controls"]
    play += ["--wait-for-all-acked", ACKNOWLEDGED_WITHIN_MS]
    parameters = [{"mode": "replay"}, parameters_of(DRIVER, ARGUMENTS, values)]
    driver = node(context, "driver_node", parameters, name=DRIVER)
    begun = False

    def begin(event: ProcessIO) -> list[Action]:
        """Let the player go on: driver and player have found each other, no message is lost."""
        nonlocal begun
        if begun or READY_TO_PLAY not in event.text.decode(errors="replace"):
            return []
        begun = True
        return [ExecuteProcess(cmd=errand(RESUME), name="resume", on_exit=resumed)]

    def resumed(event: ProcessExited, _: LaunchContext) -> list[Action]:
        failed = f"the player was not resumed: exit code {event.returncode}"
        return [Shutdown(reason=failed)] if event.returncode else []

    return [
        RegisterEventHandler(OnProcessIO(target_action=driver, on_stdout=begin, on_stderr=begin)),
        driver,
        others(context, [ExecuteProcess(cmd=play, name="player", output="screen")]),
    ]


def generate_launch_description() -> LaunchDescription:
    return described(ARGUMENTS, start)
