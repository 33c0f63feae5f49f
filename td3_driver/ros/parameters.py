# SPDX-License-Identifier: Apache-2.0
"""Node parameters: a frozen dataclass whose fields carry description, range and choices.

A field is declared on the node once, with its descriptor, and read once. Values out of range and
writes to read-only parameters are refused by rclpy with the reason; choices are checked here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
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
) -> Any:
    """A dataclass field that is a node parameter."""
    return dataclasses.field(
        default=default,
        metadata={
            "description": description,
            "low": low,
            "high": high,
            "choices": tuple(choices),
            "read_only": read_only,
        },
    )


def declare(node: Node, cls: type[T]) -> T:
    """Declare every field of `cls` on `node` and return the values.

    Raises:
        ParameterError: a given value has the wrong type, range or choice.
    """
    values = {}
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        try:
            values[field.name] = node.declare_parameter(
                field.name, field.default, _descriptor(field)
            ).value
        except (InvalidParameterTypeException, InvalidParameterValueException) as error:
            raise ParameterError(f"parameter {field.name}: {error}") from error
        except ParameterException as error:
            raise ParameterError(f"parameter {field.name}: {error}") from error
        _check_choice(field, values[field.name])
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for given in parameters:
            if given.name in fields:
                try:
                    _check_choice(fields[given.name], given.value)
                except ParameterError as error:
                    return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(check)
    return cls(**values)


def _descriptor(field: dataclasses.Field[Any]) -> ParameterDescriptor:
    meta = field.metadata
    text = meta["description"]
    if meta["choices"]:
        text += f" One of: {', '.join(meta['choices'])}."
    descriptor = ParameterDescriptor(description=text, read_only=meta["read_only"])
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


def _check_choice(field: dataclasses.Field[Any], value: Any) -> None:
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise ParameterError(
            f"parameter {field.name}: {value!r} is not one of {', '.join(choices)}"
        )
