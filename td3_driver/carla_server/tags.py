# SPDX-License-Identifier: Apache-2.0
"""The semantic tags of actors, CARLA 0.9.16's numbers (`carla.CityObjectLabel`)."""

from __future__ import annotations

from td3_driver.carla_server.library.blueprints import Blueprint

TRAFFIC_LIGHT, TRAFFIC_SIGN, VEGETATION = b"\x07", b"\x08", b"\x09"
_PEDESTRIAN, _CAR, _STATIC = b"\x0c", b"\x0e", b"\x14"
_VEHICLES = {
    "truck": b"\x0f",
    "van": _CAR,
    "bus": b"\x10",
    "motorcycle": b"\x12",
    "bicycle": b"\x13",
}


def tags_of(blueprint: Blueprint) -> bytes:
    """What the semantic cameras take an actor for, one byte each."""
    if blueprint.id.startswith("vehicle."):
        return _VEHICLES.get(blueprint.base_type, _CAR)
    if blueprint.id.startswith("walker."):
        return _PEDESTRIAN
    return _STATIC if blueprint.box is not None else b""
