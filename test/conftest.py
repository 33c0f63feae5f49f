# SPDX-License-Identifier: Apache-2.0
"""What every test stands on: a ROS domain of its own, localhost only, few threads, signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from td3_driver.ros.train.domains import claim, this_machine_only

# Before anything imports rclpy or torch.
os.environ["ROS_DOMAIN_ID"] = str(claim())
os.environ.update([this_machine_only()])
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.signals import ENDING

from .towns import STREETS, opendrive_of, town_of

# What a script's background or nohup has this process ignore, the tests' own would ignore, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, lambda *_: None)

# How long an example takes says something of the machine alone.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


# Files that take minutes, which are begun first.
LONGEST = ("test_train", "test_processes", "test_internal_errors", "test_runs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where files run beside each other, the last one to end should not be a long one."""
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """A command that runs within a test has signals ignored when it has ended."""
    before = {number: signal.getsignal(number) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
