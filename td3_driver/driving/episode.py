# SPDX-License-Identifier: Apache-2.0
"""One episode: a route, the rewards along it, and its end."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from td3_driver.driving.reward import Action, RewardConfig, reward_terms
from td3_driver.driving.road_users import NOBODY, Leader, RoadUsers, leader
from td3_driver.driving.routes.route import Route, RoutePlace
from td3_driver.driving.safety import ACTION_DIM
from td3_driver.driving.types import EgoState


@dataclass(frozen=True)
class EpisodeConfig:
    """Conditions that end an episode.

    Attributes:
        route_length_m: length of a training route, m.
        route_choices: how many routes are drawn for each training route; the one that bends most
            soon after its start is taken, see `training_route`.
        max_steps: time limit, a truncation.
        off_road_m: lateral offset beyond which the car has left the road, a termination, m.
        wrong_way_rad: heading error beyond which the car faces the wrong way, a termination, rad.
        stuck_steps: steps below the standstill speed after which the episode ends, a truncation;
            steps in which a vehicle ahead blocks the way do not count.
        reward: weights of the reward.

    Raises:
        ValueError: if there are no routes to choose from.
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


@dataclass(frozen=True)
class Outcome:
    """The result of one step. `reason` says why the episode ended; empty while it goes on."""

    reward: float
    terms: dict[str, float]
    terminated: bool
    truncated: bool
    reason: str

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

    Args:
        number: number of the episode in its run.
        route: the route, in the ROS map frame.
        ego: the car at the start.
        config: conditions that end it, and weights of the reward.
        reward: weights of the reward, if not those of `config`.
    """

    def __init__(
        self,
        number: int,
        route: Route,
        ego: EgoState,
        config: EpisodeConfig,
        reward: RewardConfig | None = None,
    ) -> None:
        self.number = number
        self.route = route
        self.place: RoutePlace = route.place(ego.pose, 0.0)
        self.leader: Leader | None = None
        self.steps = 0
        self._config = config
        self._reward = reward or config.reward
        self._ego = ego
        self._previous_action: Action = np.zeros(ACTION_DIM, np.float32)
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

    def pick_up(self, ego: EgoState, *, collided: bool) -> bool:
        """Continue after steps that nobody saw; False if the episode cannot go on."""
        self.place = self.route.place(ego.pose, self.place.s_m)
        self._ego = ego
        return not self._terminal_reason(collided)

    def step(
        self,
        ego: EgoState,
        action: Action,
        *,
        collided: bool,
        intervention: bool = False,
        users: RoadUsers = NOBODY,
    ) -> Outcome:
        """Judge the step that ended in `ego`.

        Args:
            ego: the car now.
            action: (2,) float32, executed during the step.
            collided: a collision was reported during this step.
            intervention: a human drove the step.
            users: the other road users now.
        """
        before_m = self.place.s_m
        elapsed_s = max((ego.stamp_ns - self._ego.stamp_ns) * 1e-9, 1e-3)
        self.place = self.route.place(ego.pose, before_m)
        self._ego = ego
        self.leader = leader(users, self.route, self.place.s_m)
        self.steps += 1
        self._interventions += intervention
        terminal = self._terminal_reason(collided)
        terms = reward_terms(
            self._reward,
            progress_mps=(self.place.s_m - before_m) / elapsed_s,
            speed_mps=ego.speed_mps,
            place=self.place,
            action=action,
            previous_action=self._previous_action,
            failed=bool(terminal),
            leader=self.leader,
        )
        self._previous_action = action
        self._account(ego, terms)
        limit = "" if terminal else self._limit_reason(ego)
        return Outcome(
            reward=sum(terms.values()),
            terms=terms,
            terminated=bool(terminal),
            truncated=bool(limit),
            reason=terminal or limit,
        )

    def summary(self, reason: str) -> EpisodeSummary:
        """Return the measures of the episode so far, ended for `reason`."""
        steps = max(self.steps, 1)
        goal_m = max(self.route.length_m - self._start_m, 1e-6)
        return EpisodeSummary(
            number=self.number,
            steps=self.steps,
            total_reward=self._total_reward,
            completion=min((self._furthest_m - self._start_m) / goal_m, 1.0),
            mean_speed_mps=self._speed_sum_mps / steps,
            lateral_rmse_m=math.sqrt(self._lateral_square_sum / steps),
            reason=reason,
            terms=dict(self._terms),
            interventions=self._interventions,
        )

    def _terminal_reason(self, collided: bool) -> str:
        if collided:
            return "collision"
        if abs(self.place.lateral_m) > self._config.off_road_m:
            return "off_road"
        if abs(self.place.heading_error_rad) > self._config.wrong_way_rad:
            return "wrong_way"
        return ""

    def _limit_reason(self, ego: EgoState) -> str:
        """Return a truncation's reason, "" if none; the value beyond it counts (bootstraps)."""
        reward = self._config.reward
        standing = abs(ego.speed_mps) < reward.standstill_speed_mps
        waiting = standing and reward.blocked(self.leader)
        if not waiting:
            self._stuck_steps = self._stuck_steps + 1 if standing else 0
        if self.place.s_m >= self.route.length_m - 1e-3:
            return "route_end"
        if self._stuck_steps >= self._config.stuck_steps:
            return "stuck"
        if self.steps >= self._config.max_steps:
            return "time_limit"
        return ""

    def _account(self, ego: EgoState, terms: dict[str, float]) -> None:
        self._furthest_m = max(self._furthest_m, self.place.s_m)
        self._total_reward += sum(terms.values())
        self._speed_sum_mps += ego.speed_mps
        self._lateral_square_sum += self.place.lateral_m**2
        self._terms.update(terms)
