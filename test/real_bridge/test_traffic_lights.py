# SPDX-License-Identifier: Apache-2.0
"""The topics about traffic lights of `world_node`, held against the bridge itself."""

from __future__ import annotations

import time
from typing import Any

import pytest
import rclpy
from carla_msgs.msg import CarlaTrafficLightInfoList, CarlaTrafficLightStatusList

from td3_driver.bridge_twin.messages import TickMessages
from td3_driver.driving.messages.decoding import light_places, light_states
from td3_driver.driving.messages.light_matching import SeenLights
from td3_driver.driving.messages.topics import LIGHTS_INFO, LIGHTS_STATUS
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import LightState
from td3_driver.ros import names
from td3_driver.ros.conversions import MESSAGES
from td3_driver.world.simulation import WorldConfig
from td3_driver.world.traffic_lights import TrafficLights

from ..bridge.client import PATIENCE_S
from ..carla_server.lit_streets import lit_streets
from .stack import Stack, objects_file


@pytest.fixture(scope="module")
def road_map() -> RoadMap:
    return RoadMap(lit_streets(0), "lit")


Told = tuple[CarlaTrafficLightInfoList, list[CarlaTrafficLightStatusList]]


@pytest.fixture(scope="module")
def told(road_map: RoadMap, tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What the bridge says where lights are, and five times what they show."""
    folder = tmp_path_factory.mktemp("lit")
    infos: list[CarlaTrafficLightInfoList] = []
    shown: list[CarlaTrafficLightStatusList] = []
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("ear", context=context)
    latched = names.LATCHED_10
    node.create_subscription(CarlaTrafficLightInfoList, LIGHTS_INFO, infos.append, latched)
    node.create_subscription(CarlaTrafficLightStatusList, LIGHTS_STATUS, shown.append, latched)
    executor = rclpy.executors.SingleThreadedExecutor(context=context)
    executor.add_node(node)
    file = objects_file(folder, "hero", "front", (64, 48))
    try:
        with Stack(folder, file, lockstep=False, roads=road_map):
            end_s = time.monotonic() + PATIENCE_S
            while not infos or len(shown) < 5:
                assert time.monotonic() < end_s, (len(infos), len(shown))
                executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
    return infos[-1], shown


def numbers(info: Any) -> list[float]:
    at, box = info.transform, info.trigger_volume
    turned = at.orientation
    sign = 1.0 if (turned.w or turned.z) > 0.0 else -1.0
    return [
        at.position.x, at.position.y, at.position.z,
        *(sign * each for each in (turned.x, turned.y, turned.z, turned.w)),
        box.center.x, box.center.y, box.center.z, box.size.x, box.size.y, box.size.z,
    ]  # fmt: skip


def test_where_they_are(told: Told, road_map: RoadMap) -> None:
    messages = TickMessages(MESSAGES, "hero", WorldConfig())
    ours = messages.lights_info(TrafficLights(road_map).lights)
    theirs = sorted(map(numbers, told[0].traffic_lights))
    assert len(theirs) == len(road_map.lights)
    for one, other in zip(sorted(map(numbers, ours.traffic_lights)), theirs, strict=True):
        assert one == pytest.approx(other, abs=1e-3)  # CARLA's are floats


def test_the_driver_knows_them_all_and_each_message_changes_one(
    told: Told, road_map: RoadMap
) -> None:
    info, shown = told
    seen = SeenLights()
    seen.set_map(road_map)
    seen.place(light_places(info))
    before = None
    for message in shown:
        seen.show(light_states(message))
        assert LightState.UNKNOWN not in seen.shown
        assert seen.shown.tolist() != before
        before = seen.shown.tolist()
