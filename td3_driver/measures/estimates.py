# SPDX-License-Identifier: Apache-2.0
"""Means of measures over episodes, and rates of infractions, with 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from td3_driver.measures.metrics import EpisodeMetrics

FloatArray = NDArray[np.float64]

RESAMPLES = 10_000
_WILSON_Z = 1.959963984540054  # 95 %, two-sided

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


_SCORE_2_0 = _per_episode(lambda episode: episode.driving_score_2_0 or 0.0)
_MEANS = {
    "success_rate": _per_episode(lambda episode: float(episode.success)),
    "route_completion": _per_episode(lambda episode: episode.completion),
    "infraction_penalty": _per_episode(lambda episode: episode.infraction_penalty),
    "driving_score": _per_episode(lambda episode: episode.driving_score),
    "score": _per_episode(lambda episode: episode.score),
    "collisions_per_km": _Ratio(
        lambda episode: float(episode.collisions), lambda episode: episode.distance_m / 1e3
    ),
    "outside_lanes_share": _Ratio(
        lambda episode: episode.outside_lanes_share * episode.distance_m,
        lambda episode: episode.distance_m,
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
    older = all(episode.driving_score_2_0 is not None for episode in episodes)
    for name, ratio in (_MEANS | ({"driving_score_2_0": _SCORE_2_0} if older else {})).items():
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
            told = overs[drawn].sum(axis=1) > 0.0  # not drives alone that got nowhere
            resampled = ratio(totals[drawn[told]], overs[drawn[told]])
            low, high = np.percentile(resampled, (2.5, 97.5))
            interval = (float(low), float(high))
        estimates[name] = Estimate(float(ratio(totals, overs)), interval)
    return estimates


def infraction_rates(episodes: Sequence[EpisodeMetrics]) -> dict[str, Estimate]:
    """Infractions per km by kind, with Garwood's intervals.

    Their number is divided by the distance of the drives in which they could be found, as in the
    leaderboard 2; 1.0's own tool adds up the rates of its routes. The mean is None where no drive
    was measured, or none got anywhere.
    """
    estimates = {}
    for kind in dict.fromkeys(kind for episode in episodes for kind in episode.infractions):
        found = [(each.infractions.get(kind), each.distance_m / 1e3) for each in episodes]
        counts = [(count, km) for count, km in found if count is not None]
        events, km = sum(count for count, _ in counts), sum(km for _, km in counts)
        if km:
            low, high = garwood(events)
            estimates[kind] = Estimate(events / km, (low / km, high / km))
        else:
            estimates[kind] = Estimate(None, None)
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
