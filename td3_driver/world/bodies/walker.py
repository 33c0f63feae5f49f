# SPDX-License-Identifier: Apache-2.0
"""A walker who is led: told again and again where to walk."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.solid import PoseError, Solid, checked
from td3_driver.world.bodies.vehicle import slid
from td3_driver.world.ground.terrain import Terrain
from td3_driver.world.semantic_class import SemanticClass

FloatArray = npt.NDArray[np.float64]

MASS_KG = 75.0
_COLOR_BGR = (60.0, 60.0, 160.0)
_FORESIGHT_S = 2.0  # so far ahead vehicles keep free where it walks


class LedWalker(Solid):
    """A walker on the ground, who walks on as last told.

    Who is run over, or walks into something, moves as the collision has it until at rest, and
    then walks on.

    Args:
        pose: where it stands; it is put on the ground.
        size_m: length, width and height.
        terrain: the ground.

    Raises:
        PoseError: a number of the pose is not finite.
    """

    def __init__(
        self, pose: Pose, size_m: tuple[float, float, float], terrain: Terrain
    ) -> None:
        super().__init__(Body(*size_m, MASS_KG, _COLOR_BGR, SemanticClass.PEDESTRIANS))
        self._terrain = terrain
        self._led_mps = (0.0, 0.0)
        self._thrown_mps: tuple[float, float] | None = None
        self.pose = pose

    @property
    def pose(self) -> Pose:
        """Where it stands, on the ground."""
        return self._pose

    @pose.setter
    def pose(self, pose: Pose) -> None:
        self._pose = replace(pose, z_m=self._terrain.under(checked(pose)).z_m)

    @property
    def velocity_mps(self) -> tuple[float, float]:
        """Where it is told to walk and how fast, along the map's x and y; it faces there.

        Raises:
            PoseError: a number to set is not finite.
        """
        return self._led_mps

    @velocity_mps.setter
    def velocity_mps(self, velocity_mps: tuple[float, float]) -> None:
        if not all(map(math.isfinite, velocity_mps)):
            raise PoseError(f"a walker's velocity {velocity_mps} m/s; expected finite numbers")
        self._led_mps = velocity_mps

    def walk(self, dt_s: float) -> None:
        """Walk or slide for `dt_s`, s."""
        x_mps, y_mps = self.map_velocity()
        yaw_rad = self._pose.yaw_rad
        if self._thrown_mps is not None:
            (x_m, y_m), self._thrown_mps = slid(self._thrown_mps, dt_s)
        elif x_mps == y_mps == 0.0:
            return
        else:
            x_m, y_m, yaw_rad = x_mps * dt_s, y_mps * dt_s, math.atan2(y_mps, x_mps)
        here = self._pose
        self.pose = Pose(here.x_m + x_m, here.y_m + y_m, yaw_rad, here.z_m)

    def way(self) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
        """The ground that vehicles keep free: x, y in m, yaw in rad; length, width, height, m."""
        pose, body = self._pose, self.body
        speed_mps = 0.0 if self._thrown_mps is not None else math.hypot(*self._led_mps)
        ahead_m = _FORESIGHT_S * speed_mps
        x_m = pose.x_m + ahead_m / 2.0 * math.cos(pose.yaw_rad)
        y_m = pose.y_m + ahead_m / 2.0 * math.sin(pose.yaw_rad)
        return (x_m, y_m, pose.yaw_rad), (body.length_m + ahead_m, body.width_m, body.height_m)

    def map_velocity(self) -> tuple[float, float]:
        return self._led_mps if self._thrown_mps is None else self._thrown_mps

    def shift(self, by_m: FloatArray) -> None:
        x_m, y_m = by_m.tolist()
        pose = self._pose
        self.pose = replace(pose, x_m=pose.x_m + x_m, y_m=pose.y_m + y_m)

    def push(self, impulse: FloatArray) -> None:
        x_mps, y_mps = (np.array(self.map_velocity()) + impulse / MASS_KG).tolist()
        self._thrown_mps = (x_mps, y_mps)
