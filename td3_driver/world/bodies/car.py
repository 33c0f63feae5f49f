# SPDX-License-Identifier: Apache-2.0
"""A car that is commanded, on the ground or falling onto it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Control, Pose
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.solid import Solid, checked
from td3_driver.world.bodies.vehicle import MODEL_3, Vehicle, clipped
from td3_driver.world.ground.terrain import GRAVITY_MPS2, Terrain

FloatArray = npt.NDArray[np.float64]

_ABOVE_M = 1e-3  # who is put lower stands on the ground
_COASTING = Control()


class Car(Solid):
    """A vehicle and its command, which is in force until the next one.

    Args:
        pose: where it is put, at rest.
        body: its box and mass.
        terrain: the ground.
        falls: a car that is put above the ground falls; else it is on the ground after a step.

    Attributes:
        vehicle: its state, and how it drives; velocity and yaw rate can be set there.
        ground: the ground below it.
        vertical_speed_mps: upwards positive.
        constant_velocity_mps: forward and left: so fast it drives whatever its pedals say, unless
            there is something in its way; None if the pedals decide.
        simulate_physics: without, it stands where it is put, and nothing moves it.

    Raises:
        PoseError: a number of the pose is not finite.
    """

    def __init__(
        self, pose: Pose, terrain: Terrain, body: Body = MODEL_3, *, falls: bool = True
    ) -> None:
        super().__init__(body)
        self._terrain = terrain
        self._falls = falls
        self._control = _COASTING
        self._looked_under: Pose | None = None
        self.vehicle = Vehicle(checked(pose), body)
        self.vertical_speed_mps = 0.0
        self.constant_velocity_mps: tuple[float, float] | None = None
        self.simulate_physics = True
        self._rested = False
        self.place(pose)

    @property
    def pose(self) -> Pose:
        return self.vehicle.pose

    @property
    def control(self) -> Control:
        """The command in force.

        Raises:
            ControlError: a value to set is not finite.
        """
        return self._control

    @control.setter
    def control(self, control: Control) -> None:
        clipped(control)
        self._control = control

    @property
    def mass_kg(self) -> float:
        return self.body.mass_kg if self.simulate_physics else math.inf

    @property
    def yaw_rate_radps(self) -> float:
        return self.vehicle.state.yaw_rate_radps

    @property
    def acceleration_mps2(self) -> tuple[float, float]:
        return self.vehicle.state.acceleration_mps2[:2]

    def place(self, pose: Pose) -> None:
        """Put it somewhere; it keeps its velocity.

        Raises:
            PoseError: a number is not finite.
        """
        self.vehicle.teleport(checked(pose))
        self._looked_under = None
        self.ground = self._terrain.under(pose)
        self.airborne = self._falls and pose.z_m > self.ground.z_m + _ABOVE_M
        if self._falls and not self.airborne:
            self.vehicle.stand_at(self.ground.z_m)
            self.vertical_speed_mps = 0.0

    @property
    def rests(self) -> bool:
        """Whether it moved neither in this step nor in the one before."""
        return self._rested and self.vehicle.rests

    def drive(self, dt_s: float) -> None:
        """Drive for `dt_s`, s, by the command, as if nothing were in the way."""
        vehicle = self.vehicle
        if not self.simulate_physics:
            vehicle.teleport(vehicle.pose)
            vehicle.set_velocity(0.0, 0.0, 0.0)
            self.vertical_speed_mps = 0.0
            return
        self._rested = vehicle.rests
        self._hold_velocity()
        control, pull_mps2 = self._control, self.ground.pull_mps2
        if self.airborne:
            control, pull_mps2 = _COASTING, 0.0
        elif self.constant_velocity_mps is not None:
            control = Control(steer=control.steer)
        vehicle.step(control, dt_s, pull_mps2)
        self._hold_velocity()

    def settle(self, dt_s: float) -> None:
        """Follow the ground below after `drive`, or fall towards it."""
        pose = self.pose
        if not self.simulate_physics or (pose == self._looked_under and not self.airborne):
            return
        self._looked_under = pose
        self.ground = self._terrain.under(pose)
        height_m = self.ground.z_m
        if self.airborne:
            speed_mps = self.vertical_speed_mps - GRAVITY_MPS2 * dt_s
            height_m = max(pose.z_m + speed_mps * dt_s, height_m)
            self.airborne = height_m > self.ground.z_m
            self.vertical_speed_mps = speed_mps if self.airborne else 0.0
        else:
            self.vertical_speed_mps = (height_m - pose.z_m) / dt_s
        self.vehicle.stand_at(height_m)

    def footprint(self) -> FloatArray:
        return self.vehicle.footprint()

    def map_velocity(self) -> tuple[float, float]:
        return self.vehicle.map_velocity()

    def shift(self, by_m: FloatArray) -> None:
        pose = self.pose
        x_m, y_m = by_m.tolist()
        self.vehicle.move_to(replace(pose, x_m=pose.x_m + x_m, y_m=pose.y_m + y_m))

    def push(self, impulse: FloatArray) -> None:
        if self.simulate_physics:
            self.vehicle.push(impulse)

    def _hold_velocity(self) -> None:
        if self.constant_velocity_mps is not None:
            yaw_rate = self.vehicle.state.yaw_rate_radps
            self.vehicle.set_velocity(*self.constant_velocity_mps, yaw_rate)
