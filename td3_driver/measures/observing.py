# SPDX-License-Identifier: Apache-2.0
"""Measures drives that somebody else drove, from what was seen of them.

They are cut into drives afterwards, when it is known where the car went: without given routes the
lanes that it followed are its route.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.episode import Episode
from td3_driver.driving.judging.ends import End
from td3_driver.driving.judging.infractions import Impact, Kind, Moment
from td3_driver.driving.judging.progress import Completion
from td3_driver.driving.judging.rules import Rules
from td3_driver.driving.messages.synchronisation import driven
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.routes.map_matching import driven_route
from td3_driver.driving.routes.recorded_routes import RecordedRoutes
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.route_files import PlannedRoute
from td3_driver.driving.safety import SafetyConfig, action_of
from td3_driver.driving.types import NO_LIGHTS, Control, EgoState, Lights, wrap_angle
from td3_driver.measures import standard
from td3_driver.measures.drives import Drive
from td3_driver.measures.measuring import Measuring, judges
from td3_driver.measures.metrics import measure

WATCHED_UNTIL = "watched_until_here"
_AFTER_COLLISION_NS = 1_000_000_000
_ON_ITS_WAY_M = 2.0  # so far from where a drive has ended the next may begin
_AT_ITS_END_M = 10.0  # nearer to its end every rule set takes a route for driven
_NO_LIMIT = 2**62
_SAFETY = SafetyConfig(max_steer=standard.STEER_UNIT)
_NO_ROUTE = "no route is known: routes:=FILE names some"
# What needs a route, by its name in metrics.json.
_OF_ROUTES = (
    "success_rate", "route_completion", "driving_score", "driving_score_2_0", "score",
)  # fmt: skip
_OF_ROUTE = (
    "success", "completion", "driving_score", "driving_score_2_0", "score", "route_length_m",
)  # fmt: skip
_ENDS_OF_ROUTES = (Kind.DEVIATION, Kind.TIME_OUT, Kind.BLOCKED)


@dataclass
class Watched:
    """What was seen of a car, by stamp, ns; frames in the order in which they came.

    Attributes:
        cars: its state in each frame.
        users, lights: the other road users and the lights, where they were told.
        executed: the control that it executed up to a frame, where it was told.
        impacts: its collisions, in the order of their stamps.
        routes: where it is to go from a frame on, where that was told.
    """

    cars: dict[int, EgoState] = field(default_factory=dict)
    users: dict[int, RoadUsers] = field(default_factory=dict)
    lights: dict[int, Lights] = field(default_factory=dict)
    executed: dict[int, Control] = field(default_factory=dict)
    impacts: list[tuple[int, Impact]] = field(default_factory=list)
    routes: dict[int, Route] = field(default_factory=dict)

    def moment(self, before_ns: int, ego: EgoState) -> Moment:
        """All that is known of a frame, with the collisions since the one before."""
        at_ns = ego.stamp_ns
        first, after = (
            bisect_right(self.impacts, stamp, key=lambda told: told[0])
            for stamp in (before_ns, at_ns)
        )
        impacts = (impact for _, impact in self.impacts[first:after])
        users, lights = self.users.get(at_ns, NOBODY), self.lights.get(at_ns, NO_LIGHTS)
        return Moment(ego, users, lights, tuple(impacts))


class _Start(NamedTuple):
    """A drive's first frame, its route, and the route's name."""

    frame: int
    route: Route
    name: str


class Observation:
    """The drives of a car that was watched.

    Args:
        watched: what was seen.
        road_map: the map.
        rules: by which is judged.
        step_s: time between two frames, s.
        planned: the routes that it is to drive, in any order; empty: those that were told, else
            none are known.

    Attributes:
        drives: what was measured.
        notes: what was not, a line each.
        routes_known: whether `drives` have routes of their own.
    """

    def __init__(
        self,
        watched: Watched,
        road_map: RoadMap,
        rules: Rules,
        step_s: float,
        planned: Sequence[PlannedRoute] = (),
    ) -> None:
        self.drives: list[Drive] = []
        self.notes: list[str] = []
        self.routes_known = bool(planned or watched.routes)
        self._watched, self._road_map, self._step_s = watched, road_map, step_s
        self._planned = planned
        self._told = RecordedRoutes()
        for stamp_ns, route in watched.routes.items():
            self._told.add(stamp_ns, route)
        self._rules = rules if self.routes_known or rules.ends is None else _endless(rules)
        untold = {} if self.routes_known else dict.fromkeys(_ENDS_OF_ROUTES, _NO_ROUTE)
        self._make_judge = judges(self._rules, untold=untold)
        self._cars = list(watched.cars.values())
        self._missed = self._unknown = 0
        for begin, end in self._sections():
            self._measure_section(begin, end)
        if self._missed:
            each = f"{step_s:g} s"
            self.notes.append(f"{self._missed} frames, one each {each}, were missed")
        if self._unknown:
            self.notes.append(
                f"{self._unknown} frames do not tell the executed control: taken for none"
            )

    def _sections(self) -> Iterator[tuple[int, int]]:
        """First frame and end of each stretch without a gap, or a car that was moved."""
        begin = 0
        for at in range(1, len(self._cars) + 1):
            if at < len(self._cars):
                before, now = self._cars[at - 1 : at + 1]
                if 0 < now.stamp_ns - before.stamp_ns <= GAP_NS and driven(before, now):
                    continue
            yield begin, at
            begin = at

    def _measure_section(self, begin: int, end: int) -> None:
        while begin < end and (start := self._start(begin, end)) is not None:
            begin = self._measure(start, end)

    def _start(self, begin: int, end: int) -> _Start | None:
        """The next drive of a section, from a frame on."""
        if self._planned:
            return self._joined(begin, end, self._planned)
        if not self.routes_known:
            points_m = np.array([(car.pose.x_m, car.pose.y_m) for car in self._cars[begin:end]])
            route = driven_route(points_m, self._road_map)
            found = [] if route is None else [PlannedRoute("", route, None)]
            return self._joined(begin, end, found)
        for at in range(begin, end):
            before_ns = self._cars[at - 1].stamp_ns if at else None
            route = self._told.begun(before_ns, self._cars[at].stamp_ns)
            if route is not None:
                return _Start(at, route, "")
        return None

    def _joined(self, begin: int, end: int, routes: Sequence[PlannedRoute]) -> _Start | None:
        """The first frame on one of the routes, and what is left of that route there.

        Of several the one counts whose start is nearest.
        """
        limits = standard.RouteLimits()
        for at in range(begin, end):
            pose = self._cars[at].pose
            ways = [
                (s_m, name, route)
                for name, route, _ in routes
                for s_m, yaw_rad in route.passes((pose.x_m, pose.y_m), limits.off_road_m)
                if abs(wrap_angle(pose.yaw_rad - yaw_rad)) < limits.wrong_way_rad / 2.0
                and route.length_m - s_m > min(_AT_ITS_END_M, route.length_m / 2.0)
            ]
            if ways:
                s_m, name, route = min(ways, key=lambda way: way[0])
                if name and s_m > 1.0:
                    self.notes.append(f"route {name}: joined {s_m:.0f} m behind its start")
                return _Start(at, route.rest(s_m), name)
        return None

    def _measure(self, start: _Start, end: int) -> int:
        """Measure one drive; return the frame from which the next may begin."""
        ego = self._cars[start.frame]
        limits = standard.RouteLimits(step_s=self._step_s).for_route(start.route.length_m)
        if not self.routes_known:
            limits = replace(limits, max_steps=_NO_LIMIT, stuck_steps=_NO_LIMIT)
        first = self._watched.moment(ego.stamp_ns, ego)
        judge = self._make_judge(self._road_map, start.route, first)
        regulations = Regulations(self._road_map, start.route)
        episode = Episode(
            len(self.drives),
            start.route,
            ego,
            limits,
            None,
            regulations,
            first.lights,
            rewarded=False,
            judge=judge,
        )
        measuring = Measuring(episode, ego, self._step_s)
        before_ns, executed, at = ego.stamp_ns, Control(), start.frame + 1
        missed = 0
        while at < end:
            ego = self._cars[at]
            now = self._watched.moment(before_ns, ego)
            told = self._watched.executed.get(ego.stamp_ns)
            self._unknown += told is None
            executed = told or Control()
            outcome = episode.step(
                ego,
                action_of(executed, _SAFETY),
                collided=bool(now.impacts),
                users=now.users,
                lights=now.lights,
                impacts=now.impacts,
            )
            measuring.step(ego, executed, outcome)
            missed += max(round((ego.stamp_ns - before_ns) * 1e-9 / self._step_s) - 1, 0)
            before_ns, at = ego.stamp_ns, at + 1
            if outcome.ended:
                break
        if at == start.frame + 1:
            return at
        self._missed += missed
        trace = measuring.trace(WATCHED_UNTIL)
        self.drives.append(Drive(self._road_map, None, start.name, trace, measure(trace)))
        if self._planned or not self.routes_known:
            at = self._gone_on(at, end)
        if not trace.struck:
            return at
        stamps_ns = [car.stamp_ns for car in self._cars[:end]]
        return bisect_right(stamps_ns, before_ns + _AFTER_COLLISION_NS, lo=at)

    def _gone_on(self, at: int, end: int) -> int:
        """The first frame in which the car has gone on from where a drive ended, before `at`."""
        pose = self._cars[at - 1].pose
        while at < end:
            now = self._cars[at].pose
            if math.dist((now.x_m, now.y_m), (pose.x_m, pose.y_m)) >= _ON_ITS_WAY_M:
                break
            at += 1
        return at


def without_routes(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """What metrics.json says where no route was known: what needs one was not measured."""
    found = dict(metrics)
    nothing = {name: None for name in _OF_ROUTES if name in found}
    found |= {**nothing, "route_length_m": []}
    found["confidence_95"] = {**metrics["confidence_95"], **nothing}
    found["per_episode"] = [
        {**row, **{name: None for name in _OF_ROUTE if name in row}}
        for row in metrics["per_episode"]
    ]
    found["not_measured"] = {**metrics["not_measured"], **dict.fromkeys(nothing, _NO_ROUTE)}
    return found


class _Endless:
    """Ends nothing: there is no route to come to the end of."""

    def __init__(self, route: Route) -> None:
        self._completion = Completion(route)

    @property
    def completion(self) -> float:
        """The share of the lanes that was driven, by which distances are known."""
        return self._completion.share

    def step(self, moment: Moment, collisions: list[Kind]) -> End | None:
        """Go on."""
        self._completion.step(moment.ego.pose)
        return None


def _endless(rules: Rules) -> Rules:
    return replace(rules, ends=lambda road_map, route, limit_mps: _Endless(route))
