# SPDX-License-Identifier: Apache-2.0
"""The look of the world: light, sky, haze, and the shadows and stains on the ground."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
Color = tuple[float, float, float]

APPEARANCES = ("plain", "random", "mixed")

TILE_PX = 512  # side of a tile of ground
TILE_M_PER_PX = 0.2
_HAZE_TOP_M = 60.0
NEUTRAL = 128  # of a tile: leaves the ground as it is


@dataclass(frozen=True)
class Look:
    """One look of the world.

    Attributes:
        gain_bgr, offset_bgr: turn a colour c in 0 to 255 into gain * c + offset.
        sky_top_bgr, sky_bottom_bgr: from 40 degrees above the horizon down to it.
        visibility_m: distance at which solids have lost 63 % of their contrast to the horizon, m.
        sun: (3,) unit vector to the sun, map frame.
        sunshine: 0 for a grey sky, 1 for the hardest difference between lit and unlit walls.
        ground: uint8 (rows, columns, 3), repeats over the ground at `TILE_M_PER_PX` and
            multiplies its colours by value / `NEUTRAL`; None leaves the ground as it is.
        ground_visibility_m: as `visibility_m`, of the ground.
    """

    gain_bgr: Color = (1.0, 1.0, 1.0)
    offset_bgr: Color = (0.0, 0.0, 0.0)
    sky_top_bgr: Color = (205.0, 150.0, 105.0)
    sky_bottom_bgr: Color = (225.0, 215.0, 205.0)
    visibility_m: float = 250.0
    sun: Color = (0.48, 0.36, 0.8)
    sunshine: float = 0.5
    ground: ByteArray | None = None
    ground_visibility_m: float = math.inf

    def table(self) -> ByteArray:
        """(256, 1, 3) look-up table of colours for `cv2.LUT`."""
        return np.rint(self.lit(np.repeat(np.arange(256.0)[:, None], 3, axis=1))).astype(np.uint8)[
            :, None
        ]

    def lit(self, colors_bgr: FloatArray) -> FloatArray:
        """(..., 3) colours in this look's light, 0 to 255."""
        lit: FloatArray = np.clip(colors_bgr * self.gain_bgr + self.offset_bgr, 0.0, 255.0)
        return lit


PLAIN = Look()


def hazy_m(distance_m: FloatArray, height_m: float) -> FloatArray:
    """How much of the ways to things on the ground leads through haze, m.

    Haze lies on the ground: who looks down from high above it sees through little of it.
    """
    return distance_m * min(1.0, _HAZE_TOP_M / height_m)


def color_of(bgr: FloatArray) -> Color:
    """Three values as a colour."""
    blue, green, red = bgr.tolist()
    return blue, green, red


def look_of(appearance: str, rng: np.random.Generator) -> Look:
    """Draw a look of one of `APPEARANCES`; "mixed" gives the plain one in half of the cases."""
    if appearance == "plain" or (appearance == "mixed" and rng.random() < 0.5):
        return PLAIN
    return random_look(rng)


def random_look(rng: np.random.Generator) -> Look:
    """Draw a look: a day, a dusk or a rainy day."""
    kind = rng.choice(("day", "dusk", "rain"), p=(0.5, 0.25, 0.25))
    return {"day": _day, "dusk": _dusk, "rain": _rain}[str(kind)](rng)


def _day(rng: np.random.Generator) -> Look:
    brightness, warmth = rng.uniform(0.8, 1.15), rng.uniform(-0.06, 0.06)
    haze = rng.uniform(0.85, 1.1)
    sunshine = rng.uniform(0.2, 0.9)
    return Look(
        gain_bgr=(brightness * (1.0 - warmth), brightness, brightness * (1.0 + warmth)),
        sky_top_bgr=_scaled((205.0, 150.0, 105.0), haze),
        sky_bottom_bgr=_scaled((225.0, 215.0, 205.0), haze),
        visibility_m=rng.uniform(150.0, 400.0),
        sun=_sun(rng, 25.0, 65.0),
        sunshine=sunshine,
        ground=_ground(rng, shadow=0.55 * sunshine, stains=rng.uniform(3.0, 12.0)),
    )


def _dusk(rng: np.random.Generator) -> Look:
    brightness = rng.uniform(0.4, 0.65)
    glow = rng.uniform(0.6, 1.0)
    return Look(
        gain_bgr=_scaled((1.05, 0.95, 0.95), brightness),
        offset_bgr=(8.0, 4.0, 4.0),
        sky_top_bgr=_scaled((120.0, 75.0, 60.0), glow),
        sky_bottom_bgr=_scaled((120.0, 150.0, 225.0), glow),
        visibility_m=rng.uniform(120.0, 300.0),
        sun=_sun(rng, 3.0, 12.0),
        sunshine=0.4,
        ground=_ground(rng, shadow=0.0, stains=rng.uniform(3.0, 12.0)),
    )


def _rain(rng: np.random.Generator) -> Look:
    contrast, grey = rng.uniform(0.5, 0.75), rng.uniform(110.0, 150.0)
    offset = (1.0 - contrast) * grey
    sky = rng.uniform(135.0, 190.0)
    return Look(
        gain_bgr=(contrast, contrast, contrast),
        offset_bgr=(offset, offset, offset),
        sky_top_bgr=(sky, 0.97 * sky, 0.94 * sky),
        sky_bottom_bgr=(1.08 * sky, 1.06 * sky, 1.05 * sky),
        visibility_m=rng.uniform(50.0, 120.0),
        sunshine=0.1,
        ground=_ground(rng, shadow=0.0, stains=rng.uniform(8.0, 20.0)),
    )


def _scaled(color: Color, by: float) -> Color:
    blue, green, red = (min(channel * by, 255.0) for channel in color)
    return blue, green, red


def _sun(rng: np.random.Generator, low_deg: float, high_deg: float) -> Color:
    azimuth, height = rng.uniform(0.0, 2.0 * math.pi), math.radians(rng.uniform(low_deg, high_deg))
    flat = math.cos(height)
    return flat * math.cos(azimuth), flat * math.sin(azimuth), math.sin(height)


def _ground(rng: np.random.Generator, shadow: float, stains: float) -> ByteArray:
    """A tile of ground with soft stains and shadowed patches.

    Args:
        rng: generator of the tile.
        shadow: share of light that the patches lose.
        stains: standard deviation of the stains, as a share of `NEUTRAL`.
    """
    tile = NEUTRAL + stains * (0.6 * smooth_noise(rng, 4.0) + 0.8 * smooth_noise(rng, 20.0))
    patches = np.clip(4.0 * (smooth_noise(rng, 12.0) - rng.uniform(0.3, 1.5)), 0.0, 1.0)
    tile *= 1.0 - shadow * patches
    return np.repeat(np.clip(np.rint(tile), 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def smooth_noise(rng: np.random.Generator, blur_px: float) -> npt.NDArray[np.float32]:
    """Draw smooth noise (TILE_PX, TILE_PX) of mean 0 and deviation 1 that can be tiled."""
    reach = math.ceil(3.0 * blur_px)
    noise = np.pad(rng.standard_normal((TILE_PX, TILE_PX), np.float32), reach, mode="wrap")
    cv2.GaussianBlur(noise, (0, 0), blur_px, noise)
    inner = noise[reach:-reach, reach:-reach]
    smooth: npt.NDArray[np.float32] = inner / inner.std()
    return smooth
