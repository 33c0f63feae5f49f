# SPDX-License-Identifier: Apache-2.0
"""The rule sets of an evaluation: what counts, what ends a drive, and what it costs.

`strict` is our own: the first collision ends a drive, and so does leaving the road. The others
follow their authors' code:

- `leaderboard1`: CARLA leaderboard 1.0, and `leaderboard2`: 2.1, the newest, whose penalty is no
  product any more. carla-simulator/leaderboard (leaderboard/utils/statistics_manager.py,
  leaderboard/scenarios/route_scenario.py) and carla-simulator/scenario_runner, each in its
  branches leaderboard-1.0 and leaderboard-2.1.
- `nocrash`: Codevilla, Santana, Lopez and Gaidon, "Exploring the Limitations of Behavior Cloning
  for Autonomous Driving", ICCV 2019, and its benchmark in carla-simulator/driving-benchmarks
  (version084: driving_benchmarks/carla100, benchmark_tools/benchmark_runner.py).
- `corl2017`: Dosovitskiy, Ros, Codevilla, Lopez and Koltun, "CARLA: An Open Urban Driving
  Simulator", CoRL 2017; the time is the paper's, to which the code of its benchmark adds 10 s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from td3_driver.driving.judging.collisions import (
    AllContacts,
    HardCollisions,
    LastingCollisions,
    MergedCollisions,
    Merging,
)
from td3_driver.driving.judging.ends import Ends, LeaderboardEnds, NoCrashEnds
from td3_driver.driving.judging.infractions import COLLISIONS, Infraction, Kind, Moment
from td3_driver.driving.judging.progress import EarnedTime, FixedTime
from td3_driver.driving.judging.signals import StopRule
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route


class Collisions(Protocol):
    """Counts collisions."""

    def step(self, moment: Moment) -> list[Kind]:
        """Return the collisions that are counted in this step."""


class Penalty(Protocol):
    """Makes infractions a factor of the score."""

    def __call__(self, infractions: Iterable[Infraction]) -> float:
        """Return the factor, in [0, 1]."""


@dataclass(frozen=True)
class Multiplied:
    """A product: each infraction is a factor, as in the leaderboard 1.0 and 2.0.

    Attributes:
        factors: by kind, of an infraction whose share is 1; what is not named costs nothing.
    """

    factors: Mapping[Kind, float]

    def __call__(self, infractions: Iterable[Infraction]) -> float:
        """Return the factor, in [0, 1]."""
        return math.prod(
            1.0 - (1.0 - self.factors.get(each.kind, 1.0)) * each.share for each in infractions
        )


@dataclass(frozen=True)
class Added:
    """1 / (1 + the sum of coefficients), and the share outside lanes is lost: leaderboard 2.1.

    Attributes:
        coefficients: by kind, of an infraction whose share is 1; others cost nothing.
    """

    coefficients: Mapping[Kind, float]

    def __call__(self, infractions: Iterable[Infraction]) -> float:
        """Return the factor, in [0, 1]."""
        found = list(infractions)
        inside = math.prod(1.0 - each.share for each in found if each.kind == Kind.OUTSIDE)
        added = sum(self.coefficients.get(each.kind, 0.0) * each.share for each in found)
        return inside / (1.0 + added)


def nothing(infractions: Iterable[Infraction]) -> float:
    """Return 1: no infraction costs anything."""
    return 1.0


@dataclass(frozen=True)
class Rules:
    """One rule set.

    Attributes:
        name: by which it is chosen.
        version: whose rules they are, in words.
        penalty: what infractions make of the score.
        collisions: makes what counts collisions.
        ends: makes what ends a drive, from the map, the route, and the speed limit where the map
            tells none, m/s; None: what an `EpisodeConfig` says.
        kinds: the infractions that it knows, whether or not they cost anything.
        ended_by, costs: what ends a drive, and what costs how much, in words.
        older: the penalty of an older version with the same ends, by which much was published.
        collisions_fail: a drive with a collision is no success.
        line_share, stop_rule, outside_m, steady: see `RedLights`, `StopSigns`, `OutsideLanes`.
    """

    name: str
    version: str
    penalty: Penalty
    collisions: Callable[[], Collisions]
    ends: Callable[[RoadMap, Route, float], Ends] | None
    kinds: tuple[Kind, ...]
    ended_by: str
    costs: str
    older: Penalty | None = None
    collisions_fail: bool = True
    line_share: float = 0.6
    stop_rule: StopRule = field(default=StopRule(4.0, 0.5, 1.2, enters=False))
    outside_m: float = 0.5
    steady: bool = True

    def to_mapping(self) -> dict[str, str]:
        """Which rules apply, as in metrics.json."""
        return {
            "name": self.name,
            "version": self.version,
            "ended_by": self.ended_by,
            "costs": self.costs,
        }


def _leaderboard_1_ends(road_map: RoadMap, route: Route, limit_mps: float) -> Ends:
    return LeaderboardEnds(route, FixedTime(math.floor(0.8 * route.length_m + 5.0)))


def _leaderboard_2_ends(road_map: RoadMap, route: Route, limit_mps: float) -> Ends:
    regulations = Regulations(road_map, route)

    def limit_at(s_m: float) -> float:
        told_mps = regulations.speed_limit_mps(s_m)
        return told_mps if math.isfinite(told_mps) else limit_mps

    return LeaderboardEnds(route, EarnedTime(route, limit_at))


def _nocrash_ends(road_map: RoadMap, route: Route, limit_mps: float) -> Ends:
    # At 5 km/h, not at CoRL 2017's 10: the car may wait at lights.
    return NoCrashEnds(route, route.length_m * 3.6 / 5.0 + 20.0)


def _corl_2017_ends(road_map: RoadMap, route: Route, limit_mps: float) -> Ends:
    return NoCrashEnds(route, route.length_m * 3.6 / 10.0, at_collisions=False)


_SIGNALS = (Kind.RED_LIGHT, Kind.STOP_SIGN, Kind.OUTSIDE)
_LEADERBOARD = (*COLLISIONS, *_SIGNALS, Kind.DEVIATION, Kind.TIME_OUT, Kind.BLOCKED)
_COLLISION_FACTORS = {Kind.PEDESTRIAN: 0.50, Kind.VEHICLE: 0.60, Kind.LAYOUT: 0.65}
_SIGNAL_FACTORS = {**_COLLISION_FACTORS, Kind.RED_LIGHT: 0.70, Kind.STOP_SIGN: 0.80}
_FACTORS = {**_SIGNAL_FACTORS, Kind.OUTSIDE: 0.0}
_COLLISION_COSTS = "collisions with a pedestrian × 0.5, vehicle × 0.6, layout × 0.65"
_SIGNAL_COSTS = f"{_COLLISION_COSTS}, red light × 0.7, stop sign × 0.8"
_LEADERBOARD_ENDED_BY = "30 m beside the route, standing for 180 s"

STRICT = Rules(
    name="strict",
    version="td3_driver",
    penalty=Multiplied(_SIGNAL_FACTORS),
    collisions=AllContacts,
    ends=None,
    kinds=(*COLLISIONS, *_SIGNALS),
    ended_by="any collision, off the road, facing the wrong way, stuck, a time limit",
    costs=_SIGNAL_COSTS,
)
LEADERBOARD_1 = Rules(
    name="leaderboard1",
    version="CARLA leaderboard 1.0",
    penalty=Multiplied(_FACTORS),
    collisions=partial(MergedCollisions, Merging(near_m=3.0)),
    ends=_leaderboard_1_ends,
    kinds=_LEADERBOARD,
    ended_by=f"{_LEADERBOARD_ENDED_BY}, taking more than 0.8 s a metre and 5 s",
    costs=f"{_SIGNAL_COSTS}, × the share inside of lanes",
    line_share=0.4,
    stop_rule=StopRule(20.0, 1.0, 1.0, enters=True),
    outside_m=1.3,
    steady=False,
)
LEADERBOARD_2 = Rules(
    name="leaderboard2",
    version="CARLA leaderboard 2.1",
    penalty=Added(
        {
            Kind.PEDESTRIAN: 1.0,
            Kind.VEHICLE: 0.7,
            Kind.LAYOUT: 0.6,
            Kind.RED_LIGHT: 0.4,
            Kind.STOP_SIGN: 0.25,
            Kind.SCENARIO: 0.4,
            Kind.EMERGENCY: 0.4,
            Kind.SLOW: 0.4,
        }
    ),
    collisions=partial(MergedCollisions, Merging(near_m=5.0, slowest_mps=0.1)),
    ends=_leaderboard_2_ends,
    kinds=(*_LEADERBOARD, Kind.SLOW, Kind.SCENARIO, Kind.EMERGENCY),
    ended_by=f"{_LEADERBOARD_ENDED_BY}, taking 300 s more than at a tenth of the limit",
    costs="1 / (1 + sum): pedestrian 1, vehicle 0.7, layout 0.6, red light 0.4, stop sign 0.25,"
    " a quarter slower than traffic up to 0.4; × the share inside of lanes",
    older=Multiplied({**_FACTORS, Kind.SCENARIO: 0.70, Kind.EMERGENCY: 0.70, Kind.SLOW: 0.70}),
)
NOCRASH = Rules(
    name="nocrash",
    version="NoCrash (Codevilla et al. 2019)",
    penalty=nothing,
    # Half of what its metrics call a collision, in one frame.
    collisions=partial(
        HardCollisions, {Kind.PEDESTRIAN: 150.0, Kind.VEHICLE: 200.0, Kind.LAYOUT: 200.0}
    ),
    ends=_nocrash_ends,
    kinds=(*COLLISIONS, *_SIGNALS, Kind.TIME_OUT),
    ended_by="a collision of more than 200 N s (pedestrian: 150), taking 20 s more than at 5 km/h",
    costs="nothing: only success counts",
)
CORL_2017 = Rules(
    name="corl2017",
    version="CoRL 2017 (Dosovitskiy et al. 2017)",
    penalty=nothing,
    collisions=partial(LastingCollisions, 2.0),
    ends=_corl_2017_ends,
    kinds=NOCRASH.kinds,
    ended_by="taking more time than at 10 km/h",
    costs="nothing: only success counts, and that in spite of collisions",
    collisions_fail=False,
)
RULES = {
    rules.name: rules for rules in (STRICT, NOCRASH, CORL_2017, LEADERBOARD_1, LEADERBOARD_2)
}
"""The rule sets by name."""
