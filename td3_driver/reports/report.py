# SPDX-License-Identifier: Apache-2.0
"""The report of an evaluation: measures, drives on the map, and films of some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from td3_driver.driving.judging.infractions import Kind
from td3_driver.measures.drives import Drive
from td3_driver.reports import page
from td3_driver.reports.figures import along_the_way, on_the_map


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
# What stands below the infractions, as far as there is.
_OF_INFRACTIONS = (
    _Column("Outside lanes, % of the way", "outside_lanes_share", "{:.2f}", 100.0),
    _Column("Infraction penalty", "infraction_penalty"),
    _Column("Driving score, %", "driving_score", "{:.1f}", 100.0),
    _Column("Driving score by 2.0, %", "driving_score_2_0", "{:.1f}", 100.0),
)
_KINDS = {
    Kind.PEDESTRIAN: "Collisions with pedestrians",
    Kind.VEHICLE: "Collisions with vehicles",
    Kind.LAYOUT: "Collisions with the layout",
    Kind.RED_LIGHT: "Red lights run",
    Kind.STOP_SIGN: "Stop signs run",
    Kind.OUTSIDE: "Drives partly outside lanes",
    Kind.DEVIATION: "Left the route",
    Kind.TIME_OUT: "Timed out",
    Kind.BLOCKED: "Blocked",
    Kind.SLOW: "Quarters slower than traffic",
    Kind.SCENARIO: "Scenarios timed out",
    Kind.EMERGENCY: "Did not yield to emergency vehicles",
}


@dataclass(frozen=True)
class Film:
    """A drive as a moving picture.

    Attributes:
        title: what is special about the drive, "best" or "worst".
        episode: its number.
        uri: the picture, for an `<img>`.
    """

    title: str
    episode: int
    uri: str


def report(
    metrics: Mapping[str, Any], drives: Sequence[Drive], films: Sequence[Film] = ()
) -> str:
    """The report as an HTML page.

    Args:
        metrics: the content of metrics.json.
        drives: the drives of the evaluated policy, in the order of `per_episode`.
        films: of some of the drives.
    """
    rows = {metrics["policy"]: metrics, **metrics["comparison"]}
    return page.render(
        "evaluate.html.jinja",
        metrics=metrics,
        cards=[(_COLUMNS[i].title, _cell(_COLUMNS[i], metrics)) for i in _CARDS],
        titles=[column.title for column in _COLUMNS],
        rows={name: [_cell(column, of) for column in _COLUMNS] for name, of in rows.items()},
        rates=_rates(list(rows.values())),
        episode_titles=[column.title for column in _EPISODE_COLUMNS],
        episodes=[
            (row, [_text(column, row[column.key]) for column in _EPISODE_COLUMNS], _counted(row))
            for row in metrics["per_episode"]
        ],
        maps=_maps(drives),
        along=page.picture(along_the_way(drives)),
        films=[(film.title, metrics["per_episode"][film.episode], film.uri) for film in films],
    )


def _text(column: _Column, value: float | None) -> str:
    return "–" if value is None else column.form.format(column.scale * value)


def _cell(column: _Column, values: Mapping[str, Any]) -> tuple[str, str]:
    """A mean and its interval as texts; the latter empty if there is none."""
    interval = values["confidence_95"][column.key]
    ends = [_text(column, end) for end in interval or ()]
    return _text(column, values[column.key]), " – ".join(ends)


def _counted(row: Mapping[str, Any]) -> str:
    """The infractions of a drive as a text."""
    found = ((count, kind) for kind, count in row["infractions"].items() if count)
    return ", ".join(f"{count} × {kind}" for count, kind in found)


def _rates(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str]], str]]:
    """The lines of the infractions' table: title, a cell for each policy, why not measured."""
    lines = []
    for kind, title in _KINDS.items():
        if kind.value in rows[0]["infractions_per_km"]:
            whys = (row["not_measured"].get(kind.value, "") for row in rows)
            why = next(filter(None, whys), "")
            lines.append((title, [_rate(kind, row) for row in rows], why))
    for column in _OF_INFRACTIONS:
        if column.key in rows[0]:
            lines.append((column.title, [_cell(column, row) for row in rows], ""))
    return lines


def _rate(kind: Kind, values: Mapping[str, Any]) -> tuple[str, str]:
    """Infractions per km and their interval as texts."""
    rate = values["infractions_per_km"][kind.value]
    if rate is None:
        return ("not measured" if kind.value in values["not_measured"] else "–"), ""
    ends = values["confidence_95"]["infractions_per_km"][kind.value]
    return f"{rate:.2f}", " – ".join(f"{end:.2f}" for end in ends)


def _maps(drives: Sequence[Drive]) -> list[tuple[str, str]]:
    """A picture for each map, with its name."""
    grouped = [
        (name, list(members))
        for name, members in groupby(drives, key=lambda drive: drive.road_map.name)
    ]
    size_in = (9.0, 7.0) if len(grouped) == 1 else (5.5, 4.5)
    return [(name, page.picture(on_the_map(members, size_in))) for name, members in grouped]
