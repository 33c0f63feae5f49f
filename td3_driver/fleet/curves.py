# SPDX-License-Identifier: Apache-2.0
"""The rows of many trials as a table, curves and a page: means over seeds, and how sure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from td3_driver.reports.page import figure_style, picture, render

Rows = Sequence[Mapping[str, Any]]
# By name and steps, a row for each seed.
Runs = dict[str, dict[int, list[Mapping[str, Any]]]]

MEASURES = {
    "completion": "route completion",
    "success": "success",
    "rmse_m": "lateral RMSE, m",
    "steer_change": "mean |Δsteer| a step",
    "speed_mps": "mean speed, m/s",
}
_DRAWN = ("completion", "rmse_m", "steer_change", "speed_mps")
_RESAMPLES, _SURE = 2000, 0.95


def grouped(rows: Rows) -> Runs:
    """Return rows by name and steps."""
    runs: Runs = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[row["name"]][row["steps"]].append(row)
    return runs


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the interquartile mean, and the ends of its 95 % interval by bootstrap.

    As Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    A single value has no interval: it is returned three times.
    """
    mean = float(stats.trim_mean(values, 0.25))
    if len(values) < 2:
        return mean, mean, mean
    drawn = np.random.default_rng(0).choice(values, (_RESAMPLES, len(values)))
    means = stats.trim_mean(drawn, 0.25, axis=1)
    low, high = np.quantile(means, [0.5 - _SURE / 2.0, 0.5 + _SURE / 2.0])
    return mean, float(low), float(high)


def summary(rows: Rows) -> list[dict[str, str]]:
    """Return each run's last evaluation in words, by column: mean, and interquartile mean."""
    found = []
    for name, by_steps in grouped(rows).items():
        steps = max(by_steps)
        lines = by_steps[steps]
        line = {"run": name, "seeds": f"{len(lines)}", "steps": f"{steps}"}
        for measure, title in MEASURES.items():
            values = [one[measure] for one in lines]
            middle, low, high = interquartile_mean(values)
            line[title] = f"{np.mean(values):.2f}; {middle:.2f} ({low:.2f}…{high:.2f})"
        minutes = [one["minutes"] for one in lines if "minutes" in one]
        line["minutes"] = f"{np.mean(minutes):.1f}" if minutes else ""
        found.append(line)
    return found


def table(rows: Rows) -> str:
    """The summary as Markdown: mean; interquartile mean and its 95 % interval."""
    lines = summary(rows)
    header = list(lines[0])
    text = [header, ["---"] * len(header), *([line[name] for name in header] for line in lines)]
    cells = [[cell.replace("|", "\\|") for cell in row] for row in text]
    return "\n".join(f"| {' | '.join(row)} |" for row in cells)


@figure_style
def curves(rows: Rows) -> Figure:
    """Mean over seeds as a line, the range over seeds as a shade."""
    figure = Figure(figsize=(10.0, 6.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for axis, measure in zip(axes, _DRAWN, strict=True):
        for name, by_steps in grouped(rows).items():
            steps = sorted(by_steps)
            values = [[one[measure] for one in by_steps[step]] for step in steps]
            seeds = max(map(len, values))
            (line,) = axis.plot(steps, [np.mean(v) for v in values], label=f"{name} ({seeds})")
            low, high = [min(v) for v in values], [max(v) for v in values]
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set_title(MEASURES[measure], fontsize=10)
    axes[0].legend(fontsize=8, title="run (seeds)", title_fontsize=8)
    for axis in axes[2:]:
        axis.set_xlabel("environment steps")
    return figure


def page(rows: Rows, steps: int) -> str:
    """One HTML page: the table and the curves."""
    lines = summary(rows)
    return render(
        "sweep.html.jinja",
        title=f"Sweep of {len(lines)} settings, {steps} steps",
        header=list(lines[0]),
        rows=[list(line.values()) for line in lines],
        curves=picture(curves(rows)),
    )
