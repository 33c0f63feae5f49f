# SPDX-License-Identifier: Apache-2.0
"""Places for road users away from the cars, so that no episode begins with a collision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from td3_driver.driving.types import Pose

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_FREE_AHEAD_M, _FREE_BEHIND_M = 25.0, 15.0
_FREE_ROUND_PARKED_M = 8.0
_ALWAYS_FREE = 8  # places that nobody gets, however many there are to be: the nearest to a car
NOWHERE: FloatArray = np.empty((0, 2))


def room_among(points_m: FloatArray) -> int:
    """How many of (N, 2) places can be used at most."""
    return max(len(points_m) - _ALWAYS_FREE, 0)


def draw_places(
    points_m: FloatArray,
    count: int,
    cars: Sequence[Pose],
    rng: np.random.Generator,
    what: str,
    taken_m: FloatArray = NOWHERE,
) -> IntArray:
    """Draw rows (count,) of `points_m` (N, 2) that are away from the cars.

    Args:
        points_m: the places.
        count: how many to draw.
        cars: their poses.
        rng: draws the rows.
        what: what is to be placed, for messages.
        taken_m: (M, 2) places that are taken already; they are avoided if there is room.

    Raises:
        ValueError: there are not enough places.
    """
    apart = points_m[:, None] - taken_m
    usable = np.flatnonzero(
        (np.hypot(apart[..., 0], apart[..., 1]) > _FREE_ROUND_PARKED_M).all(axis=1)
    )
    if len(usable) < count + _ALWAYS_FREE:
        usable = np.arange(len(points_m))
    points_m = points_m[usable]
    room = room_among(points_m)
    if count > room:
        raise ValueError(f"{what} {count}: there is room for {room}; expected no more")
    nearest_m = np.full(len(points_m), np.inf)
    away = np.ones(len(points_m), np.bool_)
    for car in cars:
        dx, dy = points_m[:, 0] - car.x_m, points_m[:, 1] - car.y_m
        distance_m = np.hypot(dx, dy)
        ahead_m = dx * math.cos(car.yaw_rad) + dy * math.sin(car.yaw_rad)
        away &= distance_m > np.where(ahead_m > 0.0, _FREE_AHEAD_M, _FREE_BEHIND_M)
        nearest_m = np.minimum(nearest_m, distance_m)
    free = np.flatnonzero(away)
    if len(free) < count:
        free = np.argsort(nearest_m, kind="stable")[-count:]
    drawn: IntArray = usable[rng.choice(free, count, replace=False)]
    return drawn
