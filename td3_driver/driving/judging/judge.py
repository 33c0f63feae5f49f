# SPDX-License-Identifier: Apache-2.0
"""Judges one drive by a rule set, moment by moment."""

from __future__ import annotations

from collections.abc import Mapping

from td3_driver.driving.judging.ends import End
from td3_driver.driving.judging.infractions import Infraction, Kind, Moment
from td3_driver.driving.judging.lanes import OutsideLanes
from td3_driver.driving.judging.progress import KeepingUp
from td3_driver.driving.judging.rules import Rules
from td3_driver.driving.judging.signals import RedLights, StopSigns
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import LightState

_NO_SCENARIOS = "there are no scenarios"


class Judge:
    """Finds the infractions of a drive along one route, and its end.

    Args:
        rules: the rule set.
        road_map: has lanes, lights and signs.
        route: is driven.
        first: the moment at which the drive begins; its collisions do not count.
        speed_limit_mps: counts where the map tells no limit, m/s.
        untold: kinds of infractions that this world or these topics cannot show, and why.

    Attributes:
        end: the end of the drive by the rules' own ends; None while it goes on, and for rules that
            have none.
    """

    def __init__(
        self,
        rules: Rules,
        road_map: RoadMap,
        route: Route,
        first: Moment,
        *,
        speed_limit_mps: float,
        untold: Mapping[Kind, str],
    ) -> None:
        self.rules = rules
        self.end: End | None = None
        self._road_map, self._untold = road_map, untold
        self._collisions = rules.collisions()
        self._red_lights = RedLights(road_map, rules.line_share)
        self._stop_signs = StopSigns(road_map, rules.stop_rule)
        pose = first.ego.pose
        self._outside = OutsideLanes(road_map, route, pose, rules.outside_m, steady=rules.steady)
        self._outside_at: Infraction | None = None
        self._keeping_up = KeepingUp(route) if Kind.SLOW in rules.kinds else None
        self._ends = rules.ends and rules.ends(road_map, route, speed_limit_mps)
        if self._ends is not None:
            self._ends.step(first, [])
        self._found: list[Infraction] = []
        self._heard_lights = False

    @property
    def ends(self) -> bool:
        """The rules say what ends a drive."""
        return self._ends is not None

    @property
    def completion(self) -> float | None:
        """The share of the route that was driven, as the rules measure it; None if they do not."""
        return None if self._ends is None else self._ends.completion

    @property
    def lights_crossed(self) -> int:
        """How many traffic lights the car crossed, whatever they showed."""
        return self._red_lights.crossed

    @property
    def infractions(self) -> tuple[Infraction, ...]:
        """Those so far; all that was driven outside of lanes is one, where it began."""
        if self._outside_at is None or not self._outside.share:
            return tuple(self._found)
        return (*self._found, self._outside_at._replace(share=self._outside.share))

    @property
    def not_measured(self) -> dict[Kind, str]:
        """The kinds of the rules that could not be measured so far, and why."""
        found = dict(self._untold)
        if not self._road_map.lights:
            found[Kind.RED_LIGHT] = "the map has no traffic lights"
        elif not self._heard_lights:
            found.setdefault(Kind.RED_LIGHT, "nothing tells what the traffic lights show")
        if not self._road_map.stop_signs:
            found[Kind.STOP_SIGN] = "the map has no stop signs"
        if self._keeping_up is not None and not self._keeping_up.compared:
            found[Kind.SLOW] = "there is no other vehicle"
        found |= dict.fromkeys((Kind.SCENARIO, Kind.EMERGENCY), _NO_SCENARIOS)
        return {kind: found[kind] for kind in self.rules.kinds if kind in found}

    def step(self, moment: Moment) -> None:
        """Take in the moment at the end of a step."""
        ego = moment.ego
        if len(moment.lights) == len(self._road_map.lights):
            self._heard_lights |= bool((moment.lights != LightState.UNKNOWN).any())
        collisions = self._collisions.step(moment)
        for kind in collisions:
            self._note(kind, moment)
        if Kind.RED_LIGHT not in self._untold and self._red_lights.run(ego, moment.lights):
            self._note(Kind.RED_LIGHT, moment)
        if Kind.STOP_SIGN not in self._untold:
            for _ in self._stop_signs.run(ego):
                self._note(Kind.STOP_SIGN, moment)
        if self._outside.step(ego.pose) and self._outside_at is None:
            self._outside_at = Infraction(Kind.OUTSIDE, ego.pose.x_m, ego.pose.y_m)
        if self._ends is not None:
            self.end = self._ends.step(moment, collisions)
        self._compare(moment)
        if self.end is not None and self.end.kind is not None:
            self._note(self.end.kind, moment)

    def _compare(self, moment: Moment) -> None:
        """Compare the speed with that of others."""
        if self._keeping_up is None:
            return
        self._keeping_up.step(moment)
        if self.end is not None:
            self._keeping_up.end()
        for lack in self._keeping_up.lacks:
            self._note(Kind.SLOW, moment, lack)
        self._keeping_up.lacks.clear()

    def _note(self, kind: Kind, moment: Moment, share: float = 1.0) -> None:
        pose = moment.ego.pose
        self._found.append(Infraction(kind, pose.x_m, pose.y_m, share))
