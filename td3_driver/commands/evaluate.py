# SPDX-License-Identifier: Apache-2.0
"""`td3_driver evaluate`: drive a policy greedily where it never learned, and report."""

from __future__ import annotations

import argparse
from pathlib import Path

from td3_driver.arguments import (
    CHECKPOINT_HELP,
    RULES,
    Commands,
    add_difficulty,
    add_routes,
    add_surroundings,
    checkpoint_or_newest,
    not_negative,
    positive,
    surroundings,
    usage_error,
)

POLICIES = ("pure_pursuit", "informed_pursuit", "random", "stopped")


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `evaluate`."""
    parser = commands.add_parser(
        "evaluate",
        help="drive a policy where it never learned; write metrics.json and report.html",
        description="Drive a policy greedily in the embedded world, over routes that training"
        " never starts on, and write DIR/metrics.json and DIR/report.html (SI units). A checkpoint"
        f" is compared with {', '.join(POLICIES)} over the same routes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    policy = parser.add_mutually_exclusive_group()
    policy.add_argument("--checkpoint", type=Path, metavar="FILE", help=CHECKPOINT_HELP)
    policy.add_argument("--policy", choices=POLICIES, help="a policy that needs no checkpoint")
    add(
        "--rules",
        choices=RULES,
        default=RULES[0],
        help="what ends a drive and what infractions cost: our own, by which any collision ends"
        " it; NoCrash's or CoRL 2017's; the CARLA leaderboard's 1.0 or 2.1",
    )
    add(
        "--episodes",
        type=positive,
        metavar="N",
        help="routes to drive; of --routes the first ones; without it 10, or all of --routes",
    )
    add(
        "--map",
        type=Path,
        metavar="FILE.xodr",
        help="OpenDRIVE road network; without it each route has a generated road of its own",
    )
    add_routes(parser, "all that are on the map, in order")
    add_difficulty(parser)
    add_surroundings(parser, appearance=None)
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of roads and routes")
    add("--out", type=Path, default=Path("evaluation"), metavar="DIR", help="folder to write to")
    add("--record", type=Path, metavar="DIR", help="record each drive into a bag (MCAP) in DIR")
    add(
        "--route-length",
        type=positive,
        nargs="+",
        metavar="M",
        help="length of the routes in m, or the shortest and the longest; without it the"
        " configuration's",
    )
    parser.set_defaults(execute=_evaluate)


def _evaluate(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor shapely.
    from td3_driver.evaluation.command import Options, execute
    from td3_driver.world.simulation import WorldConfig

    lengths = args.route_length or []
    if len(lengths) > 2 or lengths != sorted(lengths):
        return usage_error(args, "--route-length: give one length, or the shortest and longest")
    if args.routes is not None and args.map is None:
        return usage_error(args, "--routes: needs --map, the OpenDRIVE file of their town")
    if args.routes is not None and lengths:
        return usage_error(args, "--route-length: the --routes of a file have their own")
    options = Options(
        checkpoint=None if args.policy else checkpoint_or_newest(args),
        policy=args.policy or "",
        episodes=args.episodes,
        map_file=args.map,
        difficulty=args.difficulty,
        seed=args.seed,
        length_m=(lengths[0], lengths[-1]) if lengths else None,
        out=args.out,
        record=args.record,
        routes=args.routes,
        weather=args.appearance is None,
        world=WorldConfig(**surroundings(args)),
        rules=args.rules,
    )
    print(execute(options))
    return 0
