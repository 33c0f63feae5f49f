# SPDX-License-Identifier: Apache-2.0
"""Towns to drive in: one of our own, which is always there, and CARLA's where they are.

CARLA's are test input and not part of the project. `streets` stands in for them: as many lanes and
junctions as Town01, so that a clone alone tests what a town asks for.
"""

import functools
from pathlib import Path

import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.roads.bounds import Network
from td3_driver.world.roads.generation import generate_opendrive

STREETS = "streets"
MAPS = Path(__file__).resolve().parents[2] / "shared" / "maps"
_STREETS = Network(
    columns=(5, 5), rows=(4, 4), spacing_m=90.0, shift_m=14.0, lanes=1, roundabouts=0.0
)


@functools.cache
def opendrive_of(name: str) -> str:
    """The town's OpenDRIVE text; the test is skipped where the town is not there."""
    if name == STREETS:
        return generate_opendrive(0, _STREETS)
    file = MAPS / f"{name}.xodr"
    if not file.is_file():
        pytest.skip(f"CARLA's {name} is not at {file}; it is not part of the project")
    return file.read_text()


@functools.cache
def town_of(name: str) -> RoadMap:
    """The town; the test is skipped where it is not there."""
    return RoadMap(opendrive_of(name), name)
