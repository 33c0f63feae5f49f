# SPDX-License-Identifier: Apache-2.0
"""CARLA's weather as light."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.shapes import frustum, placed
from td3_driver.world.camera.appearance import PLAIN, Look
from td3_driver.world.camera.camera import Camera, CameraConfig
from td3_driver.world.camera.weather import DEFAULT_WEATHER, look_of_weather
from td3_driver.world.ground.surface import Surface

from ..places import places

NOON = {
    "cloudiness": 5.0,
    "precipitation": 0.0,
    "precipitation_deposits": 0.0,
    "wetness": 0.0,
    "fog_density": 2.0,
    "fog_distance_m": 0.75,
    "sun_azimuth_deg": -1.0,
    "sun_altitude_deg": 45.0,
}


def look(**different: float) -> Look:
    return look_of_weather(**{**NOON, **different})


def seen(
    loop: RoadMap, surface: Surface, look: Look, roll_deg: float = 0.0
) -> npt.NDArray[np.float64]:
    camera = Camera(CameraConfig(roll_deg=roll_deg))
    camera.wear(look)
    picture = camera.render(surface, pose_of(places(loop, 5.0)[3]))
    assert (picture[:, :, 3] == 255).all()
    return picture[:, :, :3].astype(float)


def test_the_servers_weather_is_the_plain_look() -> None:
    assert look_of_weather(*DEFAULT_WEATHER) is PLAIN
    assert look_of_weather(*[-1.0] * 8) is PLAIN, "CARLA's WeatherParameters.Default"
    assert look_of_weather(-1.0, *DEFAULT_WEATHER[1:]) is not PLAIN


def test_clear_noon_is_nearly_plain(loop: RoadMap, loop_surface: Surface) -> None:
    difference = seen(loop, loop_surface, look()) - seen(loop, loop_surface, PLAIN)
    assert np.abs(difference).mean() < 1.0


def test_it_gets_darker_from_noon_to_night(loop: RoadMap, loop_surface: Surface) -> None:
    altitudes = (45.0, 15.0, 3.0, -5.0, -90.0)
    pictures = [seen(loop, loop_surface, look(sun_altitude_deg=deg)) for deg in altitudes]
    ground = [picture[62:].mean() for picture in pictures]
    sky = [picture[:58].mean() for picture in pictures]
    assert ground == sorted(ground, reverse=True)
    assert sky == sorted(sky, reverse=True)
    assert ground[-1] < 0.4 * ground[0]
    assert sky[-1] < 50.0
    near_horizon = pictures[2][55:58].mean(axis=(0, 1))
    assert near_horizon[2] > 1.2 * near_horizon[0], "a red evening"


@pytest.mark.parametrize("sun_altitude_deg", [45.0, 15.0, -90.0])
def test_wet_ground_is_darker(
    loop: RoadMap, loop_surface: Surface, sun_altitude_deg: float
) -> None:
    dry, wet, puddles, rain = (
        seen(loop, loop_surface, look(sun_altitude_deg=sun_altitude_deg, **how))[62:].mean()
        for how in (
            {},
            {"wetness": 100.0},
            {"wetness": 100.0, "precipitation_deposits": 100.0},
            {"cloudiness": 100.0, "precipitation": 100.0, "precipitation_deposits": 90.0},
        )
    )
    assert puddles < wet < 0.8 * dry
    assert rain < 0.9 * dry


@pytest.mark.parametrize("roll_deg", [0.0, 180.0])
def test_fog_hides_what_is_far_away(loop: RoadMap, loop_surface: Surface, roll_deg: float) -> None:
    clear = seen(loop, loop_surface, look(), roll_deg)
    foggy = seen(loop, loop_surface, look(fog_density=100.0, fog_distance_m=0.0), roll_deg)
    if roll_deg:
        clear, foggy = clear[::-1, ::-1], foggy[::-1, ::-1]
    far, near = slice(62, 64), slice(110, 120)  # more than 40 m, about 3 m
    far_kept = foggy[far].std(axis=1).mean() / clear[far].std(axis=1).mean()
    near_kept = foggy[near].std(axis=1).mean() / clear[near].std(axis=1).mean()
    assert far_kept < 0.5
    assert near_kept > 0.8
    assert foggy[62].mean() > clear[62].mean() + 40.0, "nearly as bright as the sky"
    later = look(fog_density=100.0, fog_distance_m=200.0)
    assert later.visibility_m > 200.0 > look(fog_density=100.0).visibility_m


def test_the_sun_stands_where_carlas_azimuth_says(loop_surface: Surface) -> None:
    """At 90 degrees, clockwise from x, it stands in the south of the ROS map frame."""
    sun = look(sun_azimuth_deg=90.0, sun_altitude_deg=20.0).sun
    assert sun == pytest.approx((0.0, -math.cos(0.349), math.sin(0.349)), abs=1e-3)
    sides = (-2.0, 2.0, -2.0, 2.0)
    white = (200.0, 200.0, 200.0)
    box = placed(
        [frustum((*sides, 0.0), (*sides, 4.0), white, white)], np.array([(0.0, 0.0, 0.0)])
    )
    camera = Camera(CameraConfig(x_m=0.0))
    camera.wear(look(cloudiness=0.0, sun_azimuth_deg=90.0, sun_altitude_deg=20.0))
    north, south = (
        camera.render(loop_surface, Pose(0.0, y, yaw), box)[55, 80].astype(float).mean()
        for y, yaw in ((8.0, -math.pi / 2.0), (-8.0, math.pi / 2.0))
    )
    assert south > 1.2 * north


def test_the_same_weather_looks_the_same(loop: RoadMap, loop_surface: Surface) -> None:
    storm = {"precipitation": 80.0, "precipitation_deposits": 60.0, "fog_density": 30.0}
    first, again = (seen(loop, loop_surface, look(**storm)) for _ in range(2))
    assert np.array_equal(first, again)
    over = seen(loop, loop_surface, look(cloudiness=250.0, fog_density=-7.0))
    assert np.array_equal(over, seen(loop, loop_surface, look(cloudiness=100.0, fog_density=0.0)))


def test_a_weather_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="wetness nan; expected"):
        look(wetness=math.nan)


def test_carlas_presets_differ_and_stay_readable(loop: RoadMap, loop_surface: Surface) -> None:
    carla = pytest.importorskip("carla", reason="has the presets")
    presets = {
        name: preset
        for name, preset in vars(carla.WeatherParameters).items()
        if isinstance(preset, carla.WeatherParameters)
    }
    assert len(presets) > 20
    pictures = {}
    for name, preset in presets.items():
        weather = look_of_weather(
            preset.cloudiness,
            preset.precipitation,
            preset.precipitation_deposits,
            preset.wetness,
            preset.fog_density,
            preset.fog_distance,
            preset.sun_azimuth_angle,
            preset.sun_altitude_angle,
        )
        picture = pictures[name] = seen(loop, loop_surface, weather)
        assert 12.0 < picture[62:].mean() < 130.0
        assert picture[80:].std() > 2.5
    names = sorted(pictures)
    for index, one in enumerate(names):
        for other in names[:index]:
            if {one, other} not in ({"ClearNoon", "Default"}, {"DustStorm", "CloudyNoon"}):
                assert np.abs(pictures[one] - pictures[other]).mean() > 0.3, (one, other)
