# SPDX-License-Identifier: Apache-2.0
"""The arguments of each launch file."""

from __future__ import annotations

from dataclasses import replace

from td3_driver.arguments import APPEARANCES, DIFFICULTIES, RULES, SYNC_MODES
from td3_driver.launching.arguments import DRIVER, WORLD, Argument
from td3_driver.share import preset_names, share_directory

_LAST_PORT = 65535
_BOTH, _DRIVER, _WORLD = (DRIVER, WORLD), (DRIVER,), (WORLD,)
_ROLE_NAME = Argument(
    "role_name", "ego_vehicle", "CARLA role name of the car.", topic_part=True, nodes=_BOTH
)
_CAMERA = Argument(
    "camera", "rgb_front", "Id of the front camera.", topic_part=True, nodes=_BOTH
)
_SYNC = Argument(
    "sync", "auto", "Odometry of an image: auto: as stamps are.",
    choices=("auto", *SYNC_MODES), nodes=_DRIVER,
)  # fmt: skip
_USE_SIM_TIME = Argument(
    "use_sim_time", "true",
    "Stamps outside frames are /clock's, which world, bridge and player publish.",
    kind=bool, nodes=_DRIVER,
)  # fmt: skip


def train_arguments() -> tuple[Argument, ...]:
    """The arguments of train.launch.py.

    Raises:
        FileNotFoundError: the package's own files are not there.
    """
    config = share_directory() / "config"
    return (
        Argument(
            "world", "embedded", "Where to drive; carla needs carla_ros_bridge.",
            choices=("embedded", "carla"),
        ),
        Argument(
            "mode", "train", "evaluate: drive the checkpoint of `resume` greedily.",
            choices=("train", "evaluate"), nodes=_DRIVER,
        ),
        Argument(
            "episodes", "0", "End after so many episodes; 0: no end.",
            kind=int, low=0, nodes=_DRIVER,
        ),
        _ROLE_NAME,
        _CAMERA,
        Argument(
            "preset", "default", "Networks, learning and reward: a file of config/presets.",
            choices=tuple(preset_names()), nodes=_DRIVER,
        ),
        Argument(
            "blind", "false", "Black pictures: the twin that shows what pictures are worth.",
            kind=bool, nodes=_DRIVER,
        ),
        Argument(
            "stepping", "lockstep", "realtime: 20 Hz, whether answered or not.",
            choices=("lockstep", "realtime"), nodes=_DRIVER,
        ),
        _SYNC,
        Argument(
            "steps", "0", "Environment steps in total; 0: until stopped.",
            kind=int, low=0, nodes=_DRIVER,
        ),
        Argument(
            "save_freq", "1000", "Environment steps between checkpoints; 0: at the end only.",
            kind=int, low=0, nodes=_DRIVER,
        ),
        Argument(
            "checkpoint_dir", "",
            "Folder of checkpoints and TensorBoard; empty: that of `resume`, else a new one in "
            "runs/.",
            nodes=_DRIVER,
        ),
        Argument(
            "overwrite", "false", "Delete another run that checkpoint_dir holds; else refused.",
            kind=bool, nodes=_DRIVER,
        ),
        Argument(
            "resume", "", "Checkpoint to go on from; empty: begin anew.",
            exists="file", nodes=_DRIVER,
        ),
        Argument(
            "routes", "",
            "Route file of the CARLA leaderboard's to drive; empty: random routes.",
            exists="file", nodes=_DRIVER,
        ),
        Argument("seed", "0", "Seed of everything random.", kind=int, low=0, nodes=_BOTH),
        Argument(
            "device", "cpu", "Where the learner computes.", choices=("cpu", "cuda"), nodes=_DRIVER
        ),
        Argument(
            "on_loss", "exit",
            "World or learner lost: exit; wait (braking); drive (without learner).",
            choices=("exit", "wait", "drive"), nodes=_DRIVER,
        ),
        Argument(
            "autostart", "true",
            "false: a lifecycle manager configures and activates the driver.",
            kind=bool, nodes=_DRIVER,
        ),
        _USE_SIM_TIME,
        Argument(
            "params_file", str(config / "td3_driver.yaml"),
            "Parameter file of driver_node; the arguments that are given go over it.",
            exists="file",
        ),
        Argument(
            "map", "",
            "world:=embedded: OpenDRIVE files, separated by ':', which are put side by side; a "
            "difficulty's name stands for generated roads; empty: generated roads.",
            exists="maps", nodes=_WORLD,
        ),
        Argument(
            "difficulty", DIFFICULTIES[0], "world:=embedded: of generated roads.",
            choices=DIFFICULTIES, nodes=_WORLD,
        ),
        Argument(
            "traffic", "0", "world:=embedded: other vehicles.",
            kind=int, low=0, high=1000, nodes=_WORLD,
        ),
        Argument(
            "pedestrians", "0", "world:=embedded: pedestrians who cross the road.",
            kind=int, low=0, high=1000, nodes=_WORLD,
        ),
        Argument(
            "scenery", "false", "world:=embedded: buildings and trees beside the roads.",
            kind=bool, nodes=_WORLD,
        ),
        Argument(
            "lights", "false",
            "world:=embedded: traffic lights and stop signs where the map has them.",
            kind=bool, nodes=_WORLD,
        ),
        Argument(
            "appearance", "",
            "world:=embedded: light: plain; random, new with each reset; mixed, with every "
            "other; empty: mixed to train, plain to evaluate.",
            choices=APPEARANCES, nodes=_WORLD,
        ),
        Argument("host", "localhost", "world:=carla: host of the CARLA server."),
        Argument(
            "port", "2000", "world:=carla: port of the CARLA server.",
            kind=int, low=1, high=_LAST_PORT,
        ),
        Argument("town", "Town01", "world:=carla: town to load."),
        Argument(
            "bridge", "start",
            "world:=carla: start the bridge and spawn the car, or expect both to run.",
            choices=("start", "expect"),
        ),
        Argument(
            "timeout", "20", "world:=carla: how long the bridge waits for the server, s.",
            kind=float, low=0, above_low=True,
        ),
        Argument(
            "objects_definition_file", str(config / "ego_vehicle.json"),
            "world:=carla: car and sensors to spawn.", exists="file",
        ),
    )  # fmt: skip


def evaluate_arguments() -> tuple[Argument, ...]:
    """The arguments of evaluate.launch.py: all of train.launch.py, with other defaults, and more.

    Raises:
        FileNotFoundError: the package's own files are not there.
    """
    other = {
        "mode": {
            "default": "evaluate",
            "choices": ("evaluate", "observe"),
            "description": "observe: measure whoever else drives the car.",
        },
        "resume": {"description": "The checkpoint to drive; empty: mode:=observe."},
        "episodes": {"default": "10"},
        "seed": {"default": "1000", "description": "Seed of the routes and generated roads."},
    }
    shared = tuple(
        replace(argument, **other.get(argument.name, {}))  # type: ignore[arg-type]
        for argument in train_arguments()
    )
    return (
        *shared,
        Argument(
            "out", "", "Folder for metrics.json and report.html; empty: results are only logged.",
            nodes=_DRIVER,
        ),
        Argument(
            "rules", RULES[0], "With out: by which rules drives are judged.",
            choices=RULES, nodes=_DRIVER,
        ),
    )  # fmt: skip


def replay_arguments() -> tuple[Argument, ...]:
    """The arguments of replay.launch.py."""
    return (
        Argument("bag", None, "The rosbag2 folder to play. Required.", exists="bag"),
        Argument("resume", None, "The checkpoint to ask. Required.", exists="file", nodes=_DRIVER),
        Argument(
            "rate", "1.0", "How much faster than it was recorded.",
            kind=float, low=0, above_low=True,
        ),
        replace(_ROLE_NAME, nodes=_DRIVER),
        replace(_CAMERA, nodes=_DRIVER),
        _SYNC,
        _USE_SIM_TIME,
    )  # fmt: skip
