# SPDX-License-Identifier: Apache-2.0
"""Draws docs/images/learning.png and prints the tables of docs/learning.md.

python docs/learning_curves.py docs/data/learning.jsonl docs/images/learning.png
python docs/learning_curves.py docs/data/towns.jsonl docs/images/towns.png

The data are lines of `python -m bench.learning` and `bench.learning_sb3`, and for real nodes what
the evaluator beside `td3_driver train` wrote (`evaluations.jsonl`).
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

Runs = dict[str, dict[int, list[dict[str, Any]]]]  # name, steps, one line for each seed

CURVES = (
    "default of now, real nodes",
    "default, mixed light",
    "end_to_end with demonstrations, real nodes",
    "sb3_td3",
    "Town01, real nodes, default",
    "Town01, real nodes, end_to_end",
    "Town01, real nodes, starts spread evenly",
    "Town01, real nodes, also offset by the second",
)
PANELS = {
    "completion": "route completion",
    "rmse_m": "lateral RMSE, m",
    "steer_change": "mean |Δsteer| a step",
    "speed_mps": "mean speed, m/s",
}


def read(path: Path) -> Runs:
    """Lines by run's name and steps."""
    runs: Runs = defaultdict(lambda: defaultdict(list))
    for line in path.read_text().splitlines():
        found = json.loads(line)
        runs[found["name"]][found["steps"]].append(found)
    return runs


def draw(runs: Runs, path: Path) -> None:
    """Mean over seeds as a line, the range over seeds as a shade."""
    figure, axes = plt.subplots(2, 2, figsize=(10, 6.5), sharex=True, layout="constrained")
    for axis, (measure, title) in zip(axes.flat, PANELS.items(), strict=True):
        for name in CURVES:
            if name not in runs:
                continue
            steps = sorted(runs[name])
            values = [[line[measure] for line in runs[name][step]] for step in steps]
            seeds = max(map(len, values))
            (line,) = axis.plot(steps, [np.mean(v) for v in values], label=f"{name} ({seeds})")
            low, high = [min(v) for v in values], [max(v) for v in values]
            axis.fill_between(steps, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
        axis.set_title(title, fontsize=10)
        axis.grid(alpha=0.3)
    axes[0, 1].set_ylim(0.0, 1.0)
    axes[0, 0].legend(fontsize=8, title="preset or peer (runs)", title_fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel("environment steps")
    figure.savefig(path, dpi=110)


def table(runs: Runs) -> str:
    """Each run at each step: mean over its runs there, and the worst and the best of them."""
    rows = ["| run | runs | steps | completion | RMSE m | \\|Δsteer\\| | speed m/s | return |"]
    rows.append("|---|---|---|---|---|---|---|---|")
    for name, by_steps in sorted(runs.items()):
        for steps, lines in sorted(by_steps.items()):

            def over(measure: str, lines: list[dict[str, Any]] = lines) -> str:
                values = [line[measure] for line in lines]
                return f"{np.mean(values):.2f} ({min(values):.2f}…{max(values):.2f})"

            measures = ("completion", "rmse_m", "steer_change", "speed_mps")
            cells = [name, str(len(lines)), str(steps), *map(over, measures)]
            returns = [line["return"] for line in lines if "return" in line]
            cells.append(f"{np.mean(returns):.0f}" if returns else "")
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def main() -> None:
    """Draw and print."""
    runs = read(Path(sys.argv[1]))
    draw(runs, Path(sys.argv[2]))
    print(table(runs))


if __name__ == "__main__":
    main()
