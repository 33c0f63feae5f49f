# SPDX-License-Identifier: Apache-2.0
"""Everybody on the road as the bridge's ObjectArray, held against the world they come from."""

import itertools
import math
from dataclasses import fields

import numpy as np
import pytest
from derived_object_msgs.msg import Object, ObjectArray
from rclpy.serialization import deserialize_message
from shape_msgs.msg import SolidPrimitive

from td3_driver.bridge_twin.messages import EGO_ID, TickMessages
from td3_driver.driving.messages import decoding
from td3_driver.driving.messages.decoding import yaw_of
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Control
from td3_driver.ros.conversions import MESSAGES
from td3_driver.world import loop
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import generate_opendrive
from td3_driver.world.simulation import Simulation, Tick, WorldConfig

VEHICLES, WALKERS, STEPS = 6, 3, 60
CONFIG = WorldConfig(
    cameras=(CameraConfig(width_px=32, height_px=24),),
    seed=1,
    traffic=VEHICLES,
    pedestrians=WALKERS,
)


@pytest.fixture(scope="module")
def ticks() -> list[Tick]:
    world = Simulation(CONFIG, RoadMap(generate_opendrive(1, "town"), "town"))
    return [world.step(Control(throttle=0.5)) for _ in range(STEPS)]


def objects_of(tick: Tick, *, with_ego: bool = False) -> ObjectArray:
    data = TickMessages(MESSAGES, "hero", CONFIG).objects(tick, with_ego=with_ego)
    message: ObjectArray = deserialize_message(data, ObjectArray)
    return message


def test_the_car_comes_first_and_is_left_out_of_its_own(ticks: list[Tick]) -> None:
    everybody, others = objects_of(ticks[-1], with_ego=True), objects_of(ticks[-1])
    assert everybody.objects[0].id == EGO_ID
    assert everybody.objects[1:] == others.objects
    assert [thing.id for thing in others.objects] == ticks[-1].others.actor_ids.tolist()
    assert len(others.objects) == VEHICLES + WALKERS


def test_the_driver_reads_from_them_what_it_is_told_without_topics(ticks: list[Tick]) -> None:
    read, told = decoding.road_users(objects_of(ticks[-1])), loop.road_users(ticks[-1])
    assert np.any(told.yaw_rates_radps != 0.0)
    for field in fields(RoadUsers):
        np.testing.assert_allclose(getattr(read, field.name), getattr(told, field.name), atol=1e-9)


def test_objects_are_the_bodies(ticks: list[Tick]) -> None:
    tick, array = ticks[-1], objects_of(ticks[-1])
    stamp = array.header.stamp
    assert (array.header.frame_id, stamp.sec * 1_000_000_000 + stamp.nanosec) == (
        "map", tick.stamp_ns,
    )  # fmt: skip
    kinds = [Object.CLASSIFICATION_CAR] * VEHICLES + [Object.CLASSIFICATION_PEDESTRIAN] * WALKERS
    for row, (thing, kind) in enumerate(zip(array.objects, kinds, strict=True)):
        x, y, yaw = tick.others.poses[row]
        assert (thing.pose.position.x, thing.pose.position.y) == (x, y)
        assert math.isclose(math.cos(yaw_of(thing.pose.orientation) - yaw), 1.0)
        assert (thing.header, thing.classification) == (array.header, kind)
        assert (thing.object_classified, thing.classification_certainty) == (True, 255)
        assert (thing.shape.type, thing.classification_age) == (SolidPrimitive.BOX, STEPS)
        assert list(thing.shape.dimensions) == tick.others.sizes_m[row].tolist()
        linear = thing.twist.linear
        assert [linear.x, linear.y] == tick.others.velocities_mps[row].tolist()


def test_a_pedestrian_s_place_is_its_middle(ticks: list[Tick]) -> None:
    heights = [thing.pose.position.z for thing in objects_of(ticks[-1]).objects]
    assert heights[:VEHICLES] == [0.0] * VEHICLES
    assert heights[VEHICLES:] == pytest.approx(ticks[-1].others.sizes_m[VEHICLES:, 2] / 2.0)


def test_rates_are_the_changes_of_pose_and_velocity(ticks: list[Tick]) -> None:
    """Over each step, m/s2 and rad/s; of vehicles, since a pedestrian sets out at once."""
    bends = False
    for before, after in itertools.pairwise(ticks):
        one, other, dt_s = before.others, after.others, CONFIG.fixed_delta_s
        changed = (other.velocities_mps - one.velocities_mps) / dt_s
        assert other.accelerations_mps2[:VEHICLES] == pytest.approx(changed[:VEHICLES], abs=1e-9)
        turned = np.sin((other.poses - one.poses)[:VEHICLES, 2])
        rates = np.sin(other.yaw_rates_radps[:VEHICLES] * dt_s)
        assert rates == pytest.approx(turned, abs=1e-9)
        bends |= bool((np.abs(rates) > 1e-3).any())
    assert bends
