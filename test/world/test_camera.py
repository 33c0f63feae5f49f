# SPDX-License-Identifier: Apache-2.0
"""The camera's geometry against a pinhole projection written independently of it."""

from __future__ import annotations

import copy
import math

import cv2
import numpy as np
import pytest

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.bodies.shapes import of_bodies
from td3_driver.world.camera.appearance import PLAIN, look_of, random_look
from td3_driver.world.camera.camera import Camera, CameraConfig, CameraError
from td3_driver.world.ground.surface import Surface

from ..places import places

WIDTH_PX, HEIGHT_PX = 640, 480


def pinhole(
    ground_m: tuple[float, float], pose: Pose, fov_deg: float, pitch_deg: float
) -> tuple[float, float]:
    """Pixel (u, v) of a ground point for a camera 1.6 m ahead of and 1.5 m above the car."""
    pitch = math.radians(pitch_deg)
    dx, dy = ground_m[0] - pose.x_m, ground_m[1] - pose.y_m
    ahead = dx * math.cos(pose.yaw_rad) + dy * math.sin(pose.yaw_rad) - 1.6
    left = dy * math.cos(pose.yaw_rad) - dx * math.sin(pose.yaw_rad)
    depth = ahead * math.cos(pitch) + 1.5 * math.sin(pitch)
    below = 1.5 * math.cos(pitch) - ahead * math.sin(pitch)
    focal = WIDTH_PX / (2.0 * math.tan(math.radians(fov_deg / 2.0)))
    return WIDTH_PX / 2.0 - focal * left / depth, HEIGHT_PX / 2.0 + focal * below / depth


def with_dot(surface: Surface, ground_m: tuple[float, float]) -> Surface:
    """A black ground with one white disc of 0.3 m radius."""
    marked = copy.copy(surface)
    picture = np.zeros_like(surface.levels[0])
    column, row, _ = surface.pixel_from_map(0) @ (*ground_m, 1.0)
    centre = round(column * 16), round(row * 16)
    cv2.circle(picture, centre, round(0.3 / surface.m_per_px * 16), (255,) * 3, -1, 16, 4)
    marked.levels = [picture]
    for _ in surface.levels[1:]:
        rows, columns = marked.levels[-1].shape[:2]
        half = cv2.resize(
            marked.levels[-1], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA
        )
        marked.levels.append(half)
    return marked


@pytest.mark.parametrize(("fov_deg", "pitch_deg"), [(90.0, 0.0), (90.0, 8.0), (75.0, -3.0)])
@pytest.mark.parametrize(
    ("ahead_m", "left_m"), [(7.0, 0.0), (9.0, 2.0), (14.0, -4.0), (25.0, 3.0)]
)
def test_ground_points_appear_where_a_pinhole_shows_them(
    loop_surface: Surface, ahead_m: float, left_m: float, fov_deg: float, pitch_deg: float
) -> None:
    pose = Pose(12.3, -4.5, 2.1)
    cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    point = (
        pose.x_m + ahead_m * cos - left_m * sin,
        pose.y_m + ahead_m * sin + left_m * cos,
    )
    expected = pinhole(point, pose, fov_deg, pitch_deg)
    camera = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX, fov_deg, pitch_deg=pitch_deg))
    shown = camera.render(with_dot(loop_surface, point), pose)[:, :, 1].astype(float)
    shown[shown < 100.0] = 0.0
    horizon = HEIGHT_PX / 2.0 - camera.focal_px * math.tan(math.radians(pitch_deg))
    shown[: math.ceil(horizon) + 3] = 0.0
    rows, columns = np.nonzero(shown)
    weight = shown[rows, columns]
    assert np.average(columns + 0.5, weights=weight) == pytest.approx(expected[0], abs=1.5)
    assert np.average(rows + 0.5, weights=weight) == pytest.approx(expected[1], abs=1.5)


def test_left_is_left(loop_surface: Surface) -> None:
    pose = Pose(0.0, 0.0, math.pi / 2.0)  # looks north, so west is on the left
    picture = Camera(CameraConfig()).render(with_dot(loop_surface, (-3.0, 8.0)), pose)[70:, :, 0]
    assert picture[:, :80].max() > 100
    assert picture[:, 80:].max() == 0


def test_sky_above_and_ground_below(loop_surface: Surface) -> None:
    picture = Camera(CameraConfig()).render(loop_surface, Pose(0.0, 0.0, 0.0))
    assert picture.shape == (120, 160, 4)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert (picture[:, :, 3] == 255).all()
    assert (picture[:60, :, 0] > 200).all(), "blue sky"
    assert (picture[62:, :, 0] < 200).all(), "no sky below the horizon"


def test_far_from_the_map_there_is_grass(loop_surface: Surface) -> None:
    picture = Camera(CameraConfig()).render(loop_surface, Pose(1e5, 1e5, 1.0))
    assert len(np.unique(picture[60:].reshape(-1, 4), axis=0)) == 1


def test_far_dashes_do_not_flicker(loop_surface: Surface) -> None:
    """Anti-aliasing: a small step changes far rows no more than near ones."""
    camera = Camera(CameraConfig())
    pose = Pose(0.0, 0.0, 0.3)
    a = camera.render(loop_surface, pose).astype(float)
    b = camera.render(loop_surface, Pose(0.3, 0.0, 0.3)).astype(float)
    change = np.abs(a - b).mean(axis=(1, 2))
    assert change[61:75].mean() < 8.0


RED, BLUE = (30.0, 30.0, 250.0), (250.0, 30.0, 30.0)
MIDDLE = Pose(0.0, 0.0, 0.4)


def cars(*places: tuple[float, float, float, tuple[float, float, float]]) -> Bodies:
    """Cars of 4.7 x 1.85 x 1.45 m ahead of `MIDDLE`: metres ahead and left, turn, colour."""
    cos, sin = math.cos(MIDDLE.yaw_rad), math.sin(MIDDLE.yaw_rad)
    poses = [
        (cos * ahead - sin * left, sin * ahead + cos * left, MIDDLE.yaw_rad + turn)
        for ahead, left, turn, _ in places
    ]
    count = len(places)
    return Bodies.steady(
        np.arange(count),
        np.array(poses),
        np.tile([4.7, 1.85, 1.45], (count, 1)),
        np.zeros((count, 2)),
        np.full(count, 1600.0),
        np.array([color for *_, color in places]),
    )


def changed_by(surface: Surface, bodies: Bodies) -> np.ndarray:
    """(HEIGHT_PX, WIDTH_PX) bool: pixels that the bodies change."""
    camera = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX))
    without, drawn = camera.render(surface, MIDDLE), of_bodies(bodies)
    return (camera.render(surface, MIDDLE, drawn) != without).any(axis=2)


def reddish(picture: np.ndarray) -> np.ndarray:
    return picture[:, :, 2].astype(int) - picture[:, :, 0] > 60


@pytest.mark.parametrize("turn_rad", [0.0, 0.7, math.pi / 2.0, 2.5, -2.0])
@pytest.mark.parametrize(("ahead_m", "left_m"), [(8.0, 0.0), (12.0, 4.0), (30.0, -3.0)])
def test_a_car_covers_what_its_box_covers(
    loop_surface: Surface, ahead_m: float, left_m: float, turn_rad: float
) -> None:
    bodies = cars((ahead_m, left_m, turn_rad, RED))
    rows, columns = np.nonzero(changed_by(loop_surface, bodies))
    focal = WIDTH_PX / 2.0
    ground = [pinhole((x, y), MIDDLE, 90.0, 0.0) for x, y in bodies.corners()[0]]
    left, right = min(u for u, _ in ground), max(u for u, _ in ground)
    margin_px = 0.1 * (right - left) + 2.0  # the shadow is a little wider, the lights stick out
    assert left - margin_px < columns.min() < left + 2.0
    assert right - 2.0 < columns.max() < right + margin_px
    assert rows.max() == pytest.approx(max(v for _, v in ground), abs=0.1 * focal / ahead_m + 3.0)
    top_px = HEIGHT_PX / 2.0 + focal * (1.5 - 1.45) / (ahead_m - 1.6)
    assert rows.min() == pytest.approx(top_px, abs=0.15 * focal / ahead_m + 2.0)


@pytest.mark.parametrize("far_first", [True, False])
def test_the_near_car_hides_the_far_one(loop_surface: Surface, far_first: bool) -> None:
    near, far = (8.0, 0.0, 0.0, BLUE), (16.0, 0.0, 0.0, RED)
    beside = (16.0, 3.0, 0.0, RED)
    camera = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX))

    def red_px(*places: tuple[float, float, float, tuple[float, float, float]]) -> int:
        ordered = places if far_first else places[::-1]
        picture = camera.render(loop_surface, MIDDLE, of_bodies(cars(*ordered)))
        below_the_near_roof = picture[HEIGHT_PX // 2 + 6 :]
        return int(reddish(below_the_near_roof).sum())

    alone, both = red_px(far), red_px(far, near)
    lights = red_px(near)
    assert alone > 500
    assert both - lights < 0.02 * alone
    shown = (red_px(beside, near) - lights) / red_px(beside)
    assert 0.4 < shown < 0.95, "partly hidden"


def test_what_is_behind_or_far_away_is_not_drawn(loop_surface: Surface) -> None:
    there = cars((-8.0, 0.0, 0.0, RED), (300.0, 0.0, 0.0, RED), (6.0, 40.0, 0.0, RED))
    assert not changed_by(loop_surface, there).any()


@pytest.mark.parametrize("ahead_m", [1.0, 2.5, 4.0])
@pytest.mark.parametrize("left_m", [-2.2, 2.2])
def test_a_car_beside_the_camera_is_cut_at_the_picture(
    loop_surface: Surface, ahead_m: float, left_m: float
) -> None:
    changed = changed_by(loop_surface, cars((ahead_m, left_m, 0.0, RED)))
    here = changed[:, : WIDTH_PX // 2] if left_m > 0.0 else changed[:, WIDTH_PX // 2 :]
    assert here.sum() > (1000 if ahead_m > 1.5 else 50)
    assert here.sum() == changed.sum(), "on its own side only"
    edge = here[:, 0] if left_m > 0.0 else here[:, -1]
    assert edge.any(), "it goes on beyond the edge"


@pytest.mark.parametrize("turn_rad", [0.0, 0.35, -0.25])
def test_a_face_that_reaches_behind_the_camera_keeps_its_edges(
    loop_surface: Surface, turn_rad: float
) -> None:
    """The near edge of a car's shadow, part of it behind the camera, is where it is."""
    bodies = cars((2.4, 2.4, turn_rad, RED))
    changed = changed_by(loop_surface, bodies)
    x, y, yaw = bodies.poses[0]
    cos, sin = math.cos(yaw), math.sin(yaw)
    edge_m, seen = -1.1 * 1.85 / 2.0, 0
    for along_m in np.linspace(-2.2, 2.2, 60):
        for left_m, covered in ((edge_m + 0.12, True), (edge_m - 0.12, False)):
            point = x + along_m * cos - left_m * sin, y + along_m * sin + left_m * cos
            u, v = pinhole(point, MIDDLE, 90.0, 0.0)
            if 0.0 < u < WIDTH_PX and HEIGHT_PX / 2.0 < v < HEIGHT_PX:
                seen += 1
                assert changed[int(v), int(u)] == covered
    assert seen > 3


def test_mixed_is_plain_in_half_of_the_cases() -> None:
    looks = [look_of("mixed", np.random.default_rng(seed)) for seed in range(200)]
    assert 70 < sum(look is PLAIN for look in looks) < 130
    assert look_of("plain", np.random.default_rng(0)) is PLAIN
    assert look_of("random", np.random.default_rng(0)) is not PLAIN


def test_plain_is_todays_picture_and_random_looks_differ(loop_surface: Surface) -> None:
    camera = Camera(CameraConfig())
    plain = camera.render(loop_surface, MIDDLE)
    pictures = []
    for seed in (0, 1, 2, 3, 0):
        camera.wear(random_look(np.random.default_rng(seed)))
        pictures.append(camera.render(loop_surface, MIDDLE).tobytes())
    assert pictures[0] == pictures[4]
    assert len({*pictures, plain.tobytes()}) == 5
    camera.wear(PLAIN)
    assert np.array_equal(camera.render(loop_surface, MIDDLE), plain)


def test_looks_stay_readable(loop: RoadMap, loop_surface: Surface) -> None:
    """Dusk is dark and rain is grey, but the road can be told from what is beside it."""
    lane = pose_of(places(loop, 5.0)[3])
    camera = Camera(CameraConfig())
    levels, contrasts = [], []
    for seed in range(40):
        camera.wear(random_look(np.random.default_rng(seed)))
        ground = camera.render(loop_surface, lane)[62:, :, :3].astype(float)
        levels.append(ground.mean())
        contrasts.append(ground.std())
    assert 15.0 < min(levels) < 60.0, "dusk"
    assert max(levels) > 100.0, "rain is grey"
    assert min(contrasts) > 8.0
    assert np.std(levels) > 15.0


def test_shadows_on_the_ground_stay_where_they_are(loop_surface: Surface) -> None:
    """Seen again from 2 m further on, the same ground has the same brightness."""
    camera = Camera(CameraConfig("rgb_front", WIDTH_PX, HEIGHT_PX))
    camera.wear(random_look(np.random.default_rng(5)))
    cos, sin = math.cos(MIDDLE.yaw_rad), math.sin(MIDDLE.yaw_rad)
    onward = Pose(MIDDLE.x_m + 2.0 * cos, MIDDLE.y_m + 2.0 * sin, MIDDLE.yaw_rad)
    before, after = (camera.render(loop_surface, pose) for pose in (MIDDLE, onward))
    differences = []
    for ahead in np.linspace(6.0, 14.0, 30):
        for left in (-2.0, 0.0, 2.0):
            point = ahead * cos - left * sin, ahead * sin + left * cos
            seen = [
                picture[int(v), int(u), :3].astype(float).mean()
                for picture, (u, v) in (
                    (before, pinhole(point, MIDDLE, 90.0, 0.0)),
                    (after, pinhole(point, onward, 90.0, 0.0)),
                )
            ]
            differences.append(abs(seen[0] - seen[1]))
    assert np.median(differences) < 6.0


@pytest.mark.parametrize(
    "wrong",
    [
        {"width_px": 0},
        {"fov_deg": 180.0},
        {"z_m": math.nan},
        {"pitch_deg": 90.5},
        {"yaw_deg": math.inf},
        {"roll_deg": math.nan},
    ],
)
def test_impossible_cameras_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CameraError, match="expected"):
        Camera(CameraConfig(**wrong))  # type: ignore[arg-type]
