# SPDX-License-Identifier: Apache-2.0
"""Grades: the car follows the file's elevation, tilts with it, and is pulled downhill."""

import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from derived_object_msgs.msg import ObjectArray
from rclpy.serialization import deserialize_message
from scenariogeneration import xodr

from td3_driver.bridge_twin.messages import TickMessages
from td3_driver.driving.messages.decoding import yaw_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import FULL_BRAKE, Control, Pose
from td3_driver.ros.conversions import MESSAGES
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.ground.terrain import Terrain
from td3_driver.world.simulation import Simulation, Tick, WorldConfig

CONFIG = WorldConfig(cameras=(CameraConfig(width_px=16, height_px=12),))
LANE_Y_M = -1.75  # the right-hand lane of 3.5 m, along x
# Level, then a hill of two cubics, then 6 % down; no kinks.
PROFILE = (
    (0.0, 2.0, 0.0, 0.0, 0.0),
    (40.0, 2.0, 0.0, 3.0 * 4.0 / 60.0**2, -2.0 * 4.0 / 60.0**3),
    (100.0, 6.0, 0.0, -3.0 * 4.0 / 60.0**2, 2.0 * 4.0 / 60.0**3),
    (160.0, 2.0, 0.0, -0.06 / (2.0 * 40.0), 0.0),
    (200.0, 0.8, -0.06, 0.0, 0.0),
)


def height_m(s_m: float) -> float:
    """The file's own polynomials, OpenDRIVE 1.4, 5.3.5.1."""
    start_m, a, b, c, d = [piece for piece in PROFILE if piece[0] <= s_m][-1]
    ds = s_m - start_m
    return a + b * ds + c * ds**2 + d * ds**3


@pytest.fixture(scope="module")
def hills() -> RoadMap:
    road = xodr.create_road([xodr.Line(400.0)], 0, left_lanes=1, right_lanes=1, lane_width=3.5)
    for start_m, a, b, c, d in PROFILE:
        road.add_elevation(s=start_m, a=a, b=b, c=c, d=d)
    document = xodr.OpenDrive("hills")
    document.add_road(road)
    document.adjust_roads_and_lanes()
    return RoadMap(ElementTree.tostring(document.get_element(), encoding="unicode"), "hills")


def put(road: RoadMap, x_m: float, yaw_rad: float = 0.0, speed_mps: float = 0.0) -> Simulation:
    """The car on the road, as a driver would place it: some way above the ground."""
    world = Simulation(CONFIG, road)
    y_m = math.copysign(LANE_Y_M, -math.cos(yaw_rad))
    world.reset_pose(Pose(x_m, y_m, yaw_rad, height_m(x_m) + 0.3))
    world.set_target_velocity(speed_mps)
    return world


def drive(world: Simulation, control: Control, seconds: float) -> list[Tick]:
    return [world.step(control) for _ in range(round(seconds / CONFIG.fixed_delta_s))]


@pytest.mark.parametrize(("x_m", "yaw_rad"), [(20.0, 0.0), (250.0, math.pi)])
def test_odometry_follows_the_file(hills: RoadMap, x_m: float, yaw_rad: float) -> None:
    """Up and down the hill, both ways: height to 2 cm, pitch to 0.1 degrees, the yaw as before."""
    ticks = drive(put(hills, x_m, yaw_rad, speed_mps=15.0), Control(throttle=0.5), 10.0)
    messages, heights, pitches = TickMessages(MESSAGES, "hero", CONFIG), [], []
    for tick in ticks:
        at = messages.odometry(tick).pose.pose
        heights.append(at.position.z)
        assert heights[-1] == pytest.approx(height_m(at.position.x), abs=0.02)
        q = at.orientation
        assert math.hypot(q.x, q.y, q.z, q.w) == pytest.approx(1.0)
        pitches.append(math.asin(2.0 * (q.w * q.y - q.z * q.x)))
        ahead = at.position.x + math.cos(yaw_rad) * np.array([0.5, -0.5])
        drop = height_m(ahead[1]) - height_m(ahead[0])  # nose down is positive
        assert pitches[-1] == pytest.approx(math.atan(drop), abs=math.radians(0.1))
        assert math.cos(yaw_of(q) - yaw_rad) == pytest.approx(1.0, abs=1e-6)
        assert messages.status(tick).orientation == q
        everybody = deserialize_message(messages.objects(tick, with_ego=True), ObjectArray)
        assert everybody.objects[0].pose == at
    assert max(heights) - min(heights) > 3.5
    assert max(pitches) > 0.05
    assert min(pitches) < -0.05


def test_a_car_left_alone_rolls_downhill(hills: RoadMap) -> None:
    """From rest at 6 %: (g sin(atan 0.06) - rolling 0.12 m/s2) t, either way it faces."""
    for yaw_rad, sign in ((0.0, 1.0), (math.pi, -1.0)):
        ticks = drive(put(hills, 250.0, yaw_rad), Control(), 4.0)
        expected = 4.0 * (9.81 * math.sin(math.atan(0.06)) - 0.118)
        assert ticks[-1].ego.speed_mps * sign == pytest.approx(expected, rel=0.02)
        assert ticks[-1].acceleration_map[0] > 0.4


def test_brakes_hold_it_and_the_level_does_not_pull(hills: RoadMap) -> None:
    for world, control in (
        (put(hills, 250.0), FULL_BRAKE), (put(hills, 250.0), Control(hand_brake=True)),
        (put(hills, 20.0), Control()),
    ):  # fmt: skip
        last = drive(world, control, 1.0)[-1]
        assert (last.ego.speed_mps, last.acceleration_map) == (0.0, (0.0, 0.0, 0.0))


def test_uphill_slows_more_than_the_level_and_downhill_less(hills: RoadMap) -> None:
    left_mps = [
        drive(put(hills, x_m, yaw_rad, speed_mps=12.0), Control(), 1.0)[-1].ego.speed_mps
        for x_m, yaw_rad in ((250.0, math.pi), (10.0, 0.0), (250.0, 0.0))
    ]
    assert left_mps == sorted(left_mps)
    assert left_mps[2] > 12.0 > left_mps[1]
    assert left_mps[1] - left_mps[0] == pytest.approx(0.588, rel=0.02)


def test_others_stand_on_the_road(hills: RoadMap) -> None:
    world = put(hills, 20.0)
    world.park(Pose(250.0, LANE_Y_M, 0.0))
    messages, tick = TickMessages(MESSAGES, "hero", CONFIG), world.step(Control())
    others = deserialize_message(messages.objects(tick, with_ego=False), ObjectArray)
    (thing,) = others.objects
    assert thing.pose.position.z == pytest.approx(height_m(250.0), abs=0.02)
    q = thing.pose.orientation
    assert 2.0 * (q.w * q.y - q.z * q.x) == pytest.approx(math.sin(math.atan(0.06)), abs=1e-4)


def test_others_stand_on_the_lowest_road_there_however_high_the_country_is() -> None:
    """A street that climbs by 5 % at 400 m, and one that passes 6 m above it."""
    low = xodr.create_road([xodr.Line(200.0)], 0, left_lanes=1, right_lanes=1, lane_width=3.5)
    low.add_elevation(s=0.0, a=400.0, b=0.05, c=0.0, d=0.0)
    high = xodr.create_road([xodr.Line(200.0)], 1, left_lanes=1, right_lanes=1, lane_width=3.5)
    high.add_elevation(s=0.0, a=411.0, b=0.0, c=0.0, d=0.0)
    low.planview.set_start_point(0.0, 0.0, 0.0)
    high.planview.set_start_point(100.0, -100.0, math.pi / 2.0)
    document = xodr.OpenDrive("storeys")
    for road in (low, high):
        document.add_road(road)
    document.adjust_roads_and_lanes()
    text = ElementTree.tostring(document.get_element(), encoding="unicode")
    ground = Terrain(RoadMap(text, "storeys"))
    along_m = np.arange(5.0, 195.0, 5.0)
    rows = [(x_m, LANE_Y_M, 0.0) for x_m in along_m]
    for x_m, found in zip(along_m, ground.under_all(np.array(rows)), strict=True):
        assert found.z_m == pytest.approx(400.0 + 0.05 * x_m, abs=0.01)
        assert found.pitch_rad == pytest.approx(-math.atan(0.05), abs=1e-3)


def test_on_a_flat_map_the_car_stands_on_the_road(loop: RoadMap) -> None:
    """Whatever height it is put at."""
    world = Simulation(CONFIG, loop)
    world.reset_pose(Pose(*np.zeros(3).tolist(), 2.3))
    tick = world.step(Control())
    assert (tick.ego.pose.z_m, tick.pitch_rad) == (0.0, 0.0)
    q = TickMessages(MESSAGES, "hero", CONFIG).odometry(tick).pose.pose.orientation
    assert [math.copysign(1.0, part) for part in (q.x, q.y)] == [1.0, 1.0]
