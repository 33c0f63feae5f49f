# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: measures, drives on the map, films of the best and worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from td3_driver.driving.types import Pose
from td3_driver.evaluation import filmstrip, page
from td3_driver.evaluation.evaluate import SHOT_EVERY_S, Drive, best_and_worst
from td3_driver.evaluation.figures import along_the_way, on_the_map

SPEEDUP = 3.0
MAX_ANIMATION_BYTES = 1_400_000


@dataclass(frozen=True)
class _Column:
    """A measure as a column of the report's tables."""

    title: str
    key: str
    form: str = "{:.2f}"
    scale: float = 1.0


_COLUMNS = (
    _Column("Success, %", "success_rate", "{:.0f}", 100.0),
    _Column("Completion, %", "route_completion", "{:.1f}", 100.0),
    _Column("Driving score, %", "driving_score", "{:.1f}", 100.0),
    _Column("Score", "score", "{:.3f}"),
    _Column("Collisions per km", "collisions_per_km"),
    _Column("Lateral RMSE, m", "lateral_rmse_m", "{:.3f}"),
    _Column("Speed, m/s", "mean_speed_mps"),
    _Column("Jerk, m/s³", "jerk_rms_mps3"),
    _Column("Steer rate, 1/s", "steer_rate_rms"),
    _Column("|Δsteer| per step", "mean_abs_steer_change", "{:.4f}"),
)
_EPISODE_COLUMNS = (
    _Column("Route, m", "route_length_m", "{:.0f}"),
    _Column("Completion, %", "completion", "{:.1f}", 100.0),
    _Column("Score", "score", "{:.3f}"),
    _Column("Lateral RMSE, m", "lateral_rmse_m", "{:.3f}"),
    _Column("Largest offset, m", "lateral_max_m"),
    _Column("Speed, m/s", "mean_speed_mps"),
    _Column("Jerk, m/s³", "jerk_rms_mps3"),
    _Column("|Δsteer| per step", "mean_abs_steer_change", "{:.4f}"),
    _Column("Time, s", "duration_s", "{:.1f}"),
)
_CARDS = (0, 1, 2, 5, 6, 4)  # of _COLUMNS


def report(metrics: Mapping[str, Any], drives: Sequence[Drive]) -> str:
    """The report as an HTML page.

    Args:
        metrics: the content of metrics.json.
        drives: the drives of the evaluated policy, in the order of `per_episode`.
    """
    best, worst = best_and_worst(drives)
    rows = {metrics["policy"]: metrics, **metrics["comparison"]}
    return page.render(
        "evaluate.html.jinja",
        metrics=metrics,
        cards=[(_COLUMNS[i].title, _cell(_COLUMNS[i], metrics)) for i in _CARDS],
        titles=[column.title for column in _COLUMNS],
        rows={name: [_cell(column, of) for column in _COLUMNS] for name, of in rows.items()},
        episode_titles=[column.title for column in _EPISODE_COLUMNS],
        episodes=[
            (row, [_text(column, row[column.key]) for column in _EPISODE_COLUMNS])
            for row in metrics["per_episode"]
        ],
        maps=_maps(drives),
        along=page.picture(along_the_way(drives)),
        films=[
            (title, metrics["per_episode"][number], _film(drives[number]))
            for title, number in (("best", best), ("worst", worst))
        ],
    )


def _text(column: _Column, value: float | None) -> str:
    return "–" if value is None else column.form.format(column.scale * value)


def _cell(column: _Column, values: Mapping[str, Any]) -> tuple[str, str]:
    """A mean and its interval as texts; the latter empty if there is none."""
    interval = values["confidence_95"][column.key]
    ends = [_text(column, end) for end in interval or ()]
    return _text(column, values[column.key]), " – ".join(ends)


def _maps(drives: Sequence[Drive]) -> list[tuple[str, str]]:
    """A picture for each map, with its name."""
    grouped = [
        (name, list(members))
        for name, members in groupby(drives, key=lambda drive: drive.course.road_map.name)
    ]
    size_in = (9.0, 7.0) if len(grouped) == 1 else (5.5, 4.5)
    return [(name, page.picture(on_the_map(members, size_in))) for name, members in grouped]


def _film(drive: Drive) -> str:
    """The end of a drive as a moving picture, for an `<img>`."""
    trace, surface = drive.trace, drive.course.world().surface
    pictures = []
    for shot in drive.shots:
        x_m, y_m, yaw_rad = trace.poses[shot.step].tolist()
        steer, pedal = trace.actions[min(shot.step, len(trace.actions) - 1)].tolist()
        speed_mps = float(trace.speed_mps[shot.step])
        pose = Pose(x_m, y_m, yaw_rad)
        instant = filmstrip.Instant(shot.view, pose, speed_mps, steer, pedal)
        driven_m = trace.poses[: shot.step + 1, :2]
        pictures.append(filmstrip.draw(surface, instant, trace.route_m, driven_m, shot.others))
    content = filmstrip.animation(pictures, SHOT_EVERY_S / SPEEDUP, MAX_ANIMATION_BYTES)
    return page.data_uri(content, "image/webp")
