# SPDX-License-Identifier: Apache-2.0
"""Measures of each episode, and one score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.judging.infractions import COLLISIONS, Infraction, Kind
from td3_driver.driving.judging.rules import Rules

FloatArray = NDArray[np.float64]

# A car that never came further than this along its route never pulled away.
STARTED_M = 2.0

# The score's factors are one half at these values.
HALF_RMSE_M = 0.5
HALF_STEER_CHANGE = 0.05
HALF_OVERSPEED_MPS = 1.0


@dataclass(frozen=True)
class Trace:
    """One episode, step by step: N actions and the N + 1 states around them.

    Attributes:
        step_s: time between two states, s.
        route_length_m: length of the route, m.
        speed_limit_mps: the speed to drive and not to exceed, m/s.
        reason: why the episode ended, as in `episode.Outcome`.
        completion: share of the route that was driven, in [0, 1].
        rules: by which the drive was judged.
        infractions: those of the drive, as `Judge.infractions`.
        not_measured: the kinds of infractions that could not be found, and why.
        route_m: (M, 2) float64, the route's points, ROS map frame.
        poses: (N + 1, 3) float64, x and y in m and yaw in rad, ROS map frame.
        s_m: (N + 1,) float64, place along the route, m.
        lateral_m: (N + 1,) float64, offset from the route, left positive, m.
        speed_mps: (N + 1,) float64, forward speed, m/s.
        actions: (N, 2) float64, steer (positive to the right) in `standard.STEER_UNIT`, the same
            for all policies, and throttle/brake in [-1, 1].
        rewards: (N,) float64.
        ttc_s: (N + 1,) float64, time to collision with the road user ahead, s; inf where there is
            none or the gap grows; see `road_users.Leader`.
        terminated: the episode ended in a terminal state; else it was truncated.
        lights_crossed: how many traffic lights the car crossed, whatever they showed.
    """

    step_s: float
    route_length_m: float
    speed_limit_mps: float
    reason: str
    completion: float
    rules: Rules
    infractions: tuple[Infraction, ...]
    not_measured: Mapping[Kind, str]
    route_m: FloatArray
    poses: FloatArray
    s_m: FloatArray
    lateral_m: FloatArray
    speed_mps: FloatArray
    actions: FloatArray
    rewards: FloatArray
    ttc_s: FloatArray
    terminated: bool
    lights_crossed: int = 0

    @property
    def struck(self) -> tuple[Kind, ...]:
        """The collisions that count, by what the car collided with."""
        return tuple(each.kind for each in self.infractions if each.kind in COLLISIONS)


@dataclass(frozen=True)
class EpisodeMetrics:
    """An episode in numbers, SI units; see `measure`.

    `steer_rate_rms` (1/s) and `mean_abs_steer_change` (per step) are of the steer in
    `Trace.actions`. `distance_m` is along the route. `min_ttc_s` is None if the car never came
    closer to a road user ahead. `infractions` counts those of each kind that the rules know; None:
    not measured. `driving_score_2_0` is by the penalty of the CARLA leaderboard 2.0, where that of
    2.1 counts, else None. `outside_lanes_share` is that of the driven way.
    """

    reason: str
    success: bool
    route_length_m: float
    completion: float
    driving_score: float
    score: float
    collisions: int
    distance_m: float
    duration_s: float
    steps: int
    lateral_rmse_m: float
    lateral_max_m: float
    mean_speed_mps: float
    max_speed_mps: float
    jerk_rms_mps3: float
    steer_rate_rms: float
    mean_abs_steer_change: float
    never_started: bool
    min_ttc_s: float | None
    infraction_penalty: float
    driving_score_2_0: float | None
    infractions: dict[str, int | None]
    outside_lanes_share: float


def measure(trace: Trace) -> EpisodeMetrics:
    """Compute the measures of one episode."""
    steps = len(trace.actions)
    speed_mps, lateral_m = trace.speed_mps[1:], trace.lateral_m[1:]
    steer_change = np.diff(trace.actions[:, 0])
    jerk_mps3 = np.diff(trace.speed_mps, n=2) / trace.step_s**2
    penalty, older = trace.rules.penalty(trace.infractions), trace.rules.older
    counted = Counter(each.kind for each in trace.infractions)
    driving_score = trace.completion * penalty
    tracking_m = _rms(lateral_m)
    abs_change = _mean(np.abs(steer_change))
    score = driving_score * quality(
        rmse_m=tracking_m,
        steer_change=abs_change,
        overspeed_mps=_rms(np.maximum(speed_mps - trace.speed_limit_mps, 0.0)),
        pace=_mean(speed_mps) / trace.speed_limit_mps,
    )
    return EpisodeMetrics(
        reason=trace.reason,
        success=trace.reason == "route_end"
        and not (trace.struck and trace.rules.collisions_fail),
        route_length_m=trace.route_length_m,
        completion=trace.completion,
        driving_score=driving_score,
        score=score,
        collisions=len(trace.struck),
        distance_m=trace.completion * trace.route_length_m,
        duration_s=steps * trace.step_s,
        steps=steps,
        lateral_rmse_m=tracking_m,
        lateral_max_m=float(np.max(np.abs(lateral_m), initial=0.0)),
        mean_speed_mps=_mean(speed_mps),
        max_speed_mps=float(np.max(speed_mps, initial=0.0)),
        jerk_rms_mps3=_rms(jerk_mps3),
        steer_rate_rms=_rms(steer_change / trace.step_s),
        mean_abs_steer_change=abs_change,
        never_started=trace.completion * trace.route_length_m < STARTED_M,
        min_ttc_s=float(trace.ttc_s.min()) if np.isfinite(trace.ttc_s).any() else None,
        infraction_penalty=penalty,
        driving_score_2_0=None if older is None else trace.completion * older(trace.infractions),
        infractions={
            kind.value: None if kind in trace.not_measured else counted[kind]
            for kind in trace.rules.kinds
        },
        outside_lanes_share=sum(
            (each.share for each in trace.infractions if each.kind == Kind.OUTSIDE), 0.0
        ),
    )


def value_bias(values: FloatArray, trace: Trace, discount: float) -> float:
    """Mean difference between a critic's values and the returns that followed, over an episode.

    Args:
        values: (N,) the critic's value of each executed action.
        trace: the episode; if it was truncated, the last value stands for the rest of the return.
        discount: discount factor per step.
    """
    come = 0.0 if trace.terminated else float(values[-1])
    returns = np.empty(len(values))
    for step in range(len(values) - 1, -1, -1):
        come = returns[step] = trace.rewards[step] + discount * come
    return float(np.mean(values - returns))


def quality(*, rmse_m: float, steer_change: float, overspeed_mps: float, pace: float) -> float:
    """The quality of driving in [0, 1]: a product, so that no factor makes up for another.

    Args:
        rmse_m: root mean square of the lateral offset, m.
        steer_change: mean |change of steer| per step.
        overspeed_mps: root mean square of the speed above the limit, m/s.
        pace: mean speed as a share of the limit.
    """
    return (
        _falling(rmse_m, HALF_RMSE_M)
        * _falling(steer_change, HALF_STEER_CHANGE)
        * _falling(overspeed_mps, HALF_OVERSPEED_MPS)
        * min(max(pace, 0.0), 1.0)
    )


def _falling(value: float, half: float) -> float:
    """A factor that is 1 at zero, one half at `half`, and falls to 0."""
    return 1.0 / (1.0 + (value / half) ** 2)


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else 0.0


def _rms(values: FloatArray) -> float:
    return math.sqrt(_mean(values**2))
