# SPDX-License-Identifier: Apache-2.0
"""What is solid in a scene: props, and what cars and walkers have in common with them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Body, box_corners

FloatArray = npt.NDArray[np.float64]


class PoseError(ValueError):
    """A pose or velocity of numbers that are not finite."""


class Solid:
    """An upright box that others can run into.

    Attributes:
        body: its box and mass.
        collides: whether it meets other bodies and obstacles at all; else it passes through.
    """

    def __init__(self, body: Body) -> None:
        self.body = body
        self.collides = True

    @property
    def pose(self) -> Pose:
        """The middle of the box on the ground, or of its underside above it."""
        raise NotImplementedError

    @property
    def mass_kg(self) -> float:
        """What it resists with where it is run into; infinite if nothing can move it."""
        return self.body.mass_kg

    @property
    def yaw_rate_radps(self) -> float:
        """Positive to the left."""
        return 0.0

    @property
    def acceleration_mps2(self) -> tuple[float, float]:
        """Along the map's x and y, mean over the last step."""
        return 0.0, 0.0

    def footprint(self) -> FloatArray:
        """Corners in the map frame, metres, (4, 2): front left, front right, rear right, left."""
        pose, body = self.pose, self.body
        places = np.array([(pose.x_m, pose.y_m, pose.yaw_rad)])
        corners: FloatArray = box_corners(places, np.array([(body.length_m, body.width_m)]))[0]
        return corners

    def map_velocity(self) -> tuple[float, float]:
        """(2,) velocity along the map's x and y, m/s."""
        return 0.0, 0.0

    def shift(self, by_m: FloatArray) -> None:
        """Move by (2,) m along the map's x and y, out of another body."""

    def push(self, impulse: FloatArray) -> None:
        """Take an impulse (2,), kg m/s, map frame."""


class Prop(Solid):
    """A box that stands where it is put.

    Args:
        pose: the middle of its underside.
        body: its box; nothing moves it.

    Raises:
        PoseError: a number of the pose is not finite.
    """

    def __init__(self, pose: Pose, body: Body) -> None:
        super().__init__(body)
        self.pose = pose

    @property
    def pose(self) -> Pose:
        """The middle of its underside."""
        return self._pose

    @pose.setter
    def pose(self, pose: Pose) -> None:
        self._pose = checked(pose)


def checked(pose: Pose) -> Pose:
    """The same pose.

    Raises:
        PoseError: a number is not finite.
    """
    if not all(map(math.isfinite, (pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad))):
        raise PoseError(
            f"pose ({pose.x_m}, {pose.y_m}, {pose.z_m}) m, {pose.yaw_rad} rad; "
            "expected finite numbers"
        )
    return pose
