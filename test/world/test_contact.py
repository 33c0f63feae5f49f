# SPDX-License-Identifier: Apache-2.0
"""The car against other bodies: geometry by shapely, momentum by Newton."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control, Pose
from td3_driver.world.bodies.boxes import Bodies, box_corners, penetration
from td3_driver.world.bodies.contact import strike
from td3_driver.world.bodies.vehicle import LENGTH_M, MASS_KG, Vehicle
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.simulation import Simulation, WorldConfig

from ..towns import STREETS

Box = tuple[tuple[float, float, float], tuple[float, float]]

metres = st.floats(-4.0, 4.0)
boxes = st.tuples(
    st.tuples(metres, metres, st.floats(-4.0, 4.0)),
    st.tuples(st.floats(0.3, 6.0), st.floats(0.3, 3.0)),
)


def corners_of(box: Box) -> np.ndarray:
    return box_corners(np.array([box[0]]), np.array([box[1]]))[0]


@settings(max_examples=300)
@given(boxes, boxes)
def test_boxes_overlap_as_shapely_says_and_part_when_moved(one: Box, other: Box) -> None:
    shapely = pytest.importorskip("shapely", "2.0")
    ours, theirs = corners_of(one), corners_of(other)
    shared_m2 = shapely.Polygon(ours).intersection(shapely.Polygon(theirs)).area
    found = penetration(ours, theirs)
    if found is None:
        assert shared_m2 == pytest.approx(0.0, abs=1e-9)
        return
    depth_m, direction = found
    assert math.hypot(*direction) == pytest.approx(1.0)
    moved = shapely.Polygon(ours + depth_m * direction)
    assert not moved.buffer(-1e-6).intersects(shapely.Polygon(theirs))
    if depth_m > 1e-3:
        less = shapely.Polygon(ours + 0.98 * depth_m * direction)
        assert less.intersects(shapely.Polygon(theirs)), "no further than needed"


def body(x_m: float, y_m: float, yaw_rad: float, velocity: tuple[float, float]) -> Bodies:
    """A car of 1600 kg, 4.7 m by 1.85 m."""
    return Bodies.steady(
        np.array([1000]),
        np.array([(x_m, y_m, yaw_rad)]),
        np.array([(4.7, 1.85, 1.45)]),
        np.array([velocity]),
        np.array([1600.0]),
        np.zeros((1, 3)),
    )


@pytest.mark.parametrize("yaw_rad", [0.0, 1.1, -2.5])
@pytest.mark.parametrize("their_mps", [0.0, 3.0, -6.0])
def test_a_rear_end_collision_gives_both_one_speed(yaw_rad: float, their_mps: float) -> None:
    """Perfectly inelastic: J = m1 m2 / (m1 + m2) * closing speed."""
    along = np.array([math.cos(yaw_rad), math.sin(yaw_rad)])
    vehicle = Vehicle(Pose(5.0, -3.0, yaw_rad))
    vehicle.set_velocity(10.0, 0.0, 0.0)
    gap_m = (LENGTH_M + 4.7) / 2.0 - 0.2
    x, y = np.array([5.0, -3.0]) + gap_m * along
    vx, vy = their_mps * along
    [(row, impulse)] = strike(vehicle, body(x, y, yaw_rad, (vx, vy)))
    expected = MASS_KG * 1600.0 / (MASS_KG + 1600.0) * (10.0 - their_mps)
    assert row == 0
    assert np.array(impulse[:2]) == pytest.approx(-expected * along)
    theirs_after = their_mps + expected / 1600.0
    assert vehicle.state.speed_mps == pytest.approx(theirs_after)
    assert vehicle.state.lateral_speed_mps == pytest.approx(0.0, abs=1e-9)
    assert penetration(vehicle.footprint(), body(x, y, yaw_rad, (vx, vy)).corners()[0]) is None


def test_who_moves_away_is_not_struck() -> None:
    vehicle = Vehicle(Pose(0.0, 0.0, 0.0))
    vehicle.set_velocity(4.0, 0.0, 0.0)
    assert strike(vehicle, body(4.6, 0.0, 0.0, (6.0, 0.0))) == []
    assert vehicle.state.speed_mps == pytest.approx(4.0)


def test_a_neighbour_in_the_next_lane_is_not_touched() -> None:
    vehicle = Vehicle(Pose(0.0, 0.0, 0.0))
    assert strike(vehicle, body(0.0, 2.1, 0.0, (0.0, 0.0))) == []


@pytest.mark.parametrize("town", [STREETS, "Town02"], indirect=True)
def test_the_world_tells_whom_the_car_struck(town: RoadMap) -> None:
    """Full throttle down the road ends in somebody's back, or in the hedge."""
    simulation = Simulation(
        WorldConfig(traffic=60, cameras=(CameraConfig(width_px=16, height_px=12),)), town
    )
    struck = []
    for seed in range(30):
        simulation.set_target_velocity(0.0)
        simulation.reset_pose(simulation.spawn_pose(seed))
        for _ in range(120):
            tick = simulation.step(Control(throttle=1.0))
            struck += [c for c in tick.collisions if c.other_actor_id]
            if tick.collisions:
                break
    ids = {collision.other_actor_id for collision in struck}
    assert simulation.others is not None
    assert ids <= set(simulation.others.actor_ids.tolist())
    assert ids
    impulses = [math.hypot(*collision.impulse) for collision in struck]
    assert max(impulses) > 2000.0, "kg m/s: a few m/s between two cars"
    assert max(impulses) < MASS_KG * 25.0
