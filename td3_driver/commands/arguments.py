# SPDX-License-Identifier: Apache-2.0
"""What the subcommands' arguments have in common."""

from __future__ import annotations

import argparse
import sys

Commands = argparse._SubParsersAction  # the type that `add_subparsers` returns


def usage_error(args: argparse.Namespace, message: str) -> int:
    """Say what was wrong with the arguments; the exit code for that."""
    print(f"td3_driver {args.command}: {message}", file=sys.stderr)
    return 2


def world_parameters(args: argparse.Namespace) -> dict[str, object]:
    """Parameters of `world_node` for `--map`, `--seed` and `--stepping`, the map file checked."""
    from td3_driver.driving.road_map import RoadMap

    if args.map is not None:
        RoadMap.from_file(args.map)
    return {
        "map": str(args.map.resolve()) if args.map else "",
        "seed": args.seed,
        "synchronous_mode_wait_for_vehicle_control_command": args.stepping == "lockstep",
    }


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = _integer(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not a positive whole number")
    return value


def not_negative(text: str) -> int:
    """A whole number of at least 0."""
    value = _integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is negative")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
