# SPDX-License-Identifier: Apache-2.0
"""The ground of a road network as a bird's-eye picture, for the camera and for contact.

The ground is flat: elevation in the map is ignored. Row 0 is the northern edge, column 0 the
western one, in the ROS map frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane, RoadMap
from td3_driver.world.ground.lane_paint import painted_lines
from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]

OFF_ROAD, LANE, VERGE, OBSTACLE = 0, 1, 2, 3

GRASS_BGR = (52, 92, 66)
_ASPHALT_BGR = (98, 96, 94)
# What lies beside a lane: (from this distance in m on, class, semantic class, colour BGR).
_BANDS = (
    (0.0, VERGE, SemanticClass.ROADS, _ASPHALT_BGR),  # the gutter
    (0.3, VERGE, SemanticClass.SIDEWALKS, (188, 192, 192)),  # the kerb
    (0.5, VERGE, SemanticClass.SIDEWALKS, (138, 146, 150)),  # the pavement
    (2.5, OFF_ROAD, SemanticClass.TERRAIN, GRASS_BGR),
    (4.5, OBSTACLE, SemanticClass.VEGETATION, (30, 50, 32)),  # a hedge
    (7.5, OFF_ROAD, SemanticClass.TERRAIN, GRASS_BGR),
)
_HALO_M = 8.5  # what lies further from every lane than the last band begins
_MARGIN_M = 20.0
_JUNCTION_GAP_M = 4.0  # a junction's lanes leave islands up to twice as wide, which are asphalt

_PAINT_BGR = {"yellow": (70, 180, 215)}
_WHITE_BGR = (225, 225, 225)

_FINEST_M_PER_PX = 0.1
_COARSEST_M_PER_PX = 1.0  # else lanes, kerbs and paint would be a pixel or less
_MAX_SIDE_PX = 16000
_MAX_LEVELS_BYTES = 300_000_000
_LEVELS = 5  # the coarsest is 1.6 m per pixel
_ALIGNMENT_PX = 1 << (_LEVELS - 1)  # so that every level halves evenly
_SUBPIXEL_BITS = 4
_SUBPIXELS = 1 << _SUBPIXEL_BITS
_STRIP_PX = 512
_FURTHEST_PX = np.float32(1e6)
_STEPS_PER_M = 30.0  # distances are kept in a byte: 255 steps reach _HALO_M
_STEPS_M = np.arange(256) / _STEPS_PER_M


class Surface:
    """The drawn ground of a road network.

    Args:
        road_map: the roads.
        seed: seed of the ground's texture.

    Attributes:
        levels: BGR pictures of the ground, uint8 (rows, columns, 3), each with half the resolution
            of the one before.
        classes: uint8 (rows, columns): `LANE`, `VERGE` (gutter, kerb, pavement), `OBSTACLE` (a
            hedge, from 4.5 m to 7.5 m beside the nearest lane, solid to cars) or `OFF_ROAD`.
        m_per_px: the side of a pixel of `levels[0]` and `classes`.
        west_m, north_m: map position of the pictures' upper left corner.
        lanes: the lanes that are drawn.

    Raises:
        ValueError: the roads lie too far apart to be drawn.
    """

    def __init__(self, road_map: RoadMap, seed: int = 0) -> None:
        self.lanes = list(road_map.lanes.values())
        outlines = np.concatenate([lane.outline_m for lane in self.lanes])
        self.west_m, south_m = (float(low) for low in outlines.min(axis=0) - _MARGIN_M)
        east_m, self.north_m = (float(high) for high in outlines.max(axis=0) + _MARGIN_M)
        width_m, height_m = east_m - self.west_m, self.north_m - south_m
        self.m_per_px = max(
            _FINEST_M_PER_PX,
            max(width_m, height_m) / (_MAX_SIDE_PX - _ALIGNMENT_PX),
            math.sqrt(width_m * height_m * 4.0 / _MAX_LEVELS_BYTES),  # 3 bytes, 4/3 pictures
        )
        if self.m_per_px > _COARSEST_M_PER_PX:
            raise ValueError(
                f"map {road_map.name}: its roads reach over {width_m / 1000.0:.0f} by "
                f"{height_m / 1000.0:.0f} km, too far to be drawn; expected about 8 by 8 km at "
                "most: cut a part out of it"
            )
        self.classes: ByteArray = np.zeros((self._sides(height_m), self._sides(width_m)), np.uint8)
        self._fill_lanes(self.lanes)
        texture = self._painted_ground(seed)
        self._lines = list(painted_lines(road_map))
        self._paint_lines(texture)
        self.levels: list[ByteArray] = [texture]
        for _ in range(_LEVELS - 1):
            rows, columns = self.levels[-1].shape[:2]
            half = np.empty((rows // 2, columns // 2, 3), np.uint8)
            cv2.resize(
                self.levels[-1], (columns // 2, rows // 2), half, interpolation=cv2.INTER_AREA
            )
            self.levels.append(half)

    @cached_property
    def tags(self) -> ByteArray:
        """The `SemanticClass` of each pixel of `levels[0]`, uint8 (rows, columns)."""
        tag_of_step = _band_table([tag for _, _, tag, _ in _BANDS], SemanticClass.ROADS)
        tags = np.empty_like(self.classes)
        for rows, steps in self._steps_from_lanes():
            tags[rows] = cv2.LUT(steps, tag_of_step)
        for line in self._lines:
            outline = self._fixed_point(line.outline_m)
            cv2.fillPoly(tags, [outline], SemanticClass.ROAD_LINES, shift=_SUBPIXEL_BITS)
        return tags

    def class_at(self, points_m: FloatArray) -> ByteArray:
        """The classes of the ground at (N, 2) map points, uint8 (N,).

        Outside the picture the class is `OFF_ROAD`.
        """
        columns = np.floor((points_m[:, 0] - self.west_m) / self.m_per_px)
        rows = np.floor((self.north_m - points_m[:, 1]) / self.m_per_px)
        height, width = self.classes.shape
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        found = np.full(len(points_m), OFF_ROAD, np.uint8)
        found[inside] = self.classes[rows[inside].astype(int), columns[inside].astype(int)]
        return found

    def pixel_from_map(self, level: int) -> FloatArray:
        """(3, 3) matrix from homogeneous map points, m, to (column, row) in a level.

        The centres of pixels have whole numbers, as in OpenCV's warps.
        """
        scale = 1.0 / (self.m_per_px * (1 << level))
        return np.array(
            [
                [scale, 0.0, -self.west_m * scale - 0.5],
                [0.0, -scale, self.north_m * scale - 0.5],
                [0.0, 0.0, 1.0],
            ]
        )

    def _sides(self, length_m: float) -> int:
        """The size of the picture for a length, px, rounded up to `_ALIGNMENT_PX`."""
        return math.ceil(length_m / self.m_per_px / _ALIGNMENT_PX) * _ALIGNMENT_PX

    def _fixed_point(self, outline_m: FloatArray) -> npt.NDArray[np.int32]:
        matrix = self.pixel_from_map(0)
        pixels: FloatArray = outline_m @ matrix[:2, :2].T + matrix[:2, 2]
        return np.rint(pixels * _SUBPIXELS).astype(np.int32)

    def _fill_lanes(self, lanes: list[Lane]) -> None:
        junctions: dict[int, list[npt.NDArray[np.int32]]] = {}
        for lane in lanes:
            outline = self._fixed_point(lane.outline_m)
            cv2.fillPoly(self.classes, [outline], LANE, shift=_SUBPIXEL_BITS)
            if lane.junction_id is not None:
                junctions.setdefault(lane.junction_id, []).append(outline >> _SUBPIXEL_BITS)
        for outlines in junctions.values():
            self._close_gaps(np.concatenate(outlines))

    def _close_gaps(self, pixels: npt.NDArray[np.int32]) -> None:
        """Make the islands between a junction's lanes drivable (a morphological closing)."""
        reach_px = _JUNCTION_GAP_M / self.m_per_px
        # What grows near the window's edge is not known to shrink again; only the rest counts.
        margin = 2 * math.ceil(reach_px) + 4
        (left, top), (right, bottom) = pixels.min(axis=0) - margin, pixels.max(axis=0) + margin
        window = self.classes[top:bottom, left:right]
        near = _distance(window != LANE) <= reach_px
        closed = (_distance(near) > reach_px)[margin:-margin, margin:-margin]
        window[margin:-margin, margin:-margin][closed] = LANE

    def _painted_ground(self, seed: int) -> ByteArray:
        """Classify and colour the ground by its distance from the lanes."""
        class_of_step = _band_table([ground for _, ground, _, _ in _BANDS], LANE)
        color_of_step = _color_table(self.m_per_px)
        grain = _grain(seed, self.classes.shape[1])
        texture = np.empty((*self.classes.shape, 3), np.uint8)
        for rows, steps in self._steps_from_lanes():
            self.classes[rows] = cv2.LUT(steps, class_of_step)
            colors = cv2.applyColorMap(steps, color_of_step)
            cv2.multiply(colors, grain[: len(steps)], texture[rows], scale=1.0 / 128.0)
        return texture

    def _steps_from_lanes(self) -> Iterator[tuple[slice, ByteArray]]:
        """Strips of rows, and the distances of their pixels from the lanes in `_STEPS_PER_M`."""
        halo = math.ceil(_HALO_M / self.m_per_px)
        for top in range(0, len(self.classes), _STRIP_PX):
            bottom = min(top + _STRIP_PX, len(self.classes))
            first = max(top - halo, 0)
            off_lane = self.classes[first : bottom + halo] != LANE
            distance_px = _distance(off_lane)[top - first :][: bottom - top]
            yield (
                slice(top, bottom),
                cv2.convertScaleAbs(distance_px, alpha=self.m_per_px * _STEPS_PER_M),
            )

    def _paint_lines(self, texture: ByteArray) -> None:
        for line in self._lines:
            color = _PAINT_BGR.get(line.color, _WHITE_BGR)
            outline = self._fixed_point(line.outline_m)
            cv2.fillPoly(texture, [outline], color, cv2.LINE_AA, _SUBPIXEL_BITS)


def _distance(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """The distance of every true cell from the nearest false one, px."""
    distance: npt.NDArray[np.float32] = cv2.distanceTransform(
        mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5
    )
    # With no false cell at all OpenCV says 3e38, which overflows to 0 when it is scaled to a byte.
    return np.minimum(distance, _FURTHEST_PX)


def _band_table(values: list[int], of_lane: int) -> ByteArray:
    """The value (256,) of each step of distance from the lanes; `values` has those of `_BANDS`."""
    table = np.full(256, of_lane, np.uint8)
    for (from_m, *_), value in zip(_BANDS, values, strict=True):
        table[from_m < _STEPS_M] = value
    return table


def _color_table(m_per_px: float) -> ByteArray:
    """The BGR colour (256, 1, 3) of each step of distance from the lanes."""
    colors = np.full((256, 3), _ASPHALT_BGR, np.float64)
    for from_m, _, _, color in _BANDS:
        # A band's edge is blended over one pixel, or it would look like stairs.
        share = np.clip((_STEPS_M - from_m) / m_per_px + 0.5, 0.0, 1.0)[:, None]
        colors += share * (np.array(color) - colors)
    return np.rint(colors).astype(np.uint8)[:, None]


def _grain(seed: int, width_px: int) -> ByteArray:
    """Brightness times 128 of fine grit and soft stains, uint8 (_STRIP_PX, width_px, 3)."""
    rng = np.random.default_rng(seed)
    tile = np.full((_STRIP_PX, _STRIP_PX), 128.0, np.float32)
    for blur_px, strength in ((0.0, 5.0), (3.0, 4.0), (20.0, 5.0)):
        noise = rng.standard_normal(tile.shape, np.float32)
        if blur_px:
            reach = math.ceil(3.0 * blur_px)  # wrapped round, or the tiles' seams would show
            padded = np.pad(noise, reach, mode="wrap")
            cv2.GaussianBlur(padded, (0, 0), blur_px, padded)
            noise = padded[reach:-reach, reach:-reach]
        tile += strength * noise / noise.std()
    repeats = -(-width_px // _STRIP_PX)
    wide = np.tile(np.clip(np.rint(tile), 0, 255).astype(np.uint8), (1, repeats))
    return np.repeat(wide[:, :width_px, None], 3, axis=2)
