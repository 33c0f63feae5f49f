# SPDX-License-Identifier: Apache-2.0
"""The bridge's actors found among a map's lights by where they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache

import numpy as np
import pytest
from carla_msgs.msg import (
    CarlaTrafficLightInfo,
    CarlaTrafficLightInfoList,
    CarlaTrafficLightStatus,
    CarlaTrafficLightStatusList,
)

from td3_driver.driving.messages.decoding import light_places, light_states
from td3_driver.driving.messages.light_matching import SeenLights, match_lights
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import NO_LIGHTS, LightState, Pose
from td3_driver.ros.conversions import pose_message
from td3_driver.world.traffic_lights import TrafficLights

from ..carla_server.lit_streets import lit_streets
from ..towns import town_of


@cache
def streets() -> RoadMap:
    return RoadMap(lit_streets(0), "lit")


def told(
    road_map: RoadMap, *, turned_rad: float = 0.0, aside_m: float = 0.0, towards_m: float = 0.0
) -> CarlaTrafficLightInfoList:
    """What the bridge tells of a town's lights, in another order, with ids of their own.

    Args:
        turned_rad: how CARLA turns them.
        aside_m: how far it moves them away from the road.
        towards_m: how much nearer to the junction their boxes are.
    """
    infos = []
    for number, light in enumerate(TrafficLights(road_map).lights):
        yaw_rad, box = light.pose.yaw_rad, light.trigger
        pose = Pose(
            light.pose.x_m + aside_m * math.sin(yaw_rad),
            light.pose.y_m - aside_m * math.cos(yaw_rad),
            yaw_rad + turned_rad,
            light.pose.z_m,
        )
        x_m, y_m, z_m = box.center_m
        dx_m = x_m + towards_m * math.cos(box.yaw_rad) - pose.x_m
        dy_m = y_m + towards_m * math.sin(box.yaw_rad) - pose.y_m
        sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
        info = CarlaTrafficLightInfo(id=700 - number, transform=pose_message(pose))
        center = info.trigger_volume.center
        center.x, center.y, center.z = cos * dx_m + sin * dy_m, cos * dy_m - sin * dx_m, z_m
        infos.append(info)
    np.random.default_rng(0).shuffle(infos)  # type: ignore[arg-type]
    return CarlaTrafficLightInfoList(traffic_lights=infos)


@pytest.mark.parametrize("name", ["lit", "Town01", "Town02"])
@pytest.mark.parametrize(
    "stands",
    [
        {},
        # CARLA turns what its map describes by a quarter, and moves what would stand on a lane.
        {"turned_rad": -math.pi / 2.0, "aside_m": 3.0},
        {"turned_rad": -math.pi / 2.0, "towards_m": 4.0},
        {"turned_rad": -math.pi / 2.0, "towards_m": -4.0},
    ],
    ids=["here", "aside", "in the junction", "before it"],
)
def test_each_light_is_found(name: str, stands: Mapping[str, float]) -> None:
    road_map = streets() if name == "lit" else town_of(name)
    assert len(road_map.lights) > 10
    ids = match_lights(road_map, light_places(told(road_map, **stands)))
    assert ids == tuple(700 - number for number in range(len(road_map.lights)))


def shows(**states: int) -> CarlaTrafficLightStatusList:
    return CarlaTrafficLightStatusList(
        traffic_lights=[
            CarlaTrafficLightStatus(id=int(name[1:]), state=state)
            for name, state in states.items()
        ]
    )


GREEN, YELLOW, UNKNOWN = LightState.GREEN, LightState.YELLOW, LightState.UNKNOWN


def test_what_is_shown_in_any_order_of_telling() -> None:
    road_map = streets()
    places = light_places(told(road_map))
    states = light_states(shows(_700=GREEN, _698=YELLOW, _3=GREEN))
    expected = [GREEN, UNKNOWN, YELLOW, *[UNKNOWN] * (len(road_map.lights) - 3)]
    for order in ("mps", "msp", "pms", "psm", "smp", "spm"):
        seen = SeenLights()
        assert seen.shown is NO_LIGHTS
        for what in order:
            match what:
                case "m":
                    seen.set_map(road_map)
                case "p":
                    seen.place(places)
                case "s":
                    seen.show(states)
        assert seen.shown.tolist() == expected, order
        assert seen.shown.dtype == np.uint8


def test_nobody_tells() -> None:
    seen = SeenLights()
    seen.set_map(streets())
    seen.place(light_places(told(streets())))
    assert not len(seen.shown)


def test_a_light_that_the_map_lacks_is_left_out_and_one_that_is_not_told_is_unknown() -> None:
    road_map = streets()
    given = told(road_map)
    given.traffic_lights = [info for info in given.traffic_lights if info.id != 699]
    # On the other side of the road, and for those who come from there.
    opposite = next(info for info in given.traffic_lights if info.id == 700)
    extra = CarlaTrafficLightInfo(id=9, transform=opposite.transform)
    extra.trigger_volume.center.y = 12.0
    given.traffic_lights.append(extra)
    ids = match_lights(road_map, light_places(given))
    assert ids[:3] == (700, None, 698)


def test_what_strangers_say_does_no_harm() -> None:
    given = told(streets())
    for number, value in zip((700, 698, 697), (math.nan, math.inf, 1e300), strict=True):
        info = next(info for info in given.traffic_lights if info.id == number)
        info.transform.position.x = value
    assert match_lights(streets(), light_places(given))[:5] == (None, 699, None, None, 696)
    assert light_states(shows(_1=77, _2=GREEN)) == {2: GREEN}
