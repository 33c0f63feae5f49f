# SPDX-License-Identifier: Apache-2.0
"""All road users but the ego car."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.routes.road_map import Lane, RoadMap
from td3_driver.driving.types import Pose
from td3_driver.world.bodies.boxes import Bodies, everybody
from td3_driver.world.bodies.vehicle import HEIGHT_M, LENGTH_M, MASS_KG, WIDTH_M, Vehicle
from td3_driver.world.ground.surface import Surface
from td3_driver.world.traffic.lane_network import LaneNetwork
from td3_driver.world.traffic.parked import FIRST_ACTOR_ID as FIRST_PARKED_ID
from td3_driver.world.traffic.parked import Parked
from td3_driver.world.traffic.vehicles import Traffic
from td3_driver.world.traffic.walkers import FIRST_ACTOR_ID as FIRST_WALKER_ID
from td3_driver.world.traffic.walkers import Walkers, find_crossings

_EGO_FORESIGHT_S = (0.0, 0.7, 1.4, 2.0)
NOBODY = Bodies.steady(
    np.empty(0, np.int64),
    np.empty((0, 3)),
    np.empty((0, 3)),
    np.empty((0, 2)),
    np.empty(0),
    np.empty((0, 3)),
)


def are_pedestrians(actor_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """(N,) bool: which actors are pedestrians."""
    return np.asarray((actor_ids >= FIRST_WALKER_ID) & (actor_ids < FIRST_PARKED_ID))


class Others:
    """Vehicles and pedestrians that heed the car and each other; `restart` places them.

    Args:
        road_map, lanes, surface: the roads.
        vehicles, walkers: number of vehicles and of pedestrians, 0 or more.

    Attributes:
        parked: parked vehicles, which stay when the others are placed anew.
    """

    def __init__(
        self, road_map: RoadMap, lanes: list[Lane], surface: Surface, vehicles: int, walkers: int
    ) -> None:
        self._road_map = road_map
        self._counts = vehicles, walkers
        self.parked = Parked()
        self._network = LaneNetwork(road_map.lane_graph) if vehicles else None
        self._crossings = find_crossings(lanes, surface) if walkers else None
        self._traffic: Traffic | None = None
        self._walkers: Walkers | None = None

    def restart(self, ego: Pose, rng: np.random.Generator) -> None:
        """Place everybody anew, nobody near the car.

        Raises:
            ValueError: the roads have not enough room.
        """
        vehicles, walkers = self._counts
        self.parked.restart()
        if self._network is not None:
            taken_m = self.parked.bodies().poses[:, :2]
            self._traffic = Traffic(self._network, vehicles, ego, rng, taken_m)
        if self._crossings is not None:
            self._walkers = Walkers(self._crossings, walkers, ego, rng)

    def step(self, dt_s: float, ego: Vehicle) -> None:
        """Simulate `dt_s`, s; nobody enters a junction that the car is in or near."""
        self.parked.step(dt_s)
        if self._traffic is None and self._walkers is None:
            return
        heeded = everybody(_body_of(ego), self.parked.bodies())
        if self._walkers is not None:
            self._walkers.step(dt_s, everybody(heeded, self._vehicles_now()))
            heeded = everybody(heeded, self._walkers.ways())
        if self._traffic is not None:
            self._traffic.step(dt_s, heeded, self._junctions_of(ego))

    def bodies(self) -> Bodies:
        """The bodies of traffic, pedestrians and parked vehicles."""
        return everybody(self._vehicles_now(), self._walkers_now(), self.parked.bodies())

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

    def _junctions_of(self, ego: Vehicle) -> set[int]:
        pose, (x_mps, y_mps) = ego.pose, ego.map_velocity()
        found = set()
        for ahead_s in _EGO_FORESIGHT_S:
            at = pose.x_m + ahead_s * x_mps, pose.y_m + ahead_s * y_mps
            place = self._road_map.places.lane_at(*at)
            if place is not None and place.lane.junction_id is not None:
                found.add(place.lane.junction_id)
        return found


def _body_of(ego: Vehicle) -> Bodies:
    pose = ego.pose
    return Bodies.steady(
        np.zeros(1, np.int64),
        np.array([(pose.x_m, pose.y_m, pose.yaw_rad)]),
        np.array([(LENGTH_M, WIDTH_M, HEIGHT_M)]),
        np.array([ego.map_velocity()]),
        np.array([MASS_KG]),
        np.zeros((1, 3)),
    )
