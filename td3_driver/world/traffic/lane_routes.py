# SPDX-License-Identifier: Apache-2.0
"""The routes of vehicles: the lanes they came from, are on, and turn into next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3_driver.world.traffic.lane_network import LaneNetwork

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

# A route is a window of lanes: two behind, the present one, and those ahead.
BEHIND, WINDOW = 2, 10
AHEAD = slice(BEHIND + 1, WINDOW)


class LaneRoutes:
    """N vehicles on random routes through a network.

    Args:
        network: the lanes.
        lanes: (N,) lane on which each vehicle begins.
        s_m: (N,) distance of its middle from that lane's start, m.
        rng: draws the turns.

    Attributes:
        s_m: (N,) distance of each middle from the start of the present lane, m.
        lanes: (N, WINDOW) lane numbers; column `BEHIND` is the present lane.
        ordinals: (N, WINDOW) numbers of these lanes on the route; the first lane has 0.
        edges_m: (N, WINDOW + 1) where these lanes begin and end, on the scale of `s_m`.
    """

    def __init__(
        self, network: LaneNetwork, lanes: IntArray, s_m: FloatArray, rng: np.random.Generator
    ) -> None:
        self._network = network
        self._rng = rng
        self.s_m = s_m.copy()
        self.lanes: IntArray = np.repeat(lanes[:, None], WINDOW, axis=1)
        for slot in range(BEHIND + 1, WINDOW):
            self.lanes[:, slot] = [self._next(lane) for lane in self.lanes[:, slot - 1].tolist()]
        self.ordinals: IntArray = np.tile(np.arange(WINDOW) - BEHIND, (len(lanes), 1))
        self._measure()

    def advance(self, by_m: FloatArray) -> None:
        """Move the vehicles forward by (N,) m."""
        self.s_m = self.s_m + by_m
        while len(done := np.flatnonzero(self.s_m >= self.edges_m[:, BEHIND + 1])):
            self.s_m[done] -= self.edges_m[done, BEHIND + 1]
            self.ordinals[done] += 1
            self.lanes[done, :-1] = self.lanes[done, 1:]
            self.lanes[done, -1] = [self._next(lane) for lane in self.lanes[done, -2].tolist()]
            self._measure()

    @property
    def outside(self) -> npt.NDArray[np.bool_]:
        """(N,) bool: the vehicles that are not on the roads."""
        return np.asarray(self.lanes[:, BEHIND] == self._network.outside)

    @property
    def to_the_end_m(self) -> FloatArray:
        """(N,) distance to the end of the roads, m, if that is within the window; else inf."""
        beyond = self.lanes[:, AHEAD] == self._network.outside
        first = beyond.argmax(axis=1) + BEHIND + 1
        way_m = self.edges_m[np.arange(len(first)), first] - self.s_m
        return np.where(beyond.any(axis=1), way_m, np.inf)

    def put(self, index: int, lane: int, s_m: float) -> None:
        """Begin a new route for a vehicle on another lane."""
        self.s_m[index] = s_m
        self.lanes[index] = lane
        for slot in range(BEHIND + 1, WINDOW):
            self.lanes[index, slot] = self._next(int(self.lanes[index, slot - 1]))
        self.ordinals[index] = np.arange(WINDOW) - BEHIND
        self._measure()

    def points(self, rows: IntArray, s_m: FloatArray) -> FloatArray:
        """(R, K, 2) map points at distances (R, K), m, on the routes of vehicles (R,)."""
        edges = self.edges_m[rows]
        slot = (s_m[:, :, None] >= edges[:, None, 1:-1]).sum(axis=2)
        lanes = np.take_along_axis(self.lanes[rows], slot, axis=1)
        return self._network.points(lanes, s_m - np.take_along_axis(edges, slot, axis=1))

    def _measure(self) -> None:
        ends = np.cumsum(self._network.length_m[self.lanes], axis=1)
        starts = np.concatenate([np.zeros((len(ends), 1)), ends], axis=1)
        self.edges_m: FloatArray = starts - starts[:, BEHIND, None]

    def _next(self, lane: int) -> int:
        ways = self._network.successors[lane]
        return ways[int(self._rng.integers(len(ways)))] if len(ways) > 1 else ways[0]
