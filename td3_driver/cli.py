# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver`. Exit codes: 0 success, 1 failure, 2 wrong usage."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from td3_driver.checkpoint_command import add_parser as add_checkpoint_parser

DEFAULT_STEPS = 10_000
# The embedded world can wait longer than the bridge's second, so that a busy machine does not
# decide what is learned.
PATIENCE_S = 10.0


def main() -> None:
    """Entry point of `td3_driver`."""
    args = _parser().parse_args()
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        code = run(args)
    except (ValueError, OSError) as error:
        print(f"td3_driver {args.command}: {error}", file=sys.stderr)
        code = 1
    sys.exit(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="td3_driver", description="A driving agent that learns online, inside ROS 2."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_train(commands)
    _add_world(commands)
    add_checkpoint_parser(commands)
    return parser


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "train",
        help="learn to drive in the embedded world",
        description="Start the embedded world and the driver, learn, write checkpoints.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--steps",
        type=_positive,
        default=DEFAULT_STEPS,
        metavar="N",
        help="environment steps (0.05 s each) in total; resumed ones count",
    )
    add(
        "--save-freq",
        type=_positive,
        default=1000,
        metavar="N",
        help="environment steps between checkpoints td3_<step>.pth",
    )
    add(
        "--checkpoint-dir",
        type=Path,
        default=Path("checkpoints"),
        metavar="DIR",
        help="folder of checkpoints and TensorBoard",
    )
    add(
        "--save-replay",
        action="store_true",
        help="save the replay too, so that --resume goes on bit for bit (7.2 kB a step)",
    )
    add("--resume", type=Path, metavar="FILE", help="checkpoint to go on from")
    add("--seed", type=_not_negative, default=0, metavar="N", help="seed of everything random")
    add("--device", choices=("cpu", "cuda"), default="cpu", help="where the learner computes")
    add(
        "--map",
        type=Path,
        metavar="FILE.xodr",
        help="OpenDRIVE road network; without it roads are generated from the seed",
    )
    add(
        "--preset",
        default="default",
        metavar="NAME",
        help="networks, learning and reward: a file of config/presets",
    )
    add(
        "--stepping",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="lockstep: as fast as learning allows, repeats bit for bit; realtime: 20 Hz",
    )
    add("--config", type=Path, metavar="FILE", help="YAML file laid over the preset")
    parser.set_defaults(run=_train)


def _add_world(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = commands.add_parser(
        "world",
        help="run the embedded world alone, for a driver started elsewhere",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--map", type=Path, metavar="FILE.xodr", help="OpenDRIVE road network; default: generated")
    add("--seed", type=_not_negative, default=0, metavar="N", help="seed of roads and textures")
    add(
        "--stepping",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="lockstep: wait for a command each tick, up to 1 s; realtime: 20 Hz",
    )
    parser.set_defaults(run=_world)


def _train(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither ROS nor the map library.
    from td3_driver.configuration import load_configuration, preset_names
    from td3_driver.online.folder import prepare_folder
    from td3_driver.ros.train import TrainOptions, train

    if args.preset not in preset_names():
        return _usage(args, f"--preset {args.preset}: choose from {', '.join(preset_names())}")
    load_configuration(args.preset, args.config)
    if args.resume is not None and not args.resume.is_file():
        raise FileNotFoundError(f"--resume {args.resume}: no such file")
    prepare_folder(args.checkpoint_dir)
    driver = {
        "steps": args.steps,
        "save_freq": args.save_freq,
        "checkpoint_dir": str(args.checkpoint_dir.resolve()),
        "resume": str(args.resume.resolve()) if args.resume else "",
        "seed": args.seed,
        "device": args.device,
        "preset": args.preset,
        "config_file": str(args.config.resolve()) if args.config else "",
        "stepping": args.stepping,
        "save_replay": args.save_replay,
        "answer_within_s": 0.8 * PATIENCE_S,
    }
    world = {**_world_parameters(args), "control_patience_s": PATIENCE_S}
    return train(TrainOptions(driver, world, args.steps))


def _world(args: argparse.Namespace) -> int:
    from td3_driver.world import world_node

    world_node.main(_world_parameters(args))
    return 0


def _world_parameters(args: argparse.Namespace) -> dict[str, object]:
    from td3_driver.driving.road_map import RoadMap

    if args.map is not None:
        RoadMap.from_file(args.map)
    return {
        "map": str(args.map.resolve()) if args.map else "",
        "seed": args.seed,
        "synchronous_mode_wait_for_vehicle_control_command": args.stepping == "lockstep",
    }


def _usage(args: argparse.Namespace, message: str) -> int:
    print(f"td3_driver {args.command}: {message}", file=sys.stderr)
    return 2


def _positive(text: str) -> int:
    value = _integer(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def _not_negative(text: str) -> int:
    value = _integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None


if __name__ == "__main__":
    main()
