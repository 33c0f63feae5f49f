# SPDX-License-Identifier: Apache-2.0
"""What a client wants to spawn, checked against the blueprint that it chose."""

from __future__ import annotations

import math
from functools import cache

from td3_driver.carla_server.library.attributes import Attribute, AttributeType
from td3_driver.carla_server.library.blueprints import LIBRARY, Blueprint
from td3_driver.carla_server.structures import ActorDescription, AttributeValue, CallError

_LONGEST_TEXT = 1000
# As far as `Atoi` of CARLA's server goes, and no further than the world.
_LARGEST = {AttributeType.INT: 2.0**31, AttributeType.FLOAT: 1e7}


def checked(description: ActorDescription) -> tuple[Blueprint, ActorDescription]:
    """The blueprint, and its attributes with the client's values.

    Other clients are told of them: so these are all that the blueprint has, and no others.

    Raises:
        CallError: there is no such blueprint, or a value is not of its attribute's type.
    """
    blueprint = LIBRARY.get(description.id)
    if blueprint is None:
        raise CallError(f"{description.id[:80]}: this server has no such blueprint")
    given = {attribute.id: attribute.value for attribute in description.attributes}
    values = [
        usual
        if given.get(usual.id, usual.value) == usual.value
        else _checked(blueprint.id, attribute, given[usual.id])
        for attribute, usual in zip(
            blueprint.definition.attributes, _usual(blueprint.id), strict=True
        )
    ]
    return blueprint, ActorDescription(blueprint.definition.uid, blueprint.id, values)


@cache
def _usual(name: str) -> list[AttributeValue]:
    """A blueprint's own values, the same objects for all its actors."""
    attributes = LIBRARY[name].definition.attributes
    return [AttributeValue(part.id, part.type, part.value) for part in attributes]


def _checked(of: str, attribute: Attribute, text: str) -> AttributeValue:
    wanted = _wanted(attribute.type, text)
    if wanted:
        raise CallError(f"{of}: {attribute.id} {text[:80]!r}; expected {wanted}")
    return AttributeValue(attribute.id, attribute.type, text)


def _wanted(kind: AttributeType, text: str) -> str:
    """What a text should have been; empty: it is right."""
    if len(text) > _LONGEST_TEXT:
        return f"at most {_LONGEST_TEXT} characters"
    if kind == AttributeType.BOOL and text.lower() not in ("true", "false"):
        return "true or false"
    if kind in _LARGEST and not abs(_number(text)) < _LARGEST[kind]:
        return f"a number below {_LARGEST[kind]:g}"
    if kind == AttributeType.COLOR:
        parts = text.split(",")
        if len(parts) != 3 or not all(0.0 <= _number(part) <= 255.0 for part in parts):
            return "red,green,blue, each from 0 to 255"
    return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
