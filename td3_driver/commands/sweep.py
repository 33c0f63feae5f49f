# SPDX-License-Identifier: Apache-2.0
"""`td3_driver sweep`: presets, overlays and seeds compared, each trial in one process, on Ray."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

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
    add(
        "file",
        type=Path,
        metavar="FILE",
        help="FILE.yaml: what to run, docs/fleet.md#sweeps; FILE.jsonl: results, to be shown",
    )
    add("--out", type=Path, metavar="DIR", help="folder of the results; default: FILE's name")
    add("--at-once", type=positive, metavar="N", help="trials at once, here; default: one a core")
    add(
        "--address",
        metavar="auto|HOST:PORT",
        help="Ray cluster to run on; without it one of its own on this machine",
    )
    add(
        "--runs",
        nargs="+",
        default=(),
        metavar="NAME",
        help="of FILE.jsonl, those to show; default: all",
    )
    parser.set_defaults(execute=_sweep)


def _sweep(args: argparse.Namespace) -> int:
    # Imported here: `--help` and wrong usage need neither torch nor Ray.
    from td3_driver.fleet.sweeps.curves import of_runs, read_rows, show

    out, code = args.out or args.file.with_suffix(""), 0
    if args.file.suffix == ".jsonl":
        rows = read_rows(args.file)
    elif args.runs:
        raise ValueError("--runs: goes with results, FILE.jsonl")
    else:
        rows, code = _run(args, out)
    if rows:
        show(of_runs(rows, args.runs), out)
    return code


def _run(args: argparse.Namespace, out: Path) -> tuple[list[dict[str, Any]], int]:
    """Run what the file says; return all its results, and the exit code."""
    from td3_driver.fleet.cluster import prepare

    prepare(args.address)
    from td3_driver.fleet.sweeps.sweep import ROWS, finished, read_sweep, run

    sweep = read_sweep(args.file)
    code = run(sweep, out, args.address, args.at_once or os.cpu_count() or 1)
    return finished(out / ROWS, sweep), code
