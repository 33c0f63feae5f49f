# SPDX-License-Identifier: Apache-2.0
"""Drives and what metrics.json says of them, whichever world they were driven in."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.judging.rules import STRICT
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.measures.estimates import Estimate, infraction_rates, summarise
from td3_driver.measures.metrics import EpisodeMetrics, Trace

_DIGITS = 6  # of every number that is written
# How `infractions` names collisions under our own rules.
_STRUCK = {Kind.PEDESTRIAN: "pedestrian", Kind.VEHICLE: "vehicle", Kind.LAYOUT: "static"}


@dataclass(frozen=True)
class Drive:
    """One drive along one route.

    Attributes:
        road_map: the map.
        seed: seed of the route and of the world; None: nobody drew it.
        name: the id of a route from a file; empty for a random one.
        trace, metrics: what was measured.
    """

    road_map: RoadMap
    seed: int | None
    name: str
    trace: Trace
    metrics: EpisodeMetrics


def summary(drives: Sequence[Drive]) -> dict[str, Any]:
    """Means with 95 % intervals, and counts, as in metrics.json."""
    metrics = [drive.metrics for drive in drives]
    estimates, rates = summarise(metrics), infraction_rates(metrics)
    return {
        "episodes": len(drives),
        **_means(estimates),
        "never_started": sum(metric.never_started for metric in metrics),
        "infractions": _infractions(drives),
        "infractions_per_km": _means(rates),
        "not_measured": _not_measured(drives),
        "confidence_95": {**_intervals(estimates), "infractions_per_km": _intervals(rates)},
    }


def _means(estimates: Mapping[str, Estimate]) -> dict[str, float | None]:
    return {
        name: None if estimate.mean is None else rounded(estimate.mean)
        for name, estimate in estimates.items()
    }


def _intervals(estimates: Mapping[str, Estimate]) -> dict[str, list[float] | None]:
    return {
        name: None if estimate.interval is None else [rounded(end) for end in estimate.interval]
        for name, estimate in estimates.items()
    }


def _infractions(drives: Sequence[Drive]) -> dict[str, int]:
    """Infractions of all drives by name; under our own rules, by which each ends one, ends."""
    found: Counter[str] = Counter()
    for drive in drives:
        trace = drive.trace
        if trace.rules.name != STRICT.name:
            found.update(each.kind.value for each in trace.infractions)
            continue
        found.update(f"collision_{_STRUCK[kind]}" for kind in trace.struck)
        if trace.reason not in ("route_end", "collision"):
            found[trace.reason] += 1
    return dict(sorted(found.items()))


def _not_measured(drives: Sequence[Drive]) -> dict[str, str]:
    """Why kinds of infractions were not measured, and in how many drives, if not in all."""
    found: dict[str, str] = {}
    for kind in drives[0].trace.rules.kinds:
        whys = [why for drive in drives if (why := drive.trace.not_measured.get(kind))]
        if whys:
            some = "" if len(whys) == len(drives) else f" (in {len(whys)} of {len(drives)} drives)"
            found[kind.value] = whys[0] + some
    return found


def per_episode(drives: Sequence[Drive]) -> list[dict[str, Any]]:
    """A row for each drive, as in metrics.json; `ended_at_m` in the ROS map frame."""
    rows = []
    for number, drive in enumerate(drives):
        values = dataclasses.asdict(drive.metrics)
        numbers = {
            name: rounded(value) if isinstance(value, float) else value
            for name, value in values.items()
        }
        x_m, y_m, _ = drive.trace.poses[-1]
        where: dict[str, Any] = {"episode": number, "map": drive.road_map.name, "seed": drive.seed}
        if drive.name:
            where["route"] = drive.name
        rows.append({**where, **numbers, "ended_at_m": [rounded(x_m), rounded(y_m)]})
    return rows


def rounded(value: float) -> float:
    """A finite number, rounded to the digits that are written."""
    assert math.isfinite(value)
    return round(float(value), _DIGITS)
