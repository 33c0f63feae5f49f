# SPDX-License-Identifier: Apache-2.0
"""The command `td3_driver`.

Exit codes: 0 success, 1 failure, 2 wrong usage, 141 the reader of its output has gone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from td3_driver import signals
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.commands import (
    benchmark,
    checkpoint,
    demonstrate,
    doctor,
    evaluate,
    fleet,
    prefill,
    replay,
    sweep,
    train,
    world,
)
from td3_driver.console import readers_may_leave

COMMANDS = (
    train, fleet, evaluate, benchmark, sweep, replay, prefill, demonstrate, checkpoint, world,
    doctor,
)  # fmt: skip


def main() -> None:
    """Run the command `td3_driver`."""
    with readers_may_leave():
        sys.exit(_execute())


def _execute() -> int:
    name = "td3_driver"
    try:
        # All these signals end a command as Ctrl-C does, so that it closes what is open.
        signals.handle(signals.raise_once(signals.Interrupted()))
        args = _parser().parse_args()
        name += f" {args.command}"
        execute: Callable[[argparse.Namespace], int] = args.execute
        code = execute(args)
    except (ValueError, OSError, CheckpointError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        code = 1
    except signals.Interrupted:
        print(f"{name}: interrupted", file=sys.stderr)
        code = 1
    signals.ignore()  # else a signal while Python exits prints a traceback
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="td3_driver", description="A driving agent that learns online, inside ROS 2."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    main()
