# SPDX-License-Identifier: Apache-2.0
"""The world as a whole: deterministic, drivable, and solid at its edges."""

from __future__ import annotations

import hashlib
import math
import struct
import subprocess
import sys
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.driving.types import FULL_BRAKE, Control, EgoState, Pose, wrap_angle
from td3_driver.world.bodies.vehicle import MASS_KG, MAX_WHEEL_RAD, WHEELBASE_M, ControlError
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.ground.surface import OBSTACLE
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, Tick, WorldConfig, WorldConfigError

from ..places import further, places

STRAIGHT_ON = Control(throttle=0.6)


@pytest.fixture
def simulation(loop: RoadMap) -> Simulation:
    return Simulation(WorldConfig(), loop)


def follow_lane(ego: EgoState, road_map: RoadMap) -> Control:
    """Pure pursuit of the lane's middle 7 m ahead, at 8 m/s."""
    here = road_map.places.nearest(ego.pose.x_m, ego.pose.y_m, 0.0)
    goal = further(road_map, here, 7.0)
    dx, dy = goal.x_m - ego.pose.x_m, goal.y_m - ego.pose.y_m
    left_m = dy * math.cos(ego.pose.yaw_rad) - dx * math.sin(ego.pose.yaw_rad)
    wheel_rad = math.atan(2.0 * WHEELBASE_M * left_m / (dx * dx + dy * dy))
    missing_mps = 8.0 - ego.speed_mps
    return Control(
        throttle=min(max(0.5 * missing_mps, 0.0), 1.0),
        steer=-wheel_rad / MAX_WHEEL_RAD,
        brake=min(max(-0.3 * missing_mps, 0.0), 1.0),
    )


def digest(tick: Tick) -> bytes:
    """Everything in a tick, to the bit."""
    numbers = (
        *(tick.frame, tick.stamp_ns),
        *astuple(tick.ego.pose),
        *(tick.ego.speed_mps, tick.ego.lateral_speed_mps, tick.ego.yaw_rate_radps),
        *tick.acceleration_map,
    )
    events = repr((tick.collisions, tick.lane_invasions)).encode()
    return struct.pack(f"<{len(numbers)}d", *numbers) + events + tick.image.tobytes()


FULL = WorldConfig(seed=4, traffic=20, pedestrians=5, scenery=True, appearance="random")


def hash_of_a_drive(config: WorldConfig) -> str:
    """A swerving drive that crosses lines and ends in the hedge, twice."""
    simulation = Simulation(config, RoadMap(generate_opendrive(4), "loop_4"))
    rng = np.random.default_rng(0)
    total = hashlib.sha256()
    for step in range(300):
        if step == 200:
            simulation.reset_pose(simulation.spawn_pose(rng))
        throttle, steer = rng.uniform(0.2, 0.8), rng.uniform(-0.2, 0.25)
        total.update(digest(simulation.step(Control(throttle, steer))))
        if simulation.others is not None:
            total.update(simulation.others.poses.tobytes())
    return total.hexdigest()


def test_same_commands_give_the_same_bytes_in_another_process() -> None:
    other = subprocess.run(
        [sys.executable, "-m", "test.world.test_simulation"],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    hashes = [hash_of_a_drive(WorldConfig(seed=4)), hash_of_a_drive(FULL)]
    assert other.stdout.split() == hashes
    assert hashes[0] != hashes[1]


def test_a_simple_follower_drives_the_whole_loop_in_its_lane(
    simulation: Simulation, loop: RoadMap
) -> None:
    tick = simulation.step(Control())
    length_m = sum(lane.length_m for lane in loop.lanes.values()) / 2.0
    driven_m, events = 0.0, []
    while driven_m < length_m + 20.0:
        tick = simulation.step(follow_lane(tick.ego, loop))
        driven_m += tick.ego.speed_mps * 0.05
        events += [*tick.collisions, *tick.lane_invasions]
        assert tick.frame < 4000
    assert events == []


def test_straight_off_the_road_ends_in_the_hedge(simulation: Simulation) -> None:
    impulses = []
    speed_mps = 0.0
    for _ in range(300):
        tick = simulation.step(STRAIGHT_ON)
        impulses += [math.hypot(*collision.impulse) for collision in tick.collisions]
        if not tick.collisions:
            speed_mps = tick.ego.speed_mps
        elif len(impulses) == 1:
            assert impulses[0] == pytest.approx(MASS_KG * speed_mps, rel=0.1)
            heading = np.array([math.cos(tick.ego.pose.yaw_rad), math.sin(tick.ego.pose.yaw_rad)])
            assert np.dot(heading, tick.collisions[0].impulse[:2]) < 0.0, "pushed back"
            assert tick.ego.speed_mps == 0.0
            stopped_at = tick.ego.pose
    assert impulses
    assert min(impulses) > 0.0
    end = tick.ego.pose
    assert math.hypot(end.x_m - stopped_at.x_m, end.y_m - stopped_at.y_m) < 0.5


@pytest.mark.parametrize("speed_mps", [10.0, 30.0, 50.0])
@pytest.mark.parametrize("angle_rad", [0.4, 1.57, 3.0])
def test_nothing_drives_through_the_hedge(
    simulation: Simulation, speed_mps: float, angle_rad: float
) -> None:
    start = simulation.spawn_pose(7)
    simulation.reset_pose(Pose(start.x_m, start.y_m, start.yaw_rad - angle_rad))
    simulation.set_target_velocity(speed_mps)
    collided = False
    for _ in range(80):
        tick = simulation.step(STRAIGHT_ON)
        collided |= bool(tick.collisions)
        under = simulation.surface.class_at(np.array([[tick.ego.pose.x_m, tick.ego.pose.y_m]]))
        assert under[0] != OBSTACLE
    assert collided
    at = tick.ego.pose
    lane = simulation.road_map.places.nearest(at.x_m, at.y_m, 0.0)
    assert math.hypot(lane.x_m - at.x_m, lane.y_m - at.y_m) < 1.75 + 4.6


def test_a_car_can_back_out_of_the_hedge(simulation: Simulation) -> None:
    collided_at = None
    for _ in range(300):
        tick = simulation.step(STRAIGHT_ON)
        if tick.collisions:
            collided_at = tick.ego.pose
    assert collided_at is not None
    for _ in range(60):
        tick = simulation.step(Control(throttle=0.5, reverse=True))
    assert tick.ego.speed_mps < -0.5
    assert not tick.collisions


def test_a_crossing_is_told_once(simulation: Simulation) -> None:
    """Drifting left over the centre line tells it once, drifting right over the edge once."""
    for sideways_rad, marking in ((0.12, 1), (-0.12, 2)):
        start = long_straight(simulation.road_map)
        simulation.reset_pose(Pose(start.x_m, start.y_m, start.yaw_rad + sideways_rad))
        simulation.set_target_velocity(5.0)
        invasions = [simulation.step(Control(throttle=0.04)).lane_invasions for _ in range(70)]
        assert [told for told in invasions if told] == [(marking,)]


def long_straight(road_map: RoadMap) -> Pose:
    """A lane's pose with at least 40 m of straight road ahead."""
    for place in places(road_map, 5.0):
        turn_rad = wrap_angle(further(road_map, place, 40.0).yaw_rad - place.yaw_rad)
        if abs(turn_rad) < 0.002 and place.lane.key.lane_id < 0:
            return pose_of(place)
    pytest.fail("this map has no long straight")


def test_stamps_are_exact(loop: RoadMap) -> None:
    simulation = Simulation(
        WorldConfig(fixed_delta_s=0.04, cameras=(CameraConfig(width_px=16, height_px=12),)), loop
    )
    for frame in range(1, 101):
        tick = simulation.step(FULL_BRAKE)
        assert (tick.frame, tick.stamp_ns) == (frame, frame * 40_000_000)
        assert tick.ego.stamp_ns == tick.stamp_ns
    assert tick.image.shape == (12, 16, 4)


def test_a_parked_car_sees_the_same_picture_for_ever(simulation: Simulation) -> None:
    ticks = [simulation.step(FULL_BRAKE) for _ in range(5)]
    assert len({tick.image.tobytes() for tick in ticks}) == 1
    assert len({astuple(tick.ego.pose) for tick in ticks}) == 1


def test_solids_and_looks_change_only_the_picture(loop: RoadMap) -> None:
    """What the car does and meets is the same without scenery and in any light."""

    def drive(config: WorldConfig) -> tuple[list[bytes], set[bytes]]:
        simulation = Simulation(config, loop)
        ticks = [simulation.step(STRAIGHT_ON) for _ in range(150)]
        states = [repr((t.ego, t.collisions, t.lane_invasions)).encode() for t in ticks]
        return states, {tick.image.tobytes() for tick in ticks}

    plain, pictures = drive(WorldConfig())
    dressed, others = drive(WorldConfig(scenery=True, appearance="random"))
    assert plain == dressed
    assert pictures.isdisjoint(others)


def test_reset_is_shown_by_the_next_tick(simulation: Simulation) -> None:
    goal = simulation.spawn_pose(11)
    simulation.reset_pose(goal)
    tick = simulation.step(FULL_BRAKE)
    assert tick.ego.pose == goal
    assert tick.lane_invasions == ()
    assert tick.collisions == ()
    assert tick.control == FULL_BRAKE


def test_spawn_poses_are_lane_centres(town: RoadMap) -> None:
    simulation = Simulation(WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),)), town)
    rng = np.random.default_rng(0)
    poses = [simulation.spawn_pose(rng) for _ in range(50)]
    assert len(set(poses)) > 40
    for pose in poses:
        place = town.places.lane_at(pose.x_m, pose.y_m)
        assert place is not None
        assert place.lane.junction_id is None
        assert place.yaw_rad == pytest.approx(pose.yaw_rad, abs=0.02)
    assert simulation.spawn_pose(5) == simulation.spawn_pose(5)


def test_bad_input_is_refused_in_one_line(simulation: Simulation) -> None:
    with pytest.raises(WorldConfigError, match=r"fixed_delta_s 0\.5"):
        WorldConfig(fixed_delta_s=0.5)
    with pytest.raises(WorldConfigError, match="appearance 'night'; expected plain or random or"):
        WorldConfig(appearance="night")
    with pytest.raises(ControlError, match="finite"):
        simulation.step(Control(throttle=math.nan))


if __name__ == "__main__":  # the other process
    print(hash_of_a_drive(WorldConfig(seed=4)), hash_of_a_drive(FULL))
