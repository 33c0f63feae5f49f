# SPDX-License-Identifier: Apache-2.0
"""The command line of a node: its help, its own arguments, and its parameter files."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import re
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

_USAGE = "%(prog)s [--help] [--ros-args [-p NAME:=VALUE ...] [--params-file FILE ...] ...]"
_TYPES = {bool: "bool", int: "integer", float: "double", str: "string"}


class ParameterFileError(ValueError):
    """A parameter file cannot be used; one line says why."""


def check(program: str, purpose: str, parameters: type) -> None:
    """Check the arguments in `sys.argv` that are not ROS's; answer `--help` and exit.

    Args:
        program: the executable.
        purpose: a description of it in a few sentences.
        parameters: the dataclass of its parameters; see `parameters.parameter`.

    Raises:
        SystemExit: with code 0 after `--help`; with code 2 for an argument that neither ROS nor
            the node takes, which ROS would ignore.
    """
    ours, _ = _split(sys.argv[1:])
    parser = argparse.ArgumentParser(
        prog=program,
        usage=_USAGE,
        description=textwrap.fill(purpose, _width()),
        epilog=_described(parameters),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _, unknown = parser.parse_known_args(ours)
    if unknown:
        given = f"unknown argument {unknown[0]}"
        parser.exit(2, f"{program}: {given}; parameters are given as --ros-args -p NAME:=VALUE\n")


def given_files() -> list[Path]:
    """Return the `--params-file`s of this process."""
    _, words = _split(sys.argv[1:])
    options = itertools.pairwise(words)
    return [Path(file) for option, file in options if option == "--params-file"]


def sections(file: Path) -> dict[str, dict[str, Any]]:
    """Read parameters by dotted names, by the nodes' full names, or "/**" for all nodes.

    Raises:
        ParameterFileError: it cannot be read, or is no parameter file.
    """
    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise ParameterFileError(f"params file {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ParameterFileError(
            f"params file {file}: not YAML: {' '.join(str(error).split())}"
        ) from error
    found = dict(_sections(content, "")) if isinstance(content, dict) else {}
    if not found or not all(isinstance(section, dict) for section in found.values()):
        raise ParameterFileError(
            f"params file {file}: expected NODE: {{ros__parameters: {{NAME: VALUE}}}}"
        )
    nodes = {node: dict(_parameters(section, "")) for node, section in found.items()}
    for node, parameters in nodes.items():
        for name, value in parameters.items():
            if value is None:
                raise ParameterFileError(
                    f'params file {file}: {name} of {node} has no value; an empty text is ""'
                )
    return nodes


def given_to(file: Path, *names: str) -> dict[str, Any]:
    """Return a node's parameters in a file, by their dotted names.

    Args:
        file: the parameter file.
        names: the node's full name, and other names for it.

    Raises:
        ParameterFileError: it has none for the node, or is no parameter file.
    """
    nodes = sections(file)
    found = [node for node in nodes if any(_is_of(node, name) for name in names)]
    if not found:
        raise ParameterFileError(
            f"params file {file}: has parameters for {', '.join(nodes)}, none for {names[0]}, "
            "which is this node"
        )
    return {name: value for node in found for name, value in nodes[node].items()}


def given_to_all(file: Path) -> set[str]:
    """Return the names of a file's parameters for all nodes, in a namespace or anywhere.

    Raises:
        ParameterFileError: it is no parameter file.
    """
    return {name for node, given in sections(file).items() if node.endswith("*") for name in given}


def _is_of(section: str, node: str) -> bool:
    """Whether a section is for a node; as in rclpy `/*` matches one name, `/**` any number."""
    return re.fullmatch(section.replace("/*", r"(/\w+)"), node) is not None


def _sections(content: Mapping[Any, Any], name: str) -> Iterator[tuple[str, object]]:
    for key, value in content.items():
        if key == "ros__parameters":
            yield name, value
        elif isinstance(value, dict):
            yield from _sections(value, f"{name}/{str(key).strip('/')}")


def _parameters(value: object, name: str) -> Iterator[tuple[str, object]]:
    if not isinstance(value, dict):
        yield name, value
        return
    for key, inner in value.items():
        yield from _parameters(inner, f"{name}.{key}" if name else str(key))


def _split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split words into the node's own, and those between `--ros-args` and `--`."""
    ours: list[str] = []
    theirs: list[str] = []
    taking = ours
    for word in words:
        if word == "--ros-args":
            taking = theirs
        elif word == "--" and taking is theirs:
            taking = ours
        else:
            taking.append(word)
    return ours, theirs


def _described(parameters: type) -> str:
    lines = ["parameters:"]
    for field in dataclasses.fields(parameters):
        meta, default = field.metadata, field.default
        kind = _TYPES[type(default)]
        shown = str(default).lower() if isinstance(default, bool) else default
        facts = [kind, f"default {shown}" if shown != "" else "default empty"]
        if meta["low"] is not None:
            top = "" if meta["high"] is None else f" to {meta['high']:g}"
            facts.append(f"{meta['low']:g}{top}" if top else f"{meta['low']:g} or more")
        if meta["choices"]:
            facts.append(f"one of {', '.join(meta['choices'])}")
        if not meta["read_only"]:
            facts.append("may be set while it runs")
        lines.append(f"  {field.name}: {', '.join(facts)}")
        lines.append(textwrap.indent(textwrap.fill(meta["description"], _width() - 6), " " * 6))
    return "\n".join(lines)


def _width() -> int:
    return max(shutil.get_terminal_size().columns - 2, 40)
