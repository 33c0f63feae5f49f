# SPDX-License-Identifier: Apache-2.0
"""Contact of cars with obstacles beside the road, and of all bodies with each other."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose, wrap_angle
from td3_driver.world.bodies.boxes import Bodies, Body, penetration
from td3_driver.world.bodies.solid import Solid
from td3_driver.world.bodies.vehicle import Vehicle, place
from td3_driver.world.ground.surface import OBSTACLE, Surface

Impulse = tuple[float, float, float]

_SPACING_M = 0.3  # nothing solid is thinner
_BISECTIONS = 5
_MOVED_M = 5.0  # nobody is moved further out of others in one step
_UNMOVED_SHARE = 0.1  # friction holds who would be moved less
_TOUCH_MPS = 0.01  # who leans on the other at rest does not collide anew in every step


@cache
def _outline(length_m: float, width_m: float) -> npt.NDArray[np.float64]:
    """Points round a car's box, in its frame, metres, (N, 2)."""
    lengthwise = np.linspace(-0.5, 0.5, math.ceil(length_m / _SPACING_M) + 1) * length_m
    crosswise = np.linspace(-0.5, 0.5, math.ceil(width_m / _SPACING_M) + 1) * width_m
    sides = [(x, y) for x in lengthwise for y in (-width_m / 2.0, width_m / 2.0)]
    ends = [(x, y) for x in (-length_m / 2.0, length_m / 2.0) for y in crosswise[1:-1]]
    return np.array(sides + ends)


def collide(one: Solid, other: Solid) -> Impulse | None:
    """Separate two bodies that overlap, without bounce or friction.

    The heavier one is moved less, a much heavier one not at all. Momentum along the direction of
    contact is exchanged until both have the same speed in it.

    Returns:
        The impulse on `one` in the map frame, kg m/s, that on `other` being the opposite; None if
        they are apart, or touch without one driving or walking into the other.
    """
    inertia = 1.0 / one.mass_kg, 1.0 / other.mass_kg
    overlap = penetration(one.footprint(), other.footprint()) if any(inertia) else None
    if overlap is None:
        return None
    depth_m, direction = overlap
    share = inertia[0] / sum(inertia)
    share = round(share) if min(share, 1.0 - share) < _UNMOVED_SHARE else share
    one.shift(share * depth_m * direction)
    other.shift((share - 1.0) * depth_m * direction)
    approach_mps = float(np.subtract(other.map_velocity(), one.map_velocity()) @ direction)
    if approach_mps < _TOUCH_MPS:
        return None
    impulse = approach_mps / sum(inertia) * direction
    one.push(impulse)
    other.push(-impulse)
    return float(impulse[0]), float(impulse[1]), 0.0


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
    sides_m = others.sizes_m[:, :2]
    half_m = (np.hypot(sides_m[:, 0], sides_m[:, 1]) + vehicle.body.diagonal_m) / 2.0
    near = np.flatnonzero(np.hypot(offset_m[:, 0], offset_m[:, 1]) < half_m + _MOVED_M)
    if not len(near):
        return struck
    corners = others.corners()
    for index in near.tolist():
        apart_m = others.poses[index, :2] - (vehicle.pose.x_m, vehicle.pose.y_m)
        if math.hypot(*apart_m) > half_m[index]:
            continue
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
        ours_kg = vehicle.body.mass_kg
        impulse = approach_mps * ours_kg * mass_kg / (ours_kg + mass_kg) * direction
        vehicle.set_map_velocity(velocity + impulse / ours_kg)
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
        body = vehicle.body
        depth = self._depth(after, body)
        if depth == 0 or depth < self._depth(before, body):
            return None
        state = vehicle.state
        vehicle.move_to(self._last_free(before, after, body))
        vehicle.set_velocity(0.0, 0.0, 0.0)
        course = after.yaw_rad + math.atan2(state.lateral_speed_mps, state.speed_mps)
        momentum = body.mass_kg * math.hypot(state.speed_mps, state.lateral_speed_mps)
        if momentum == 0.0:
            return None
        return (-momentum * math.cos(course), -momentum * math.sin(course), 0.0)

    def blocked(self, pose: Pose, body: Body) -> bool:
        """Whether a car at a pose would stand in an obstacle."""
        return self._depth(pose, body) > 0

    def _depth(self, pose: Pose, body: Body) -> int:
        """The number of points of the car's outline that lie in obstacles."""
        classes = self._surface.class_at(place(_outline(body.length_m, body.width_m), pose))
        return int(np.count_nonzero(classes == OBSTACLE))

    def _last_free(self, before: Pose, after: Pose, body: Body) -> Pose:
        """The furthest pose between both that is no deeper in an obstacle than `before`."""
        allowed = self._depth(before, body)
        free, blocked = 0.0, 1.0
        for _ in range(_BISECTIONS):
            middle = (free + blocked) / 2.0
            if self._depth(_between(before, after, middle), body) <= allowed:
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
