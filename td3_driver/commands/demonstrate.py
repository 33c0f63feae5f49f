# SPDX-License-Identifier: Apache-2.0
"""`td3_driver demonstrate`: drives of the informed pursuit to learn from."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from td3_driver.arguments import (
    Commands,
    add_difficulty,
    add_maps,
    add_surroundings,
    no_such_preset,
    not_negative,
    positive,
    surroundings,
)


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `demonstrate`."""
    parser = commands.add_parser(
        "demonstrate",
        help="let the informed pursuit drive, as demonstrations for train --prefill",
        description="Let the informed pursuit, which is told the route and whom to yield to,"
        " drive in the embedded world, now and then pushed off its way, and write what it saw and"
        " did for `td3_driver train --prefill FILE.replay`.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="FILE.replay", help="file to write")
    add("--steps", type=positive, default=6000, metavar="N", help="steps of 0.05 s to drive")
    add(
        "--preset",
        default="default",
        metavar="NAME",
        help="what counts and is seen, as in train",
    )
    add("--config", type=Path, metavar="FILE", help="YAML file laid over the preset")
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of roads and drives")
    add_maps(parser)
    add_difficulty(parser)
    add_surroundings(parser, appearance="mixed")
    parser.set_defaults(execute=_demonstrate)


def _demonstrate(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor shapely.
    from tqdm import tqdm

    from td3_driver.configuration import load_configuration
    from td3_driver.evaluation.demonstration import demonstrate
    from td3_driver.world.roads.generation import roads_of
    from td3_driver.world.simulation import WorldConfig

    if code := no_such_preset(args):
        return code
    configuration = load_configuration(args.preset, args.config)
    road_map = roads_of(args.map, args.seed, args.difficulty)
    world = WorldConfig(seed=args.seed, **surroundings(args)).through(configuration.driving.view)
    quiet = not sys.stderr.isatty()
    with tqdm(total=args.steps, unit=" steps", dynamic_ncols=True, disable=quiet) as bar:
        done = demonstrate(configuration, road_map, world, args.steps, args.out, bar.update)
    print(
        f"  transitions        {done.transitions}\n"
        f"  episodes           {done.episodes}\n"
        f"  mean reward        {done.mean_reward:.3f}\n"
        f"  {args.out}"
    )
    return 0
