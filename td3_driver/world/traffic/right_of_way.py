# SPDX-License-Identifier: Apache-2.0
"""Right of way at junctions: first come, first served where paths touch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from td3_driver.world.traffic.lane_network import LaneNetwork
from td3_driver.world.traffic.lane_routes import AHEAD, BEHIND, WINDOW, LaneRoutes

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_ASKING_M, _ASKING_S = 8.0, 2.5  # how far before the stop line a vehicle asks
_ROOM_MARGIN_M = 3.0
_CLEAR_MARGIN_M = 0.5
_SAME_PLACE_M = 0.5  # a line where vehicles are held so near before a lane is that lane's
_NEVER = np.iinfo(np.int64).max


class RightOfWay:
    """Grants guarded lanes (`LaneNetwork.guarded`) to vehicles, a whole junction at a time.

    A vehicle is let in when it is the first at its stop line, no conflicting lane is occupied or
    granted, no vehicle that came earlier waits for a conflicting lane, and there is room for it
    behind the junction. So a vehicle that was let in can always leave. Who is held before a lane,
    by a light or a sign, neither asks for it nor keeps it.

    Args:
        network: the lanes.
        routes: routes of the vehicles.
        lengths_m: (N,) lengths of the vehicles.
    """

    def __init__(self, network: LaneNetwork, routes: LaneRoutes, lengths_m: FloatArray) -> None:
        self._network = network
        self._routes = routes
        self._half_m = lengths_m / 2.0
        count = len(lengths_m)
        self._rows = np.arange(count)
        self._granted: IntArray = np.zeros(count, np.int64)  # up to this ordinal it may drive
        self._asked_at: IntArray = np.full(count, _NEVER)
        self._held_m: FloatArray = np.full(count, np.inf)
        self._now = 0

    def stop_lines(self) -> FloatArray:
        """(N,) distances from the front to the next lane not granted, m; inf without one.

        Those behind a place where the vehicle is held are not told.
        """
        stop_m = self._next_closed()[1]
        return np.where(stop_m < self._held_m, stop_m, np.inf)

    def update(
        self,
        speed_mps: FloatArray,
        gap_m: FloatArray,
        closed_junctions: set[int],
        held_m: FloatArray,
    ) -> None:
        """Grant lanes to vehicles that may enter now.

        Args:
            speed_mps: (N,) speeds.
            gap_m: (N,) distance from the front to the vehicle ahead, inf without one.
            closed_junctions: ids of junctions that nobody may enter.
            held_m: (N,) distance from the front to where the vehicle is held, inf if it is not.
        """
        self._now += 1
        self._held_m = held_m - _SAME_PLACE_M
        self._give_back()
        slots, stop_m = self._next_closed()
        asking = (stop_m < _ASKING_M + _ASKING_S * speed_mps) & (stop_m < gap_m)
        asking &= stop_m < self._held_m
        self._asked_at = np.where(asking, np.minimum(self._asked_at, self._now), _NEVER)
        if not asking.any():
            return
        taken = self._taken()
        taken |= np.isin(self._network.junction_id, [*closed_junctions])
        for index in np.argsort(self._asked_at, kind="stable")[: asking.sum()].tolist():
            first = int(slots[index])
            last = self._last_guarded(index, first)
            if not self._has_room(index, last + 1):
                continue
            lanes = self._routes.lanes[index, first : last + 1]
            if not (self._network.conflicts[lanes].any(axis=0) & taken).any():
                self._granted[index] = self._routes.ordinals[index, last]
            taken[lanes] = True  # of who waits too: nobody who came later goes first

    def forget(self, index: int) -> None:
        """Revoke all that was granted to a vehicle that left the roads."""
        self._granted[index], self._asked_at[index] = 0, _NEVER

    def _give_back(self) -> None:
        """Revoke lanes behind the places where vehicles are held."""
        routes = self._routes
        begin_m = routes.edges_m[:, :-1][:, AHEAD] - (routes.s_m + self._half_m)[:, None]
        before = (begin_m < self._held_m[:, None]).sum(axis=1)
        self._granted = np.minimum(self._granted, routes.ordinals[:, BEHIND] + before)

    def _next_closed(self) -> tuple[IntArray, FloatArray]:
        """The slot (N,) of the next lane that is not granted, and the distance (N,) to it, m."""
        routes = self._routes
        closed = self._network.guarded[routes.lanes[:, AHEAD]]
        closed = closed & (routes.ordinals[:, AHEAD] > self._granted[:, None])
        slots = closed.argmax(axis=1) + BEHIND + 1
        way_m = routes.edges_m[self._rows, slots] - routes.s_m - self._half_m
        return slots, np.where(closed.any(axis=1), way_m, np.inf)

    def _taken(self) -> npt.NDArray[np.bool_]:
        """(L,) bool: the guarded lanes that are occupied or granted."""
        routes = self._routes
        rear_m = routes.s_m - self._half_m - _CLEAR_MARGIN_M
        held = self._network.guarded[routes.lanes] & (routes.edges_m[:, 1:] > rear_m[:, None])
        held &= routes.ordinals <= self._granted[:, None]
        taken = np.zeros(len(self._network), np.bool_)
        taken[routes.lanes[held]] = True
        return taken

    def _last_guarded(self, index: int, slot: int) -> int:
        """The slot of the last lane of a junction that begins at `slot`."""
        lanes = self._routes.lanes[index]
        while slot + 1 < WINDOW and self._network.guarded[lanes[slot + 1]]:
            slot += 1
        return slot

    def _has_room(self, index: int, slot: int) -> bool:
        """Whether the lane at `slot` has room for the vehicle and those let in before it."""
        if slot >= WINDOW:
            return True  # too many junctions in a row to know
        routes = self._routes
        lane = routes.lanes[index, slot]
        on_it = routes.lanes[:, BEHIND] == lane
        free_m = float(np.min((routes.s_m - self._half_m)[on_it], initial=np.inf))
        # Who is let in drives as far as the first lane behind the junction.
        coming = (routes.lanes == lane) & (routes.ordinals == self._granted[:, None] + 1)
        coming[:, : BEHIND + 1] = False
        lengths_m = 2.0 * self._half_m + _ROOM_MARGIN_M
        return free_m >= float(lengths_m[index] + lengths_m[coming.any(axis=1)].sum())
