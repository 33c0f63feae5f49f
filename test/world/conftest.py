# SPDX-License-Identifier: Apache-2.0
"""Maps that several tests of the world share."""

from __future__ import annotations

import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.ground.surface import Surface
from td3_driver.world.roads.generation import generate_opendrive


@pytest.fixture(scope="session")
def town_surface(town: RoadMap) -> Surface:
    return Surface(town)


@pytest.fixture(scope="session")
def loop() -> RoadMap:
    """A generated training road."""
    return RoadMap(generate_opendrive(3), "loop_3")


@pytest.fixture(scope="session")
def loop_surface(loop: RoadMap) -> Surface:
    return Surface(loop)
