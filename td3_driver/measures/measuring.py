# SPDX-License-Identifier: Apache-2.0
"""Measures one drive frame by frame: the same in a process and over topics."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from td3_driver.driving.driver import MakeJudge
from td3_driver.driving.episode import Episode, Outcome
from td3_driver.driving.judging.infractions import Kind, Moment
from td3_driver.driving.judging.judge import Judge
from td3_driver.driving.judging.rules import Rules
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Control, EgoState
from td3_driver.measures import standard
from td3_driver.measures.metrics import Trace


def judges(
    rules: Rules,
    *,
    speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
    untold: Mapping[Kind, str] | None = None,
) -> MakeJudge:
    """What makes the judges of drives, for `Driver`, or for an `Episode` of one's own.

    Args:
        rules: by which is judged.
        speed_limit_mps: counts where the map tells no limit, m/s.
        untold: kinds of infractions that this world or its topics cannot show, and why.
    """
    given = untold or {}

    def begin(road_map: RoadMap, route: Route, first: Moment) -> Judge:
        return Judge(rules, road_map, route, first, speed_limit_mps=speed_limit_mps, untold=given)

    return begin


class Measuring:
    """Gathers a drive's states, controls and rewards, and has its trace at the end.

    The episode judges the drive: a `Driver`'s while that drives, or one that an observer steps.
    It must have a judge, and `standard.limits`.

    Args:
        episode: the drive, which has begun.
        ego: the car in its first frame.
        step_s: time between two frames, s.
        speed_limit_mps: the speed to drive and not to exceed, m/s.

    Raises:
        ValueError: the episode has no judge.
    """

    def __init__(
        self,
        episode: Episode,
        ego: EgoState,
        step_s: float,
        speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
    ) -> None:
        if episode.judge is None:
            raise ValueError("measuring: the episode has no judge; expected one")
        self._episode, self._judge = episode, episode.judge
        self._step_s, self._speed_limit_mps = step_s, speed_limit_mps
        self._states: list[tuple[float, ...]] = []
        self._ttc_s: list[float] = []
        self._actions: list[tuple[float, float]] = []
        self._rewards: list[float] = []
        self._outcome: Outcome | None = None
        self._take(ego)

    def step(self, ego: EgoState, executed: Control, outcome: Outcome) -> None:
        """Take in the next frame.

        Args:
            ego: the car now.
            executed: the control that it executed since the last frame.
            outcome: what the episode's step to this frame came to.
        """
        pedal = executed.throttle - executed.brake
        self._actions.append((executed.steer / standard.STEER_UNIT, pedal))
        self._rewards.append(outcome.reward)
        self._outcome = outcome
        self._take(ego)

    def trace(self, cut: str = "") -> Trace:
        """The whole drive.

        Args:
            cut: why nothing is known of what came after, if it has not ended.

        Raises:
            ValueError: it has not ended, or nothing is known of it.
        """
        episode, judge, outcome = self._episode, self._judge, self._outcome
        if outcome is None or not (outcome.ended or cut):
            raise ValueError("measuring: the drive has not ended")
        reason = outcome.reason or cut
        columns = np.array(self._states)
        return Trace(
            step_s=self._step_s,
            route_length_m=episode.route.length_m,
            speed_limit_mps=self._speed_limit_mps,
            reason=reason,
            completion=episode.summary(reason).completion,
            rules=judge.rules,
            infractions=judge.infractions,
            not_measured=judge.not_measured,
            route_m=episode.route.points_m,
            poses=columns[:, :3],
            s_m=columns[:, 3],
            lateral_m=columns[:, 4],
            speed_mps=columns[:, 5],
            actions=np.array(self._actions),
            rewards=np.array(self._rewards),
            ttc_s=np.array(self._ttc_s),
            terminated=outcome.terminated,
            lights_crossed=judge.lights_crossed,
        )

    def _take(self, ego: EgoState) -> None:
        pose, place, ahead = ego.pose, self._episode.place, self._episode.leader
        state = pose.x_m, pose.y_m, pose.yaw_rad, place.s_m, place.lateral_m, ego.speed_mps
        self._states.append(state)
        self._ttc_s.append(ahead.time_to_collision_s(ego.speed_mps) if ahead else math.inf)
