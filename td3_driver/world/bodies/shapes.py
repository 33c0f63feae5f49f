# SPDX-License-Identifier: Apache-2.0
"""Solids made of flat faces: vehicles, people, buildings and trees built from upright frusta.

A face is a quadrilateral whose corners run counter-clockwise seen from outside. Coordinates are in
metres: x forward, y left, z up, the origin on the ground under the middle.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]
ByteArray = npt.NDArray[np.uint8]
IntArray = npt.NDArray[np.int64]

Color = tuple[float, float, float]
_PAINT: Color = (-1.0, -1.0, -1.0)  # replaced by a body's own colour
_GLASS: Color = (62.0, 52.0, 46.0)
_TYRE: Color = (28.0, 28.0, 28.0)
_SHADOW: Color = (44.0, 43.0, 42.0)
_FRONT_LIGHT: Color = (225.0, 235.0, 240.0)
_REAR_LIGHT: Color = (40.0, 40.0, 205.0)
_SKIN: Color = (120.0, 150.0, 195.0)
_TROUSERS: Color = (70.0, 55.0, 50.0)

SHADE_TAG = 255  # no solid, but the dark ground below one

PERSON_LENGTH_M = 1.2  # whatever is shorter walks
_VAN_HEIGHT_M = 2.0


@dataclass(frozen=True)
class Shapes:
    """Faces of several solids.

    Attributes:
        faces: (F, 4, 3) m, in the ROS map frame.
        colors_bgr: (F, 3), 0 to 255.
        glowing: (F,) bool: lights, which are not shaded.
        owners: (F,) number of each face's solid, ascending; later faces of a solid are drawn over
            earlier ones.
        centers: (S, 2) positions of the solids on the ground, m.
        tags: (F,) uint8: the `SemanticClass` of each face, or `SHADE_TAG`.
    """

    faces: FloatArray
    colors_bgr: FloatArray
    glowing: npt.NDArray[np.bool_]
    owners: IntArray
    centers: FloatArray
    tags: ByteArray


@dataclass(frozen=True)
class Mesh:
    """One solid's faces.

    Attributes:
        faces: (F, 4, 3) m.
        colors_bgr: (F, 3), 0 to 255.
        glowing: (F,) bool.
        tags: (F,) uint8: the `SemanticClass` of each face, or `SHADE_TAG`.
    """

    faces: FloatArray
    colors_bgr: FloatArray
    glowing: npt.NDArray[np.bool_]
    tags: ByteArray

    def tagged(self, tag: int) -> Mesh:
        """The same solid with all its faces of one `SemanticClass`, or of `SHADE_TAG`."""
        return replace(self, tags=np.full(len(self.faces), tag, np.uint8))

    def __add__(self, other: Mesh) -> Mesh:
        return Mesh(
            np.concatenate([self.faces, other.faces]),
            np.concatenate([self.colors_bgr, other.colors_bgr]),
            np.concatenate([self.glowing, other.glowing]),
            np.concatenate([self.tags, other.tags]),
        )


def frustum(
    low: tuple[float, float, float, float, float],
    high: tuple[float, float, float, float, float],
    sides: Color,
    top: Color,
) -> Mesh:
    """The four sides and the top between two horizontal rectangles, unlabeled.

    Args:
        low, high: rear, front, right and left edge, and height, of each rectangle, m.
        sides, top: colours.
    """
    bottom_corners, top_corners = _rectangle(low), _rectangle(high)
    faces = [
        np.stack([bottom_corners[i - 1], bottom_corners[i], top_corners[i], top_corners[i - 1]])
        for i in range(4)
    ]
    colors = np.array([sides] * 4 + [top])
    return Mesh(
        np.stack([*faces, top_corners]), colors, np.zeros(5, np.bool_), np.zeros(5, np.uint8)
    )


def wall_patch(
    x: float, y: tuple[float, float], z: tuple[float, float], color: Color, glowing: bool = False
) -> Mesh:
    """A rectangle at `x`, seen from the front where x > 0 and from the rear elsewhere."""
    left, right = (max(y), min(y)) if x > 0.0 else (min(y), max(y))
    face = [(x, right, z[0]), (x, left, z[0]), (x, left, z[1]), (x, right, z[1])]
    return _one_face(face, color, glowing)


def octagon(x: float, z: float, radius_m: float, color: Color) -> Mesh:
    """An upright regular octagon round y = 0, seen as a `wall_patch`; three faces."""
    near_m = math.tan(math.pi / 8.0) * radius_m
    # From below: half of the width at each height.
    rows = [(z + up, half) for up, half in zip(
        (-radius_m, -near_m, near_m, radius_m), (near_m, radius_m, radius_m, near_m), strict=True
    )]  # fmt: skip
    side = 1.0 if x > 0.0 else -1.0
    mesh = [
        _one_face(
            [(x, -side * below, low), (x, side * below, low), (x, side * above, high),
             (x, -side * above, high)],
            color,
        )
        for (low, below), (high, above) in itertools.pairwise(rows)
    ]  # fmt: skip
    return mesh[0] + mesh[1] + mesh[2]


def underside(edges: tuple[float, float, float, float, float], color: Color) -> Mesh:
    """A horizontal rectangle, as of a `frustum`, seen from below."""
    return _one_face(_rectangle(edges)[::-1], color)


def side_patch(
    x: tuple[float, float], y: float, z: tuple[float, float], color: Color
) -> Mesh:
    """A rectangle at `y`, seen from the left where y > 0 and from the right elsewhere."""
    first, second = (max(x), min(x)) if y > 0.0 else (min(x), max(x))
    face = [(first, y, z[0]), (second, y, z[0]), (second, y, z[1]), (first, y, z[1])]
    return _one_face(face, color, False)


def placed(meshes: list[Mesh], poses: FloatArray) -> Shapes:
    """Solids placed at poses (S, 3: x, y in m, yaw in rad)."""
    counts = [len(mesh.faces) for mesh in meshes]
    owners = np.repeat(np.arange(len(meshes)), counts)
    faces = np.concatenate([np.empty((0, 4, 3)), *(mesh.faces for mesh in meshes)])
    cos, sin = np.cos(poses[owners, 2])[:, None], np.sin(poses[owners, 2])[:, None]
    turned = faces.copy()
    turned[..., 0] = poses[owners, 0][:, None] + cos * faces[..., 0] - sin * faces[..., 1]
    turned[..., 1] = poses[owners, 1][:, None] + sin * faces[..., 0] + cos * faces[..., 1]
    return Shapes(
        turned,
        np.concatenate([np.empty((0, 3)), *(mesh.colors_bgr for mesh in meshes)]),
        np.concatenate([np.empty(0, np.bool_), *(mesh.glowing for mesh in meshes)]),
        owners,
        poses[:, :2],
        np.concatenate([np.empty(0, np.uint8), *(mesh.tags for mesh in meshes)]),
    )


def of_bodies(bodies: Bodies, tags: ByteArray | None = None) -> Shapes:
    """Vehicles and people as solids in their colours.

    Args:
        bodies: the N vehicles and people.
        tags: (N,) uint8, the `SemanticClass` of each; else people are pedestrians and everything
            else is a car.
    """
    meshes = [_body(*size) for size in bodies.sizes_m.tolist()]
    shapes = placed(meshes, bodies.poses)
    painted = shapes.colors_bgr[:, 0] < 0.0
    shapes.colors_bgr[painted] = bodies.colors_bgr[shapes.owners[painted]]
    if tags is not None:
        solid = shapes.tags != SHADE_TAG
        shapes.tags[solid] = tags[shapes.owners[solid]]
    return shapes


def of_boxes(bodies: Bodies) -> Shapes:
    """Plain boxes in their colours, `SemanticClass.STATIC`."""
    meshes = []
    for (length_m, width_m, height_m), color in zip(
        bodies.sizes_m.tolist(), bodies.colors_bgr.tolist(), strict=True
    ):
        sides = -length_m / 2.0, length_m / 2.0, -width_m / 2.0, width_m / 2.0
        box = frustum((*sides, 0.0), (*sides, height_m), color, color)
        meshes.append(box.tagged(SemanticClass.STATIC))
    return placed(meshes, bodies.poses)


def joined(*groups: Shapes) -> Shapes:
    """The solids of one or more groups in one."""
    if len(groups) == 1:
        return groups[0]
    before = np.cumsum([0, *(len(group.centers) for group in groups[:-1])]).tolist()
    return Shapes(
        np.concatenate([group.faces for group in groups]),
        np.concatenate([group.colors_bgr for group in groups]),
        np.concatenate([group.glowing for group in groups]),
        np.concatenate([g.owners + first for g, first in zip(groups, before, strict=True)]),
        np.concatenate([group.centers for group in groups]),
        np.concatenate([group.tags for group in groups]),
    )


@cache
def _body(length_m: float, width_m: float, height_m: float) -> Mesh:
    if length_m < PERSON_LENGTH_M:
        return _person(length_m, width_m, height_m)
    return _vehicle(length_m, width_m, height_m)


def _vehicle(length_m: float, width_m: float, height_m: float) -> Mesh:
    """A body with a cabin on it, wheels, lights, and the dark ground below."""
    front, side = length_m / 2.0, width_m / 2.0
    clearance, waist = 0.22, 0.55 * height_m
    van = height_m > _VAN_HEIGHT_M
    rear_glass, windscreen = (-0.98, 0.55) if van else (-0.85, 0.30)
    roof_rear, roof_front = (-0.96, 0.40) if van else (-0.55, 0.05)
    edge, inside = 0.95 * side, 0.80 * side
    below = (-1.03 * front, 1.03 * front, -1.1 * side, 1.1 * side, 0.0)
    body = (-front, front, -side, side)
    mesh = frustum((*body, clearance), (*body, waist), _PAINT, _PAINT)
    for y in (-1.005 * side, 1.005 * side):
        for x in (-0.6 * front, 0.6 * front):
            mesh += side_patch((x - 0.33, x + 0.33), y, (0.0, 0.62), _TYRE)
    for y in (-0.75 * side, 0.75 * side):
        across, up = (y - 0.2, y + 0.2), (0.7 * waist, 0.9 * waist)
        mesh += wall_patch(1.005 * front, across, up, _FRONT_LIGHT, glowing=True)
        mesh += wall_patch(-1.005 * front, across, up, _REAR_LIGHT, glowing=True)
    mesh += frustum(
        (rear_glass * front, windscreen * front, -edge, edge, waist),
        (roof_rear * front, roof_front * front, -inside, inside, height_m),
        _GLASS,
        _PAINT,
    )
    shade = _one_face(_rectangle(below), _SHADOW).tagged(SHADE_TAG)
    return shade + mesh.tagged(SemanticClass.CAR)


def _person(length_m: float, width_m: float, height_m: float) -> Mesh:
    def part(share: float, low_m: float, high_m: float, color: Color) -> Mesh:
        x, y = share * length_m / 2.0, share * width_m / 2.0
        return frustum((-x, x, -y, y, low_m), (-x, x, -y, y, high_m), color, color)

    legs = part(0.7, 0.0, 0.48 * height_m, _TROUSERS)
    trunk = part(1.0, 0.48 * height_m, 0.83 * height_m, _PAINT)
    person = legs + trunk + part(0.5, 0.85 * height_m, height_m, _SKIN)
    return person.tagged(SemanticClass.PEDESTRIANS)


def _rectangle(edges: tuple[float, float, float, float, float]) -> FloatArray:
    """Corners (4, 3), counter-clockwise from above: of rear, front, right, left, height."""
    rear, front, right, left, z = edges
    return np.array([(rear, right, z), (front, right, z), (front, left, z), (rear, left, z)])


def _one_face(corners: npt.ArrayLike, color: Color, glowing: bool = False) -> Mesh:
    face = np.asarray(corners, np.float64)[None]
    return Mesh(face, np.array([color]), np.array([glowing]), np.zeros(1, np.uint8))
