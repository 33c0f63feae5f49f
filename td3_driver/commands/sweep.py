# SPDX-License-Identifier: Apache-2.0
"""`td3_driver sweep`: presets, overlays and seeds compared, each trial in one process, on Ray."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from td3_driver.arguments import Commands, positive


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `sweep`."""
    parser = commands.add_parser(
        "sweep",
        help="compare settings, with several seeds each",
        description="Run presets times overlays times seeds as a YAML file says, each in one"
        " process without ROS, several at once; print a table and write a page. What is there"
        " already is not run again.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE.yaml", help="what to run; docs/fleet.md#sweeps")
    add("--out", type=Path, metavar="DIR", help="folder of the results; default: FILE's name")
    add("--at-once", type=positive, metavar="N", help="trials at once, here; default: one a core")
    add(
        "--address",
        metavar="auto|HOST:PORT",
        help="Ray cluster to run on; without it one of its own on this machine",
    )
    parser.set_defaults(execute=_sweep)


def _sweep(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor Ray.
    from td3_driver.fleet.cluster import prepare

    prepare(args.address)
    try:
        from td3_driver.fleet.sweep import read_sweep, run
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError(
            "Ray is not installed: `make setup` does it; requirements-more.txt names its version"
        ) from None

    sweep = read_sweep(args.file)
    out = args.out or args.file.with_suffix("")
    return run(sweep, out, args.address, args.at_once or os.cpu_count() or 1)
