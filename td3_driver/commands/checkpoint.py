# SPDX-License-Identifier: Apache-2.0
"""`td3_driver checkpoint`: inspect, verify, compare, convert and export checkpoint files."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path

from td3_driver.arguments import Commands
from td3_driver.text import printable


def add_parser(commands: Commands[argparse.ArgumentParser]) -> None:
    """Add the command `checkpoint` and its actions."""
    parser = commands.add_parser(
        "checkpoint",
        help="inspect, verify, compare, convert and export checkpoint files",
        description="Look into checkpoint files, and turn them into other formats and back.",
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_inspect(actions)
    _add_verify(actions)
    _add_diff(actions)
    _add_convert(actions)
    _add_export(actions)


def _add_inspect(actions: Commands[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "inspect",
        help="list what is in a file, and what is missing",
        description="List networks, sizes, norms, optimizers, counters, settings and origin.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="checkpoint, td3_<step>.pth")
    parser.set_defaults(execute=_reporting(_inspect))


def _add_verify(actions: Commands[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "verify",
        help="check that files are undamaged and can be resumed",
        description="Check SHA-256, contents and the replay beside each file;"
        " exit code 1 if one is not sound.",
    )
    add = parser.add_argument
    add("files", type=Path, nargs="+", metavar="FILE", help="checkpoints, td3_<step>.pth")
    parser.set_defaults(execute=_reporting(_verify))


def _add_diff(actions: Commands[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "diff",
        help="list in what two files differ",
        description="List every value in which two checkpoints differ, tensors by how much.",
    )
    parser.add_argument("first", type=Path, metavar="A", help="checkpoint")
    parser.add_argument("second", type=Path, metavar="B", help="checkpoint")
    parser.set_defaults(execute=_reporting(_diff))


def _add_convert(actions: Commands[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "convert",
        help="make a checkpoint from another program's files",
        description="Read the original TD3's four files or others like them, a file with an actor"
        " and its critics (CleanRL's), a Stable-Baselines3 TD3 zip, or a file of the origin system"
        " (td3_agent.py), and write a checkpoint. What the source lacks is listed, and kept in the"
        " checkpoint's provenance.",
    )
    add = parser.add_argument
    source = "a file; of several, one of them, what their names share, or their folder"
    add("source", type=Path, metavar="SRC", help=source)
    add("destination", type=Path, metavar="DST", help="checkpoint to write")
    add("--name", metavar="NAME", help="with a folder: the files are NAME_actor, ...")
    parser.set_defaults(execute=_reporting(_convert))


def _add_export(actions: Commands[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "export",
        help="write the actor as ONNX, for use without this package",
        description="Write the actor and its CNN as one ONNX model: image uint8 and"
        " vector float32 to action, a batch of one each; checked against torch. A model card is"
        " written beside it.",
    )
    add = parser.add_argument
    add("file", type=Path, metavar="FILE", help="checkpoint, td3_<step>.pth")
    add("--onnx", type=Path, required=True, metavar="OUT.onnx", help="model to write")
    parser.set_defaults(execute=_reporting(_export))


def _reporting(
    action: Callable[[argparse.Namespace], int],
) -> Callable[[argparse.Namespace], int]:
    """Wrap an action so that a file it cannot use gives one line and exit code 1."""

    @functools.wraps(action)
    def run(args: argparse.Namespace) -> int:
        from td3_driver.checkpoints.checkpoint import CheckpointError

        try:
            return action(args)
        except (CheckpointError, OSError) as error:
            return _fail(args, str(error))

    return run


def _fail(args: argparse.Namespace, reason: str) -> int:
    print(printable(f"td3_driver checkpoint {args.action}: {reason}"), file=sys.stderr)
    return 1


# The imports are in the functions: `--help` and wrong usage need no torch.


def _inspect(args: argparse.Namespace) -> int:
    from td3_driver.checkpoints.checkpoint import CheckpointError
    from td3_driver.interchange.importing.conversion import explained
    from td3_driver.interchange.inspection import describe

    try:
        print(describe(args.file))
    except (CheckpointError, OSError) as error:
        return _fail(args, explained(args.file, error))
    return 0


def _verify(args: argparse.Namespace) -> int:
    from td3_driver.checkpoints.checkpoint import CheckpointError
    from td3_driver.interchange.importing.conversion import explained
    from td3_driver.interchange.inspection import verify

    code = 0
    for path in args.files:
        try:
            print(f"{path}: sound, {verify(path)}")
        except (CheckpointError, OSError) as error:
            code = _fail(args, explained(path, error))
    return code


def _diff(args: argparse.Namespace) -> int:
    from td3_driver.checkpoints.checkpoint import CheckpointError, read
    from td3_driver.interchange.importing.conversion import explained
    from td3_driver.interchange.inspection import differences

    payloads = []
    for path in (args.first, args.second):
        try:
            payloads.append(read(path))
        except (CheckpointError, OSError) as error:
            return _fail(args, explained(path, error))
    lines = differences(*payloads)
    print("\n".join(lines) if lines else "no difference")
    return 0


def _convert(args: argparse.Namespace) -> int:
    from td3_driver.interchange.importing.conversion import convert

    imported = convert(args.source, args.destination, args.name)
    print(f"{args.destination}: from {imported.origin}")
    for note in imported.notes:
        print(printable(f"  {note}"))
    return 0


def _export(args: argparse.Namespace) -> int:
    from td3_driver.checkpoints.checkpoint import CheckpointError
    from td3_driver.interchange.importing.conversion import explained
    from td3_driver.interchange.onnx_export import export

    try:
        gap = export(args.file, args.onnx)
    except (CheckpointError, OSError) as error:
        return _fail(args, explained(args.file, error))
    print(f"{args.onnx}: largest difference to torch {gap:.1e}; card: {args.onnx}.md")
    return 0
