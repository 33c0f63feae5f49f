# SPDX-License-Identifier: Apache-2.0
"""A world_node process for each file of tests, and the car at a place with room ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from geometry_msgs.msg import Pose

from td3_driver.driving.messages.decoding import yaw_of
from td3_driver.driving.routes.road_map import RoadMap

from ..places import places
from .client import Client, World


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[Client]:
    with Client() as client:
        client.connect()
        yield client


@pytest.fixture(scope="module")
def open_place(client: Client) -> Pose:
    """A place on a lane, facing along the map's x axis."""
    info = client.last("/carla/world_info")
    place = places(RoadMap(info.opendrive, "map"), 5.0)[0]
    pose = Pose()
    pose.position.x, pose.position.y, pose.orientation.w = place.x_m, place.y_m, 1.0
    return pose


@pytest.fixture
def placed(client: Client, open_place: Pose) -> Client:
    """The car at rest at the open place, facing along x."""
    client.place(open_place)
    odometry = client.last("odometry")
    assert odometry.pose.pose.position.x == pytest.approx(open_place.position.x, abs=0.05)
    assert yaw_of(odometry.pose.pose.orientation) == pytest.approx(0.0, abs=1e-3)
    assert abs(odometry.twist.twist.linear.x) < 0.01
    return client
