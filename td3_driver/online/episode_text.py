# SPDX-License-Identifier: Apache-2.0
"""Ended episodes as text for a log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from td3_driver.driving.episode import EpisodeSummary


def line(ended: EpisodeSummary) -> str:
    """Return a line about one episode: its end and its measures."""
    return (
        f"{ended.reason} after {ended.steps} steps, {100.0 * ended.completion:.0f} % of the route,"
        f" {ended.mean_speed_mps:.1f} m/s, lateral RMSE {ended.lateral_rmse_m:.2f} m, return"
        f" {ended.total_reward:.1f}"
    )


def table(ended: Sequence[EpisodeSummary]) -> str:
    """Return the means of at least one episode, one line for each measure."""

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    reasons = Counter(one.reason for one in ended).most_common()
    rows = (
        ("drives", f"{len(ended)}"),
        ("success", f"{100.0 * mean([one.success for one in ended]):.0f} %"),
        ("completion", f"{100.0 * mean([one.completion for one in ended]):.1f} %"),
        ("lateral RMSE", f"{mean([one.lateral_rmse_m for one in ended]):.3f} m"),
        ("speed", f"{mean([one.mean_speed_mps for one in ended]):.2f} m/s"),
        ("return", f"{mean([one.total_reward for one in ended]):.1f}"),
        ("ended by", ", ".join(f"{reason} {count}" for reason, count in reasons)),
    )
    return "\n".join(f"  {name:<14}{value}" for name, value in rows)
