# SPDX-License-Identifier: Apache-2.0
"""Contact of the car with obstacles beside the road and with other bodies."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose, wrap_angle
from td3_driver.world.bodies.boxes import Bodies, penetration
from td3_driver.world.bodies.vehicle import LENGTH_M, MASS_KG, WIDTH_M, Vehicle, place
from td3_driver.world.ground.surface import OBSTACLE, Surface

Impulse = tuple[float, float, float]

_SPACING_M = 0.3  # nothing solid is thinner
_BISECTIONS = 5
_REACH_M = 10.0  # bodies further away cannot touch the car
_TOUCH_MPS = 0.01  # who leans on the other at rest does not collide anew in every step


def _outline() -> npt.NDArray[np.float64]:
    """Points round the car's box, in its frame, metres, (N, 2)."""
    lengthwise = np.linspace(-0.5, 0.5, math.ceil(LENGTH_M / _SPACING_M) + 1) * LENGTH_M
    crosswise = np.linspace(-0.5, 0.5, math.ceil(WIDTH_M / _SPACING_M) + 1) * WIDTH_M
    sides = [(x, y) for x in lengthwise for y in (-WIDTH_M / 2.0, WIDTH_M / 2.0)]
    ends = [(x, y) for x in (-LENGTH_M / 2.0, LENGTH_M / 2.0) for y in crosswise[1:-1]]
    return np.array(sides + ends)


_OUTLINE_M = _outline()


def strike(vehicle: Vehicle, others: Bodies) -> list[tuple[int, Impulse]]:
    """Separate the car from bodies that it overlaps, without bounce or friction.

    The car is moved out by the depth of the overlap. Momentum along the direction of contact is
    exchanged until both have the same speed in it; the caller applies the other body's share.

    Returns:
        For each body in contact: its row in `others`, and the impulse on the car in the map frame,
        kg m/s.
    """
    struck: list[tuple[int, Impulse]] = []
    if not len(others.actor_ids):
        return struck
    offset_m = others.poses[:, :2] - (vehicle.pose.x_m, vehicle.pose.y_m)
    near = np.flatnonzero(np.hypot(offset_m[:, 0], offset_m[:, 1]) < _REACH_M)
    corners = others.corners()
    for index in near.tolist():
        overlap = penetration(vehicle.footprint(), corners[index])
        if overlap is None:
            continue
        depth_m, direction = overlap
        pose = vehicle.pose
        x_m, y_m = np.array([pose.x_m, pose.y_m]) + depth_m * direction
        vehicle.move_to(Pose(float(x_m), float(y_m), pose.yaw_rad, pose.z_m))
        velocity = vehicle.map_velocity()
        approach_mps = float((others.velocities_mps[index] - velocity) @ direction)
        if approach_mps < _TOUCH_MPS:
            continue
        mass_kg = float(others.masses_kg[index])
        impulse = approach_mps * MASS_KG * mass_kg / (MASS_KG + mass_kg) * direction
        vehicle.set_map_velocity(velocity + impulse / MASS_KG)
        struck.append((index, (float(impulse[0]), float(impulse[1]), 0.0)))
    return struck


class Contact:
    """Stops the car at obstacles, without bounce or friction."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface

    def resolve(self, vehicle: Vehicle, before: Pose) -> Impulse | None:
        """Undo the part of the last step that enters an obstacle.

        A car that was placed inside an obstacle may leave it.

        Args:
            vehicle: the car after the step.
            before: its pose before the step.

        Returns:
            The impulse on the car in the map frame, kg m/s, or None without contact.
        """
        after = vehicle.pose
        if self._depth(after) == 0 or self._depth(after) < self._depth(before):
            return None
        state = vehicle.state
        vehicle.move_to(self._last_free(before, after))
        vehicle.set_velocity(0.0, 0.0, 0.0)
        course = after.yaw_rad + math.atan2(state.lateral_speed_mps, state.speed_mps)
        momentum = MASS_KG * math.hypot(state.speed_mps, state.lateral_speed_mps)
        if momentum == 0.0:
            return None
        return (-momentum * math.cos(course), -momentum * math.sin(course), 0.0)

    def blocked(self, pose: Pose) -> bool:
        """Whether a car at a pose would stand in an obstacle."""
        return self._depth(pose) > 0

    def _depth(self, pose: Pose) -> int:
        """The number of points of the car's outline that lie in obstacles."""
        classes = self._surface.class_at(place(_OUTLINE_M, pose))
        return int(np.count_nonzero(classes == OBSTACLE))

    def _last_free(self, before: Pose, after: Pose) -> Pose:
        """The furthest pose between both that is no deeper in an obstacle than `before`."""
        allowed = self._depth(before)
        free, blocked = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (free + blocked) / 2.0
            if self._depth(_between(before, after, middle)) <= allowed:
                free = middle
            else:
                blocked = middle
        return _between(before, after, free) if free else before


def _between(before: Pose, after: Pose, share: float) -> Pose:
    return Pose(
        before.x_m + share * (after.x_m - before.x_m),
        before.y_m + share * (after.y_m - before.y_m),
        before.yaw_rad + share * wrap_angle(after.yaw_rad - before.yaw_rad),
        before.z_m,
    )
