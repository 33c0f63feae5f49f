# SPDX-License-Identifier: Apache-2.0
"""Buildings and trees beside the roads."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane
from td3_driver.world.bodies.boxes import box_corners
from td3_driver.world.bodies.shapes import Mesh, Shapes, frustum, placed, side_patch, wall_patch
from td3_driver.world.ground.lane_paint import places_along
from td3_driver.world.ground.surface import OBSTACLE, OFF_ROAD, Surface
from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]

_PLOT_M = 14.0  # along a lane
_BUILDING_SHARE = 0.45
_TREE_FROM_EDGE_M = (4.9, 7.2)  # in the hedge, which is solid already
_BUILDING_FROM_EDGE_M = (9.0, 14.0)  # to the nearest wall
_BUILDING_APART_M = 15.0
_TREE_APART_M = 5.0
_FLOOR_M = 3.0
_WALLS_BGR = np.array([(150, 165, 185), (120, 130, 150), (175, 185, 190), (95, 110, 150)])
_ROOF_BGR = (70.0, 75.0, 95.0)
_WINDOW_BGR = (90.0, 80.0, 72.0)
_TRUNK_BGR = (45.0, 60.0, 75.0)


def grow(lanes: list[Lane], surface: Surface, seed: int) -> Shapes:
    """Place solids along all lanes outside junctions; none stands on a road or a pavement.

    Trees stand in the hedge, buildings behind it, so that contact is the same without them.
    """
    rng = np.random.default_rng(seed)
    meshes: list[Mesh] = []
    poses: list[tuple[float, float, float]] = []
    for place in places_along(lanes, _PLOT_M):
        yaw, half_lane_m = place.yaw_rad, place.width_m / 2.0
        if rng.random() < _BUILDING_SHARE:
            size = (rng.uniform(8.0, 12.0), rng.uniform(7.0, 12.0))
            away_m = half_lane_m + rng.uniform(*_BUILDING_FROM_EDGE_M) + size[1] / 2.0
            apart_m, ground = _BUILDING_APART_M, OFF_ROAD
        else:
            size = (0.6, 0.6)
            away_m = half_lane_m + rng.uniform(*_TREE_FROM_EDGE_M)
            apart_m, ground = _TREE_APART_M, OBSTACLE
        right_m = -away_m if place.lane.edge_on_left else away_m
        pose = (place.x_m + right_m * math.sin(yaw), place.y_m - right_m * math.cos(yaw), yaw)
        mesh = _building(rng, *size) if ground == OFF_ROAD else _tree(rng)
        if _is_free(pose, poses, apart_m) and _stands_on(surface, pose, size, ground):
            meshes.append(mesh)
            poses.append(pose)
    return placed(meshes, np.array(poses).reshape(-1, 3))


def _is_free(
    pose: tuple[float, float, float], poses: list[tuple[float, float, float]], apart_m: float
) -> bool:
    return all(math.hypot(pose[0] - x, pose[1] - y) >= apart_m for x, y, _ in poses)


def _stands_on(
    surface: Surface,
    pose: tuple[float, float, float],
    size_m: tuple[float, float],
    ground: int,
) -> bool:
    """Whether a footprint lies entirely on one class of ground."""
    shares = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 9)] * 2), axis=-1).reshape(-1, 2)
    corners = box_corners(np.array([pose]), np.array([size_m]))[0]
    across, along = corners[1] - corners[0], corners[3] - corners[0]
    points = corners[0] + shares[:, :1] * across + shares[:, 1:] * along
    return bool((surface.class_at(points) == ground).all())


def _building(rng: np.random.Generator, length_m: float, width_m: float) -> Mesh:
    floors = int(rng.integers(1, 5))
    height_m = floors * _FLOOR_M + 0.8
    shade = rng.uniform(0.8, 1.1)
    blue, green, red = (_WALLS_BGR[rng.integers(len(_WALLS_BGR))] * shade).tolist()
    x, y = length_m / 2.0, width_m / 2.0
    walls = (-x, x, -y, y)
    mesh = frustum((*walls, 0.0), (*walls, height_m), (blue, green, red), _ROOF_BGR)
    for floor in range(floors):
        band = floor * _FLOOR_M + 1.1, floor * _FLOOR_M + 2.4
        for side in (-1.0, 1.0):
            inner_y, inner_x = (-0.85 * y, 0.85 * y), (-0.85 * x, 0.85 * x)
            mesh += wall_patch(side * (x + 0.02), inner_y, band, _WINDOW_BGR)
            mesh += side_patch(inner_x, side * (y + 0.02), band, _WINDOW_BGR)
    if rng.random() < 0.5:
        slope = (-0.9 * x, 0.9 * x, -0.1, 0.1, height_m + rng.uniform(1.5, 3.0))
        mesh += frustum((*walls, height_m), slope, _ROOF_BGR, _ROOF_BGR)
    return mesh.tagged(SemanticClass.BUILDINGS)


def _tree(rng: np.random.Generator) -> Mesh:
    radius_m, height_m = rng.uniform(1.4, 2.6), rng.uniform(5.0, 9.0)
    stem_m = rng.uniform(1.2, 2.2)
    green = (rng.uniform(35.0, 60.0), rng.uniform(75.0, 110.0), rng.uniform(45.0, 80.0))
    below, middle, tip = 0.45 * radius_m, radius_m, 0.25 * radius_m
    widest_m = stem_m + rng.uniform(0.3, 0.5) * (height_m - stem_m)

    def square(half_m: float, z_m: float) -> tuple[float, float, float, float, float]:
        return (-half_m, half_m, -half_m, half_m, z_m)

    trunk = frustum(square(0.16, 0.0), square(0.14, stem_m), _TRUNK_BGR, _TRUNK_BGR)
    crown = frustum(square(below, stem_m), square(middle, widest_m), green, green)
    top = frustum(square(middle, widest_m), square(tip, height_m), green, green)
    return (trunk + crown + top).tagged(SemanticClass.VEGETATION)
