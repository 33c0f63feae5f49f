# SPDX-License-Identifier: Apache-2.0
"""Pedestrians who cross the road back and forth.

Each has a crossing of its own outside junctions. Pedestrians look before they set out, but not
while they walk: the vehicles of `vehicles.py` stop for them, and the cars that are driven have to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.ground.lane_paint import places_along
from td3_driver.world.ground.surface import LANE, OBSTACLE, Surface
from td3_driver.world.traffic.placing import draw_places, room_among

FloatArray = npt.NDArray[np.float64]

FIRST_ACTOR_ID = 2000
MASS_KG = 75.0

# Crossings are as far apart as there is room for the pedestrians.
_SPACINGS_M = (15.0, 7.5, 3.75)
_FROM_KERB_M = 1.3  # where they wait, on the pavement
_WIDEST_ROAD_M = 20.0
_STEP_M = 0.25
_SPEEDS_MPS = (1.0, 1.6)
_WAITS_S = (2.0, 12.0)
# Nobody begins to cross with something moving, or standing, nearer than these.
_LOOK_M, _CLEAR_M = 25.0, 6.0
_STANDING_MPS = 0.3
_SIDE_M = 0.5
_HEIGHTS_M = (1.5, 1.9)
_COLORS_BGR = np.array([(60, 60, 190), (190, 120, 50), (70, 150, 70), (190, 190, 190)], np.float64)


@dataclass(frozen=True)
class Crossings:
    """Places to cross: from (C, 2) m on one pavement to (C, 2) m on the other."""

    starts_m: FloatArray
    ends_m: FloatArray


def find_crossings(lanes: list[Lane], surface: Surface, count: int) -> Crossings:
    """Places where a straight line leads over the lanes to a pavement on the other side.

    There are at least as many as `count` pedestrians need, if the roads have them.
    """
    for spacing_m in _SPACINGS_M:
        crossings = _crossings_at(lanes, surface, spacing_m)
        if room_among(crossings.starts_m) >= count:
            break
    return crossings


def _crossings_at(lanes: list[Lane], surface: Surface, spacing_m: float) -> Crossings:
    starts, ends = [], []
    reach = np.arange(0.0, _WIDEST_ROAD_M, _STEP_M)
    for place in places_along(lanes, spacing_m):
        across = np.array([-np.sin(place.yaw_rad), np.cos(place.yaw_rad)])
        if place.lane.edge_on_left:
            across = -across
        middle, half_lane_m = np.array([place.x_m, place.y_m]), place.width_m / 2.0
        way = middle + (reach[:, None] - half_lane_m + _STEP_M) * across
        over = surface.class_at(way) != LANE
        if not over.any() or over[0]:
            continue
        kerb = way[0] - _STEP_M * across, way[int(over.argmax())]
        start, end = kerb[0] - _FROM_KERB_M * across, kerb[1] + _FROM_KERB_M * across
        if not (surface.class_at(np.stack([start, end])) == OBSTACLE).any():
            starts.append(start)
            ends.append(end)
    return Crossings(np.array(starts).reshape(-1, 2), np.array(ends).reshape(-1, 2))


class Walkers:
    """N pedestrians.

    Args:
        crossings: the places.
        count: N >= 1.
        cars: poses of the cars that are driven; nobody begins near them.
        rng: draws everything.

    Raises:
        ValueError: there are not enough places.
    """

    def __init__(
        self,
        crossings: Crossings,
        count: int,
        cars: Sequence[Pose],
        rng: np.random.Generator,
    ) -> None:
        middles = (crossings.starts_m + crossings.ends_m) / 2.0
        chosen = draw_places(middles, count, cars, rng, "pedestrians")
        self._starts_m, self._middles_m = crossings.starts_m[chosen], middles[chosen]
        ways = crossings.ends_m[chosen] - self._starts_m
        self._lengths_m: FloatArray = np.hypot(ways[:, 0], ways[:, 1])
        self._ways = ways / self._lengths_m[:, None]
        self._rng = rng
        self._actor_ids = FIRST_ACTOR_ID + np.arange(count)
        self._pace_mps = rng.uniform(*_SPEEDS_MPS, count)
        self._wait_s = rng.uniform(*_WAITS_S, count)
        self._forth = rng.random(count) < 0.5  # where each goes next
        self._s_m: FloatArray = np.where(self._forth, 0.0, self._lengths_m)
        self._walking = np.zeros(count, np.bool_)
        self._hit = np.zeros(count, np.bool_)
        heights_m = rng.uniform(*_HEIGHTS_M, count)
        self._sizes_m = np.column_stack([np.full((count, 2), _SIDE_M), heights_m])
        self._colors_bgr = _COLORS_BGR[rng.integers(len(_COLORS_BGR), size=count)]

    def step(self, dt_s: float, vehicles: Bodies) -> None:
        """Let everybody walk or wait for `dt_s`, s; they look out for `vehicles`."""
        self._wait_s = self._wait_s - dt_s
        may_go = ~self._walking & ~self._hit & (self._wait_s <= 0.0)
        self._walking |= may_go & ~self._sees_something(vehicles)
        direction = np.where(self._forth, 1.0, -1.0)
        self._s_m = self._s_m + self._walking * direction * self._pace_mps * dt_s
        self._s_m = np.clip(self._s_m, 0.0, self._lengths_m)
        goal_m = np.where(self._forth, self._lengths_m, 0.0)
        for index in np.flatnonzero(self._walking & (self._s_m == goal_m)).tolist():
            self._walking[index] = False
            self._forth[index] = not self._forth[index]
            self._wait_s[index] = self._rng.uniform(*_WAITS_S)

    def knock_down(self, index: int) -> None:
        """Let the pedestrian in a row, who was hit, walk no more."""
        self._walking[index], self._hit[index] = False, True

    def remove(self, actor_id: int) -> bool:
        """Take a pedestrian away for good; returns whether there was one."""
        kept = self._actor_ids != actor_id
        for name, column in list(vars(self).items()):
            if isinstance(column, np.ndarray):  # each has a row for each pedestrian
                setattr(self, name, column[kept])
        return not bool(kept.all())

    def bodies(self) -> Bodies:
        """The bodies of all pedestrians, facing where they walk or will walk."""
        direction = np.where(self._forth, 1.0, -1.0)[:, None] * self._ways
        yaw = np.arctan2(direction[:, 1], direction[:, 0])
        pace_mps = (self._walking * self._pace_mps)[:, None]
        count = len(yaw)
        return Bodies.steady(
            self._actor_ids,
            np.column_stack([self._starts_m + self._s_m[:, None] * self._ways, yaw]),
            self._sizes_m,
            pace_mps * direction,
            np.full(count, MASS_KG),
            self._colors_bgr,
        )

    def ways(self) -> Bodies:
        """The ground that vehicles keep free: from each pedestrian on the road to where it walks.

        For one that was hit, it is the ground it lies on.
        """
        bodies, kept = self.bodies(), self._walking | self._hit
        goal_m = np.where(self._forth, self._lengths_m, 0.0)
        rest_m = np.where(self._hit, 0.0, np.abs(goal_m - self._s_m))
        middle_m = self._s_m + np.where(self._forth, 0.5, -0.5) * rest_m
        poses, sizes_m = bodies.poses.copy(), bodies.sizes_m.copy()
        poses[:, :2] = self._starts_m + middle_m[:, None] * self._ways
        sizes_m[:, 0] += rest_m
        return Bodies.steady(
            bodies.actor_ids[kept],
            poses[kept],
            sizes_m[kept],
            np.zeros((int(kept.sum()), 2)),
            bodies.masses_kg[kept],
            bodies.colors_bgr[kept],
        )

    def _sees_something(self, vehicles: Bodies) -> npt.NDArray[np.bool_]:
        """(N,) bool: whether a vehicle keeps the pedestrian from setting out."""
        moving = np.hypot(*vehicles.velocities_mps.T) > _STANDING_MPS
        apart = self._middles_m[:, None] - vehicles.poses[:, :2]
        reach_m = np.where(moving, _LOOK_M, _CLEAR_M)
        near: npt.NDArray[np.bool_] = np.hypot(apart[..., 0], apart[..., 1]) < reach_m
        return np.asarray(near.any(axis=1))
