# SPDX-License-Identifier: Apache-2.0
"""The camera on the car: it sees the ground, the sky, and solids, in colour, depth and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.shapes import Shapes
from td3_driver.world.camera.appearance import PLAIN, Look
from td3_driver.world.camera.backdrop import Backdrop, RolledBackdrop, map_from_car_at
from td3_driver.world.camera.painter import View, paint, paint_depth, paint_tags
from td3_driver.world.camera.pinhole import Pinhole
from td3_driver.world.ground.surface import Surface
from td3_driver.world.semantic_class import SemanticClass

ByteArray = npt.NDArray[np.uint8]
DepthArray = npt.NDArray[np.float32]

FURTHEST_M = 1000.0  # the depth of the sky
_LOWEST_M = 0.01


class CameraError(ValueError):
    """A camera that cannot exist."""


@dataclass(frozen=True)
class CameraConfig:
    """A camera on a car, or anywhere above the ground.

    Attributes:
        id: its name.
        width_px, height_px: size of the pictures.
        fov_deg: horizontal angle of view, in (0, 180).
        x_m, y_m, z_m: position in the car's frame (forward, left, above the ground).
        pitch_deg: -90 to 90, positive looks down, as in the bridge's spawn points.
        yaw_deg: positive looks to the left of the car.
        roll_deg: positive lowers the camera's right side, so that the horizon's right end rises in
            the picture. The camera is rolled first, pitched then, turned last, as ROS' fixed axes.
    """

    id: str = "rgb_front"
    width_px: int = 160
    height_px: int = 120
    fov_deg: float = 90.0
    x_m: float = 1.6
    y_m: float = 0.0
    z_m: float = 1.5
    pitch_deg: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0


class Camera:
    """A camera as of `CameraConfig`.

    What is not seen from the ground itself is seen from 1 cm above it: a camera further down is
    lifted to there.

    Raises:
        CameraError: a size is not positive, an angle is out of range, or a number is not finite.
    """

    def __init__(self, config: CameraConfig) -> None:
        width_px, height_px = config.width_px, config.height_px
        if width_px <= 0 or height_px <= 0:
            raise CameraError(
                f"camera: size {width_px}x{height_px} px; expected at least one pixel each way"
            )
        fov_deg, pitch_deg = config.fov_deg, config.pitch_deg
        if not 0.0 < fov_deg < 180.0:
            raise CameraError(f"camera: fov_deg {fov_deg}; expected an angle between 0 and 180")
        if not -90.0 <= pitch_deg <= 90.0:
            raise CameraError(f"camera: pitch_deg {pitch_deg}; expected -90 to 90")
        for name in ("x_m", "y_m", "z_m", "yaw_deg", "roll_deg"):
            if not math.isfinite(number := getattr(config, name)):
                raise CameraError(f"camera: {name} {number}; expected a finite number")
        self.width_px, self.height_px = width_px, height_px
        self.focal_px = width_px / (2.0 * math.tan(math.radians(fov_deg) / 2.0))
        self._pinhole = Pinhole(
            width_px,
            height_px,
            self.focal_px,
            config.x_m,
            config.y_m,
            max(config.z_m, _LOWEST_M),
            math.radians(pitch_deg),
            math.radians(config.yaw_deg),
            math.radians(config.roll_deg),
        )
        self.wear(PLAIN)

    def wear(self, look: Look) -> None:
        """Set the look in which the world is seen from now on."""
        self._look = look
        rolled = self._pinhole.roll_rad != 0.0
        self._backdrop = (RolledBackdrop if rolled else Backdrop)(self._pinhole, look)

    def render(self, surface: Surface, pose: Pose, shapes: Shapes | None = None) -> ByteArray:
        """The picture from a car at `pose`: uint8 BGRA (height, width, 4), contiguous."""
        picture = self._backdrop.draw(surface, pose)
        if shapes is not None:
            paint(picture, self._view(pose), shapes, self._look)
        return picture

    def depth_m(self, surface: Surface, pose: Pose, shapes: Shapes | None = None) -> DepthArray:
        """How far away what `render` shows is along the optical axis, float32 (height, width).

        Exact for the ground, which is flat, and for the faces of solids, `FURTHEST_M` at most and
        in the sky. Solids hide each other as in `render`: in the order of their distances.
        """
        depth = self._ground_depth_m.copy()
        if shapes is not None:
            paint_depth(depth, self._view(pose), shapes)
        return depth

    def semantic(self, surface: Surface, pose: Pose, shapes: Shapes | None = None) -> ByteArray:
        """What `render` shows, the `SemanticClass` of each pixel's centre: uint8 (height, width).

        Solids hide each other as in `render`.
        """
        image_from_columns = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.5], [0.0, 0.0, 1.0]])
        map_from_image = map_from_car_at(pose) @ self._pinhole.ground_from_image
        tags: ByteArray = cv2.warpPerspective(
            surface.tags,
            surface.pixel_from_map(0) @ map_from_image @ image_from_columns,
            (self.width_px, self.height_px),
            flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=SemanticClass.TERRAIN,
        )
        tags[self._sky] = SemanticClass.SKY
        if shapes is not None:
            paint_tags(tags, self._view(pose), shapes)
        return tags

    @cached_property
    def _ground_depth_m(self) -> DepthArray:
        return np.minimum(self._pinhole.ground_depth_m(), FURTHEST_M).astype(np.float32)

    @cached_property
    def _sky(self) -> npt.NDArray[np.bool_]:
        return np.isinf(self._pinhole.ground_depth_m())

    def _view(self, pose: Pose) -> View:
        return View(self._pinhole.camera_from_map(pose), self.focal_px)
