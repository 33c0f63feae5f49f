# SPDX-License-Identifier: Apache-2.0
"""`td3_driver benchmark`: drive a policy through one of CARLA's driving benchmarks."""

from __future__ import annotations

import argparse
from pathlib import Path

from td3_driver.arguments import (
    CHECKPOINT_HELP,
    Commands,
    checkpoint_or_newest,
    not_negative,
    usage_error,
)
from td3_driver.commands.evaluate import POLICIES

# As in evaluation/benchmark/protocols.py, whose import is too slow for `--help`.
BENCHMARKS = ("nocrash", "corl2017")


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `benchmark`."""
    parser = commands.add_parser(
        "benchmark",
        help="drive NoCrash or CoRL2017 over your routes, beside the papers' numbers",
        description="Drive a policy through NoCrash or CoRL2017 in the embedded world, over the"
        " routes of your files, in the papers' traffic, weathers and time. Print a table"
        " (Markdown) beside the papers' numbers, which were measured in CARLA, and write"
        " DIR/metrics.json and DIR/report.html. Every route is driven in every weather for every"
        " task, which takes hours; --tasks and --weathers leave some out.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("benchmark", choices=BENCHMARKS)
    policy = parser.add_mutually_exclusive_group()
    policy.add_argument("--checkpoint", type=Path, metavar="FILE", help=CHECKPOINT_HELP)
    policy.add_argument("--policy", choices=POLICIES, help="a policy that needs no checkpoint")
    add(
        "--map",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE.xodr",
        help="OpenDRIVE file of Town01, of Town02, or of both; of other towns the training town"
        " first, then the new one",
    )
    add(
        "--routes",
        type=Path,
        nargs="+",
        required=True,
        metavar="FILE.xml",
        help="the routes in it, in the format of CARLA's leaderboard: a file for each map",
    )
    add("--tasks", nargs="+", metavar="TASK", help="drive only these, e.g. empty or navigation")
    add(
        "--weathers",
        nargs="+",
        metavar="WEATHER",
        help="drive only in these of the benchmark's weathers, e.g. ClearNoon",
    )
    add("--seed", type=not_negative, default=0, metavar="N", help="seed of the traffic")
    add("--out", type=Path, default=Path("benchmark"), metavar="DIR", help="folder to write to")
    parser.set_defaults(execute=_benchmark)


def _benchmark(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor shapely.
    from td3_driver.evaluation.benchmark.command import Options, execute
    from td3_driver.evaluation.benchmark.protocols import PROTOCOLS

    protocol = PROTOCOLS[args.benchmark]
    if not 1 <= len(args.map) == len(args.routes) <= 2:
        return usage_error(args, "--map and --routes: give one file of each, or two of each")
    for option, given, known in (
        ("--tasks", args.tasks, protocol.task_names),
        ("--weathers", args.weathers, protocol.all_weathers),
    ):
        for name in given or ():
            if name not in known:
                return usage_error(
                    args, f"{option}: {protocol.title} has no {name}; expected {', '.join(known)}"
                )
    options = Options(
        protocol=protocol,
        checkpoint=None if args.policy else checkpoint_or_newest(args),
        policy=args.policy or "",
        towns=tuple(zip(args.map, args.routes, strict=True)),
        tasks=tuple(args.tasks or protocol.task_names),
        weathers=tuple(args.weathers or protocol.all_weathers),
        seed=args.seed,
        out=args.out,
    )
    print(execute(options))
    return 0
