# SPDX-License-Identifier: Apache-2.0
"""CARLA's weather as light: noon, dusk and night, clouds, rain, wet ground and fog."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from td3_driver.world.camera.appearance import (
    NEUTRAL,
    PLAIN,
    TILE_PX,
    Look,
    color_of,
    smooth_noise,
)

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

# The arguments of `look_of_weather` in the weather that an episode of CARLA's begins with.
DEFAULT_WEATHER = (15.0, 0.0, 0.0, 0.0, 2.0, 0.75, -1.0, 45.0)
_DEFAULT_CLOUDS = 0.15

# Skies, BGR, from 40 degrees above the horizon down to it.
_DAY = np.array([PLAIN.sky_top_bgr, PLAIN.sky_bottom_bgr])
_DUSK = np.array([(150.0, 105.0, 85.0), (105.0, 165.0, 240.0)])
_NIGHT = np.array([(34.0, 20.0, 14.0), (48.0, 34.0, 28.0)])
_OVERCAST = np.array([(160.0, 154.0, 148.0), (186.0, 182.0, 178.0)])

# The brightness of the light by the sun's altitude, degrees.
_ALTITUDES_DEG = (-12.0, -4.0, 3.0, 15.0, 45.0, 90.0)
_BRIGHTNESSES = (0.3, 0.36, 0.5, 0.78, 1.0, 1.06)


def look_of_weather(
    cloudiness: float,
    precipitation: float,
    precipitation_deposits: float,
    wetness: float,
    fog_density: float,
    fog_distance_m: float,
    sun_azimuth_deg: float,
    sun_altitude_deg: float,
) -> Look:
    """The look of the world in a weather of CARLA's; the same weather has the same look.

    `DEFAULT_WEATHER`, which CARLA's maps begin with, is exactly `PLAIN`, so that a server's
    pictures are those of `world_node`; so are negative values throughout, CARLA's
    `WeatherParameters.Default`. Other values out of range count as the nearest one in it.

    Args:
        cloudiness, precipitation, precipitation_deposits (puddles), wetness, fog_density: 0 to
            100.
        fog_distance_m: where fog begins.
        sun_azimuth_deg: where the sun stands, in CARLA's left-handed map frame: 0 along x,
            clockwise from above, as CARLA's yaw; in the ROS map frame the angle has the other
            sign.
        sun_altitude_deg: of the sun above the horizon, -90 to 90; night below 0.

    Raises:
        ValueError: a value is not finite.
    """
    given = {
        "cloudiness": cloudiness,
        "precipitation": precipitation,
        "precipitation_deposits": precipitation_deposits,
        "wetness": wetness,
        "fog_density": fog_density,
        "fog_distance_m": fog_distance_m,
        "sun_azimuth_deg": sun_azimuth_deg,
        "sun_altitude_deg": sun_altitude_deg,
    }
    for name, value in given.items():
        if not math.isfinite(value):
            raise ValueError(f"weather: {name} {value}; expected a finite number")
    values = tuple(given.values())
    if values == DEFAULT_WEATHER or max(values) < 0.0:
        return PLAIN
    clouds, rain, puddles, wet, fog = (min(max(share / 100.0, 0.0), 1.0) for share in values[:5])
    overcast = max(clouds - _DEFAULT_CLOUDS, 0.0) / (1.0 - _DEFAULT_CLOUDS)
    altitude_deg = min(max(sun_altitude_deg, -90.0), 90.0)
    daylight = float(np.interp(altitude_deg, (-10.0, 4.0), (0.0, 1.0)))
    warmth = float(np.interp(altitude_deg, (-8.0, 4.0, 15.0, 40.0), (0.0, 1.0, 0.7, 0.0)))
    warmth *= 1.0 - 0.8 * overcast

    visibility_m = _visibility_m(fog, fog_distance_m, rain)
    sky = _mixed(_mixed(_DAY, _DUSK, warmth), _OVERCAST * (0.6 + 0.4 * daylight), overcast)
    sky = _mixed(_NIGHT, sky * (1.0 - 0.25 * rain), daylight)
    # In thick fog there is no sky above it.
    top, bottom = _mixed(sky, sky[1], min(max(30.0 / visibility_m - 0.12, 0.0), 0.9))

    brightness = float(np.interp(altitude_deg, _ALTITUDES_DEG, _BRIGHTNESSES))
    brightness *= 1.0 - 0.2 * overcast
    contrast = 1.0 - 0.15 * overcast - 0.15 * rain
    tint = _mixed(np.array([1.15, 1.0, 0.9]), np.ones(3), daylight)
    tint *= 1.0 - warmth * np.array([0.3, 0.12, 0.0])
    grey = (1.0 - contrast) * brightness * 120.0
    soaked = max(wet, 0.8 * rain, 0.5 * puddles)
    return Look(
        gain_bgr=color_of(contrast * brightness * tint),
        offset_bgr=color_of(grey * tint),
        sky_top_bgr=color_of(top),
        sky_bottom_bgr=color_of(bottom),
        visibility_m=visibility_m,
        sun=_direction(sun_azimuth_deg, altitude_deg),
        sunshine=(0.1 + 0.4 * daylight) * (1.0 - 0.9 * overcast),
        ground=_wet_ground(soaked, puddles) if soaked > 0.0 else None,
        ground_visibility_m=_beyond_plain_m(visibility_m),
    )


def _visibility_m(fog: float, fog_distance_m: float, rain: float) -> float:
    """As `Look.visibility_m`; that of `PLAIN` in the default weather's fog."""
    thickness = max(100.0 * fog / DEFAULT_WEATHER[4], 0.1)
    visibility_m = PLAIN.visibility_m / math.sqrt(thickness) + max(fog_distance_m, 0.0)
    return 1.0 / (1.0 / visibility_m + rain / 250.0)


def _beyond_plain_m(visibility_m: float) -> float:
    """The visibility of the ground, which in plain weather is clear however far it is, m."""
    extinction = 1.0 / visibility_m - 1.0 / PLAIN.visibility_m
    return 1.0 / extinction if extinction > 0.0 else math.inf


def _direction(azimuth_deg: float, altitude_deg: float) -> tuple[float, float, float]:
    """The unit vector to the sun in the ROS map frame; by night something low gives the light."""
    azimuth, altitude = math.radians(-azimuth_deg), math.radians(max(altitude_deg, 5.0))
    flat = math.cos(altitude)
    return flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(altitude)


def _mixed(one: FloatArray, other: FloatArray, share: float) -> FloatArray:
    return one + share * (other - one)


def _wet_ground(soaked: float, puddles: float) -> ByteArray:
    """A tile of ground, `soaked` and covered by `puddles`, 0 to 1 each."""
    stains, ponds = _stains()
    light = 1.0 - 0.35 * soaked * (1.0 + 0.2 * stains)
    pond = np.clip(4.0 * (ponds - (2.2 - 1.6 * puddles)), 0.0, 1.0) * min(4.0 * puddles, 1.0)
    color = light[:, :, None] * (1.0 - pond[:, :, None] * np.array([0.25, 0.3, 0.35]))
    tile: ByteArray = np.clip(np.rint(NEUTRAL * color), 0, 255).astype(np.uint8)
    return tile


@cache
def _stains() -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Where ground is wetter, and where puddles are: (`TILE_PX`, `TILE_PX`), deviation 1."""
    rng = np.random.default_rng(TILE_PX)
    return smooth_noise(rng, 8.0), smooth_noise(rng, 6.0)
