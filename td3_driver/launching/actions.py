# SPDX-License-Identifier: Apache-2.0
"""Launch descriptions whose arguments are checked and whose processes end together."""

from __future__ import annotations

import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from launch import Event, LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    GroupAction,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
    SetLaunchConfiguration,
    Shutdown,
)
from launch.event_handler import EventHandler
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from td3_driver.launching.arguments import DRIVER, Argument, Value, check_names, checked
from td3_driver.ros.tether import tethered
from td3_driver.start import UNINTERRUPTED

Start = Callable[[LaunchContext, Mapping[str, Value]], Sequence[Action]]
_PACKAGE = "td3_driver"
# After SIGINT and 5 s later SIGTERM: so long may the driver take to save.
DRIVER_STOP_S = "15"
OBSERVER_STOP_S = "3600"  # and an observer to measure what it saw, some minutes for an hour
_ERRAND = "errand"  # as what the shell before an errand is called


class _FailedEvent(Event):
    """The event that a process failed; `message` says which."""

    def __init__(self, message: str) -> None:
        super().__init__()
        self.message = message


def described(arguments: Sequence[Argument], start: Start) -> LaunchDescription:
    """A launch description that checks all arguments before it starts anything.

    Args:
        arguments: the arguments of the launch file.
        start: returns the actions for the arguments' values. The processes that they start end
            together, and with the launch system.
    """
    given: set[str] = set()

    def note(context: LaunchContext) -> None:
        given.update(context.launch_configurations)

    def begin(context: LaunchContext) -> list[Action]:
        texts = {each.name: context.launch_configurations[each.name] for each in arguments}
        values = checked(arguments, texts, given, full_name(context, DRIVER))
        actions = start(context, values)
        _refuse_unknown(context, arguments, actions)
        return [*_end_together(), GroupAction(list(actions))]

    return LaunchDescription(
        [
            OpaqueFunction(function=note),
            *(
                DeclareLaunchArgument(
                    each.name, default_value=each.default, description=each.help
                )
                for each in arguments
            ),
            OpaqueFunction(function=begin),
        ]
    )


def node(
    context: LaunchContext,
    executable: str,
    parameters: Sequence[object],
    name: str | None = None,
    stop_s: str = DRIVER_STOP_S,
) -> Node:
    """A node of this package, which may take `stop_s` to end.

    Parameters of a node with a name are given under its full name, not for all nodes. So they
    override parameters for all nodes (`SetParameter`), wherever those stand on the command line.
    """
    return Node(
        package=_PACKAGE,
        executable=executable,
        exec_name=executable,
        name=name,
        namespace=None if name is None else "",  # else launch_ros does not know the full name
        parameters=parameters,
        output="screen",
        prefix=_prefix(context, executable, [*UNINTERRUPTED, *tethered()]),
        sigkill_timeout=LaunchConfiguration("sigkill_timeout", default=stop_s),
    )


def others(context: LaunchContext, actions: Sequence[Action]) -> GroupAction:
    """A group of processes and launch files of other packages."""
    prefix = _prefix(context, "", tethered())
    return GroupAction([SetLaunchConfiguration("launch-prefix", prefix), *actions])


def errand(command: Sequence[str]) -> list[str]:
    """The command line of a process that is ended with the others, but does not end them."""
    return [*tethered()[:-1], _ERRAND, *command]


def full_name(context: LaunchContext, name: str) -> str:
    """The full name of a node, in the namespace that an including launch file may have set."""
    namespace = context.launch_configurations.get("ros_namespace", "").strip("/")
    return f"/{namespace}/{name}" if namespace else f"/{name}"


def parameters_of(
    node_name: str, arguments: Sequence[Argument], values: Mapping[str, Value]
) -> dict[str, object]:
    """The values of the arguments that are parameters of a node; digits in a path stay text."""
    return {
        each.name: ParameterValue(values[each.name], value_type=each.kind)
        for each in arguments
        if node_name in each.nodes
    }


def _prefix(context: LaunchContext, executable: str, before: Sequence[str]) -> str:
    """The prefix of a command line: ours, then that of `--launch-prefix`."""
    asked = context.launch_configurations.get("launch-prefix", "")
    wanted = context.launch_configurations.get("launch-prefix-filter", "")
    if not re.match(wanted, executable):
        asked = ""
    return f"{shlex.join(before)} {asked}"


def _end_together() -> list[Action]:
    """Handlers that end all processes started here when one of them ends.

    If that one failed, an error is raised: only then does `ros2 launch` exit with a failure.
    """

    def ended(event: ProcessExited, context: LaunchContext) -> list[Action]:
        if tethered()[-2] not in event.cmd:  # of a launch file that includes this one
            return []
        if _ERRAND in event.cmd:
            return []
        said = f"{event.process_name} ended with exit code {event.returncode}"
        actions: list[Action] = []
        # Asked to end, CARLA's bridge and spawner always do so with code 1.
        fails = not context.is_shutdown or UNINTERRUPTED[-1] in event.cmd
        if fails and event.returncode not in (0, -signal.SIGINT):
            actions.append(EmitEvent(event=_FailedEvent(said)))
        if not context.is_shutdown:
            actions.append(Shutdown(reason=said))
        return actions

    def fail(context: LaunchContext) -> None:
        raise RuntimeError(context.locals.event.message)

    return [
        RegisterEventHandler(OnProcessExit(on_exit=ended)),
        RegisterEventHandler(
            EventHandler(
                matcher=lambda event: isinstance(event, _FailedEvent),
                entities=OpaqueFunction(function=fail),
            )
        ),
    ]


def _refuse_unknown(
    context: LaunchContext, arguments: Sequence[Argument], actions: Sequence[Action]
) -> None:
    """Check that this launch file or its includes know every argument of the command line.

    If another launch file includes this one, the arguments are that one's and are not checked.
    """
    if _was_asked_for(Path(context.get_locals_as_dict().get("current_launch_file_path", ""))):
        typed = [word.split(":=", 1)[0] for word in context.argv if ":=" in word]
        known = {each.name for each in arguments} | _declared(context, actions)
        check_names(typed, known)


def _was_asked_for(launch_file: Path) -> bool:
    """Whether the command line names this launch file, by its package or by its path."""
    words = sys.argv[1:]
    if _PACKAGE in words and launch_file.name in words:
        return True
    return launch_file.resolve() in [Path(word).resolve() for word in words]


def _declared(context: LaunchContext, actions: Sequence[Action]) -> set[str]:
    found: set[str] = set()
    for action in actions:
        if isinstance(action, IncludeLaunchDescription):
            description = action.launch_description_source.get_launch_description(context)
            found |= {each.name for each in description.get_launch_arguments()}
        elif isinstance(action, GroupAction):
            found |= _declared(context, action.get_sub_entities())
    return found
