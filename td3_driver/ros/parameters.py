# SPDX-License-Identifier: Apache-2.0
"""Node parameters: a frozen dataclass whose fields have a description, range and choices.

Each field is declared on the node once, with its descriptor. rclpy refuses values out of range and
writes to read-only parameters, with the reason. Choices are checked here, and so is the rule that
most parameters of a managed node are fixed while it is configured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from os.path import expanduser
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from td3_driver.ros.command_line import given_files, given_to, given_to_all

T = TypeVar("T")


class ParameterError(ValueError):
    """A parameter has a value that the node cannot start with."""


def parameter(
    default: Any,
    description: str,
    *,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] = (),
    read_only: bool = True,
    at_start: bool = False,
    path: bool = False,
) -> Any:
    """Declare a dataclass field as a node parameter.

    `at_start`: it can only be set when the node starts, even if the node is managed. `path`: it
    names one or more files or folders, separated by ':'; `~` becomes the user's home, which no
    shell does after `:=`.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "low": low,
            "high": high,
            "choices": tuple(choices),
            "read_only": read_only,
            "at_start": at_start,
            "path": path,
        },
    )


def declare(
    node: Node,
    cls: type[T],
    fixed: Callable[[], str] | None = None,
    on_change: Callable[[Mapping[str, Any]], None] | None = None,
) -> T:
    """Declare every field of `cls` on `node` and return the values.

    Args:
        node: the node.
        cls: a dataclass of `parameter` fields.
        fixed: for a managed node: returns why its read-only parameters cannot be set now, or "" if
            they can. Without it they can never be set.
        on_change: called with the values by name of each accepted change.

    Raises:
        ParameterError: a given value has the wrong type, range or choice; or there is no such
            parameter, which ROS would ignore.
        ParameterFileError: a parameter file is for other nodes, which ROS would ignore, too.
    """
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        try:
            values[field.name] = node.declare_parameter(
                field.name, field.default, _descriptor(field, managed=fixed is not None)
            ).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter {field.name}: {error}") from error
        except ParameterException as error:
            raise ParameterError(f"parameter {field.name}: {error}") from error
        _check_choice(field, values[field.name])
    _check_meant(node, [*values])
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for given in parameters:
            if given.name in fields:
                try:
                    _check_choice(fields[given.name], given.value)
                    _check_fixed(fields[given.name], fixed() if fixed else "")
                except ParameterError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        # rclpy has checked types and ranges already: nothing refuses the change after this point.
        if on_change is not None:
            on_change({given.name: given.value for given in parameters})
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return read(node, cls)


def read(node: Node, cls: type[T]) -> T:
    """Return the present values of the parameters that `declare` declared."""
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    values = {field.name: node.get_parameter(field.name).value for field in fields}
    for field in fields:
        if field.metadata["path"]:
            values[field.name] = ":".join(map(expanduser, values[field.name].split(":")))
    return cls(**values)


def _descriptor(field: dataclasses.Field[Any], *, managed: bool) -> ParameterDescriptor:
    meta = field.metadata
    text = meta["description"]
    if meta["choices"]:
        text += f" One of: {', '.join(meta['choices'])}."
    read_only = meta["at_start"] or (meta["read_only"] and not managed)
    descriptor = ParameterDescriptor(description=text, read_only=read_only)
    if meta["low"] is not None:
        low, high = meta["low"], meta["high"]
        if isinstance(field.default, int):
            top = high if high is not None else 2**62
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(top))]
        else:
            top = high if high is not None else 1e12
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(top))
            ]
    return descriptor


def _check_meant(node: Node, known: Sequence[str]) -> None:
    name = node.get_fully_qualified_name()
    of_anybody: set[str] = set()  # parameters for all nodes need not be meant for this one
    for file in given_files():
        given_to(file, name)
        of_anybody |= given_to_all(file)
    # rclpy has no public access to these, all parameters given for this node.
    given = {*node._parameter_overrides} - of_anybody
    unknown = sorted(each for each in given if not node.has_parameter(each))
    if unknown:
        near = get_close_matches(unknown[0], known, 1)
        hint = f" (do you mean {near[0]}?)" if near else ""
        raise ParameterError(
            f"parameter {', '.join(unknown)}: {name} has none of that name{hint}; --help lists all"
        )


def _check_fixed(field: dataclasses.Field[Any], reason: str) -> None:
    if reason and field.metadata["read_only"]:
        raise ParameterError(f"parameter {field.name}: {reason}")


def _check_choice(field: dataclasses.Field[Any], value: Any) -> None:
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise ParameterError(
            f"parameter {field.name}: {value!r} is not one of {', '.join(choices)}"
        )
