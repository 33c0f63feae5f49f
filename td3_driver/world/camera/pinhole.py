# SPDX-License-Identifier: Apache-2.0
"""The geometry of a pinhole camera on a car: where what appears in its picture."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Pinhole:
    """A pinhole camera, mounted on a car on flat ground.

    Its axes are right, down and forward. Pixel coordinates are continuous: the principal point is
    (width / 2, height / 2), the first pixel's centre (0.5, 0.5).

    Attributes:
        width_px, height_px: size of the picture.
        focal_px: focal length.
        x_m, y_m, z_m: position in the car's frame: forward, left, above the ground.
        pitch_rad, yaw_rad, roll_rad: direction in the car's frame; ROS' fixed axes: rolled about
            the forward axis, right side down positive, then pitched, down positive, then turned,
            left positive.
    """

    width_px: int
    height_px: int
    focal_px: float
    x_m: float
    y_m: float
    z_m: float
    pitch_rad: float
    yaw_rad: float
    roll_rad: float

    @cached_property
    def camera_from_car(self) -> FloatArray:
        """(3, 4) matrix from homogeneous points in the car's frame, m, to right, down, forward."""
        sin_pitch, cos_pitch = math.sin(self.pitch_rad), math.cos(self.pitch_rad)
        sin_yaw, cos_yaw = math.sin(self.yaw_rad), math.cos(self.yaw_rad)
        sin_roll, cos_roll = math.sin(self.roll_rad), math.cos(self.roll_rad)
        level = np.array([sin_yaw, -cos_yaw, 0.0])
        below = np.array([-sin_pitch * cos_yaw, -sin_pitch * sin_yaw, -cos_pitch])
        forward = np.array([cos_pitch * cos_yaw, cos_pitch * sin_yaw, -sin_pitch])
        axes = [cos_roll * level + sin_roll * below, cos_roll * below - sin_roll * level, forward]
        return np.array(
            [
                (x, y, z, -(x * self.x_m + y * self.y_m + z * self.z_m))
                for x, y, z in np.stack(axes).tolist()
            ]
        )

    @cached_property
    def image_from_ground(self) -> FloatArray:
        """(3, 3) matrix from homogeneous ground points in the car's frame, m, to pixels."""
        right, down, forward = self.camera_from_car[:, (0, 1, 3)]
        return np.array(
            [
                self.focal_px * right + self.width_px / 2.0 * forward,
                self.focal_px * down + self.height_px / 2.0 * forward,
                forward,
            ]
        )

    @cached_property
    def ground_from_image(self) -> FloatArray:
        """(3, 3), the inverse of `image_from_ground`."""
        return np.linalg.inv(self.image_from_ground).astype(np.float64)

    def camera_from_map(self, pose: Pose) -> FloatArray:
        """(3, 4) matrix from homogeneous map points, m, for a car at `pose`."""
        sin, cos = math.sin(pose.yaw_rad), math.cos(pose.yaw_rad)
        car_from_map = np.array(
            [
                [cos, sin, 0.0, -cos * pose.x_m - sin * pose.y_m],
                [-sin, cos, 0.0, sin * pose.x_m - cos * pose.y_m],
                [0.0, 0.0, 1.0, 0.0],
                [0.0, 0.0, 0.0, 1.0],
            ]
        )
        matrix: FloatArray = self.camera_from_car @ car_from_map
        return matrix

    def ground_depth_m(self) -> FloatArray:
        """(height, width) distance of the ground along the optical axis; infinite in the sky."""
        across = np.arange(self.width_px) + 0.5 - self.width_px / 2.0
        below = np.arange(self.height_px) + 0.5 - self.height_px / 2.0
        right, down, forward = -self.camera_from_car[:, 2]
        sinking = right * across + (down * below + forward * self.focal_px)[:, None]
        depth_m: FloatArray = np.full(sinking.shape, np.inf)
        np.divide(self.z_m * self.focal_px, sinking, depth_m, where=sinking > 0.0)
        return depth_m

    def unrolled(self, finer: float) -> tuple[Pinhole, FloatArray]:
        """A camera in the same place, not rolled, that sees all that this one does.

        Args:
            finer: its focal length as a multiple of this one's.

        Returns:
            The camera, and the (2, 3) matrix from this picture's pixels to the other's, whole
            numbers at the centres of pixels, as in OpenCV's warps.
        """
        sin, cos = math.sin(self.roll_rad), math.cos(self.roll_rad)
        turn = finer * np.array([[cos, -sin], [sin, cos]])
        size_px = np.array([self.width_px, self.height_px])
        width_px, height_px = np.ceil(np.abs(turn) @ size_px).astype(int).tolist()
        middle, other_middle = size_px / 2.0, np.array([width_px, height_px]) / 2.0
        offset = other_middle - 0.5 - turn @ (middle - 0.5)
        camera = replace(
            self,
            width_px=width_px,
            height_px=height_px,
            focal_px=self.focal_px * finer,
            roll_rad=0.0,
        )
        return camera, np.column_stack([turn, offset])
