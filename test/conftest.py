# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: a ROS domain of its own, localhost only, few threads."""

import os
from pathlib import Path

from td3_driver.ros.domains import claim

# Before anything imports rclpy or torch.
os.environ["ROS_DOMAIN_ID"] = str(claim())
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from td3_driver.driving.road_map import RoadMap

MAPS = Path(__file__).resolve().parents[2] / "shared" / "maps"


@pytest.fixture(scope="session")
def town01_file() -> Path:
    file = MAPS / "Town01.xodr"
    if not file.is_file():
        pytest.skip(f"CARLA's Town01 is not at {file}; it is test input, not part of the project")
    return file


@pytest.fixture(scope="session", params=["Town01", "Town02"])
def town(request: pytest.FixtureRequest) -> RoadMap:
    """One of CARLA's towns."""
    file = MAPS / f"{request.param}.xodr"
    if not file.is_file():
        pytest.skip(f"CARLA's towns are not in {MAPS}; they are test input, not of the project")
    return RoadMap.from_file(file)


@pytest.fixture(scope="session")
def town01(town01_file: Path) -> RoadMap:
    return RoadMap.from_file(town01_file)
