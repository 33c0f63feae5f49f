# SPDX-License-Identifier: Apache-2.0
"""Pure pursuit drives whatever roads there are to the end, well inside its lane.

This holds the roads, the routes, the car and the reference policy against each other.
"""

from __future__ import annotations

import numpy as np
import pytest

from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.evaluation.closed_loop import drive_route
from td3_driver.evaluation.policies import Pursuit
from td3_driver.measures.metrics import Trace
from td3_driver.world.bodies.vehicle import WIDTH_M
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.bounds import LANE_WIDTH_M
from td3_driver.world.roads.generation import DIFFICULTIES, generate_opendrive
from td3_driver.world.simulation import Simulation, WorldConfig

CONFIG = DrivingConfig()
# The policy is blind; a small picture keeps the drives short.
WORLD = WorldConfig(cameras=(CameraConfig(width_px=16, height_px=16),))
GENERATED = 100
SHORT = 12
TOWN_ROUTES = 50


def drive(world: Simulation, length_m: float, seed: int) -> Trace:
    return drive_route(CONFIG, Pursuit(CONFIG), world, length_m, seed)


def rmse_m(traces: list[Trace]) -> float:
    return float(np.sqrt(np.mean(np.concatenate([trace.lateral_m for trace in traces]) ** 2)))


def furthest_m(traces: list[Trace]) -> float:
    return max(float(np.abs(trace.lateral_m).max()) for trace in traces)


def told(name: str, traces: list[Trace]) -> None:
    """The figures of docs/maps.md; pytest shows them with -s."""
    speed_mps = np.concatenate([trace.speed_mps for trace in traces]).mean()
    print(
        f"\n{name}: {len(traces)} routes, RMSE {rmse_m(traces):.3f} m, furthest "
        f"{furthest_m(traces):.2f} m, {speed_mps:.2f} m/s",
        end="",
    )


@pytest.mark.parametrize(
    "number",
    [
        *range(SHORT),
        *(pytest.param(number, marks=pytest.mark.long) for number in range(SHORT, GENERATED)),
    ],
)
def test_a_generated_map_is_driven_to_the_end_inside_the_lane(number: int) -> None:
    difficulty = list(DIFFICULTIES)[number % len(DIFFICULTIES)]
    road_map = RoadMap(generate_opendrive(number, difficulty), f"{difficulty}_{number}")
    trace = drive(Simulation(WORLD, road_map), length_m=250.0, seed=number)
    told(road_map.name, [trace])
    assert trace.reason == "route_end"
    assert trace.route_length_m > 245.0
    assert furthest_m([trace]) < (LANE_WIDTH_M - WIDTH_M) / 2.0
    assert rmse_m([trace]) < 0.15


@pytest.mark.long
@pytest.mark.timeout(900)
def test_towns_are_driven_well(town: RoadMap) -> None:
    """Their lanes are 4 m wide: a car keeps to its own with 0.9 m to spare on each side."""
    world, rng = Simulation(WORLD, town), np.random.default_rng(5)
    traces = [drive(world, rng.uniform(200.0, 700.0), seed) for seed in range(TOWN_ROUTES)]
    told(town.name, traces)
    assert {trace.reason for trace in traces} == {"route_end"}
    assert furthest_m(traces) < 0.6
    assert rmse_m(traces) < 0.1
