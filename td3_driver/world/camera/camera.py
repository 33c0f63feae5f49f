# SPDX-License-Identifier: Apache-2.0
"""The pinhole camera on the car: it draws the ground, the sky, and solids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import groupby

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.shapes import Shapes
from td3_driver.world.camera.appearance import NEUTRAL, PLAIN, TILE_M_PER_PX, Look
from td3_driver.world.camera.painter import View, paint
from td3_driver.world.ground.surface import GRASS_BGR, Surface

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

_HORIZON_GAP_PX = 0.75  # rows closer to the horizon show ground too far away to be drawn
_MAX_OVERSAMPLING = 8


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


class CameraError(ValueError):
    """A camera that cannot exist."""


class Camera:
    """A camera that looks along the car.

    Args:
        width_px, height_px: size of the pictures.
        fov_deg: horizontal angle of view, in (0, 180).
        x_m, y_m, z_m: position in the car's frame (forward, left, above the ground).
        pitch_deg: positive looks down, as in the bridge's spawn points.

    Raises:
        CameraError: a size is not positive, or an angle is out of range.
    """

    def __init__(
        self,
        width_px: int = 160,
        height_px: int = 120,
        fov_deg: float = 90.0,
        x_m: float = 1.6,
        y_m: float = 0.0,
        z_m: float = 1.5,
        pitch_deg: float = 0.0,
    ) -> None:
        if width_px <= 0 or height_px <= 0:
            raise CameraError(
                f"camera: size {width_px}x{height_px} px; expected at least one pixel each way"
            )
        if not 0.0 < fov_deg < 180.0:
            raise CameraError(f"camera: fov_deg {fov_deg}; expected an angle between 0 and 180")
        if not z_m > 0.0:
            raise CameraError(f"camera: z_m {z_m}; expected a height above the ground")
        if not -60.0 <= pitch_deg <= 60.0:
            raise CameraError(f"camera: pitch_deg {pitch_deg}; expected -60 to 60")
        self.width_px, self.height_px = width_px, height_px
        self.focal_px = width_px / (2.0 * math.tan(math.radians(fov_deg) / 2.0))
        self._x_m, self._y_m, self._z_m = x_m, y_m, z_m
        self._pitch_rad = math.radians(pitch_deg)
        self._camera_from_car = self._pinhole_from_car()
        self.wear(PLAIN)
        self._ground_from_image = np.linalg.inv(self.image_from_ground())
        self._bands_by_resolution: dict[float, list[_Band]] = {}

    def wear(self, look: Look) -> None:
        """Set the look in which the world is seen from now on."""
        self._look = look
        self._table = look.table()
        self._background = self._sky_and_grass()
        self._tiles = [] if look.ground is None else [look.ground]
        while self._tiles and len(self._tiles[-1]) > 1:
            half = len(self._tiles[-1]) // 2
            finer = self._tiles[-1]
            self._tiles.append(cv2.resize(finer, (half, half), interpolation=cv2.INTER_AREA))

    def render(self, surface: Surface, pose: Pose, shapes: Shapes | None = None) -> ByteArray:
        """The picture from a car at `pose`: uint8 BGRA (height, width, 4), contiguous."""
        picture = self._background.copy()
        map_from_car = _map_from_car(pose)
        for band in self._bands(surface.m_per_px, len(surface.levels)):
            map_from_rows = map_from_car @ band.ground_from_rows
            rows = band.bottom - band.top
            size = (self.width_px, rows * band.oversampling)
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
                ground = cv2.resize(ground, (self.width_px, rows), interpolation=cv2.INTER_AREA)
            if self._look is not PLAIN:
                cv2.LUT(ground, self._table, ground)
            cv2.cvtColor(ground, cv2.COLOR_BGR2BGRA, picture[band.top : band.bottom])
        if shapes is not None:
            paint(picture, self._view(pose), shapes, self._look)
        return picture

    def image_from_ground(self) -> FloatArray:
        """(3, 3) matrix from homogeneous ground points in the car's frame, m, to pixels.

        Continuous pixel coordinates: the principal point is (width / 2, height / 2), the first
        pixel's centre (0.5, 0.5).
        """
        right, down, forward = self._camera_from_car[:, (0, 1, 3)]
        return np.array(
            [
                self.focal_px * right + self.width_px / 2.0 * forward,
                self.focal_px * down + self.height_px / 2.0 * forward,
                forward,
            ]
        )

    def _pinhole_from_car(self) -> FloatArray:
        """(3, 4) matrix from homogeneous points in the car's frame, m, to right, down, forward."""
        sin, cos = math.sin(self._pitch_rad), math.cos(self._pitch_rad)
        return np.array(
            [
                [0.0, -1.0, 0.0, self._y_m],
                [-sin, 0.0, -cos, self._x_m * sin + self._z_m * cos],
                [cos, 0.0, -sin, -self._x_m * cos + self._z_m * sin],
            ]
        )

    def _view(self, pose: Pose) -> View:
        sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
        car_from_map = np.array(
            [
                [cos, sin, 0.0, -cos * pose.x_m - sin * pose.y_m],
                [-sin, cos, 0.0, sin * pose.x_m - cos * pose.y_m],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        return View(self._camera_from_car @ car_from_map, self.focal_px)

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

    def _angle_below_horizon(self) -> FloatArray:
        """The angle of each row's centre below the horizon, rad."""
        below_axis_px = np.arange(self.height_px) + 0.5 - self.height_px / 2.0
        angle: FloatArray = np.arctan2(below_axis_px, self.focal_px) + self._pitch_rad
        return angle

    def _sky_and_grass(self) -> ByteArray:
        angle = self._angle_below_horizon()[:, None]
        share = np.clip(1.0 + angle / math.radians(40.0), 0.0, 1.0)
        look = self._look
        sky = np.array(look.sky_top_bgr) * (1.0 - share) + np.array(look.sky_bottom_bgr) * share
        grass = np.rint(look.lit(np.array(GRASS_BGR)))
        rows = np.where(angle > 0.0, grass, np.rint(np.clip(sky, 0.0, 255.0)))
        picture = np.full((self.height_px, self.width_px, 4), 255, np.uint8)
        picture[:, :, :3] = rows[:, None]
        return picture

    def _bands(self, m_per_px: float, level_count: int) -> list[_Band]:
        if m_per_px not in self._bands_by_resolution:
            self._bands_by_resolution[m_per_px] = self._new_bands(m_per_px, level_count)
        return self._bands_by_resolution[m_per_px]

    def _new_bands(self, m_per_px: float, level_count: int) -> list[_Band]:
        angle = self._angle_below_horizon()
        visible = np.flatnonzero(angle > _HORIZON_GAP_PX / self.focal_px)
        angle = angle[visible]
        # The ground that one pixel covers, across and along the road.
        across_m = self._z_m * np.cos(angle - self._pitch_rad) / np.sin(angle) / self.focal_px
        along_m = across_m * np.cos(angle - self._pitch_rad) / np.sin(angle)
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
        ground_from_rows = self._ground_from_image @ image_from_rows
        return _Band(top, bottom, level, oversampling, ground_from_rows)


def _map_from_car(pose: Pose) -> FloatArray:
    """(3, 3) matrix from homogeneous ground points in the car's frame, m, to the map frame."""
    sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
    return np.array([[cos, -sin, pose.x_m], [sin, cos, pose.y_m], [0.0, 0.0, 1.0]])
