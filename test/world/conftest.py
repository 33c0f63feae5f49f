# SPDX-License-Identifier: Apache-2.0
"""Maps that several tests of the world share."""

from __future__ import annotations

from pathlib import Path

import pytest

from td3_driver.driving.road_map import RoadMap
from td3_driver.world.roads import generate_opendrive
from td3_driver.world.surface import Surface

MAPS = Path(__file__).resolve().parents[3] / "shared/maps"


@pytest.fixture(scope="session", params=["Town01", "Town02"])
def town(request: pytest.FixtureRequest) -> RoadMap:
    """One of CARLA's towns."""
    if not MAPS.is_dir():
        pytest.skip(f"no folder {MAPS} with CARLA's towns beside this checkout")
    return RoadMap.from_file(MAPS / f"{request.param}.xodr")


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
