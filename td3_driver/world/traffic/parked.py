# SPDX-License-Identifier: Apache-2.0
"""Vehicles that `spawn_object` placed, and that stand there.

All are of the ego's model. One that is hit slides with locked wheels, without turning; when the
other road users are placed anew, it is back at its place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import NOBODY, Bodies
from td3_driver.world.bodies.vehicle import MODEL_3, SLIDING_MPS2

FloatArray = npt.NDArray[np.float64]

FIRST_ACTOR_ID = 20_000


class Parked:
    """The parked vehicles, none at first; no actor id is given twice."""

    def __init__(self) -> None:
        self._next_id = FIRST_ACTOR_ID
        self._ids: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._places: FloatArray = np.empty((0, 3))
        self.restart()

    def restart(self) -> None:
        """Put all vehicles back to their places."""
        self._poses: FloatArray = self._places.copy()
        self._velocities_mps: FloatArray = np.zeros((len(self._ids), 2))
        self._accelerations_mps2: FloatArray = self._velocities_mps

    def add(self, pose: Pose) -> int:
        """Park one more vehicle; returns its actor id."""
        actor_id, self._next_id = self._next_id, self._next_id + 1
        place = [(pose.x_m, pose.y_m, pose.yaw_rad)]
        self._ids = np.append(self._ids, actor_id)
        self._places = np.append(self._places, place, axis=0)
        self._poses = np.append(self._poses, place, axis=0)
        self._velocities_mps = np.append(self._velocities_mps, [(0.0, 0.0)], axis=0)
        self._accelerations_mps2 = np.zeros_like(self._velocities_mps)
        return actor_id

    def remove(self, actor_id: int) -> bool:
        """Remove a vehicle; returns whether there was one with that actor id."""
        kept = self._ids != actor_id
        self._ids, self._places = self._ids[kept], self._places[kept]
        self._poses, self._velocities_mps = self._poses[kept], self._velocities_mps[kept]
        self._accelerations_mps2 = self._accelerations_mps2[kept]
        return not bool(kept.all())

    def step(self, dt_s: float) -> None:
        """Let the vehicles that were hit slide for `dt_s`, s."""
        if not len(self._ids):
            return
        before = self._velocities_mps
        speed_mps = np.hypot(before[:, 0], before[:, 1])
        left = np.maximum(speed_mps - SLIDING_MPS2 * dt_s, 0.0) / np.maximum(speed_mps, 1e-9)
        self._velocities_mps = before * left[:, None]
        self._accelerations_mps2 = (self._velocities_mps - before) / dt_s
        self._poses[:, :2] += (before + self._velocities_mps) / 2.0 * dt_s

    def push(self, index: int, impulse: FloatArray) -> None:
        """Apply an impulse (2,), kg m/s, map frame, to the vehicle in row `index` of `bodies`."""
        self._velocities_mps[index] += impulse / MODEL_3.mass_kg

    def bodies(self) -> Bodies:
        """The bodies of all parked vehicles."""
        count = len(self._ids)
        if not count:
            return NOBODY
        return Bodies(
            self._ids,
            self._poses.copy(),
            np.tile([MODEL_3.length_m, MODEL_3.width_m, MODEL_3.height_m], (count, 1)),
            self._velocities_mps.copy(),
            np.full(count, MODEL_3.mass_kg),
            np.tile(MODEL_3.color_bgr, (count, 1)),
            np.zeros(count),
            self._accelerations_mps2,
        )
