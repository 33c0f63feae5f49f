# SPDX-License-Identifier: Apache-2.0
"""Draws solids over a picture of the ground, the far ones first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.world.bodies.shapes import SHADE_TAG, Shapes
from td3_driver.world.camera.appearance import Look, hazy_m

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]
DepthArray = npt.NDArray[np.float32]

_NEAR_M = 0.3
_FAR_M = 200.0
_FAR_HEIGHTS = 3.0  # from high above one sees further
_LARGEST_RADIUS_M = 20.0  # of a solid, from its middle on the ground
_STEEP = math.sin(math.radians(61.0))
_SMALLEST_PX = 0.6
_SUBPIXEL_BITS = 4
_SUBPIXELS = 1 << _SUBPIXEL_BITS
_FURTHEST_PX = 8000.0  # OpenCV draws no further outside of a picture


@dataclass(frozen=True)
class View:
    """The view of a pinhole camera.

    Attributes:
        camera_from_map: (3, 4) matrix from homogeneous map points, m, to right, down, forward, m.
        focal_px: focal length, px; the optical axis meets the picture's middle.
    """

    camera_from_map: FloatArray
    focal_px: float

    @property
    def position_m(self) -> FloatArray:
        """(3,) in the map frame."""
        return -self.camera_from_map[:, 3] @ self.camera_from_map[:, :3]


@dataclass(frozen=True)
class _Outlines:
    """Faces that are seen, in the order of drawing.

    Attributes:
        numbers: (N,) of the faces.
        normals: (N, 3), any length, in the map frame.
        corners_m: (N, 4, 3) in the camera's frame.
        polygons: N int32 (corners, 2): what of each is before the camera, in OpenCV's pixels
            times `_SUBPIXELS`.
    """

    numbers: IntArray
    normals: FloatArray
    corners_m: FloatArray
    polygons: list[npt.NDArray[np.int32]]


def paint(picture: ByteArray, view: View, shapes: Shapes, look: Look) -> None:
    """Draw solids on a BGRA picture (height, width, 4).

    Solids are sorted by the distance of their middles, which is right as long as they are small
    beside their distances from each other.
    """
    faces = _outlines(picture.shape, view, shapes)
    colors = _colors(view, shapes, faces, look)
    for polygon, color in zip(faces.polygons, colors, strict=True):
        cv2.fillConvexPoly(picture, polygon, color, cv2.LINE_AA, _SUBPIXEL_BITS)


def paint_tags(tags: ByteArray, view: View, shapes: Shapes) -> None:
    """Draw the tags of solids, in the same order, on a picture of tags (height, width)."""
    faces = _outlines(tags.shape, view, shapes)
    for polygon, tag in zip(faces.polygons, shapes.tags[faces.numbers].tolist(), strict=True):
        if tag != SHADE_TAG:
            cv2.fillConvexPoly(tags, polygon, tag, cv2.LINE_8, _SUBPIXEL_BITS)


def paint_depth(depth_m: DepthArray, view: View, shapes: Shapes) -> None:
    """Draw the depths of solids, in the same order, on a picture of depths (height, width)."""
    faces = _outlines(depth_m.shape, view, shapes)
    shade = shapes.tags[faces.numbers] == SHADE_TAG
    shown = np.full(depth_m.shape, -1, np.int32)
    for index, polygon in enumerate(faces.polygons):
        if not shade[index]:
            cv2.fillConvexPoly(shown, polygon, (index,), cv2.LINE_8, _SUBPIXEL_BITS)
    rows, columns = np.nonzero(shown >= 0)
    face = shown[rows, columns]
    # The inverse of depth is linear in the picture.
    normals = faces.normals @ view.camera_from_map[:, :3].T
    planes = normals / np.einsum("ij,ij->i", normals, faces.corners_m[:, 0])[:, None]
    right = (columns + 0.5 - depth_m.shape[1] / 2.0) / view.focal_px
    down = (rows + 0.5 - depth_m.shape[0] / 2.0) / view.focal_px
    inverse = planes[face, 0] * right + planes[face, 1] * down + planes[face, 2]
    # A pixel on a face's edge may look past it, and there its plane can be anywhere.
    nearest_m = np.maximum(faces.corners_m[..., 2].min(axis=1), _NEAR_M)
    furthest_m = faces.corners_m[..., 2].max(axis=1)
    depth_m[rows, columns] = 1.0 / np.clip(inverse, 1.0 / furthest_m[face], 1.0 / nearest_m[face])


def _outlines(shape: tuple[int, ...], view: View, shapes: Shapes) -> _Outlines:
    """The outlines of the faces that are turned here, in a picture (height, width, ...)."""
    middle = np.array([shape[1] / 2.0, shape[0] / 2.0])
    seen = _seen_faces(view, shapes, middle / view.focal_px)
    faces = shapes.faces[seen]
    normals = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    rotation, offset = view.camera_from_map[:, :3], view.camera_from_map[:, 3]
    turned_here = np.einsum("ij,ij->i", normals, faces[:, 0] + rotation.T @ offset) < 0.0
    seen, normals, corners = seen[turned_here], normals[turned_here], faces[turned_here]
    corners = corners @ rotation.T + offset
    in_front = (corners[..., 2] > _NEAR_M).any(axis=1)
    seen, normals, corners = seen[in_front], normals[in_front], corners[in_front]
    whole = (corners[..., 2] > _NEAR_M).all(axis=1)
    depth_m = np.maximum(corners[..., 2:], _NEAR_M)
    pixels = corners[..., :2] * (view.focal_px / depth_m) + middle
    by_corner = pixels.swapaxes(0, 1).copy()  # numpy is slow along short axes
    low, high = by_corner.min(axis=0), by_corner.max(axis=0)
    outside = ((high < 0.0) | (low > 2.0 * middle)).any(axis=1)
    tiny = (high - low).max(axis=1) < _SMALLEST_PX
    drawn = np.flatnonzero(~whole | ~(outside | tiny))
    seen, normals, corners, whole = seen[drawn], normals[drawn], corners[drawn], whole[drawn]
    # OpenCV counts pixels from their middles.
    polygons = list(_fixed_point(pixels[drawn] - 0.5))
    for index in np.flatnonzero(~whole).tolist():
        clipped = _before_near_plane(corners[index])
        across = clipped[:, :2] * (view.focal_px / clipped[:, 2:]) + middle - 0.5
        polygons[index] = _fixed_point(across)
    return _Outlines(seen, normals, corners, polygons)


def _fixed_point(pixels: FloatArray) -> npt.NDArray[np.int32]:
    limited = np.clip(pixels, -_FURTHEST_PX, _FURTHEST_PX)
    return np.rint(limited * _SUBPIXELS).astype(np.int32)


def _seen_faces(view: View, shapes: Shapes, slopes: FloatArray) -> IntArray:
    """The faces of solids within reach and view, in the order of drawing.

    Args:
        slopes: slopes of the view's right and lower side: across over along.
    """
    matrix = view.camera_from_map
    offset = shapes.centers @ matrix[:, :2].T + matrix[:, 3]
    across, along = np.abs(offset[:, :2]), offset[:, 2:]
    in_view = across < slopes * along + _LARGEST_RADIUS_M * np.hypot(1.0, slopes)
    x_m, y_m, height_m = view.position_m
    if matrix[0, 2] == 0.0 and abs(matrix[2, 2]) < _STEEP:
        # Along the road the camera's own plane, which is what it sees, stands for the ground.
        distance = np.hypot(offset[:, 0], offset[:, 2])
    else:
        distance = np.hypot(shapes.centers[:, 0] - x_m, shapes.centers[:, 1] - y_m)
    within_reach = distance < max(_FAR_M, _FAR_HEIGHTS * height_m)
    faces = np.flatnonzero((within_reach & in_view.all(axis=1))[shapes.owners])
    order = np.argsort(-distance[shapes.owners[faces]], kind="stable")
    return faces[order]


def _colors(view: View, shapes: Shapes, faces: _Outlines, look: Look) -> list[tuple[float, ...]]:
    """The colours of faces in sunlight, seen through haze."""
    seen = faces.numbers
    lengths = np.maximum(np.linalg.norm(faces.normals, axis=1), 1e-12)
    facing = np.clip(faces.normals @ look.sun / lengths, 0.0, 1.0)
    light = 1.0 - look.sunshine * (0.6 - 0.6 * facing)
    glowing = shapes.glowing[seen]
    lit = look.lit(shapes.colors_bgr[seen] * light[:, None])
    colors = np.where(glowing[:, None], shapes.colors_bgr[seen], lit)
    middles_m = faces.corners_m.swapaxes(0, 1).copy().mean(axis=0)
    distance = np.linalg.norm(middles_m, axis=1)
    path_m = hazy_m(distance, view.position_m[2])
    clear = np.exp(-path_m / look.visibility_m)[:, None]
    hazy = clear * colors + (1.0 - clear) * np.array(look.sky_bottom_bgr)
    return [(blue, green, red, 255.0) for blue, green, red in np.rint(hazy).tolist()]


def _before_near_plane(corners: FloatArray) -> FloatArray:
    """The part of a polygon (N, 3) with z > _NEAR_M, by Sutherland and Hodgman."""
    points = corners.tolist()  # numpy is slow with single numbers
    kept = []
    for here, before in zip(points, points[-1:] + points[:-1], strict=True):
        if (here[2] > _NEAR_M) != (before[2] > _NEAR_M):
            share = (_NEAR_M - before[2]) / (here[2] - before[2])
            kept.append([b + share * (h - b) for h, b in zip(here, before, strict=True)])
        if here[2] > _NEAR_M:
            kept.append(here)
    return np.array(kept)
