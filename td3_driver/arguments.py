# SPDX-License-Identifier: Apache-2.0
"""Arguments and their types that several command lines share."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path
from typing import Any

Commands = argparse._SubParsersAction  # the type of `add_subparsers`'s result

# As in world/roads/generation.py, whose import is too slow for `--help`.
DIFFICULTIES = ("easy", "curvy", "town", "city")
# As in world/camera/appearance.py.
APPEARANCES = ("plain", "random", "mixed")
# As in driving/messages/synchronisation.py.
SYNC_MODES = ("exact", "nearest", "interpolate")
TOLERANCE_S = 0.1

CHECKPOINT_HELP = "checkpoint of the policy; without it runs/latest/best.pth"


def usage_error(args: argparse.Namespace, message: str) -> int:
    """Print an error about the arguments; return the exit code of wrong usage."""
    print(f"td3_driver {args.command}: {message}", file=sys.stderr)
    return 2


def checkpoint_or_newest(args: argparse.Namespace) -> Path:
    """Return `--checkpoint`, else the best of the newest run, after printing its name.

    Raises:
        FileNotFoundError: there is none.
    """
    from td3_driver.online.run_folder import newest_best

    if args.checkpoint is not None:
        return Path(args.checkpoint)
    found = newest_best()
    print(f"td3_driver {args.command}: {found}", file=sys.stderr)
    return found


def add_difficulty(parser: argparse.ArgumentParser) -> None:
    """Add `--difficulty`."""
    parser.add_argument(
        "--difficulty",
        choices=DIFFICULTIES,
        default=DIFFICULTIES[0],
        help="of generated roads: loops with bends, with more and tighter ones, streets with"
        " junctions, the same with up to two lanes each way and roundabouts",
    )


def add_surroundings(
    parser: argparse.ArgumentParser, appearance: str = APPEARANCES[0]
) -> None:
    """Add `--traffic`, `--pedestrians`, `--scenery` and `--appearance` with its default."""
    add = parser.add_argument
    add("--traffic", type=not_negative, default=0, metavar="N", help="other vehicles")
    add(
        "--pedestrians",
        type=not_negative,
        default=0,
        metavar="N",
        help="pedestrians who cross the road",
    )
    add("--scenery", action="store_true", help="buildings and trees beside the roads")
    add(
        "--appearance",
        choices=APPEARANCES,
        default=appearance,
        help="plain: the same light always; random: another day, dusk or rain in each episode;"
        " mixed: random in half of them",
    )


def add_bag_topics(parser: argparse.ArgumentParser) -> None:
    """Add `--image`, `--odometry`, `--control`, and `--sync` with its `--tolerance`."""
    add = parser.add_argument
    add("--image", metavar="TOPIC", help="sensor_msgs/Image or CompressedImage; else found")
    add("--odometry", metavar="TOPIC", help="nav_msgs/Odometry; without it found by type and name")
    add("--control", metavar="TOPIC", help="what was driven, CarlaEgoVehicleControl; else found")
    add(
        "--sync",
        choices=SYNC_MODES,
        help="odometry of an image: that of its stamp, the nearest, or between its neighbours;"
        " without it exact where that fits, else interpolate",
    )
    add(
        "--tolerance",
        type=seconds,
        default=TOLERANCE_S,
        metavar="SECONDS",
        help="how far from the image the nearest odometry, or each neighbour, may be",
    )


def world_parameters(args: argparse.Namespace) -> dict[str, Any]:
    """Return parameters of `world_node` from the arguments about the world; check the map file."""
    from td3_driver.driving.routes.road_map import RoadMap

    if args.map is not None:
        RoadMap.from_file(args.map)
    return {
        "map": str(args.map.resolve()) if args.map else "",
        "seed": args.seed,
        "difficulty": args.difficulty,
        "synchronous_mode": args.stepping == "lockstep",
        **surroundings(args),
    }


def surroundings(args: argparse.Namespace) -> dict[str, Any]:
    """Return `add_surroundings`'s arguments by their names in `WorldConfig` and `world_node`."""
    return {
        "traffic": args.traffic,
        "pedestrians": args.pedestrians,
        "scenery": args.scenery,
        "appearance": args.appearance,
    }


def positive(text: str) -> int:
    """Parse a whole number of at least 1."""
    value = _integer(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def not_negative(text: str) -> int:
    """Parse a whole number of at least 0."""
    value = _integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def port(text: str) -> int:
    """Parse a TCP port that has a next one."""
    value = _integer(text)
    if not 1 <= value < 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65534")
    return value


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    value = _number(text)
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def share(text: str) -> float:
    """Parse a number from 0.01 to 0.99."""
    value = _number(text)
    if not 0.01 <= value <= 0.99:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0.01 to 0.99")
    return value


def not_negative_number(text: str) -> float:
    """Parse a number of at least 0."""
    value = _number(text)
    if not 0.0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of at least 0")
    return value


def _number(text: str) -> float:
    """Parse a number; NaN, which is outside all bounds, if the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
