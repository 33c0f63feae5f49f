# SPDX-License-Identifier: Apache-2.0
"""The rows of many trials as a table, curves and a page: means over seeds, and how sure."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import TABLEAU_COLORS
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from scipy import stats

from td3_driver.reports.page import figure_style, picture, render
from td3_driver.reports.results import write_text

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
PAGE, PICTURE = "sweep.html", "sweep.png"
_DPI = 110
_LINES = cycler(linestyle=["-", "--", ":", "-."]) * cycler(color=TABLEAU_COLORS)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file: of a sweep, of `bench.learning`, of an evaluator beside a run.

    Raises:
        ValueError: a line is no evaluation.
        OSError: it cannot be read.
    """
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            lacking = {"name", "seed", "steps", *MEASURES} - row.keys()
        except (ValueError, AttributeError):
            raise ValueError(f"{path}: line {number}: not an evaluation in JSON") from None
        if lacking:
            raise ValueError(f"{path}: line {number}: lacks {', '.join(sorted(lacking))}")
        rows.append(row)
    return rows


def of_runs(rows: Rows, names: Sequence[str]) -> list[Mapping[str, Any]]:
    """Return the rows of the runs of these names, in their order; without names all.

    Raises:
        ValueError: there is no such run.
    """
    there = list(dict.fromkeys(row["name"] for row in rows))
    for name in names:
        if name not in there:
            raise ValueError(f"--runs: no run {name!r}; there are: {'; '.join(there)}")
    return [row for name in names or there for row in rows if row["name"] == name]


def show(rows: Rows, out: Path) -> None:
    """Print the table of some rows; write page and picture.

    Raises:
        OSError: the folder cannot be written.
    """
    print(table(rows))
    out.mkdir(parents=True, exist_ok=True)
    write_text(out / PAGE, page(rows))
    curves(rows).savefig(out / PICTURE, facecolor="white", dpi=_DPI)
    print(f"  {out / PAGE}\n  {out / PICTURE}")


def grouped(rows: Rows) -> Runs:
    """Return rows by name and steps."""
    runs: Runs = defaultdict(lambda: defaultdict(list))
    for row in rows:
        runs[row["name"]][row["steps"]].append(row)
    return runs


def interquartile_mean(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the interquartile mean, and the ends of its 95 % interval by bootstrap.

    As Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice".
    """
    mean = float(stats.trim_mean(values, 0.25))
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
            line[title] = f"{np.mean(values):.2f}"
            if len(values) > 1:
                middle, low, high = interquartile_mean(values)
                line[title] += f"; {middle:.2f} ({low:.2f}…{high:.2f})"
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
    runs = grouped(rows)
    figure = Figure(figsize=(10.0, 6.0 + 0.1 * len(runs)), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True).ravel()
    for axis, measure in zip(axes, _DRAWN, strict=True):
        axis.set_prop_cycle(_LINES)
        for name, by_steps in runs.items():
            steps = sorted(by_steps)
            values = [[one[measure] for one in by_steps[step]] for step in steps]
            seeds = max(map(len, values))
            (line,) = axis.plot(steps, [np.mean(v) for v in values], label=f"{name} ({seeds})")
            low, high = [min(v) for v in values], [max(v) for v in values]
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set_title(MEASURES[measure], fontsize=10)
    drawn, names = axes[0].get_legend_handles_labels()
    figure.legend(
        drawn, names, loc="outside lower center", ncols=2, fontsize=8,
        title="run (seeds)", title_fontsize=8,
    )  # fmt: skip
    for axis in axes[2:]:
        axis.set_xlabel("environment steps")
    return figure


def page(rows: Rows) -> str:
    """One HTML page: the table and the curves."""
    lines, steps = summary(rows), max(row["steps"] for row in rows)
    return render(
        "sweep.html.jinja",
        title=f"Sweep of {len(lines)} settings, {steps} steps",
        header=list(lines[0]),
        rows=[list(line.values()) for line in lines],
        curves=picture(curves(rows)),
    )
