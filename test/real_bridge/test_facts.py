# SPDX-License-Identifier: Apache-2.0
"""What test/bridge holds `world_node` to, held against the bridge itself."""

from __future__ import annotations

import pytest
from geometry_msgs.msg import Pose

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.ros.conversions import pose_message

from ..bridge.client import Client
from ..bridge.test_commands import (
    test_a_second_of_patience,
    test_impulse_is_in_carla_s_axes,
    test_initial_pose,
    test_manual_override,
    test_pause_step_and_play,
    test_sign,
    test_target_velocity,
)
from ..bridge.test_topics import (
    test_frame_ids,
    test_image_and_camera_info,
    test_latched_information,
    test_objects_are_the_car_and_for_the_car_all_others,
    test_odometry_is_the_car_in_the_map,
    test_order_in_a_tick,
    test_rate_and_stamps,
    test_topic,
    test_transforms_place_the_car_and_its_camera,
)
from ..places import further
from .stack import BRIDGE

__all__ = [
    "BRIDGE",
    "test_a_second_of_patience",
    "test_frame_ids",
    "test_image_and_camera_info",
    "test_impulse_is_in_carla_s_axes",
    "test_initial_pose",
    "test_latched_information",
    "test_manual_override",
    "test_objects_are_the_car_and_for_the_car_all_others",
    "test_odometry_is_the_car_in_the_map",
    "test_order_in_a_tick",
    "test_pause_step_and_play",
    "test_rate_and_stamps",
    "test_sign",
    "test_target_velocity",
    "test_topic",
    "test_transforms_place_the_car_and_its_camera",
]


def test_another_vehicle_is_spawned_told_and_destroyed(placed: Client, open_place: Pose) -> None:
    spawn, destroy = "/carla/spawn_object", "/carla/destroy_object"
    road_map = RoadMap(placed.last("/carla/world_info").opendrive, "map")
    here = road_map.places.lane_at(open_place.position.x, open_place.position.y)
    assert here is not None
    ahead = pose_message(pose_of(further(road_map, here, 9.0)))
    ahead.position.z += 0.3
    request = {"type": "vehicle.audi.tt", "id": "parked", "transform": ahead}
    other = placed.call(spawn, **request)
    assert (other.id > 0, other.error_string) == (True, "")
    placed.answer_until(lambda: bool(placed.last("objects").objects))
    (there,) = placed.last("objects").objects
    assert there.id == other.id
    at = there.pose.position
    assert (at.x, at.y) == pytest.approx((ahead.position.x, ahead.position.y), abs=0.2)
    again = placed.call(spawn, **request)
    assert (again.id, again.error_string) == (
        -1, "Spawn failed because of collision at spawn position",
    )  # fmt: skip
    assert placed.call(destroy, id=other.id).success
    assert not placed.call(destroy, id=other.id).success
    placed.answer_until(lambda: not placed.last("objects").objects)
