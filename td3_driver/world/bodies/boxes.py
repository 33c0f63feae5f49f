# SPDX-License-Identifier: Apache-2.0
"""Bodies on the ground as upright boxes, in the ROS map frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]

_CORNERS = np.array([(0.5, 0.5), (0.5, -0.5), (-0.5, -0.5), (-0.5, 0.5)])


@dataclass(frozen=True)
class Body:
    """Size, mass, colour and kind of one box. What nothing can move has an infinite mass."""

    length_m: float
    width_m: float
    height_m: float
    mass_kg: float
    color_bgr: tuple[float, float, float] = (120.0, 118.0, 115.0)
    semantic_class: SemanticClass = SemanticClass.CAR

    @property
    def diagonal_m(self) -> float:
        """From corner to corner on the ground, m."""
        return math.hypot(self.length_m, self.width_m)

    def covers(self, forward_m: float, left_m: float) -> bool:
        """Whether a place in its frame is in, above or below the box."""
        return abs(forward_m) <= self.length_m / 2.0 and abs(left_m) <= self.width_m / 2.0


@dataclass(frozen=True)
class Bodies:
    """N boxes that stand on the ground.

    Attributes:
        actor_ids: (N,) int64, as the bridge would number them.
        poses: (N, 3) float64: x and y of the middle in m, yaw in rad.
        sizes_m: (N, 3) float64: length, width, height.
        velocities_mps: (N, 2) float64, along the map's x and y.
        masses_kg: (N,) float64.
        colors_bgr: (N, 3) float64, 0 to 255.
        yaw_rates_radps: (N,) float64, positive to the left.
        accelerations_mps2: (N, 2) float64, along the map's x and y.
    """

    actor_ids: npt.NDArray[np.int64]
    poses: FloatArray
    sizes_m: FloatArray
    velocities_mps: FloatArray
    masses_kg: FloatArray
    colors_bgr: FloatArray
    yaw_rates_radps: FloatArray
    accelerations_mps2: FloatArray

    @classmethod
    def steady(
        cls,
        actor_ids: npt.NDArray[np.int64],
        poses: FloatArray,
        sizes_m: FloatArray,
        velocities_mps: FloatArray,
        masses_kg: FloatArray,
        colors_bgr: FloatArray,
    ) -> Bodies:
        """Bodies that neither turn nor accelerate."""
        rest = np.zeros_like(velocities_mps)
        return cls(
            actor_ids, poses, sizes_m, velocities_mps, masses_kg, colors_bgr, rest[:, 0], rest
        )

    def rows(self, kept: npt.NDArray[np.bool_]) -> Bodies:
        """Those bodies for which `kept` (N,) is true."""
        return Bodies(*(getattr(self, field.name)[kept] for field in fields(self)))

    def corners(self) -> FloatArray:
        """(N, 4, 2) m: front left, front right, rear right, rear left."""
        return box_corners(self.poses, self.sizes_m[:, :2])


NOBODY = Bodies.steady(
    np.empty(0, np.int64),
    np.empty((0, 3)),
    np.empty((0, 3)),
    np.empty((0, 2)),
    np.empty(0),
    np.empty((0, 3)),
)


def everybody(*groups: Bodies) -> Bodies:
    """The bodies of several groups in one, in their order."""
    groups = tuple(group for group in groups if len(group.actor_ids)) or groups[:1]
    if len(groups) == 1:
        return groups[0]
    names = [field.name for field in fields(Bodies)]
    return Bodies(*(np.concatenate([getattr(group, name) for group in groups]) for name in names))


def box_corners(poses: FloatArray, sizes_m: FloatArray) -> FloatArray:
    """Corners (N, 4, 2) of boxes at `poses` (N, 3: x, y, yaw) of `sizes_m` (N, 2: length, width).

    In the order front left, front right, rear right, rear left.
    """
    corners = _CORNERS * sizes_m[:, None, :]
    cos, sin = np.cos(poses[:, 2:]), np.sin(poses[:, 2:])
    x = poses[:, :1] + cos * corners[..., 0] - sin * corners[..., 1]
    y = poses[:, 1:2] + sin * corners[..., 0] + cos * corners[..., 1]
    return np.stack([x, y], axis=-1)


def penetration(one: FloatArray, other: FloatArray) -> tuple[float, FloatArray] | None:
    """The depth by which two boxes overlap, (4, 2) corners each.

    By the separating axis theorem: boxes are apart if their projections onto the direction of a
    side are.

    Returns:
        The depth in m and the direction (2,) in which `one` has to move by it to be free; None if
        the boxes are apart.
    """
    sides = np.stack([one[0] - one[1], one[1] - one[2], other[0] - other[1], other[1] - other[2]])
    axes = sides / np.linalg.norm(sides, axis=1, keepdims=True)
    ours, theirs = axes @ one.T, axes @ other.T
    forwards = theirs.max(axis=1) - ours.min(axis=1)
    backwards = ours.max(axis=1) - theirs.min(axis=1)
    depths = np.minimum(forwards, backwards)
    shallowest = int(np.argmin(depths))
    if depths[shallowest] <= 0.0:
        return None
    sign = 1.0 if forwards[shallowest] < backwards[shallowest] else -1.0
    return float(depths[shallowest]), sign * axes[shallowest]
