# SPDX-License-Identifier: Apache-2.0
"""Measures of each episode, their means with 95 % intervals, and one score."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

FloatArray = NDArray[np.float64]

# The CARLA leaderboard's factors (leaderboard.carla.org, "Driving score"), by what was hit.
COLLISION_FACTORS = {"pedestrian": 0.50, "vehicle": 0.60, "static": 0.65}
# A car that never came further than this along its route never pulled away.
STARTED_M = 2.0
RESAMPLES = 10_000
_WILSON_Z = 1.959963984540054  # 95 %, two-sided

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
        struck: what the car collided with, keys of `COLLISION_FACTORS`.
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
    """

    step_s: float
    route_length_m: float
    speed_limit_mps: float
    reason: str
    completion: float
    struck: tuple[str, ...]
    route_m: FloatArray
    poses: FloatArray
    s_m: FloatArray
    lateral_m: FloatArray
    speed_mps: FloatArray
    actions: FloatArray
    rewards: FloatArray
    ttc_s: FloatArray
    terminated: bool


@dataclass(frozen=True)
class EpisodeMetrics:
    """An episode in numbers, SI units; see `measure`.

    `steer_rate_rms` (1/s) and `mean_abs_steer_change` (per step) are of the steer in
    `Trace.actions`. `distance_m` is along the route. `min_ttc_s` is None if the car never came
    closer to a road user ahead.
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


def measure(trace: Trace) -> EpisodeMetrics:
    """Compute the measures of one episode."""
    steps = len(trace.actions)
    speed_mps, lateral_m = trace.speed_mps[1:], trace.lateral_m[1:]
    steer_change = np.diff(trace.actions[:, 0])
    jerk_mps3 = np.diff(trace.speed_mps, n=2) / trace.step_s**2
    penalty = math.prod(COLLISION_FACTORS[kind] for kind in trace.struck)
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
        success=trace.reason == "route_end" and not trace.struck,
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


Number = Callable[[EpisodeMetrics], float]
Interval = tuple[float, float]


@dataclass(frozen=True)
class _Ratio:
    """A sum over episodes divided by another sum; with `root` its square root.

    It is not a mean of the episodes' own ratios: an episode without any distance has no rate, and
    its collisions would be lost. Means over time weight an episode by its number of steps, so that
    one that ends at once does not count like a whole drive.
    """

    total: Number
    over: Number
    root: bool = False

    def __call__(self, totals: FloatArray, overs: FloatArray) -> FloatArray:
        """The ratio of both sums over the last axis."""
        ratio = totals.sum(axis=-1) / overs.sum(axis=-1)
        return np.asarray(np.sqrt(ratio) if self.root else ratio)


def _per_episode(value: Number) -> _Ratio:
    return _Ratio(value, lambda episode: 1.0)


def _per_step(value: Number) -> _Ratio:
    return _Ratio(lambda episode: value(episode) * episode.steps, _steps)


def _rms_of_steps(value: Number) -> _Ratio:
    return _Ratio(lambda episode: value(episode) ** 2 * episode.steps, _steps, root=True)


def _steps(episode: EpisodeMetrics) -> float:
    return float(episode.steps)


_MEANS = {
    "success_rate": _per_episode(lambda episode: float(episode.success)),
    "route_completion": _per_episode(lambda episode: episode.completion),
    "driving_score": _per_episode(lambda episode: episode.driving_score),
    "score": _per_episode(lambda episode: episode.score),
    "collisions_per_km": _Ratio(
        lambda episode: float(episode.collisions), lambda episode: episode.distance_m / 1e3
    ),
    "lateral_rmse_m": _rms_of_steps(lambda episode: episode.lateral_rmse_m),
    "mean_speed_mps": _per_step(lambda episode: episode.mean_speed_mps),
    "jerk_rms_mps3": _rms_of_steps(lambda episode: episode.jerk_rms_mps3),
    "steer_rate_rms": _rms_of_steps(lambda episode: episode.steer_rate_rms),
    "mean_abs_steer_change": _per_step(lambda episode: episode.mean_abs_steer_change),
}


@dataclass(frozen=True)
class Estimate:
    """A mean over episodes and its 95 % interval.

    The mean is None for a rate over no distance; so is its interval. The interval is None for one
    episode alone, but for `success_rate` and `collisions_per_km`.
    """

    mean: float | None
    interval: Interval | None


def summarise(episodes: Sequence[EpisodeMetrics], seed: int = 0) -> dict[str, Estimate]:
    """Means over episodes with 95 % confidence intervals.

    The interval of `success_rate` is Wilson's (1927), that of `collisions_per_km` Garwood's (1936)
    for rare events, both of which say how little a few drives without a failure prove. The others
    are percentiles of a bootstrap over episodes (Efron 1979), `RESAMPLES` of them, drawn with
    `seed`.

    Raises:
        ValueError: no episode.
    """
    if not episodes:
        raise ValueError("metrics: no episode to summarise")
    count = len(episodes)
    drawn = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    estimates = {}
    for name, ratio in _MEANS.items():
        totals = np.array([ratio.total(episode) for episode in episodes])
        overs = np.array([ratio.over(episode) for episode in episodes])
        events, over = round(float(totals.sum())), float(overs.sum())
        if not over:
            estimates[name] = Estimate(None, None)
            continue
        interval: Interval | None = None
        if name == "success_rate":
            interval = wilson(events, count)
        elif name == "collisions_per_km":
            low, high = garwood(events)
            interval = (low / over, high / over)
        elif count > 1:
            low, high = np.percentile(ratio(totals[drawn], overs[drawn]), (2.5, 97.5))
            interval = (float(low), float(high))
        estimates[name] = Estimate(float(ratio(totals, overs)), interval)
    return estimates


def wilson(successes: int, trials: int) -> Interval:
    """Wilson's 95 % score interval of a rate."""
    rate, z2 = successes / trials, _WILSON_Z**2
    middle = (rate + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = math.sqrt(rate * (1 - rate) / trials + z2 / (4 * trials**2))
    half = _WILSON_Z * spread / (1 + z2 / trials)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def garwood(events: int) -> Interval:
    """Garwood's exact 95 % interval of the expected number of events where so many were seen.

    A Poisson count's limits are quantiles of the gamma distribution.
    """
    low = float(gammaincinv(events, 0.025)) if events else 0.0
    return low, float(gammaincinv(events + 1, 0.975))


def _falling(value: float, half: float) -> float:
    """A factor that is 1 at zero, one half at `half`, and falls to 0."""
    return 1.0 / (1.0 + (value / half) ** 2)


def _mean(values: FloatArray) -> float:
    return float(values.mean()) if values.size else 0.0


def _rms(values: FloatArray) -> float:
    return math.sqrt(_mean(values**2))
