# SPDX-License-Identifier: Apache-2.0
"""Cameras in any pose: what they see in colour, in metres and in CARLA's tags."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.shapes import Mesh, Shapes, frustum, joined, of_bodies, placed
from td3_driver.world.camera.appearance import Look
from td3_driver.world.camera.camera import FURTHEST_M, Camera, CameraConfig
from td3_driver.world.camera.scenery import grow
from td3_driver.world.ground.surface import Surface
from td3_driver.world.semantic_class import SemanticClass

from ..places import places
from .test_camera import BLUE, MIDDLE, RED, cars, with_dot

FloatArray = npt.NDArray[np.float64]

WIDTH_PX, HEIGHT_PX, FOV_DEG = 320, 240, 90.0
FOCAL_PX = WIDTH_PX / 2.0
POSE = Pose(12.3, -4.5, 2.1)

# Metres ahead and left of the car's middle, height; pitch, yaw and roll in degrees.
MOUNTINGS = {
    "ahead": (1.6, 0.0, 1.5, 8.0, 0.0, 0.0),
    "left and down": (0.0, 0.5, 2.0, 20.0, 75.0, 0.0),
    "behind": (-1.0, -0.3, 3.0, 15.0, 180.0, 0.0),
    "rolled": (1.6, 0.0, 1.5, 8.0, 0.0, 25.0),
    "on its side": (1.6, 0.0, 2.5, 10.0, -40.0, -90.0),
    "upside down": (0.0, 0.0, 4.0, 25.0, 10.0, 175.0),
    "straight down": (0.0, 0.0, 15.0, 90.0, 0.0, 0.0),
    "straight down, turned": (0.0, 0.0, 15.0, 90.0, 30.0, 45.0),
}


def axes(mounting: tuple[float, ...], pose: Pose) -> FloatArray:
    """(3, 3): columns are the camera's forward, left and up axis in the map frame."""
    *_, pitch, yaw, roll = mounting
    yaw_rad = pose.yaw_rad + math.radians(yaw)

    def turn(first: int, second: int, angle_rad: float) -> FloatArray:
        matrix = np.eye(3)
        matrix[first, first] = matrix[second, second] = math.cos(angle_rad)
        matrix[second, first] = math.sin(angle_rad)
        matrix[first, second] = -math.sin(angle_rad)
        return matrix

    # About z from x to y, about y from z to x, about x from y to z.
    about_y, about_x = turn(2, 0, math.radians(pitch)), turn(1, 2, math.radians(roll))
    return turn(0, 1, yaw_rad) @ about_y @ about_x


def middle(mounting: tuple[float, ...], pose: Pose) -> FloatArray:
    """(3,) the camera's position in the map frame, m."""
    x, y, z = mounting[:3]
    cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    return np.array([pose.x_m + x * cos - y * sin, pose.y_m + x * sin + y * cos, z])


def pixel(point: FloatArray, mounting: tuple[float, ...], pose: Pose) -> tuple[float, float]:
    """Where a map point appears."""
    forward, left, up = axes(mounting, pose).T @ (point - middle(mounting, pose))
    assert forward > 0.0
    return (
        WIDTH_PX / 2.0 - FOCAL_PX * left / forward,
        HEIGHT_PX / 2.0 - FOCAL_PX * up / forward,
    )


def points_seen(depth_m: FloatArray, mounting: tuple[float, ...], pose: Pose) -> FloatArray:
    """(height, width, 3) map points that a picture of depths shows."""
    across = np.arange(WIDTH_PX) + 0.5 - WIDTH_PX / 2.0
    below = np.arange(HEIGHT_PX) + 0.5 - HEIGHT_PX / 2.0
    left, up = np.meshgrid(-across / FOCAL_PX, -below / FOCAL_PX)
    rays = np.stack([np.ones_like(left), left, up], axis=-1)
    points: FloatArray = middle(mounting, pose) + depth_m[..., None] * (
        rays @ axes(mounting, pose).T
    )
    return points


def camera_at(mounting: tuple[float, ...]) -> Camera:
    return Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX, FOV_DEG, *mounting))


def looked_at(mounting: tuple[float, ...], pose: Pose) -> FloatArray:
    """(3,) the ground that the picture's middle shows."""
    forward, camera = axes(mounting, pose)[:, 0], middle(mounting, pose)
    point: FloatArray = camera - camera[2] / forward[2] * forward
    return point


@pytest.mark.parametrize("mounting", MOUNTINGS.values(), ids=MOUNTINGS)
@pytest.mark.parametrize("aside_m", [(0.0, 0.0), (1.0, -0.8), (-0.8, 1.2)])
def test_the_ground_appears_where_a_pinhole_shows_it(
    loop_surface: Surface, mounting: tuple[float, ...], aside_m: tuple[float, float]
) -> None:
    """A dot where the picture's middle looks at the ground, or a little beside that."""
    point = looked_at(mounting, POSE) + np.array([*aside_m, 0.0])
    dotted, bare = (
        camera_at(mounting).render(with_dot(loop_surface, (x, y)), POSE)[:, :, 1].astype(float)
        for x, y in (point[:2], point[:2] + 1000.0)
    )
    shown = dotted - bare
    rows, columns = np.nonzero(shown)
    weight = shown[rows, columns]
    u, v = pixel(point, mounting, POSE)
    assert np.average(columns + 0.5, weights=weight) == pytest.approx(u, abs=1.5)
    assert np.average(rows + 0.5, weights=weight) == pytest.approx(v, abs=1.5)


@pytest.mark.parametrize("mounting", MOUNTINGS.values(), ids=MOUNTINGS)
def test_depths_lead_to_the_ground_and_to_the_faces_of_solids(
    loop_surface: Surface, mounting: tuple[float, ...]
) -> None:
    """A box of 4 x 6 x 3 m stands where the camera looks at the ground, 4 m further on."""
    foot = looked_at(mounting, POSE)
    camera = middle(mounting, POSE)
    further = foot + 4.0 * (foot - camera) / max(np.linalg.norm((foot - camera)[:2]), 1.0)
    yaw = 0.7
    box = box_at(float(further[0]), float(further[1]), yaw, (4.0, 6.0, 3.0))
    seen = camera_at(mounting)
    tags = seen.semantic(loop_surface, POSE, box)
    depth = seen.depth_m(loop_surface, POSE, box)
    assert (depth.dtype, depth.shape) == (np.float32, (HEIGHT_PX, WIDTH_PX))
    points = points_seen(depth.astype(float), mounting, POSE)
    sky = tags == SemanticClass.SKY
    assert (depth[sky] == FURTHEST_M).all()
    solid = tags == SemanticClass.WALLS
    assert solid.sum() > 200
    ground = ~solid & ~sky & (depth < FURTHEST_M)
    assert np.abs(points[ground][:, 2]).max() < 0.01
    cos, sin = math.cos(yaw), math.sin(yaw)
    off = points[solid] - (*further[:2], 0.0)
    along, aside = cos * off[:, 0] + sin * off[:, 1], cos * off[:, 1] - sin * off[:, 0]
    from_faces = np.abs(
        np.stack([np.abs(along) - 2.0, np.abs(aside) - 3.0, off[:, 2] - 3.0], axis=1)
    )
    assert np.mean(from_faces.min(axis=1) < 1e-3) > 0.95, "all but the edges' pixels"
    assert from_faces.min(axis=1).max() < 0.5


def box_at(
    x_m: float,
    y_m: float,
    yaw_rad: float,
    size_m: tuple[float, float, float],
    tag: SemanticClass = SemanticClass.WALLS,
) -> Shapes:
    return placed([box_mesh(size_m, tag)], np.array([(x_m, y_m, yaw_rad)]))


def box_mesh(size_m: tuple[float, float, float], tag: SemanticClass) -> Mesh:
    x, y, z = size_m[0] / 2.0, size_m[1] / 2.0, size_m[2]
    return frustum((-x, x, -y, y, 0.0), (-x, x, -y, y, z), RED, BLUE).tagged(tag)


def test_tags_and_colours_show_the_same(loop: RoadMap, loop_surface: Surface) -> None:
    """Where there is sky, paint, pavement and grass, the colour picture has their colours."""
    magenta = (255.0, 0.0, 255.0)
    rows: dict[SemanticClass, list[FloatArray]] = {tag: [] for tag in SemanticClass}
    for mounting in ("ahead", "left and down", "rolled", "straight down"):
        seen = camera_at(MOUNTINGS[mounting])
        seen.wear(Look(sky_top_bgr=magenta, sky_bottom_bgr=magenta))
        for place in places(loop, 40.0)[:4]:
            pose = pose_of(place)
            tags = seen.semantic(loop_surface, pose)
            assert (tags.dtype, tags.shape) == (np.uint8, (HEIGHT_PX, WIDTH_PX))
            colors = seen.render(loop_surface, pose)[:, :, :3].astype(float)
            sky = (colors == magenta).all(axis=-1)
            assert np.mean(sky == (tags == SemanticClass.SKY)) > 0.995
            near = seen.depth_m(loop_surface, pose) < 12.0
            for tag, of_tag in rows.items():
                of_tag.append(colors[near & (tags == tag)])
    shown = {tag: np.concatenate(of_tag) for tag, of_tag in rows.items()}
    here = {tag for tag, colors in shown.items() if len(colors) > 100}
    assert here == {
        SemanticClass.ROADS,
        SemanticClass.SIDEWALKS,
        SemanticClass.ROAD_LINES,
        SemanticClass.TERRAIN,
        SemanticClass.VEGETATION,
    }
    red = {tag: np.median(shown[tag][:, 2]) for tag in here}
    assert red[SemanticClass.VEGETATION] < 45.0 < red[SemanticClass.TERRAIN] < 80.0
    assert red[SemanticClass.ROADS] < 110.0 < red[SemanticClass.SIDEWALKS]
    assert red[SemanticClass.ROAD_LINES] > 150.0
    green = shown[SemanticClass.TERRAIN]
    assert np.mean(green[:, 1] > green[:, 2] + 10.0) > 0.9
    road = shown[SemanticClass.ROADS][:, 2]
    assert np.mean(road > 170.0) < 0.01, "no paint on what is said to be bare road"


@pytest.mark.parametrize("mounting", ["ahead", "rolled", "upside down"])
def test_solids_are_where_the_colour_picture_has_them(
    loop_surface: Surface, mounting: str
) -> None:
    """Cars, and nothing of the shade below them."""
    seen = camera_at(MOUNTINGS[mounting])
    bodies = cars((9.0, 0.5, 0.4, RED), (14.0, 3.0, 2.0, BLUE), (11.0, -3.0, 0.0, RED))
    solids = of_bodies(bodies)
    changed = (seen.render(loop_surface, MIDDLE, solids) != seen.render(loop_surface, MIDDLE)).any(
        axis=-1
    )
    tags = seen.semantic(loop_surface, MIDDLE, solids)
    car = tags == SemanticClass.CAR
    assert car.sum() > 1000
    assert np.mean(changed[car]) > 0.97
    assert np.array_equal(tags[~car], seen.semantic(loop_surface, MIDDLE)[~car])
    nearer = seen.depth_m(loop_surface, MIDDLE, solids) < seen.depth_m(loop_surface, MIDDLE) - 0.01
    assert np.mean(nearer[car]) > 0.97
    assert not nearer[~car].any()


def test_bodies_are_what_they_are_said_to_be(loop_surface: Surface) -> None:
    bodies = cars((9.0, 0.5, 0.4, RED), (11.0, -3.0, 0.0, RED))
    tags = np.array([SemanticClass.BUS, SemanticClass.BICYCLE], np.uint8)
    shown = Camera(CameraConfig(z_m=2.0)).semantic(loop_surface, MIDDLE, of_bodies(bodies, tags))
    new = set(np.unique(shown)) - set(
        np.unique(Camera(CameraConfig(z_m=2.0)).semantic(loop_surface, MIDDLE))
    )
    assert new == {SemanticClass.BUS, SemanticClass.BICYCLE}


def test_the_spectator_sees_a_town_from_above(loop: RoadMap, loop_surface: Surface) -> None:
    scenery = grow(list(loop.lanes.values()), loop_surface, 1)
    pose = pose_of(places(loop, 10.0)[0])
    for pitch_deg in (45.0, 90.0):
        seen = Camera(
            CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX, x_m=0.0, z_m=300.0, pitch_deg=pitch_deg)
        )
        tags = seen.semantic(loop_surface, pose, scenery)
        assert np.sum(tags == SemanticClass.BUILDINGS) > 100
        bare, full = (seen.render(loop_surface, pose, solids) for solids in (None, scenery))
        assert np.sum((bare != full).any(axis=-1)) > 100
        houses = full[tags == SemanticClass.BUILDINGS][:, :3].mean()
        assert houses < 150.0, "not lost in haze"


def test_from_above_the_solid_nearer_to_the_foot_hides_the_other(loop_surface: Surface) -> None:
    """From 40 m up a tower's roof covers a low house behind it, also one less far to a side."""
    tower = box_at(8.0, -6.0, 0.0, (6.0, 6.0, 20.0), SemanticClass.BUILDINGS)
    house = box_at(16.0, -5.0, 0.0, (6.0, 6.0, 3.0), SemanticClass.WALLS)
    mounting = (0.0, 0.0, 40.0, 90.0, 0.0, 0.0)
    seen, pose = camera_at(mounting), Pose(0.0, 0.0, 0.0)
    u, v = pixel(np.array([8.5, -3.75, 20.0]), mounting, pose)
    for solids in (joined(tower, house), joined(house, tower)):
        tags = seen.semantic(loop_surface, pose, solids)
        assert (tags == SemanticClass.WALLS).any()
        assert tags[int(v), int(u)] == SemanticClass.BUILDINGS
        assert seen.depth_m(loop_surface, pose, solids)[int(v), int(u)] == pytest.approx(20.0)


@pytest.mark.parametrize("roll_deg", [0.0, 90.0, -150.0])
def test_a_rolled_camera_sees_the_nearer_solid(loop_surface: Surface, roll_deg: float) -> None:
    """A box stands before the end of a long wall whose middle is less far ahead."""
    mounting, pose = (0.0, 0.0, 1.5, 0.0, 0.0, roll_deg), Pose(0.0, 0.0, 0.0)
    box = box_at(10.0, 0.0, 0.0, (2.0, 2.0, 2.0), SemanticClass.BUILDINGS)
    wall = box_at(9.0, 12.0, math.atan2(24.0, -8.0), (25.3, 1.0, 3.0))
    u, v = pixel(np.array([9.0, 0.0, 1.0]), mounting, pose)
    for solids in (joined(box, wall), joined(wall, box)):
        tags = camera_at(mounting).semantic(loop_surface, pose, solids)
        assert (tags == SemanticClass.WALLS).any()
        assert tags[int(v), int(u)] == SemanticClass.BUILDINGS


def test_a_turned_camera_is_a_turned_car(loop_surface: Surface) -> None:
    turned = Camera(CameraConfig(x_m=0.0, yaw_deg=35.0)).render(loop_surface, Pose(5.0, 2.0, 0.3))
    pose = Pose(5.0, 2.0, 0.3 + math.radians(35.0))
    same = Camera(CameraConfig(x_m=0.0)).render(loop_surface, pose)
    assert np.abs(turned.astype(int) - same).mean() < 0.1


def test_an_upside_down_camera_has_the_picture_turned_round(loop_surface: Surface) -> None:
    solids = of_bodies(cars((9.0, 0.5, 0.4, RED)))
    for pitch_deg in (0.0, 12.0):
        upright = Camera(CameraConfig(pitch_deg=pitch_deg)).render(loop_surface, MIDDLE, solids)
        turned = Camera(CameraConfig(pitch_deg=pitch_deg, roll_deg=180.0)).render(
            loop_surface, MIDDLE, solids
        )
        assert np.abs(turned[::-1, ::-1].astype(int) - upright).mean() < 2.0
    slightly = Camera(CameraConfig(pitch_deg=12.0, roll_deg=1e-6)).render(
        loop_surface, MIDDLE, solids
    )
    assert np.abs(slightly.astype(int) - upright).mean() < 2.0


def test_straight_up_there_is_sky_and_what_stands_close(loop_surface: Surface) -> None:
    seen = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX, pitch_deg=-90.0, x_m=0.0))
    assert (seen.semantic(loop_surface, POSE) == SemanticClass.SKY).all()
    assert (seen.depth_m(loop_surface, POSE) == FURTHEST_M).all()
    assert (seen.render(loop_surface, POSE)[:, :, 0] > 200).all()
    wide = (
        Camera(CameraConfig(fov_deg=150.0, pitch_deg=-90.0))
        .render(loop_surface, POSE)[:, :, 0]
        .astype(int)
    )
    assert np.abs(wide - wide[::-1]).max() <= 1, "the sky behind is as that before"
    assert wide[0, 0] > wide[60, 0] + 5
    tower = box_at(POSE.x_m + 5.0, POSE.y_m, 0.0, (4.0, 4.0, 30.0))
    assert (seen.semantic(loop_surface, POSE, tower) == SemanticClass.WALLS).any()


@pytest.mark.parametrize("z_m", [0.0, -3.0])
def test_in_the_ground_a_camera_sees_from_just_above_it(loop_surface: Surface, z_m: float) -> None:
    solids = of_bodies(cars((9.0, 0.5, 0.4, RED)))
    seen, above = Camera(CameraConfig(z_m=z_m)), Camera(CameraConfig(z_m=0.01))
    for picture, same in [
        (seen.render, above.render),
        (seen.depth_m, above.depth_m),
        (seen.semantic, above.semantic),
    ]:
        shown = picture(loop_surface, MIDDLE, solids)
        assert np.array_equal(shown, same(loop_surface, MIDDLE, solids))
        assert len(np.unique(shown)) > 2


@pytest.mark.filterwarnings("error")
def test_no_camera_fails(loop_surface: Surface) -> None:
    """Every pose at its bounds and some in between, every size, far from the map or on it."""
    solids = joined(of_bodies(cars((3.0, 0.5, 0.4, RED))), box_at(0.0, 0.0, 0.3, (3.0, 3.0, 9.0)))
    rng = np.random.default_rng(5)
    known = np.array(list(SemanticClass))
    bounds = itertools.product((-90.0, 0.0, 90.0), (0.0, 180.0, -90.0, 400.0), (0.0, 90.0, -33.0))
    anywhere = rng.uniform((-90.0, -180.0, -180.0), (90.0, 180.0, 180.0), (40, 3)).tolist()
    for pitch_deg, yaw_deg, roll_deg in [*bounds, *anywhere]:
        seen = Camera(
            CameraConfig(
                "rgb_front",
                *rng.integers(1, 40, 2).tolist(),
                float(rng.choice((1.0, 60.0, 120.0, 179.0))),
                z_m=float(rng.choice((-1.0, 0.0, 0.3, 2.0, 50.0, 5000.0))),
                pitch_deg=pitch_deg,
                yaw_deg=yaw_deg,
                roll_deg=roll_deg,
            )
        )
        pose = Pose(*(rng.choice((1.0, 1e5)) * rng.uniform(-9.0, 9.0, 2)).tolist(), 1.0)
        size = seen.height_px, seen.width_px
        picture = seen.render(loop_surface, pose, solids)
        assert picture.shape == (*size, 4)
        assert (picture[:, :, 3] == 255).all()
        depth = seen.depth_m(loop_surface, pose, solids)
        assert depth.shape == size
        assert ((depth > 0.0) & (depth <= FURTHEST_M)).all()
        tags = seen.semantic(loop_surface, pose, solids)
        assert tags.shape == size
        assert np.isin(tags, known).all()


def test_the_classes_are_carlas() -> None:
    carla = pytest.importorskip("carla", reason="has the numbers")
    theirs = {name.lower(): int(value) for name, value in carla.CityObjectLabel.names.items()}
    del theirs["any"]
    assert {one.name.replace("_", "").lower(): one.value for one in SemanticClass} == theirs
