# SPDX-License-Identifier: Apache-2.0
"""The camera's geometry against a pinhole projection written independently of it."""

from __future__ import annotations

import copy
import math

import cv2
import numpy as np
import pytest

from td3_driver.driving.types import Pose
from td3_driver.world.camera import Camera, CameraError
from td3_driver.world.surface import Surface

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
    camera = Camera(WIDTH_PX, HEIGHT_PX, fov_deg, pitch_deg=pitch_deg)
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
    picture = Camera().render(with_dot(loop_surface, (-3.0, 8.0)), pose)[70:, :, 0]
    assert picture[:, :80].max() > 100
    assert picture[:, 80:].max() == 0


def test_sky_above_and_ground_below(loop_surface: Surface) -> None:
    picture = Camera().render(loop_surface, Pose(0.0, 0.0, 0.0))
    assert picture.shape == (120, 160, 4)
    assert picture.dtype == np.uint8
    assert picture.flags.c_contiguous
    assert (picture[:, :, 3] == 255).all()
    assert (picture[:60, :, 0] > 200).all(), "blue sky"
    assert (picture[62:, :, 0] < 200).all(), "no sky below the horizon"


def test_far_from_the_map_there_is_grass(loop_surface: Surface) -> None:
    picture = Camera().render(loop_surface, Pose(1e5, 1e5, 1.0))
    assert len(np.unique(picture[60:].reshape(-1, 4), axis=0)) == 1


def test_far_dashes_do_not_flicker(loop_surface: Surface) -> None:
    """Anti-aliasing: a small step changes far rows no more than near ones."""
    camera = Camera()
    pose = Pose(0.0, 0.0, 0.3)
    a = camera.render(loop_surface, pose).astype(float)
    b = camera.render(loop_surface, Pose(0.3, 0.0, 0.3)).astype(float)
    change = np.abs(a - b).mean(axis=(1, 2))
    assert change[61:75].mean() < 8.0


@pytest.mark.parametrize(
    "wrong", [{"width_px": 0}, {"fov_deg": 180.0}, {"z_m": 0.0}, {"pitch_deg": 90.0}]
)
def test_impossible_cameras_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(CameraError, match="expected"):
        Camera(**wrong)  # type: ignore[arg-type]
