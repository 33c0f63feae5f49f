# SPDX-License-Identifier: Apache-2.0
"""The drawn ground against the lanes of the map library."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.ground.surface import LANE, OBSTACLE, OFF_ROAD, VERGE, Surface
from td3_driver.world.semantic_class import SemanticClass

from ..places import places


def beside(road_map: RoadMap, left_m: float) -> npt.NDArray[np.float64]:
    """(N, 2) points at a distance to the left of every lane's middle."""
    poses = places(road_map, 2.0)
    return np.array(
        [
            (p.x_m - left_m * math.sin(p.yaw_rad), p.y_m + left_m * math.cos(p.yaw_rad))
            for p in poses
        ]
    )


@pytest.mark.parametrize("left_m", [-1.5, 0.0, 1.5])
def test_lanes_are_drivable_in_towns(town: RoadMap, town_surface: Surface, left_m: float) -> None:
    assert (town_surface.class_at(beside(town, left_m)) == LANE).all()


@pytest.mark.parametrize("left_m", [-4.0, 0.0, 4.0])
def test_nothing_solid_within_reach_of_a_lane_in_towns(
    town: RoadMap, town_surface: Surface, left_m: float
) -> None:
    assert not (town_surface.class_at(beside(town, left_m)) == OBSTACLE).any()


@pytest.mark.parametrize(
    ("from_edge_m", "ground"),
    [(-1.0, LANE), (0.15, VERGE), (0.4, VERGE), (1.5, VERGE), (3.5, OFF_ROAD), (6.0, OBSTACLE)],
)
def test_bands_beside_the_right_edge(
    loop: RoadMap, loop_surface: Surface, from_edge_m: float, ground: int
) -> None:
    found = loop_surface.class_at(beside(loop, -1.75 - from_edge_m))
    assert (found == ground).mean() > 0.99


def test_paint_lies_where_the_map_has_it(loop: RoadMap, loop_surface: Surface) -> None:
    def colors_at(left_m: float) -> npt.NDArray[np.float64]:
        points = np.column_stack([beside(loop, left_m), np.ones(len(places(loop, 2.0)))])
        pixels = np.rint(points @ loop_surface.pixel_from_map(0).T).astype(int)
        return loop_surface.levels[0][pixels[:, 1], pixels[:, 0]].astype(float)

    edge, middle, centre = colors_at(-1.75), colors_at(0.0), colors_at(1.75)
    assert (edge.min(axis=1) > 130).mean() > 0.95, "a solid white line on the right edge"
    assert (middle.max(axis=1) < 140).all(), "bare asphalt in the middle"
    yellow = (centre[:, 2] - centre[:, 0]) > 60
    assert 0.3 < yellow.mean() < 0.55, "a broken yellow line on the left edge, 3 m of 7.5 m"


def test_beyond_the_picture_is_off_road(loop_surface: Surface) -> None:
    assert loop_surface.class_at(np.array([[1e6, 0.0], [0.0, -1e6]])).tolist() == [OFF_ROAD] * 2


def test_junctions_have_no_holes(town: RoadMap, town_surface: Surface) -> None:
    """Between two lanes of a junction that both leave its entry there is asphalt."""
    for junction_id in {lane.junction_id for lane in town.lanes.values()} - {None}:
        crossing = [lane for lane in town.lanes.values() if lane.junction_id == junction_id]
        points = np.concatenate([lane.line_m[::2] for lane in crossing])
        inner = points.mean(axis=0) * 0.5 + points * 0.5
        assert (town_surface.class_at(inner) == LANE).mean() > 0.9


def test_same_seed_same_ground(loop: RoadMap, loop_surface: Surface) -> None:
    again, other = Surface(loop, 0), Surface(loop, 1)
    assert all(
        np.array_equal(a, b) for a, b in zip(again.levels, loop_surface.levels, strict=True)
    )
    assert not np.array_equal(other.levels[0], loop_surface.levels[0])
    assert np.array_equal(other.classes, loop_surface.classes)


def test_closing_junctions_adds_only_islands(town: RoadMap, town_surface: Surface) -> None:
    """The straight side of a T-junction stays straight."""
    lanes_only = np.zeros_like(town_surface.classes)
    to_pixel = town_surface.pixel_from_map(0)
    for lane in town.lanes.values():
        outline = lane.outline_m @ to_pixel[:2, :2].T + to_pixel[:2, 2]
        cv2.fillPoly(lanes_only, [np.rint(outline).astype(np.int32)], 1)
    added = (town_surface.classes == LANE) & (lanes_only == 0)
    assert added.sum() < 0.01 * lanes_only.sum()


def test_every_class_of_ground_has_its_tags(loop_surface: Surface) -> None:
    """Gutters are road, kerbs and pavements are sidewalks; paint may reach a little further."""
    found = {
        kind: set(np.unique(loop_surface.tags[loop_surface.classes == kind]).tolist())
        - {SemanticClass.ROAD_LINES}
        for kind in (LANE, VERGE, OBSTACLE, OFF_ROAD)
    }
    assert found == {
        LANE: {SemanticClass.ROADS},
        VERGE: {SemanticClass.ROADS, SemanticClass.SIDEWALKS},
        OBSTACLE: {SemanticClass.VEGETATION},
        OFF_ROAD: {SemanticClass.TERRAIN},
    }
    assert (loop_surface.tags == SemanticClass.ROAD_LINES).any()
