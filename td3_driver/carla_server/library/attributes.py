# SPDX-License-Identifier: Apache-2.0
"""Attributes of blueprints, as they stand on the wire."""

from __future__ import annotations

import enum
from typing import NamedTuple


class AttributeType(enum.IntEnum):
    """What an attribute's text stands for; a colour is "red,green,blue"."""

    BOOL = 1
    INT = 2
    FLOAT = 3
    STRING = 4
    COLOR = 5


class Attribute(NamedTuple):
    """An attribute of a blueprint, in the order of the wire; all values are texts.

    The server leaves it to clients to keep to the recommended values where they are told to.
    """

    id: str
    type: AttributeType
    value: str
    recommended_values: list[str]
    is_modifiable: bool
    restrict_to_recommended: bool


def fixed(name: str, kind: AttributeType, value: str) -> Attribute:
    """An attribute that clients can only read."""
    return Attribute(name, kind, value, [], False, False)


def variation(
    name: str, kind: AttributeType, *recommended: str, restricted: bool = False
) -> Attribute:
    """An attribute that clients may set; at first it has the first recommended value."""
    return Attribute(name, kind, recommended[0], list(recommended), True, restricted)


def floats(values: str) -> list[Attribute]:
    """Variations of the type float, from "name value, name value"."""
    pairs = (pair.split() for pair in values.split(","))
    return [variation(name, AttributeType.FLOAT, value) for name, value in pairs]
