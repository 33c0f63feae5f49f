# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: a ROS domain of its own, localhost only, few threads."""

from __future__ import annotations

import os
from pathlib import Path

from td3_driver.ros.domains import claim, this_machine_only

# Before anything imports rclpy or torch.
os.environ["ROS_DOMAIN_ID"] = str(claim())
os.environ.update([this_machine_only()])
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from td3_driver.driving.road_map import RoadMap

from .towns import STREETS, opendrive_of, town_of


@pytest.fixture(params=[STREETS, "Town01", "Town02"], scope="session")
def town(request: pytest.FixtureRequest) -> RoadMap:
    """Our own town, and two of CARLA's."""
    return town_of(request.param)


@pytest.fixture(params=[STREETS, "Town01"], scope="session")
def large_town(request: pytest.FixtureRequest) -> RoadMap:
    """Our own town, and CARLA's first."""
    return town_of(request.param)


@pytest.fixture(params=[STREETS, "Town01"], scope="session")
def town_file(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The same as a file."""
    file = tmp_path_factory.mktemp("town") / f"{request.param}.xodr"
    file.write_text(opendrive_of(request.param))
    return file
