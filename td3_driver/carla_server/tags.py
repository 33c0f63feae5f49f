# SPDX-License-Identifier: Apache-2.0
"""The semantic classes of actors, and as tags in calls: one byte each."""

from __future__ import annotations

from td3_driver.carla_server.library.blueprints import Blueprint
from td3_driver.world.semantic_class import SemanticClass

_VEHICLES = {
    "truck": SemanticClass.TRUCK,
    "bus": SemanticClass.BUS,
    "motorcycle": SemanticClass.MOTORCYCLE,
    "bicycle": SemanticClass.BICYCLE,
}


def class_of(blueprint: Blueprint) -> SemanticClass:
    """What a semantic camera shows of it; `NONE` of what has no body."""
    if blueprint.id.startswith("vehicle."):
        return _VEHICLES.get(blueprint.base_type, SemanticClass.CAR)
    if blueprint.id.startswith("walker."):
        return SemanticClass.PEDESTRIANS
    return SemanticClass.NONE if blueprint.box is None else SemanticClass.STATIC


def tags(*classes: SemanticClass) -> bytes:
    """As an actor has them; none for `NONE`."""
    return bytes(kind for kind in classes if kind is not SemanticClass.NONE)
