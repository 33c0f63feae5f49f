# SPDX-License-Identifier: Apache-2.0
"""The generated training roads, as CARLA's own library reads them."""

from __future__ import annotations

import hashlib
import math
import subprocess
import sys

import pytest

from td3_driver.driving.types import wrap_angle
from td3_driver.world.roads.generation import generate_opendrive

carla = pytest.importorskip("carla", reason="compares with CARLA's own road library")

SEEDS = range(8)


def ring(road_map: carla.Map, lane_id: int, step_m: float) -> list[carla.Waypoint]:
    """Waypoints along a lane until it comes back to its start; fails where the lane ends."""
    start = road_map.get_waypoint_xodr(0, lane_id, 20.0)
    here, passed = start, [start]
    for _ in range(round(1200.0 / step_m)):
        following = here.next(step_m)
        assert len(following) == 1, "the lane ends or forks"
        here = following[0]
        if (
            len(passed) > 10
            and here.transform.location.distance(start.transform.location) < 0.75 * step_m
        ):
            return passed
        passed.append(here)
    pytest.fail(f"lane {lane_id} does not close within 1200 m")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lane_id", [-1, 1])
def test_loop_closes_both_ways_and_keeps_its_bounds(seed: int, lane_id: int) -> None:
    step_m = 2.0
    waypoints = ring(carla.Map("loop", generate_opendrive(seed)), lane_id, step_m)
    assert 480.0 <= len(waypoints) * step_m <= 1020.0
    assert {round(waypoint.lane_width, 6) for waypoint in waypoints} == {3.5}
    yaws = [-math.radians(waypoint.transform.rotation.yaw) for waypoint in waypoints]
    turns = [wrap_angle(b - a) for a, b in zip(yaws, [*yaws[1:], yaws[0]], strict=True)]
    tightest_m = step_m / max(map(abs, turns))
    assert tightest_m > 13.0  # the inner lane of a 15 m bend, minus sampling
    assert min(turns) < -0.01 < 0.01 < max(turns), "both left and right bends"
    assert sum(turns) == pytest.approx(math.copysign(2.0 * math.pi, -lane_id), abs=0.05)


def test_lines_are_those_of_a_country_road() -> None:
    for waypoint in carla.Map("loop", generate_opendrive(0)).generate_waypoints(10.0):
        centre, edge = waypoint.left_lane_marking, waypoint.right_lane_marking
        assert (centre.type, centre.color) == (
            carla.LaneMarkingType.Broken,
            carla.LaneMarkingColor.Yellow,
        )
        assert (edge.type, edge.color) == (
            carla.LaneMarkingType.Solid,
            carla.LaneMarkingColor.White,
        )


def test_joints_are_smooth() -> None:
    """Exact closure: the reference line neither jumps nor kinks, the ring's end included."""
    for seed in SEEDS:
        for start, end in carla.Map("loop", generate_opendrive(seed)).get_topology():
            last = start.next_until_lane_end(0.5)[-1].transform
            gap_m = last.location.distance(end.transform.location)
            assert gap_m < 0.6
            kink = math.radians(last.rotation.yaw - end.transform.rotation.yaw)
            assert abs(wrap_angle(kink)) < 0.03


def test_same_seed_same_text_in_another_process() -> None:
    program = (
        "import sys; from td3_driver.world.roads.generation import generate_opendrive as text;"
        "sys.stdout.write(text(5) + text(5, 'city'))"
    )
    other = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert other == generate_opendrive(5) + generate_opendrive(5, "city")
    assert generate_opendrive(5) != generate_opendrive(6)


@pytest.mark.parametrize(
    ("seed", "sha256"),
    [
        (0, "a6be28e55d97b812"),
        (1, "778d954172177316"),
        (2, "ce89140b8d04e1be"),
        (3, "6e7481e062d8d221"),
        (1000000, "f66399c6e068795d"),
    ],
)
def test_the_roads_that_learning_was_measured_on_stay_as_they_are(seed: int, sha256: str) -> None:
    assert hashlib.sha256(generate_opendrive(seed).encode()).hexdigest()[:16] == sha256
