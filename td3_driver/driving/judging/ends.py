# SPDX-License-Identifier: Apache-2.0
"""When drives end by the rules of others; by our own see `episode.EpisodeConfig`."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from td3_driver.driving.judging.infractions import Kind, Moment
from td3_driver.driving.judging.progress import Blocked, Completion, Deviation, TimeLimit
from td3_driver.driving.judging.waypoints import Waypoints
from td3_driver.driving.routes.route import Route

_ARRIVED_M = 2.0
_AT_ITS_END_M = 10.0  # a route may pass its end before


class End(NamedTuple):
    """The end of a drive.

    Attributes:
        reason: as in `episode.Outcome`.
        kind: the infraction that ended it, if one did that is not counted anyway.
        terminal: it went wrong; else it might have gone on.
    """

    reason: str
    kind: Kind | None = None
    terminal: bool = False


ARRIVED = End("route_end")


class Ends(Protocol):
    """Says when a drive is over.

    Attributes:
        completion: share of the route that was driven, in [0, 1].
    """

    @property
    def completion(self) -> float:
        """The share of the route that was driven, in [0, 1]."""

    def step(self, moment: Moment, collisions: list[Kind]) -> End | None:
        """Take in a moment and the collisions that count in it; None while the drive goes on."""


class LeaderboardEnds:
    """At the end of the route, off it, blocked, or too late; no collision ends a drive.

    Args:
        route: is driven.
        time: until when it has to be.
    """

    def __init__(self, route: Route, time: TimeLimit) -> None:
        self._completion, self._deviation = Completion(route), Deviation(route)
        self._blocked, self._time = Blocked(), time
        self._begun_ns: int | None = None

    @property
    def completion(self) -> float:
        """The share of the route that was driven, in [0, 1]."""
        return self._completion.share

    def step(self, moment: Moment, collisions: list[Kind]) -> End | None:
        """Take in a moment; None while the drive goes on."""
        ego = moment.ego
        if self._begun_ns is None:
            self._begun_ns = ego.stamp_ns
        complete = self._completion.step(ego.pose)
        deviates, blocked = self._deviation.step(ego.pose), self._blocked.step(ego)
        late = (ego.stamp_ns - self._begun_ns) * 1e-9 > self._time.limit_s(ego.pose)
        if complete:
            return ARRIVED
        if deviates:
            return End(Kind.DEVIATION.value, Kind.DEVIATION, terminal=True)
        if blocked:
            return End(Kind.BLOCKED.value, Kind.BLOCKED)
        return End(Kind.TIME_OUT.value, Kind.TIME_OUT) if late else None


class NoCrashEnds:
    """Within 2 m of the route's end, at the first collision that counts, or too late.

    Args:
        route: is driven.
        time_s: time for it, s.
        at_collisions: a collision ends the drive; CoRL 2017's do not.
    """

    def __init__(self, route: Route, time_s: float, *, at_collisions: bool = True) -> None:
        self._at_collisions = at_collisions
        self._length_m, self._time_s = route.length_m, time_s
        self._end_m = tuple(route.points_m[-1].tolist())
        self._waypoints = Waypoints(route, 2)
        self._begun_ns: int | None = None
        self.completion = 0.0

    def step(self, moment: Moment, collisions: list[Kind]) -> End | None:
        """Take in a moment; None while the drive goes on."""
        pose, now_ns = moment.ego.pose, moment.ego.stamp_ns
        if self._begun_ns is None:
            self._begun_ns = now_ns
        self._waypoints.step(pose)
        rest_m = self._length_m - self._waypoints.passed_m
        self.completion = self._waypoints.passed_m / self._length_m
        if rest_m < _AT_ITS_END_M and math.dist((pose.x_m, pose.y_m), self._end_m) < _ARRIVED_M:
            self.completion = 1.0
            return ARRIVED
        if collisions and self._at_collisions:
            return End("collision", terminal=True)
        late = (now_ns - self._begun_ns) * 1e-9 > self._time_s
        return End(Kind.TIME_OUT.value, Kind.TIME_OUT) if late else None
