# SPDX-License-Identifier: Apache-2.0
"""Learn to drive: in the embedded world, or with the CARLA bridge (world:=carla)."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, Shutdown
from launch.conditions import IfCondition, LaunchConfigurationEquals
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution, PythonExpression
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackageShare

SHARE = FindPackageShare("td3_driver")

ARGUMENTS = {
    "world": ("embedded", "Where to drive: embedded, or carla (needs carla_ros_bridge)."),
    "mode": ("train", "train, or evaluate: drive the checkpoint of `resume` greedily."),
    "episodes": ("0", "End after so many episodes; 0: no end."),
    "role_name": ("ego_vehicle", "CARLA role name of the car."),
    "camera": ("rgb_front", "Id of the front camera."),
    "preset": ("default", "Networks, learning and reward: a file of config/presets."),
    "stepping": ("lockstep", "lockstep, or realtime (20 Hz)."),
    "sync": ("auto", "Odometry of an image: exact, nearest, interpolate; auto: as stamps are."),
    "steps": ("0", "Environment steps in total; 0: until stopped."),
    "save_freq": ("1000", "Environment steps between checkpoints."),
    "checkpoint_dir": (
        "",
        "Folder of checkpoints and TensorBoard; empty: that of `resume`, else a new one in runs/.",
    ),
    "overwrite": ("false", "Delete another run that checkpoint_dir holds; else it is refused."),
    "resume": ("", "Checkpoint to go on from; empty: begin anew."),
    "seed": ("0", "Seed of everything random."),
    "device": ("cpu", "Where the learner computes: cpu or cuda."),
    "on_loss": ("exit", "World or learner lost: exit; wait (braking); drive (without learner)."),
    "autostart": ("true", "false: a lifecycle manager configures and activates the driver."),
    "params_file": (
        PathJoinSubstitution([SHARE, "config", "td3_driver.yaml"]),
        "Parameter file of driver_node; the arguments here go over it.",
    ),
    "appearance": (
        PythonExpression(
            ["'mixed' if '", LaunchConfiguration("mode"), "' == 'train' else 'plain'"]
        ),
        "world:=embedded: light: plain; random, new with each reset; mixed, with every other.",
    ),
    "map": ("", "world:=embedded: OpenDRIVE file; empty: generated roads."),
    "host": ("localhost", "world:=carla: host of the CARLA server."),
    "port": ("2000", "world:=carla: port of the CARLA server."),
    "town": ("Town01", "world:=carla: town to load."),
    "bridge": ("start", "world:=carla: start the bridge and spawn the car, or expect: both run."),
    "timeout": ("20", "world:=carla: how long the bridge waits for the CARLA server, s."),
    "objects_definition_file": (
        PathJoinSubstitution([SHARE, "config", "ego_vehicle.json"]),
        "world:=carla: car and sensors to spawn.",
    ),
}

DRIVER_ARGUMENTS = (
    "mode", "episodes", "role_name", "camera", "preset", "stepping", "sync", "steps",
    "save_freq", "checkpoint_dir", "overwrite", "resume", "seed", "device", "on_loss",
    "autostart",
)  # fmt: skip
INTEGERS = ("steps", "episodes", "save_freq", "seed")
BOOLEANS = ("autostart", "overwrite")
WORLD_ARGUMENTS = ("role_name", "camera", "seed", "map", "appearance")
# For the name of a run's folder: the town, the map, or how difficult the generated roads are.
PLACE = PythonExpression(
    ["'", LaunchConfiguration("town"), "' if '", LaunchConfiguration("world"),
     "' == 'carla' else r'''", LaunchConfiguration("map"), "''' or 'easy'"]
)  # fmt: skip
LOCKSTEP = PythonExpression(["'", LaunchConfiguration("stepping"), "' == 'lockstep'"])


def configured(names: tuple[str, ...]) -> dict[str, ParameterValue]:
    """Arguments as parameters; a path of digits must not become a number."""
    kinds = dict.fromkeys(INTEGERS, int) | dict.fromkeys(BOOLEANS, bool)
    return {
        name: ParameterValue(LaunchConfiguration(name), value_type=kinds.get(name, str))
        for name in names
    }


def bridge(package: str, launch_file: str, arguments: dict) -> IncludeLaunchDescription:
    path = PathJoinSubstitution([FindPackageShare(package), launch_file])
    return IncludeLaunchDescription(
        PythonLaunchDescriptionSource(path),
        launch_arguments=arguments.items(),
        condition=IfCondition(
            PythonExpression(
                ["'", LaunchConfiguration("world"), "' == 'carla' and '",
                 LaunchConfiguration("bridge"), "' == 'start'"]
            )
        ),
    )  # fmt: skip


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
                parameters=[
                    configured(WORLD_ARGUMENTS),
                    {"synchronous_mode": ParameterValue(LOCKSTEP, value_type=bool)},
                ],
                condition=LaunchConfigurationEquals("world", "embedded"),
                output="screen",
            ),
            bridge(
                "carla_ros_bridge",
                "carla_ros_bridge.launch.py",
                {
                    "host": LaunchConfiguration("host"),
                    "port": LaunchConfiguration("port"),
                    "town": LaunchConfiguration("town"),
                    "timeout": LaunchConfiguration("timeout"),
                    "synchronous_mode": LOCKSTEP,
                    "synchronous_mode_wait_for_vehicle_control_command": LOCKSTEP,
                    "fixed_delta_seconds": "0.05",
                    # The bridge's default is a list that it searches as one string, so that any
                    # part of a role name matches; one name matches itself.
                    "ego_vehicle_role_name": LaunchConfiguration("role_name"),
                },
            ),
            bridge(
                "carla_spawn_objects",
                "carla_spawn_objects.launch.py",
                {"objects_definition_file": LaunchConfiguration("objects_definition_file")},
            ),
            Node(
                package="td3_driver",
                executable="driver_node",
                name="td3_driver",
                parameters=[
                    LaunchConfiguration("params_file"),
                    configured(DRIVER_ARGUMENTS),
                    {"place": ParameterValue(PLACE, value_type=str)},
                ],
                output="screen",
                on_exit=Shutdown(),
            ),
        ]
    )
