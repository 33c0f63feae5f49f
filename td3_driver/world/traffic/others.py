# SPDX-License-Identifier: Apache-2.0
"""All road users but the cars that are driven, and walkers that are led."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane, RoadMap
from td3_driver.driving.types import NO_LIGHTS, Lights, Pose
from td3_driver.world.bodies.boxes import NOBODY, Bodies, Body, everybody
from td3_driver.world.bodies.contact import Impulse, collide
from td3_driver.world.bodies.solid import Solid
from td3_driver.world.ground.surface import Surface
from td3_driver.world.traffic.lane_network import LaneNetwork
from td3_driver.world.traffic.parked import FIRST_ACTOR_ID as FIRST_PARKED_ID
from td3_driver.world.traffic.parked import Parked
from td3_driver.world.traffic.vehicles import Traffic
from td3_driver.world.traffic.walkers import FIRST_ACTOR_ID as FIRST_WALKER_ID
from td3_driver.world.traffic.walkers import Walkers, find_crossings

_FORESIGHT_S = (0.0, 0.7, 1.4, 2.0)
_REMEMBERED = 1024  # places: cars that stand are asked for again in each step


def are_pedestrians(actor_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(N,) bool: which actors are pedestrians."""
    return np.asarray((actor_ids >= FIRST_WALKER_ID) & (actor_ids < FIRST_PARKED_ID))


class Others:
    """Vehicles and pedestrians that heed the cars and each other; `restart` places them.

    Args:
        road_map, lanes, surface: the roads.
        vehicles, walkers: number of vehicles and of pedestrians, 0 or more.
        regulated: vehicles obey the map's lights, stop signs and speed limits.

    Attributes:
        parked: parked vehicles, which stay when the others are placed anew.
    """

    def __init__(
        self,
        road_map: RoadMap,
        lanes: list[Lane],
        surface: Surface,
        vehicles: int,
        walkers: int,
        *,
        regulated: bool = False,
    ) -> None:
        self._road_map = road_map
        self._signals = road_map if regulated else None
        self._counts = vehicles, walkers
        self.parked = Parked()
        graph = road_map.lane_graph
        self._network = LaneNetwork(graph, regulated=regulated) if vehicles else None
        self._crossings = find_crossings(lanes, surface, walkers) if walkers else None
        self._traffic: Traffic | None = None
        self._walkers: Walkers | None = None
        self._junction_at = lru_cache(_REMEMBERED)(self._find_junction)

    def restart(self, cars: Sequence[Pose], rng: np.random.Generator) -> None:
        """Place everybody anew, nobody near the cars at these poses.

        Raises:
            ValueError: the roads have not enough room.
        """
        vehicles, walkers = self._counts
        self.parked.restart()
        if self._network is not None:
            taken_m = self.parked.bodies().poses[:, :2]
            self._traffic = Traffic(
                self._network, vehicles, cars, rng, taken_m, self._signals
            )
        if self._crossings is not None:
            self._walkers = Walkers(self._crossings, walkers, cars, rng)

    @property
    def heeding(self) -> bool:
        """Whether there are any to heed the cars."""
        return self._traffic is not None or self._walkers is not None

    def step(
        self, dt_s: float, cars: Bodies, still: Bodies = NOBODY, lights: Lights = NO_LIGHTS
    ) -> None:
        """Simulate `dt_s`, s.

        Args:
            dt_s: simulated time, s.
            cars: the cars that are driven; nobody enters a junction that one is in or near.
            still: other ground to keep free.
            lights: what the map's lights show.
        """
        self.parked.step(dt_s)
        if not self.heeding:
            return
        heeded = everybody(cars, self.parked.bodies(), still)
        if self._walkers is not None:
            self._walkers.step(dt_s, everybody(heeded, self._vehicles_now()))
            heeded = everybody(heeded, self._walkers.ways())
        if self._traffic is not None:
            self._traffic.step(dt_s, heeded, self._junctions_of(cars), lights)

    def bodies(self) -> Bodies:
        """The bodies of traffic, pedestrians and parked vehicles."""
        return everybody(self._vehicles_now(), self._walkers_now(), self.parked.bodies())

    def remove(self, actor_id: int) -> bool:
        """Take a road user away until all are placed anew; returns whether there was one."""
        groups = (self._traffic, self._walkers, self.parked)
        return any(group is not None and group.remove(actor_id) for group in groups)

    def meet(
        self, solid: Solid, bodies: Bodies, rows: Sequence[int]
    ) -> list[tuple[int, Impulse]]:
        """Let a body collide with those in some rows of `bodies`, this object's `bodies()`.

        Returns:
            For each in contact: its row, and the impulse on `solid` in the map frame, kg m/s.
        """
        met = ((row, collide(solid, _Row(self, bodies, row))) for row in rows)
        return [(row, impulse) for row, impulse in met if impulse is not None]

    def push(self, index: int, impulse: npt.NDArray[np.float64]) -> None:
        """Apply an impulse (2,), kg m/s, map frame, to the body in row `index` of `bodies`.

        A vehicle takes the part along its lane, a pedestrian falls, a parked vehicle slides.
        """
        vehicles = self._vehicles_now()
        count, walkers = len(vehicles.actor_ids), len(self._walkers_now().actor_ids)
        if index >= count + walkers:
            self.parked.push(index - count - walkers, impulse)
        elif self._traffic is not None and index < count:
            yaw = vehicles.poses[index, 2]
            along = float(impulse @ (math.cos(yaw), math.sin(yaw)))
            self._traffic.push(index, along / float(vehicles.masses_kg[index]))
        elif self._walkers is not None:
            self._walkers.knock_down(index - count)

    def _vehicles_now(self) -> Bodies:
        return NOBODY if self._traffic is None else self._traffic.bodies()

    def _walkers_now(self) -> Bodies:
        return NOBODY if self._walkers is None else self._walkers.bodies()

    def _junctions_of(self, cars: Bodies) -> set[int]:
        moving = zip(cars.poses.tolist(), cars.velocities_mps.tolist(), strict=True)
        ways = (
            self._junction_at(x_m + ahead_s * x_mps, y_m + ahead_s * y_mps)
            for (x_m, y_m, _), (x_mps, y_mps) in moving
            for ahead_s in _FORESIGHT_S
        )
        return {junction for junction in ways if junction is not None}

    def _find_junction(self, x_m: float, y_m: float) -> int | None:
        """OpenDRIVE's id of the junction at a place."""
        place = self._road_map.places.lane_at(x_m, y_m)
        return None if place is None else place.lane.junction_id


class _Row(Solid):
    """One of the others, who can be pushed but not shifted."""

    def __init__(self, others: Others, bodies: Bodies, row: int) -> None:
        x, y, yaw = bodies.poses[row].tolist()
        length_m, width_m, height_m = bodies.sizes_m[row].tolist()
        super().__init__(Body(length_m, width_m, height_m, float(bodies.masses_kg[row])))
        self._others, self._row = others, row
        self._pose = Pose(x, y, yaw)
        self._velocity_mps: tuple[float, float] = tuple(bodies.velocities_mps[row].tolist())

    @property
    def pose(self) -> Pose:
        return self._pose

    def map_velocity(self) -> tuple[float, float]:
        return self._velocity_mps

    def push(self, impulse: npt.NDArray[np.float64]) -> None:
        self._others.push(self._row, impulse)
