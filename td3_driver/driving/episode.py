# SPDX-License-Identifier: Apache-2.0
"""One episode: a route, the rewards along it, and its end."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.demand import NO_DEMAND, Demand
from td3_driver.driving.judging.infractions import Impact, Moment
from td3_driver.driving.judging.judge import Judge
from td3_driver.driving.lookout import STOPPED_MPS, Lookout
from td3_driver.driving.messages.synchronisation import driven
from td3_driver.driving.reward import Action, RewardConfig, reward_terms
from td3_driver.driving.road_users import NOBODY, Leader, RoadUsers, leader
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.safety import ACTION_DIM
from td3_driver.driving.types import NO_LIGHTS, EgoState, Lights


@dataclass(frozen=True)
class EpisodeConfig:
    """Conditions that end an episode.

    Attributes:
        route_length_m: length of a training route, m.
        route_choices: how many routes are drawn for each training route; the one that bends most
            soon after its start is taken, see `training_route`.
        max_steps: time limit, a truncation; of a route longer than `route_length_m` see
            `for_route`.
        off_road_m: lateral offset beyond which the car has left the road, a termination, m.
        wrong_way_rad: heading error beyond which the car faces the wrong way, a termination, rad.
        stuck_steps: steps below the standstill speed after which the episode ends, a truncation;
            steps in which a vehicle ahead blocks the way, or a red light, do not count.
        reward: weights of the reward.

    Raises:
        ValueError: if there are no routes to choose from, or they have no length.
    """

    route_length_m: float = 300.0
    route_choices: int = 8
    max_steps: int = 1500
    off_road_m: float = 2.5
    wrong_way_rad: float = 2.0
    stuck_steps: int = 100
    reward: RewardConfig = field(default_factory=RewardConfig)

    def __post_init__(self) -> None:
        if self.route_choices < 1:
            raise ValueError(f"route_choices: {self.route_choices}; expected 1 or more")
        if not self.route_length_m > 0.0:
            raise ValueError(f"route_length_m: {self.route_length_m}; expected more than 0")

    def for_route(self, length_m: float) -> EpisodeConfig:
        """Return these conditions with as much time for each metre of a longer route."""
        if length_m <= self.route_length_m:
            return self
        return replace(self, max_steps=round(self.max_steps * length_m / self.route_length_m))


@dataclass(frozen=True)
class Outcome:
    """The result of one step.

    `reason` says why the episode ended; empty while it goes on. `ran` is "red_light" or
    "stop_sign" if the car crossed the line of one where it had to stop. `waited`: regulations
    count, and the car stood through the step where standing is right, so that nothing was decided.
    """

    reward: float
    terms: dict[str, float]
    terminated: bool
    truncated: bool
    reason: str
    ran: str = ""
    waited: bool = False

    @property
    def ended(self) -> bool:
        """The episode is over, by termination or truncation."""
        return self.terminated or self.truncated


@dataclass(frozen=True)
class EpisodeSummary:
    """An episode's measures, in SI units.

    `completion` is the share of the route that was driven, `interventions` the number of steps
    that a human drove.
    """

    number: int
    steps: int
    total_reward: float
    completion: float
    mean_speed_mps: float
    lateral_rmse_m: float
    reason: str
    terms: dict[str, float]
    interventions: int = 0

    @property
    def success(self) -> bool:
        """The car reached the end of its route."""
        return self.reason == "route_end"


class Episode:
    """Judges a drive along one route, frame by frame.

    Attributes:
        place: where the car is on the route.
        leader: the road user in its way at the last step.
        judge: as given.

    Args:
        number: number of the episode in its run.
        route: the route, in the ROS map frame.
        ego: the car at the start.
        config: conditions that end it, and weights of the reward.
        reward: weights of the reward, if not those of `config`.
        regulations: the lines and limits along the route that count, or None.
        lights: what the map's lights show at the start.
        running_ends: running a red light or a stop sign ends the episode, a termination. Else
            a learner would take its cost for the time that waiting takes.
        rewarded: regulations count for the reward and in outcomes; else only so far that it is
            right to stand where they ask for it.
        judge: finds infractions; if its rules say what ends a drive, that counts instead of
            `config`'s conditions.
    """

    def __init__(
        self,
        number: int,
        route: Route,
        ego: EgoState,
        config: EpisodeConfig,
        reward: RewardConfig | None = None,
        regulations: Regulations | None = None,
        lights: Lights = NO_LIGHTS,
        *,
        running_ends: bool = True,
        rewarded: bool = True,
        judge: Judge | None = None,
    ) -> None:
        self.number = number
        self.judge = judge
        self.route = route
        self.place: RoutePlace = route.place(ego.pose, 0.0)
        self.leader: Leader | None = None
        self.steps = 0
        self._config = config
        self._reward = reward or config.reward
        self._running_ends, self._rewarded = running_ends, rewarded
        self._lookout: Lookout | None = None
        if regulations is not None:
            given = self._reward.headway_s, self._reward.brake_mps2
            self._lookout = Lookout(regulations, *given)
            self._lookout.begin(self.place.s_m, ego.speed_mps, lights)
        self._ego = ego
        self._previous_action: Action = np.zeros(ACTION_DIM, np.float32)
        self._waits = False
        self._stuck_steps = 0
        self._interventions = 0
        self._furthest_m = self.place.s_m
        self._start_m = self.place.s_m
        self._total_reward = 0.0
        self._speed_sum_mps = 0.0
        self._lateral_square_sum = 0.0
        self._terms: Counter[str] = Counter()

    @property
    def on_its_way(self) -> bool:
        """The car is on the route and faces along it."""
        return not self._terminal_reason(collided=False)

    @property
    def previous_action(self) -> Action:
        """(2,) float32, the action of the step that ended last; zeros before the first."""
        return self._previous_action

    @property
    def demand(self) -> Demand:
        """What lights, signs and limits ask now; nothing where they do not count."""
        return self._asked if self._rewarded else NO_DEMAND

    @property
    def _asked(self) -> Demand:
        return NO_DEMAND if self._lookout is None else self._lookout.demand

    def driven_to(self, ego: EgoState) -> bool:
        """Whether the car was driven on, unseen for a moment, not moved or lost."""
        unseen_ns = ego.stamp_ns - self._ego.stamp_ns
        return 0 < unseen_ns <= GAP_NS and driven(self._ego, ego)

    def pick_up(self, ego: EgoState, *, collided: bool, lights: Lights = NO_LIGHTS) -> bool:
        """Continue after steps that nobody saw; False if the episode cannot go on."""
        self.place = self.route.place(ego.pose, self.place.s_m)
        self._ego = ego
        if self._lookout is not None:
            self._lookout.begin(self.place.s_m, ego.speed_mps, lights)
        self._waits = False
        return not self._terminal_reason(collided)

    def step(
        self,
        ego: EgoState,
        action: Action,
        *,
        collided: bool,
        intervention: bool = False,
        users: RoadUsers = NOBODY,
        lights: Lights = NO_LIGHTS,
        impacts: tuple[Impact, ...] = (),
    ) -> Outcome:
        """Judge the step that ended in `ego`.

        Args:
            ego: the car now.
            action: (2,) float32, executed during the step.
            collided: a collision was reported during this step.
            intervention: a human drove the step.
            users: the other road users now.
            lights: what the map's traffic lights show now.
            impacts: the collisions that were reported during this step, for the judge.
        """
        before_m = self.place.s_m
        elapsed_s = max((ego.stamp_ns - self._ego.stamp_ns) * 1e-9, 1e-3)
        self.place = self.route.place(ego.pose, before_m)
        self._ego = ego
        self.leader = leader(users, self.route, self.place.s_m)
        self.steps += 1
        self._interventions += intervention
        if self.judge is not None:
            self.judge.step(Moment(ego, users, lights, impacts))
        ran = ""
        if self._lookout is not None:
            ran = self._lookout.go_on(self.place.s_m, ego.speed_mps, lights)
        if not self._rewarded:
            ran = ""
        terminal = self._terminal_reason(collided) or (ran if self._running_ends else "")
        terms = reward_terms(
            self._reward,
            progress_mps=(self.place.s_m - before_m) / elapsed_s,
            speed_mps=ego.speed_mps,
            place=self.place,
            action=action,
            previous_action=self._previous_action,
            failed=bool(terminal or ran),
            leader=self.leader,
            demand=self.demand,
        )
        self._previous_action = action
        self._account(ego, terms)
        limit = "" if terminal else self._limit_reason(ego)
        waited, self._waits = self._waits, self._waits_now(ego)
        return Outcome(
            reward=sum(terms.values()),
            terms=terms,
            terminated=bool(terminal),
            truncated=bool(limit),
            reason=terminal or limit,
            ran=ran,
            waited=waited and self._waits,
        )

    def summary(self, reason: str) -> EpisodeSummary:
        """Return the measures of the episode so far, ended for `reason`."""
        steps = max(self.steps, 1)
        goal_m = max(self.route.length_m - self._start_m, 1e-6)
        completion = None if self.judge is None else self.judge.completion
        if completion is None:
            completion = min((self._furthest_m - self._start_m) / goal_m, 1.0)
        return EpisodeSummary(
            number=self.number,
            steps=self.steps,
            total_reward=self._total_reward,
            completion=completion,
            mean_speed_mps=self._speed_sum_mps / steps,
            lateral_rmse_m=math.sqrt(self._lateral_square_sum / steps),
            reason=reason,
            terms=dict(self._terms),
            interventions=self._interventions,
        )

    def _terminal_reason(self, collided: bool) -> str:
        if self.judge is not None and self.judge.ends:
            end = self.judge.end
            return end.reason if end is not None and end.terminal else ""
        if collided:
            return "collision"
        if abs(self.place.lateral_m) > self._config.off_road_m:
            return "off_road"
        if abs(self.place.heading_error_rad) > self._config.wrong_way_rad:
            return "wrong_way"
        return ""

    def _limit_reason(self, ego: EgoState) -> str:
        """Return a truncation's reason, "" if none; the value beyond it counts (bootstraps)."""
        if self.judge is not None and self.judge.ends:
            return "" if self.judge.end is None else self.judge.end.reason
        reward = self._config.reward
        standing = abs(ego.speed_mps) < reward.standstill_speed_mps
        waiting = standing and reward.blocked(self.leader, self._asked)
        if not waiting:
            self._stuck_steps = self._stuck_steps + 1 if standing else 0
        if self.place.s_m >= self.route.length_m - 1e-3:
            return "route_end"
        if self._stuck_steps >= self._config.stuck_steps:
            return "stuck"
        if self.steps >= self._config.max_steps:
            return "time_limit"
        return ""

    def _waits_now(self, ego: EgoState) -> bool:
        counts = self._rewarded and self._lookout is not None
        stands = counts and abs(ego.speed_mps) < STOPPED_MPS
        return stands and self._config.reward.blocked(self.leader, self.demand)

    def _account(self, ego: EgoState, terms: dict[str, float]) -> None:
        self._furthest_m = max(self._furthest_m, self.place.s_m)
        self._total_reward += sum(terms.values())
        self._speed_sum_mps += ego.speed_mps
        self._lateral_square_sum += self.place.lateral_m**2
        self._terms.update(terms)
