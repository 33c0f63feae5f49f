# SPDX-License-Identifier: Apache-2.0
"""What CARLA's public examples and agents do, which nobody here wrote."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from td3_driver.carla_server.calls.actors import ActorCalls
from td3_driver.carla_server.calls.refused import refused
from td3_driver.carla_server.calls.traffic import TrafficCalls
from td3_driver.carla_server.calls.vehicles import VehicleCalls
from td3_driver.carla_server.calls.world import WorldCalls
from td3_driver.carla_server.episode import Episode, Surroundings
from td3_driver.carla_server.streams import Streams
from td3_driver.driving.routes.road_map import RoadMap

from .serving import MAPS, Serving


@pytest.fixture(scope="module")
def town() -> Iterator[Serving]:
    serving = Serving("--map", str(MAPS / "plain.xodr"))
    yield serving
    assert serving.stop() == 0
    assert "Traceback" not in serving.program.output


@pytest.mark.parametrize(
    "check",
    [
        "a_step_is_set_in_real_time",
        "what_is_missing_is_named",
        "the_box_of_what_has_gone",
        "physics_control_is_kept",
        "a_control_that_does_not_stick",
        "a_layered_town",
    ],
)
def test_they_do(town: Serving, check: str) -> None:
    town.run_client("public_ways", check)


def test_cars_start_where_a_carla_map_has_lanes() -> None:
    """Of a road whose one lane turns off, as of any other than `driving`, it has none."""
    roads = (MAPS / "plain.xodr").read_text()
    assert 'type="driving"' in roads
    ids, streams = itertools.count(1_000_000), Streams(1, print)
    for kind, there in (("driving", True), ("bidirectional", False)):
        road_map = RoadMap(roads.replace('type="driving"', f'type="{kind}"'), "town")
        episode = Episode(1, road_map, Surroundings(), ids, streams)
        assert episode.scene.spawn_poses
        assert bool(episode.spawn_poses) is there


def test_nothing_is_both_simulated_and_refused() -> None:
    for calls in (ActorCalls, TrafficCalls, VehicleCalls, WorldCalls):
        assert not refused().keys() & vars(calls).keys()
