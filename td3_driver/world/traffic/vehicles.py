# SPDX-License-Identifier: Apache-2.0
"""Traffic: other vehicles that drive along the lanes.

They keep their distance by the Intelligent Driver Model (Treiber, Hennecke and Helbing, "Congested
traffic states in empirical observations and microscopic simulations", Physical Review E 62, 2000),
turn at random where the road parts, and enter a junction when `right_of_way.py` lets them. Where
there are lights they obey them, stop signs and the map's speed limits (`stop_lines.py`). They
follow the middle of their lane exactly, and see every other body as a leader where it is in their
way. Where a lane ends they leave the roads, and others come onto them where one begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import NO_LIGHTS, Lights, Pose
from td3_driver.world.bodies.boxes import Bodies
from td3_driver.world.traffic.lane_network import COMFORTABLE_BRAKE_MPS2, LaneNetwork
from td3_driver.world.traffic.lane_routes import AHEAD, BEHIND, LaneRoutes
from td3_driver.world.traffic.placing import NOWHERE, draw_places, room_among
from td3_driver.world.traffic.right_of_way import RightOfWay
from td3_driver.world.traffic.stop_lines import StopLines, braking

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FIRST_ACTOR_ID = 1000
MOST_VEHICLES = 1000  # as many have ids, which are given again when all have been
_NO_ID = -1

# IDM: the paper's form and exponent, with values for cars in a town.
_ACCELERATION_MPS2 = 1.5
_TIME_GAP_S = 1.2
_STANDING_GAP_M = 2.0
_HARDEST_BRAKE_MPS2 = 8.0

# Length, width, height in m and mass in kg: a small car, a saloon, an SUV, a van.
_KINDS = np.array(
    [
        (3.9, 1.75, 1.50, 1200.0),
        (4.7, 1.85, 1.45, 1600.0),
        (4.8, 2.00, 1.75, 2100.0),
        (5.6, 2.05, 2.45, 2600.0),
    ]
)
_COLORS_BGR = np.array(
    [(205, 205, 200), (60, 60, 62), (150, 148, 140), (45, 40, 150), (140, 80, 40), (90, 110, 60)],
    np.float64,
)
_HASTE = (0.85, 1.05)  # drivers' wanted speeds, in speed limits
_AXLE_SHARE = 0.3  # of the length, from the middle to each axle

_PLACE_SPACING_M = 12.0
_PLACE_TO_JUNCTION_M = 12.0

# Onto the roads comes who finds room behind the vehicles there, and nobody near.
_ENTRY_GAP_M, _ENTRY_CLEAR_M = 8.0, 20.0
# Who is outside is there, far from everybody else outside that has left just now.
_WAITING_AT_M = 1e8

_LOOKED_AHEAD_M = np.arange(0.0, 45.0, 1.5)
_SIDE_MARGIN_M = 0.3


class Traffic:
    """N vehicles on free places; those that find none come later, where a road begins.

    Args:
        network: the lanes.
        count: N >= 1.
        cars: poses of the cars that are driven; nobody begins near them.
        rng: draws everything.
        taken_m: (M, 2) places that are taken already.
        signals: the map whose lights and stop signs they obey, if they do.

    Attributes:
        routes: the routes of the vehicles.

    Raises:
        ValueError: the network has not enough room.
    """

    def __init__(
        self,
        network: LaneNetwork,
        count: int,
        cars: Sequence[Pose],
        rng: np.random.Generator,
        taken_m: FloatArray = NOWHERE,
        signals: RoadMap | None = None,
    ) -> None:
        lanes, s_m = _places(network)
        points_m = network.points(lanes, s_m)
        placed = min(count, room_among(points_m)) if len(network.entries) else count
        chosen = draw_places(points_m, placed, cars, rng, "traffic", taken_m)
        waiting = count - placed
        kinds = rng.integers(len(_KINDS), size=count)
        self._network = network
        self._rows = np.arange(count)
        self._sizes_m, self._masses_kg = _KINDS[kinds, :3], _KINDS[kinds, 3]
        self._half_m = self._sizes_m[:, 0] / 2.0
        self._colors_bgr = _COLORS_BGR[rng.integers(len(_COLORS_BGR), size=count)]
        self._haste = rng.uniform(*_HASTE, count)
        if signals is not None:  # who obeys lights keeps to limits, too
            self._haste = np.minimum(self._haste, 1.0)
        self._rng = rng
        self._actor_ids = FIRST_ACTOR_ID + self._rows
        self._next_id = FIRST_ACTOR_ID + count % MOST_VEHICLES
        self._removed = np.zeros(count, np.bool_)
        self.routes = LaneRoutes(
            network,
            np.concatenate([lanes[chosen], np.full(waiting, network.outside)]),
            np.concatenate([s_m[chosen], np.full(waiting, _WAITING_AT_M)]),
            rng,
        )
        self._right_of_way = RightOfWay(network, self.routes, self._sizes_m[:, 0])
        self._stop_lines: StopLines | None = None
        self._speed_mps: FloatArray = 0.5 * self._wanted_speed() * ~self.routes.outside
        if signals is not None:
            self._stop_lines = StopLines(network, signals, self.routes, self._sizes_m[:, 0])
            self._speed_mps = np.minimum(self._speed_mps, self._stop_lines.stopping_mps())
        self._poses = self._places_now()
        self._yaw_rates_radps: FloatArray = np.zeros(count)
        self._accelerations_mps2: FloatArray = np.zeros((count, 2))

    def step(
        self,
        dt_s: float,
        others: Bodies,
        closed_junctions: set[int],
        lights: Lights = NO_LIGHTS,
    ) -> None:
        """Drive for `dt_s`.

        Args:
            dt_s: simulated time, s.
            others: the cars that are driven, and the ground that everybody else needs.
            closed_junctions: OpenDRIVE's ids of junctions that nobody enters now.
            lights: what the lights of `signals` show.
        """
        wanted_mps = self._wanted_speed()
        gap_m, leader_mps = self._leaders()
        acceleration = self._idm(wanted_mps, gap_m, leader_mps)
        for gap, speed in self._in_the_way(others):
            acceleration = np.minimum(acceleration, self._idm(wanted_mps, gap, speed))
        held_m: FloatArray = np.full(len(self._rows), np.inf)
        if self._stop_lines is not None:
            held_m = self._stop_lines.held(lights, self._speed_mps)
            stop = self._idm(wanted_mps, held_m, np.zeros_like(held_m))
            # The model brakes hard for what it sees late, as a light that changes.
            needed = np.maximum(braking(self._speed_mps, held_m), COMFORTABLE_BRAKE_MPS2)
            acceleration = np.minimum(acceleration, np.maximum(stop, -needed))
        self._right_of_way.update(self._speed_mps, gap_m, closed_junctions, held_m)
        stop_m = self._right_of_way.stop_lines()
        stop = self._idm(wanted_mps, stop_m, np.zeros_like(stop_m))
        acceleration = np.minimum(acceleration, stop)
        before, poses, velocities = self._speed_mps, self._poses, self._velocities()
        outside = self.routes.outside
        self._speed_mps = np.maximum(before + acceleration * dt_s, 0.0) * ~outside
        self.routes.advance((before + self._speed_mps) / 2.0 * dt_s)
        self._poses = self._places_now()
        turned = self._poses[:, 2] - poses[:, 2]
        self._yaw_rates_radps = np.arctan2(np.sin(turned), np.cos(turned)) / dt_s
        self._accelerations_mps2 = (self._velocities() - velocities) / dt_s
        for index in np.flatnonzero(~outside & (self.routes.to_the_end_m < self._half_m)).tolist():
            self._put(index, self._network.outside, _WAITING_AT_M, 0.0)
        waiting = outside & ~self._removed
        if waiting.any():
            self._let_in(int(waiting.argmax()), others)

    def push(self, index: int, by_mps: float) -> None:
        """Change the speed of the vehicle in row `index` of `bodies`, along its lane.

        It does not roll backwards.
        """
        row = np.flatnonzero(~self.routes.outside)[index]
        self._speed_mps[row] = max(self._speed_mps[row] + by_mps, 0.0)

    def remove(self, actor_id: int) -> bool:
        """Take a vehicle off the roads for good; returns whether it was there."""
        there = np.flatnonzero((self._actor_ids == actor_id) & ~self.routes.outside)
        for row in there.tolist():
            self._put(row, self._network.outside, _WAITING_AT_M, 0.0)
            self._removed[row] = True
        return len(there) > 0

    def bodies(self) -> Bodies:
        """The bodies of all vehicles that are on the roads."""
        here = ~self.routes.outside
        return Bodies(
            self._actor_ids[here],
            self._poses[here],
            self._sizes_m[here],
            self._velocities()[here],
            self._masses_kg[here],
            self._colors_bgr[here],
            self._yaw_rates_radps[here],
            self._accelerations_mps2[here],
        )

    def _let_in(self, index: int, others: Bodies) -> None:
        """Put a vehicle that is outside onto an entry lane, if one has room."""
        half_m = float(self._half_m[index])
        present = self.routes.lanes[:, BEHIND]
        rear_m = self.routes.s_m - self._half_m
        for lane in self._rng.permutation(self._network.entries).tolist():
            free_m = float(np.min(rear_m[present == lane], initial=np.inf))
            at_m = self._network.points(np.array([lane]), np.array([half_m]))[0]
            taken_m = np.concatenate([others.poses[:, :2], self._poses[present != lane, :2]])
            apart_m = np.hypot(*(taken_m - at_m).T)
            long_enough = self._network.length_m[lane] > 4.0 * half_m
            if long_enough and free_m > 2.0 * half_m + _ENTRY_GAP_M and (
                apart_m > _ENTRY_CLEAR_M
            ).all():
                self._put(index, lane, half_m, 0.5 * float(self._network.entry_mps[lane]))
                self._actor_ids[index] = _NO_ID  # its former one may be all that is free
                while self._next_id in self._actor_ids:
                    after = self._next_id + 1 - FIRST_ACTOR_ID
                    self._next_id = FIRST_ACTOR_ID + after % MOST_VEHICLES
                self._actor_ids[index] = self._next_id
                return

    def _put(self, index: int, lane: int, s_m: float, speed_mps: float) -> None:
        """Turn a vehicle into a new one on another lane."""
        self.routes.put(index, lane, s_m)
        self._right_of_way.forget(index)
        if self._stop_lines is not None:
            self._stop_lines.forget(index)
        self._speed_mps[index] = speed_mps
        self._poses = self._places_now()
        self._yaw_rates_radps[index], self._accelerations_mps2[index] = 0.0, 0.0

    def _velocities(self) -> FloatArray:
        """(N, 2) velocities along the map's x and y, m/s."""
        yaw = self._poses[:, 2]
        return np.column_stack([np.cos(yaw), np.sin(yaw)]) * self._speed_mps[:, None]

    def _places_now(self) -> FloatArray:
        """(N, 3) x, y in m and yaw in rad, with both axles on the lane's middle."""
        reach_m = _AXLE_SHARE * self._sizes_m[:, :1] * np.array([-1.0, 1.0])
        axles = self.routes.points(self._rows, self.routes.s_m[:, None] + reach_m)
        ahead = axles[:, 1] - axles[:, 0]
        yaw = np.arctan2(ahead[:, 1], ahead[:, 0])
        return np.column_stack([axles.mean(axis=1), yaw])

    def _wanted_speed(self) -> FloatArray:
        """(N,) wanted speeds, m/s: the limit here, and slow enough for the next lanes in time."""
        routes, network = self.routes, self._network
        here = network.speed_limits(routes.lanes[:, BEHIND], routes.s_m)
        way_m = np.maximum(routes.edges_m[:, :-1][:, AHEAD] - routes.s_m[:, None], 0.0)
        entry_mps = network.entry_mps[routes.lanes[:, AHEAD]]
        in_time = np.sqrt(entry_mps**2 + 2.0 * COMFORTABLE_BRAKE_MPS2 * way_m)
        wanted: FloatArray = self._haste * np.minimum(here, in_time.min(axis=1))
        return wanted

    def _idm(
        self, wanted_mps: FloatArray, gap_m: FloatArray, leader_mps: FloatArray
    ) -> FloatArray:
        """(N,) accelerations of the IDM, m/s2, at gaps (N,), m, to leaders; inf without one."""
        speed = self._speed_mps
        braking = 2.0 * math.sqrt(_ACCELERATION_MPS2 * COMFORTABLE_BRAKE_MPS2)
        dynamic_m = speed * _TIME_GAP_S + speed * (speed - leader_mps) / braking
        desired_m = _STANDING_GAP_M + np.maximum(dynamic_m, 0.0)
        interaction = (desired_m / np.maximum(gap_m, 0.1)) ** 2
        acceleration = _ACCELERATION_MPS2 * (1.0 - (speed / wanted_mps) ** 4 - interaction)
        bounded: FloatArray = np.maximum(acceleration, -_HARDEST_BRAKE_MPS2)
        return bounded

    def _leaders(self) -> tuple[FloatArray, FloatArray]:
        """Gap (N,) to the next vehicle on the route, m, and its speed (N,), m/s."""
        routes = self.routes
        lanes, starts_m = routes.lanes[:, BEHIND:, None], routes.edges_m[:, BEHIND:-1, None]
        way_m = starts_m + routes.s_m - routes.s_m[:, None, None]
        ahead = (lanes == routes.lanes[:, BEHIND]) & (way_m > 0.0)
        way_m = np.where(ahead, way_m, np.inf).min(axis=1)
        leader = way_m.argmin(axis=1)
        gap_m = way_m[self._rows, leader] - self._half_m - self._half_m[leader]
        return gap_m, self._speed_mps[leader]

    def _in_the_way(self, others: Bodies) -> Iterator[tuple[FloatArray, FloatArray]]:
        """For each other body that is in anybody's way, gap and speed as `_leaders`."""
        apart_m = self._poses[:, :2] - others.poses[:, None, :2]
        near = np.hypot(apart_m[..., 0], apart_m[..., 1]) < _LOOKED_AHEAD_M[-1]
        bodies = np.flatnonzero(near.any(axis=1)).tolist()
        if not bodies:
            return
        front_m = self.routes.s_m + self._half_m
        ways = self.routes.points(self._rows, front_m[:, None] + _LOOKED_AHEAD_M)
        for index in bodies:
            rows = np.flatnonzero(near[index])
            points, (x, y, yaw) = ways[rows], others.poses[index]
            cos, sin = math.cos(yaw), math.sin(yaw)
            local = (points - (x, y)) @ np.array([(cos, -sin), (sin, cos)])
            beside = np.maximum(np.abs(local) - others.sizes_m[index, :2] / 2.0, 0.0)
            reach_m = self._sizes_m[rows, 1:2] / 2.0 + _SIDE_MARGIN_M
            clear_m = np.hypot(beside[..., 0], beside[..., 1]) - reach_m
            touched = clear_m[:, :-1] < 0.0
            hit = touched.any(axis=1)
            if not hit.any():
                continue
            first = touched.argmax(axis=1)
            picked = np.arange(len(rows))
            before = np.maximum(first - 1, 0)
            nearly_m = _LOOKED_AHEAD_M[before] + np.maximum(clear_m[picked, before], 0.0)
            gap_m, speed_mps = np.full(len(self._rows), np.inf), np.zeros(len(self._rows))
            gap_m[rows[hit]] = np.minimum(nearly_m, _LOOKED_AHEAD_M[first])[hit]
            way = points[picked, first + 1] - points[picked, first]
            way /= np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-9)
            speed_mps[rows] = way @ others.velocities_mps[index]
            yield gap_m, speed_mps


def _places(network: LaneNetwork) -> tuple[IntArray, FloatArray]:
    """Places for vehicles: lane numbers, and distances from the lanes' starts, m."""
    lanes: list[int] = []
    s_m: list[float] = []
    for lane in np.flatnonzero(~network.guarded[: network.outside]).tolist():
        last_m = network.length_m[lane] - _PLACE_TO_JUNCTION_M
        at_m = np.arange(4.0, last_m, _PLACE_SPACING_M).tolist()
        lanes += [lane] * len(at_m)
        s_m += at_m
    return np.array(lanes, np.int64), np.array(s_m)
