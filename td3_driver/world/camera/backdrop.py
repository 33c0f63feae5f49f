# SPDX-License-Identifier: Apache-2.0
"""What stands behind all solids: the ground and the sky."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.camera.appearance import NEUTRAL, PLAIN, TILE_M_PER_PX, Look, hazy_m
from td3_driver.world.camera.pinhole import Pinhole
from td3_driver.world.ground.surface import GRASS_BGR, Surface

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

_HORIZON_GAP_PX = 0.75  # rows closer to the horizon show ground too far away to be drawn
_MAX_OVERSAMPLING = 8
_FINER_UNROLLED = 2.0  # so that turning a picture does not blur it


@dataclass(frozen=True)
class _Band:
    """Neighbouring picture rows that are drawn with the same resolution.

    Rows are drawn `oversampling` times as fine and averaged: far away a pixel covers a long but
    narrow piece of road, and a coarser level alone would smear the lane lines.
    """

    top: int
    bottom: int
    level: int
    oversampling: int
    ground_from_rows: FloatArray  # (3, 3) from (column, drawn row) to car metres


class Backdrop:
    """Ground and sky as a pinhole camera that is not rolled sees them.

    Light, haze and resolution go by rows: those of the picture's middle column are exact.

    Args:
        pinhole: the camera; its roll is 0.
        look: the look in which they are seen.
    """

    def __init__(self, pinhole: Pinhole, look: Look) -> None:
        self._pinhole = pinhole
        self._look = look
        self._table = look.table()
        below_axis_px = np.arange(pinhole.height_px) + 0.5 - pinhole.height_px / 2.0
        # The angle of each row's middle below the horizon.
        self._angle_rad: FloatArray = (
            np.arctan2(below_axis_px, pinhole.focal_px) + pinhole.pitch_rad
        )
        self._background = self._sky_and_grass()
        self._fog = None if math.isinf(look.ground_visibility_m) else self._fog_before_ground()
        self._tiles = [] if look.ground is None else [look.ground]
        while self._tiles and len(self._tiles[-1]) > 1:
            half = len(self._tiles[-1]) // 2
            finer = self._tiles[-1]
            self._tiles.append(cv2.resize(finer, (half, half), interpolation=cv2.INTER_AREA))
        self._bands_by_resolution: dict[float, list[_Band]] = {}

    def draw(self, surface: Surface, pose: Pose) -> ByteArray:
        """The picture from a car at `pose`: uint8 BGRA (height, width, 4), contiguous."""
        picture = self._background.copy()
        map_from_car = map_from_car_at(pose)
        for band in self._bands(surface.m_per_px, len(surface.levels)):
            map_from_rows = map_from_car @ band.ground_from_rows
            rows = band.bottom - band.top
            size = (self._pinhole.width_px, rows * band.oversampling)
            ground = cv2.warpPerspective(
                surface.levels[band.level],
                surface.pixel_from_map(band.level) @ map_from_rows,
                size,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=GRASS_BGR,
            )
            if self._tiles:
                m_per_px = surface.m_per_px * (1 << band.level)
                shade = self._shade(pose, map_from_rows, size, m_per_px)
                cv2.multiply(ground, shade, ground, scale=1.0 / NEUTRAL)
            if band.oversampling > 1:
                size = (self._pinhole.width_px, rows)
                ground = cv2.resize(ground, size, interpolation=cv2.INTER_AREA)
            if self._look is not PLAIN:
                cv2.LUT(ground, self._table, ground)
            cv2.cvtColor(ground, cv2.COLOR_BGR2BGRA, picture[band.top : band.bottom])
        if self._fog is not None:
            clear, fog = self._fog
            cv2.multiply(picture, clear, picture, scale=1.0 / 255.0)
            cv2.add(picture, fog, picture)
        return picture

    def _shade(
        self, pose: Pose, map_from_rows: FloatArray, size: tuple[int, int], m_per_px: float
    ) -> ByteArray:
        """The look's ground tile for some rows, in the resolution of the ground below it."""
        finer = round(math.log2(m_per_px / TILE_M_PER_PX))
        tile = self._tiles[min(max(finer, 0), len(self._tiles) - 1)]
        side_m = len(self._tiles[0]) * TILE_M_PER_PX
        scale = len(tile) / side_m
        # Counted from the car's own tile: OpenCV's coordinates are short.
        west_m, south_m = (side_m * math.floor(at / side_m) for at in (pose.x_m, pose.y_m))
        tile_from_map = np.array(
            [
                [scale, 0.0, -west_m * scale - 0.5],
                [0.0, scale, -south_m * scale - 0.5],
                [0.0, 0.0, 1.0],
            ]
        )
        shade: ByteArray = cv2.warpPerspective(
            tile,
            tile_from_map @ map_from_rows,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_WRAP,
        )
        return shade

    def _sky_and_grass(self) -> ByteArray:
        angle, look = self._angle_rad, self._look
        # Rows more than upright see the sky behind the camera.
        angle = np.where(angle < -math.pi / 2.0, -math.pi - angle, angle)
        share = np.clip(1.0 + angle / math.radians(40.0), 0.0, 1.0)[:, None]
        sky = np.array(look.sky_top_bgr) * (1.0 - share) + np.array(look.sky_bottom_bgr) * share
        grass = np.rint(look.lit(np.array(GRASS_BGR)))
        rows = np.where(angle[:, None] > 0.0, grass, np.rint(np.clip(sky, 0.0, 255.0)))
        picture = np.full((self._pinhole.height_px, self._pinhole.width_px, 4), 255, np.uint8)
        picture[:, :, :3] = rows[:, None]
        return picture

    def _fog_before_ground(self) -> tuple[ByteArray, ByteArray]:
        """What a picture is multiplied by, over 255, and then added to; uint8 as the picture."""
        below = self._angle_rad > 0.0
        height_m = self._pinhole.z_m
        path_m = hazy_m(height_m / np.sin(self._angle_rad[below]), height_m)
        clear = np.ones(len(below))
        clear[below] = np.exp(-path_m / self._look.ground_visibility_m)
        fog = (1.0 - clear)[:, None] * self._look.sky_bottom_bgr
        share = np.full_like(self._background, 255)
        share[:, :, :3] = np.rint(255.0 * clear)[:, None, None]
        added = np.zeros_like(self._background)
        added[:, :, :3] = np.rint(np.clip(fog, 0.0, 255.0))[:, None]
        return share, added

    def _bands(self, m_per_px: float, level_count: int) -> list[_Band]:
        if m_per_px not in self._bands_by_resolution:
            self._bands_by_resolution[m_per_px] = self._new_bands(m_per_px, level_count)
        return self._bands_by_resolution[m_per_px]

    def _new_bands(self, m_per_px: float, level_count: int) -> list[_Band]:
        pinhole = self._pinhole
        visible = np.flatnonzero(self._angle_rad > _HORIZON_GAP_PX / pinhole.focal_px)
        angle = self._angle_rad[visible]
        # The ground that one pixel covers, across and along the road.
        across_m = pinhole.z_m * np.cos(angle - pinhole.pitch_rad) / np.sin(angle)
        across_m /= pinhole.focal_px
        along_m = across_m * np.cos(angle - pinhole.pitch_rad) / np.sin(angle)
        level = np.clip(np.rint(np.log2(across_m / m_per_px)), 0, level_count - 1)
        finer = np.ceil(np.log2(along_m / (m_per_px * 2.0**level)))
        oversampling = np.clip(2.0**finer, 1, _MAX_OVERSAMPLING)
        bands = []
        kinds = zip(visible.tolist(), level.tolist(), oversampling.tolist(), strict=True)
        for (of_level, times), members in groupby(kinds, key=lambda kind: kind[1:]):
            rows = [row for row, *_ in members]
            bands.append(self._band(rows[0], rows[-1] + 1, int(of_level), int(times)))
        return bands

    def _band(self, top: int, bottom: int, level: int, oversampling: int) -> _Band:
        image_from_rows = np.array(
            [
                [1.0, 0.0, 0.5],
                [0.0, 1.0 / oversampling, top + 0.5 / oversampling],
                [0.0, 0.0, 1.0],
            ]
        )
        ground_from_rows = self._pinhole.ground_from_image @ image_from_rows
        return _Band(top, bottom, level, oversampling, ground_from_rows)


class RolledBackdrop:
    """Ground and sky as a rolled camera sees them: a finer picture of one that is not, turned.

    Args:
        pinhole: the camera.
        look: the look in which they are seen.
    """

    def __init__(self, pinhole: Pinhole, look: Look) -> None:
        unrolled, self._unrolled_from_image = pinhole.unrolled(_FINER_UNROLLED)
        self._unrolled = Backdrop(unrolled, look)
        self._size = pinhole.width_px, pinhole.height_px

    def draw(self, surface: Surface, pose: Pose) -> ByteArray:
        """As `Backdrop.draw`."""
        turned: ByteArray = cv2.warpAffine(
            self._unrolled.draw(surface, pose),
            self._unrolled_from_image,
            self._size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return turned


def map_from_car_at(pose: Pose) -> FloatArray:
    """(3, 3) matrix from homogeneous ground points in the car's frame, m, to the map frame."""
    sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
    return np.array([[cos, -sin, pose.x_m], [sin, cos, pose.y_m], [0.0, 0.0, 1.0]])
