# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/ablation.png and prints the ablation table of docs/learning.md.

python docs/ablation.py docs/data/ablation.jsonl docs/images/ablation.png

The data are lines of `python -m bench.learning`, one setting of the default preset changed in each
run but those named `default`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from learning_curves import Runs, read

EARLY, LATE = 2000, 4000
PANELS = (
    (EARLY, "completion", f"route completion, {EARLY} steps"),
    (LATE, "completion", f"route completion, {LATE} steps"),
    (LATE, "rmse_m", f"lateral RMSE, {LATE} steps, m"),
    (LATE, "steer_change", f"mean |Δsteer|, {LATE} steps"),
)


def values(runs: Runs, name: str, steps: int, measure: str) -> list[float]:
    """One for each seed; without a lateral error where nothing was driven."""
    lines = runs[name].get(steps, [])
    if measure != "completion":
        lines = [line for line in lines if line["completion"] > 0.05]
    return [line[measure] for line in lines]


def mean(runs: Runs, name: str, steps: int, measure: str) -> float:
    """Over seeds; NaN without any."""
    found = values(runs, name, steps, measure)
    return float(np.mean(found)) if found else float("nan")


def ranked(runs: Runs) -> list[str]:
    """The default first, then by what was driven early and late."""
    others = sorted(
        (name for name in runs if name != "default"),
        key=lambda name: -sum(mean(runs, name, steps, "completion") for steps in (EARLY, LATE)),
    )
    return ["default", *others]


def draw(runs: Runs, names: list[str], path: Path) -> None:
    """A dot for each seed, a bar for their mean."""
    figure, axes = plt.subplots(1, 4, figsize=(13, 0.3 * len(names) + 1.2), sharey=True)
    rows = np.arange(len(names))[::-1]
    for axis, (steps, measure, title) in zip(axes, PANELS, strict=True):
        colors = ["tab:orange" if name == "default" else "tab:blue" for name in names]
        means = [mean(runs, name, steps, measure) for name in names]
        axis.barh(rows, np.nan_to_num(means), color=colors, alpha=0.45)
        for row, name in zip(rows, names, strict=True):
            found = values(runs, name, steps, measure)
            axis.plot(found, [row] * len(found), "k.", markersize=4)
        axis.set_title(title, fontsize=9)
        axis.grid(axis="x", alpha=0.3)
    axes[0].set_yticks(rows, names, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def table(runs: Runs, names: list[str]) -> str:
    """Mean over seeds (worst … best)."""
    titles = [title.replace("|", "\\|") for *_, title in PANELS]
    rows = [f"| setting | seeds | {' | '.join(titles)} |"]
    rows.append("|---|---|---|---|---|---|")
    for name in names:
        cells = []
        for steps, measure, _ in PANELS:
            found = sorted(values(runs, name, steps, measure), reverse=measure != "completion")
            cells.append(
                f"{np.mean(found):.2f} ({found[0]:.2f}…{found[-1]:.2f})" if found else "–"
            )
        rows.append(f"| {name} | {len(runs[name][EARLY])} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Draw and print."""
    runs = read(Path(sys.argv[1]))
    names = ranked(runs)
    draw(runs, names, Path(sys.argv[2]))
    print(table(runs, names))


if __name__ == "__main__":
    main()
