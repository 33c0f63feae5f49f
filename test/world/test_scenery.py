# SPDX-License-Identifier: Apache-2.0
"""Where buildings and trees stand."""

from __future__ import annotations

import numpy as np
import pytest

from td3_driver.driving.routes.road_map import Lane, RoadMap
from td3_driver.world.bodies.shapes import Shapes
from td3_driver.world.camera.scenery import grow
from td3_driver.world.ground.surface import LANE, OBSTACLE, OFF_ROAD, VERGE, Surface

Grown = tuple[list[Lane], Surface, Shapes]


@pytest.fixture(params=["town", "loop"])
def grown(
    request: pytest.FixtureRequest, town: RoadMap, town_surface: Surface, loop: RoadMap
) -> Grown:
    if request.param == "town":
        road_map, surface = town, town_surface
    else:
        road_map, surface = loop, request.getfixturevalue("loop_surface")
    lanes = list(road_map.lanes.values())
    return lanes, surface, grow(lanes, surface, 0)


def feet(shapes: Shapes) -> list[np.ndarray]:
    """For each solid the (N, 2) corners that stand on the ground."""
    on_ground = shapes.faces[..., 2] == 0.0
    owners = np.broadcast_to(shapes.owners[:, None], on_ground.shape)
    return [
        shapes.faces[on_ground & (owners == solid)][:, :2] for solid in range(len(shapes.centers))
    ]


def test_nothing_stands_on_a_road_or_a_pavement(grown: Grown) -> None:
    shapely = pytest.importorskip("shapely", "2.0")
    _, surface, shapes = grown
    grid = np.stack(np.meshgrid(*[np.linspace(0.0, 1.0, 12)] * 2), axis=-1).reshape(-1, 2)
    for corners in feet(shapes):
        low, high = corners.min(axis=0), corners.max(axis=0)
        points = low + grid * (high - low)
        hull = shapely.MultiPoint(corners).convex_hull
        inside = points[shapely.contains_xy(hull, points)]
        classes = surface.class_at(np.concatenate([corners, inside]))
        assert not np.isin(classes, (LANE, VERGE)).any()


def test_trees_stand_in_the_hedge_and_buildings_behind_it(grown: Grown) -> None:
    _, surface, shapes = grown
    classes = surface.class_at(shapes.centers)
    assert set(classes.tolist()) == {OBSTACLE, OFF_ROAD}
    assert (classes == OBSTACLE).sum() > 10
    assert (classes == OFF_ROAD).sum() > 5


def test_buildings_do_not_touch(grown: Grown) -> None:
    shapely = pytest.importorskip("shapely", "2.0")
    _, _, shapes = grown
    hulls = [shapely.MultiPoint(corners).convex_hull for corners in feet(shapes)]
    buildings = np.array([hull for hull in hulls if hull.area > 10.0])
    one, other = shapely.STRtree(buildings).query(buildings, predicate="intersects")
    assert (one == other).all()
    assert len(buildings) > 5


def test_faces_look_outwards(grown: Grown) -> None:
    """Every face turns its front away from the vertical line in its solid's middle."""
    _, _, shapes = grown
    faces = shapes.faces
    normals = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    outwards = faces.mean(axis=1)[:, :2] - shapes.centers[shapes.owners]
    flat = np.abs(normals[:, 2]) > 0.99 * np.linalg.norm(normals, axis=1)
    assert (normals[flat, 2] > 0.0).all(), "roofs"
    assert (np.einsum("ij,ij->i", normals[~flat, :2], outwards[~flat]) > 0.0).all()


def test_the_seed_decides(grown: Grown) -> None:
    lanes, surface, shapes = grown
    assert np.array_equal(grow(lanes, surface, 0).faces, shapes.faces)
    assert not np.array_equal(grow(lanes, surface, 1).centers, shapes.centers)
