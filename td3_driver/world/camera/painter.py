# SPDX-License-Identifier: Apache-2.0
"""Draws solids over a picture of the ground, the far ones first."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.world.bodies.shapes import Shapes
from td3_driver.world.camera.appearance import Look

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_NEAR_M = 0.3
_FAR_M = 200.0
_LARGEST_RADIUS_M = 12.0  # of a solid
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


def paint(picture: ByteArray, view: View, shapes: Shapes, look: Look) -> None:
    """Draw solids on a BGRA picture (height, width, 4).

    Solids are sorted by the distance of their middles, which is right as long as they are small
    beside their distances from each other.
    """
    middle = np.array([picture.shape[1] / 2.0, picture.shape[0] / 2.0])
    seen = _seen_faces(view, shapes, middle[0] / view.focal_px)
    faces = shapes.faces[seen]
    normals = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    rotation, offset = view.camera_from_map[:, :3], view.camera_from_map[:, 3]
    turned_here = np.einsum("ij,ij->i", normals, faces[:, 0] + rotation.T @ offset) < 0.0
    seen, normals, corners = seen[turned_here], normals[turned_here], faces[turned_here]
    corners = corners @ rotation.T + offset
    in_front = (corners[..., 2] > _NEAR_M).any(axis=1)
    seen, normals, corners = seen[in_front], normals[in_front], corners[in_front]
    colors = _colors(shapes, seen, normals, corners, look)
    whole = (corners[..., 2] > _NEAR_M).all(axis=1)
    depth_m = np.maximum(corners[..., 2:], _NEAR_M)
    pixels = corners[..., :2] * (view.focal_px / depth_m) + middle
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    outside = ((high < 0.0) | (low > 2.0 * middle)).any(axis=1)
    tiny = (high - low).max(axis=1) < _SMALLEST_PX
    drawn = ~whole | ~(outside | tiny)
    # OpenCV counts pixels from their middles.
    fixed = np.rint((np.clip(pixels, -_FURTHEST_PX, _FURTHEST_PX) - 0.5) * _SUBPIXELS)
    polygons = fixed.astype(np.int32)
    for index in np.flatnonzero(drawn).tolist():
        polygon = polygons[index]
        if not whole[index]:
            clipped = _before_near_plane(corners[index])
            across = clipped[:, :2] * (view.focal_px / clipped[:, 2:]) + middle - 0.5
            polygon = np.rint(np.clip(across, -_FURTHEST_PX, _FURTHEST_PX) * _SUBPIXELS)
            polygon = polygon.astype(np.int32)
        cv2.fillConvexPoly(picture, polygon, colors[index], cv2.LINE_AA, _SUBPIXEL_BITS)


def _seen_faces(view: View, shapes: Shapes, slope: float) -> IntArray:
    """The faces of solids within reach and view, in the order of drawing.

    Args:
        slope: slope of the view's sides: across over along.
    """
    matrix = view.camera_from_map
    offset = shapes.centers @ matrix[:, :2].T + matrix[:, 3]
    distance = np.hypot(offset[:, 0], offset[:, 2])
    margin_m = _LARGEST_RADIUS_M * math.hypot(1.0, slope)
    seen = (distance < _FAR_M) & (np.abs(offset[:, 0]) < slope * offset[:, 2] + margin_m)
    faces = np.flatnonzero(seen[shapes.owners])
    order = np.argsort(-distance[shapes.owners[faces]], kind="stable")
    return faces[order]


def _colors(
    shapes: Shapes, seen: IntArray, normals: FloatArray, corners: FloatArray, look: Look
) -> list[tuple[float, ...]]:
    """The colours of faces in sunlight, seen through haze."""
    lengths = np.maximum(np.linalg.norm(normals, axis=1), 1e-12)
    facing = np.clip(normals @ look.sun / lengths, 0.0, 1.0)
    light = 1.0 - look.sunshine * (0.6 - 0.6 * facing)
    glowing = shapes.glowing[seen]
    lit = look.lit(shapes.colors_bgr[seen] * light[:, None])
    colors = np.where(glowing[:, None], shapes.colors_bgr[seen], lit)
    distance = np.linalg.norm(corners.mean(axis=1), axis=1)
    clear = np.exp(-distance / look.visibility_m)[:, None]
    hazy = clear * colors + (1.0 - clear) * np.array(look.sky_bottom_bgr)
    return [(blue, green, red, 255.0) for blue, green, red in np.rint(hazy).tolist()]


def _before_near_plane(corners: FloatArray) -> FloatArray:
    """The part of a polygon (N, 3) with z > _NEAR_M, by Sutherland and Hodgman."""
    kept = []
    for index in range(len(corners)):
        here, before = corners[index], corners[index - 1]
        if (here[2] > _NEAR_M) != (before[2] > _NEAR_M):
            share = (_NEAR_M - before[2]) / (here[2] - before[2])
            kept.append(before + share * (here - before))
        if here[2] > _NEAR_M:
            kept.append(here)
    return np.array(kept)
