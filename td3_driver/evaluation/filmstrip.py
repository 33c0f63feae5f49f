# SPDX-License-Identifier: Apache-2.0
"""Moving pictures of drives: the camera's view beside the map, speed and controls below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Bodies, box_corners
from td3_driver.world.bodies.vehicle import LENGTH_M, WIDTH_M
from td3_driver.world.ground.surface import Surface

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]

MAP_PX = 240
MAP_ACROSS_M = 90.0
_MAP_LEVEL = 2  # of the surface's pyramid: 0.4 m a pixel
_BAR_PX = 26
_ROUTE_BGR, _DRIVEN_BGR, _CAR_BGR = (60, 180, 250), (80, 220, 80), (40, 40, 230)
_OTHER_BGR = (235, 170, 80)
_PANEL_BGR, _TEXT_BGR, _TRACK_BGR = (36, 32, 28), (230, 230, 230), (80, 76, 72)


@dataclass(frozen=True)
class Instant:
    """One moment of a drive.

    Attributes:
        view: what the camera sees, uint8 BGR or BGRA (height, width, 3 or 4).
        pose: the car.
        speed_mps: its speed, m/s.
        steer, drive: in [-1, 1]: +1 is full right, and full throttle (-1: full brake).
    """

    view: Picture
    pose: Pose
    speed_mps: float
    steer: float
    drive: float


def draw(
    surface: Surface,
    instant: Instant,
    route_m: Points,
    driven_m: Points,
    others: Bodies | None = None,
) -> Picture:
    """Draw one picture, uint8 BGR: the view, the map round the car, and a bar with the controls.

    Args:
        surface: the ground.
        instant: the moment to show.
        route_m, driven_m: (N, 2) points of the route and of the way driven, ROS map frame, m.
        others: the other road users.
    """
    height_px = max(instant.view.shape[0], MAP_PX)
    view = instant.view[:, :, :3]
    scale = height_px / view.shape[0]
    view = cv2.resize(view, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    bird = _map_round(surface, instant.pose, route_m, driven_m, others, height_px)
    above = np.hstack([view, bird])
    return np.vstack([above, _bar(above.shape[1], instant)])


def gif(pictures: Sequence[Picture], frame_s: float) -> bytes:
    """An endless animated GIF of BGR pictures, in the 256 colours of the first one."""
    frames = _frames(pictures)
    palette = frames[0].quantize(256)
    # 0 is no dithering; Pillow 9.0 knows no `Image.Dither`.
    frames = [
        frame.quantize(palette=palette, dither=0)  # type: ignore[arg-type]
        for frame in frames
    ]
    file = io.BytesIO()
    duration_ms = round(1000.0 * frame_s)
    frames[0].save(
        file, "GIF", save_all=True, append_images=frames[1:], duration=duration_ms, loop=0
    )
    return file.getvalue()


def animation(pictures: Sequence[Picture], frame_s: float, max_bytes: int) -> bytes:
    """An endless animated WebP of BGR pictures, in the best quality within `max_bytes`."""
    frames = _frames(pictures)
    for quality in (70, 50, 30, 15, 5):
        file = io.BytesIO()
        frames[0].save(
            file,
            "WEBP",
            save_all=True,
            append_images=frames[1:],
            duration=round(1000.0 * frame_s),
            loop=0,
            quality=quality,
        )
        if file.tell() <= max_bytes:
            break
    return file.getvalue()


def _frames(pictures: Sequence[Picture]) -> list[Image.Image]:
    return [Image.fromarray(np.ascontiguousarray(picture[:, :, ::-1])) for picture in pictures]


def _map_round(
    surface: Surface,
    pose: Pose,
    route_m: Points,
    driven_m: Points,
    others: Bodies | None,
    side_px: int,
) -> Picture:
    """The map round the car, north up."""
    px_per_m = side_px / MAP_ACROSS_M
    view_from_map = np.array(
        [
            [px_per_m, 0.0, side_px / 2.0 - px_per_m * pose.x_m],
            [0.0, -px_per_m, side_px / 2.0 + px_per_m * pose.y_m],
            [0.0, 0.0, 1.0],
        ]
    )
    source = surface.pixel_from_map(_MAP_LEVEL) @ np.linalg.inv(view_from_map)
    ground = surface.levels[_MAP_LEVEL]
    picture = cv2.warpAffine(
        ground,
        source[:2],
        (side_px, side_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    for points_m, color in ((route_m, _ROUTE_BGR), (driven_m, _DRIVEN_BGR)):
        cv2.polylines(picture, [_pixels(view_from_map, points_m)], False, color, 2, cv2.LINE_AA, 4)
    here = np.array([[pose.x_m, pose.y_m, pose.yaw_rad]])
    outlines = [(_outlines_m(here, np.array([[LENGTH_M, WIDTH_M]])), _CAR_BGR)]
    if others is not None:
        outlines.append((_outlines_m(others.poses, others.sizes_m[:, :2]), _OTHER_BGR))
    for corners_m, color in reversed(outlines):
        outline = list(_pixels(view_from_map, corners_m))
        cv2.fillPoly(picture, outline, color, cv2.LINE_AA, 4)
    return np.asarray(picture, np.uint8)


def _outlines_m(poses: Points, sizes_m: Points) -> Points:
    """(N, 4, 2) corners of cars, m, enlarged to be seen, but no wider than a lane."""
    return box_corners(poses, 1.4 * sizes_m)


def _pixels(view_from_map: Points, points_m: Points) -> NDArray[np.int32]:
    """Points in sixteenths of a pixel, for OpenCV's `shift=4`."""
    pixels = points_m @ view_from_map[:2, :2].T + view_from_map[:2, 2]
    return np.rint(16.0 * pixels).astype(np.int32)


def _bar(width_px: int, instant: Instant) -> Picture:
    """Speed as a number; steering and pedals as bars from their middle."""
    bar = np.full((_BAR_PX, width_px, 3), _PANEL_BGR, np.uint8)
    third = width_px // 3
    _write(bar, f"{instant.speed_mps:4.1f} m/s", 8)
    pedal_bgr = _DRIVEN_BGR if instant.drive > 0.0 else _CAR_BGR
    for name, value, color, left in (
        ("steer", instant.steer, _ROUTE_BGR, third),
        ("drive", instant.drive, pedal_bgr, 2 * third),
    ):
        _write(bar, name, left)
        middle, half = left + third // 2 + 24, third // 2 - 32
        top, bottom = _BAR_PX // 2 - 4, _BAR_PX // 2 + 4
        cv2.rectangle(bar, (middle - half, top), (middle + half, bottom), _TRACK_BGR, -1)
        cv2.rectangle(bar, (middle, top), (middle + round(half * value), bottom), color, -1)
    return bar


def _write(picture: Picture, text: str, left: int) -> None:
    origin = (left, _BAR_PX // 2 + 5)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.42, _TEXT_BGR, 1, cv2.LINE_AA)
