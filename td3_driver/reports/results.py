# SPDX-License-Identifier: Apache-2.0
"""The files of an evaluation, metrics.json and report.html, wherever it was driven."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from td3_driver.checkpoints import durable_file
from td3_driver.driving.judging.rules import Rules
from td3_driver.measures import standard
from td3_driver.measures.drives import Drive, per_episode, summary
from td3_driver.reports.report import Film, report

METRICS, REPORT = "metrics.json", "report.html"


@dataclass(frozen=True)
class Evaluation:
    """What was evaluated, and how.

    Attributes:
        policy: name of the policy, or who else drove.
        checkpoint: `file` and `env_steps` of a checkpoint, or None.
        town: name of the map; None: generated roads, of `difficulty`.
        routes: name of the file of the routes; None: random ones, or none.
        notes: what was left out, a line each.
        surroundings: of the embedded world; None: not known.
        seed: seed of the routes; None: none was drawn.
        length_m: shortest and longest route, m.
        rules: by which was judged.
    """

    policy: str
    checkpoint: Mapping[str, Any] | None
    town: str | None
    routes: str | None
    notes: Sequence[str]
    seed: int | None
    length_m: tuple[float, float]
    rules: Rules
    difficulty: str | None = None
    surroundings: Mapping[str, Any] | None = None

    def metrics(
        self, drives: Sequence[Drive], others: Mapping[str, Sequence[Drive]]
    ) -> dict[str, Any]:
        """What metrics.json says.

        Args:
            drives: at least one.
            others: other policies' drives over the same routes, by name.
        """
        return {
            "policy": self.policy,
            "checkpoint": self.checkpoint,
            "map": self.town or "generated",
            "routes": self.routes,
            "notes": list(self.notes),
            "difficulty": None if self.town else self.difficulty,
            "surroundings": self.surroundings,
            "seed": self.seed,
            "route_length_m": list(self.length_m),
            "standard": standard.to_mapping(),
            "rules": self.rules.to_mapping(),
            **summary(drives),
            "comparison": {name: summary(others[name]) for name in others},
            "per_episode": per_episode(drives),
        }


def write_files(
    folder: Path, metrics: Mapping[str, Any], drives: Sequence[Drive], films: Sequence[Film] = ()
) -> None:
    """Write both files into a folder.

    Raises:
        OSError: they cannot be written.
    """
    text = json.dumps(metrics, indent=2, allow_nan=False) + "\n"
    write_text(folder / METRICS, text)
    write_text(folder / REPORT, report(metrics, drives, films))


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all.

    Raises:
        OSError: it cannot be written.
    """
    durable_file.replace(path, lambda file: file.write(text.encode()))
