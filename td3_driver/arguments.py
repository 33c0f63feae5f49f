# SPDX-License-Identifier: Apache-2.0
"""Arguments and their types that several command lines share."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from td3_driver.online.run_folder import RunFolder

Commands = argparse._SubParsersAction  # the type of `add_subparsers`'s result

# As in world/roads/generation.py, whose import is too slow for `--help`.
DIFFICULTIES = ("easy", "curvy", "town", "city", "varied")
# As in world/camera/appearance.py.
APPEARANCES = ("plain", "random", "mixed")
# As in driving/judging/rules.py.
RULES = ("strict", "nocrash", "corl2017", "leaderboard1", "leaderboard2")
# As in driving/messages/synchronisation.py.
SYNC_MODES = ("exact", "nearest", "interpolate")
TOLERANCE_S = 0.1

CHECKPOINT_HELP = "checkpoint of the policy; without it runs/latest/best.pth"


def usage_error(args: argparse.Namespace, message: str) -> int:
    """Print an error about the arguments; return the exit code of wrong usage."""
    print(f"td3_driver {args.command}: {message}", file=sys.stderr)
    return 2


def no_such_preset(args: argparse.Namespace) -> int:
    """Return 0 if `--preset` comes with the package, else as `usage_error`."""
    from td3_driver.share import preset_names  # which not every command needs

    names = preset_names()
    if args.preset in names:
        return 0
    return usage_error(args, f"--preset {args.preset}: choose from {', '.join(names)}")


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
        " junctions, the same with up to two lanes each way and roundabouts, and those with other"
        " lane widths and lines",
    )


def add_maps(parser: argparse.ArgumentParser) -> None:
    """Add `--map` of one or more maps."""
    parser.add_argument(
        "--map",
        nargs="+",
        default=(),
        metavar="FILE.xodr",
        help="OpenDRIVE road network; several are put side by side, and the name of a difficulty"
        " stands for generated roads; without it: those of --difficulty",
    )


def absolute(maps: Sequence[str]) -> list[str]:
    """Return `add_maps`'s argument for a process in another folder."""
    return [name if name in DIFFICULTIES else str(Path(name).resolve()) for name in maps]


def add_surroundings(
    parser: argparse.ArgumentParser, appearance: str | None = APPEARANCES[0]
) -> None:
    """Add `--traffic`, `--pedestrians`, `--scenery`, `--lights`, `--appearance`.

    With an `appearance` of None, who asks for none gets the weather of his routes, else the plain.
    """
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
        "--lights",
        action="store_true",
        help="traffic lights and stop signs where the map has them; traffic obeys them",
    )
    add(
        "--appearance",
        choices=APPEARANCES,
        default=appearance,
        help="plain: the same light always; random: another day, dusk or rain in each episode;"
        " mixed: random in half of them"
        + ("; without it plain, or the weather of the --routes" if appearance is None else ""),
    )


def add_run(parser: argparse.ArgumentParser, *, steps: int, save_freq: int) -> None:
    """Add the options of a run that learns: its length, folder, files, seed and settings."""
    add = parser.add_argument
    add(
        "--steps",
        type=positive,
        default=steps,
        metavar="N",
        help="environment steps (0.05 s each) in total; resumed ones count",
    )
    add(
        "--save-freq",
        type=positive,
        default=save_freq,
        metavar="N",
        help="environment steps between checkpoints td3_<step>.pth",
    )
    add(
        "--checkpoint-dir",
        type=Path,
        metavar="DIR",
        help="folder of the run; without it that of --resume, else a new one,"
        " runs/<when>_<map or difficulty>_<preset>_s<seed>, to which runs/latest leads",
    )
    add("--overwrite", action="store_true", help="delete another run that --checkpoint-dir holds")
    add(
        "--save-replay",
        action="store_true",
        help="save the replay too, so that --resume goes on bit for bit (7.2 kB a step)",
    )
    add("--resume", type=Path, metavar="FILE", help="checkpoint to go on from")
    add(
        "--prefill",
        type=Path,
        metavar="FILE",
        help="demonstrations to learn from too, made by td3_driver prefill or demonstrate",
    )
    add(
        "--prefill-share",
        type=share,
        default=0.5,
        metavar="SHARE",
        help="share of demonstrations in each batch, 0.01 to 0.99",
    )
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of everything random")
    add(
        "--preset",
        default="default",
        metavar="NAME",
        help="networks, learning and reward: a file of config/presets",
    )
    add("--config", type=Path, metavar="FILE", help="YAML file laid over the preset")


def check_run(args: argparse.Namespace) -> None:
    """Check the files of `add_run`.

    Raises:
        FileNotFoundError: one is not there.
    """
    for option in ("resume", "prefill"):
        path = getattr(args, option)
        if path is not None and not path.is_file():
            raise FileNotFoundError(f"--{option} {path}: no such file")


def claimed_folder(args: argparse.Namespace, place: str) -> RunFolder:
    """Claim the folder of a run by `add_run`'s options.

    `place`: where is driven, for the name of a new folder.

    Raises:
        RunFolderError, OSError: the run cannot have it.
    """
    from td3_driver.online.run_folder import Wording, claim, new_folder

    if args.checkpoint_dir is not None:
        folder = args.checkpoint_dir.resolve()
    elif args.resume is not None:
        folder = args.resume.resolve().parent
    else:
        folder = new_folder(place, args.preset, args.seed)
    words = Wording("--checkpoint-dir", "--resume", "--overwrite")
    return claim(folder, args.resume, words, overwrite=args.overwrite)


def add_routes(parser: argparse.ArgumentParser, how: str) -> None:
    """Add `--routes`; `how` says in which order they are driven."""
    parser.add_argument(
        "--routes",
        type=Path,
        metavar="FILE.xml",
        help=f"route file of the CARLA leaderboard's, 1.0 or 2.x, {how}; needs --map",
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
    """Return parameters of `world_node` from the arguments about the world; check the maps."""
    from td3_driver.world.roads.generation import roads_of

    if args.map:
        roads_of(args.map, args.seed, args.difficulty)
    maps = absolute(args.map)
    if len(maps) > 1 and (parted := [name for name in maps if ":" in name]):
        raise ValueError(f"--map {parted[0]}: beside others a map's path must have no ':'")
    return {
        "map": ":".join(maps),
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
        "lights": args.lights,
        "appearance": args.appearance or APPEARANCES[0],
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
