# SPDX-License-Identifier: Apache-2.0
"""`td3_driver world`: the embedded world alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from td3_driver.commands.arguments import Commands, not_negative, world_parameters


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `world`."""
    parser = commands.add_parser(
        "world",
        help="run the embedded world alone, for a driver started elsewhere",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--map", type=Path, metavar="FILE.xodr", help="OpenDRIVE road network; default: generated")
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of roads and textures")
    add(
        "--stepping",
        choices=("lockstep", "realtime"),
        default="lockstep",
        help="lockstep: wait for a command each tick, up to 1 s; realtime: 20 Hz",
    )
    parser.set_defaults(run=_world)


def _world(args: argparse.Namespace) -> int:
    from td3_driver.world import world_node

    world_node.main(world_parameters(args))
    return 0
