# SPDX-License-Identifier: Apache-2.0
"""The report of a playback: actions over time, the frames that differ most, the drive on a map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from td3_driver.driving.routes.route import FloatArray
from td3_driver.playback.open_loop import SHOWN_WIDTH_PX, Playback, Row, Shown
from td3_driver.reports import page
from td3_driver.reports.page import figure_style

_DRIVEN, _POLICY, _LANE = "#d98a00", "#3b82d6", "#8a909c"
_DRIVEN_BGR, _POLICY_BGR = (0, 165, 255), (240, 150, 70)
_PANEL_BGR, _TRACK_BGR = (36, 32, 28), (110, 106, 102)
_PANEL_PX = 52
_AROUND_M = 20.0
_NOT_KNOWN = "–"
_CARDS = {
    "steer_mae": "steer, mean |difference|",
    "throttle_brake_mae": "throttle/brake, mean |difference|",
    "steer_correlation": "steer, correlation",
    "steer_rate_rms": "steer rate, RMS, 1/s",
    "q_mean": "mean Q of the policy's action",
    "q_disagreement_mean": "mean |Q1 − Q2|",
    "latency_ms_p50": "latency, median, ms",
    "latency_ms_p99": "latency, 99th percentile, ms",
}


def report(title: str, metrics: Mapping[str, Any], playback: Playback) -> str:
    """The report as an HTML page.

    Args:
        title: which policy on which drive.
        metrics: the content of metrics.json.
        playback: what the metrics were computed from.
    """
    start_s = playback.rows["stamp_s"][0]
    return page.render(
        "playback.html.jinja",
        title=title,
        metrics=metrics,
        cards=[(text, _number(metrics[key])) for key, text in _CARDS.items()],
        over_time=page.picture(_over_time(playback.rows)),
        on_the_map=page.picture(_on_the_map(playback)),
        shown=[(_jpeg(shown), _caption(shown.row, start_s)) for shown in playback.shown],
        tables=[
            ("Speed, m/s", _table(metrics["by_speed_mps"], 1.0)),
            ("Curvature of the route, 1/km", _table(metrics["by_curvature_per_m"], 1e3)),
        ],
        known=metrics["steer_mae"] is not None,
    )


def _number(value: float | None) -> str:
    return _NOT_KNOWN if value is None else f"{value:.3g}"


def _table(ranges: list[dict[str, Any]], scale: float) -> list[tuple[str, int, str, str]]:
    rows = []
    for part in ranges:
        low = f"{scale * part['from']:g}"
        text = f"{low} and more" if part["to"] is None else f"{low} – {scale * part['to']:g}"
        errors = (_number(part["steer_mae"]), _number(part["throttle_brake_mae"]))
        rows.append((text, part["frames"], *errors))
    return rows


def _caption(row: Row, start_s: float) -> dict[str, str]:
    return {
        "time": f"{row.stamp_s - start_s:.2f}",
        "stamp": f"{row.stamp_s:.2f}",
        "speed": f"{row.speed_mps:.1f}",
        "driven": _pair(row.driven_steer, row.driven_drive),
        "policy": _pair(row.steer, row.drive),
        "q": f"{row.q:.2f}",
        "gap": f"{row.q_gap:.2f}",
    }


def _pair(steer: float, drive: float) -> str:
    return "not known" if np.isnan(steer) else f"{steer:+.2f}, {drive:+.2f}"


@figure_style
def _over_time(rows: Mapping[str, FloatArray]) -> Figure:
    """The driven and the policy's actions, and the critics' values, over time."""
    figure = Figure(figsize=(9.0, 7.5), layout="constrained")
    steer, drive, value, speed = figure.subplots(4, sharex=True)
    time_s = rows["stamp_s"] - rows["stamp_s"][0]
    ends = np.flatnonzero(np.diff(rows["episode"])) + 1

    def plot(axes: Any, name: str, color: str, label: str) -> None:
        # A NaN between two episodes breaks the line.
        x, y = (np.insert(values, ends, np.nan) for values in (time_s, rows[name]))
        axes.plot(x, y, color=color, lw=0.9, label=label, rasterized=True)

    for axes, name in ((steer, "steer"), (drive, "drive")):
        plot(axes, f"driven_{name}", _DRIVEN, "driven")
        plot(axes, name, _POLICY, "policy")
        axes.set_ylim(-1.08, 1.08)
    steer.legend(ncol=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    plot(value, "q", _POLICY, "min(Q1, Q2)")
    plot(value, "q_driven", _DRIVEN, "of the driven action")
    plot(speed, "speed_mps", _LANE, "speed")
    steer.set_ylabel("steer, right +")
    drive.set_ylabel("throttle / brake")
    value.set_ylabel("value")
    speed.set_ylabel("speed (m/s)")
    speed.set_xlabel("time (s)")
    return figure


@figure_style
def _on_the_map(playback: Playback) -> Figure:
    """The drive in the map frame, coloured by the difference of the actions."""
    rows = playback.rows
    figure = Figure(figsize=(9.0, 6.5), layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.grid(visible=False)
    if playback.log.road_map is not None:
        lanes = playback.log.road_map.lane_graph.nodes(data="line_m")
        lines = LineCollection([line_m for _, line_m in lanes], colors=_LANE, alpha=0.5)
        axes.add_collection(lines)
    for route in playback.routes:
        axes.plot(*route.points_m.T, color=_LANE, lw=1.0, ls="--", rasterized=True)
    values, label = _differences(rows)
    points = axes.scatter(
        rows["x_m"], rows["y_m"], c=values, s=6.0, cmap="plasma", rasterized=True
    )
    points.set_clim(0.0, max(float(np.percentile(values, 99.0)), 1e-6))
    figure.colorbar(points, ax=axes, label=label, shrink=0.8)
    for number, shown in enumerate(playback.shown, start=1):
        place = (shown.row.x_m, shown.row.y_m)
        axes.annotate(str(number), place, xytext=(4, 4), textcoords="offset points")
    axes.set_xlim(rows["x_m"].min() - _AROUND_M, rows["x_m"].max() + _AROUND_M)
    axes.set_ylim(rows["y_m"].min() - _AROUND_M, rows["y_m"].max() + _AROUND_M)
    axes.set_xlabel("x, east (m)")
    axes.set_ylabel("y, north (m)")
    return figure


def _differences(rows: Mapping[str, FloatArray]) -> tuple[FloatArray, str]:
    differences = np.abs(rows["steer"] - rows["driven_steer"]) + np.abs(
        rows["drive"] - rows["driven_drive"]
    )
    if np.isnan(differences).all():
        return rows["q_gap"], "|Q1 − Q2|"
    return np.nan_to_num(differences), "difference of the actions"


def _jpeg(shown: Shown) -> str:
    """A frame above both actions: steer as horizontal bars, throttle/brake as vertical ones."""
    picture, row = shown.picture, shown.row
    width = SHOWN_WIDTH_PX
    height = round(picture.shape[0] * width / picture.shape[1])
    picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LINEAR)
    panel: NDArray[np.uint8] = np.full((_PANEL_PX, width, 3), _PANEL_BGR, np.uint8)
    middle, reach = round(0.42 * width), round(0.36 * width)
    cv2.line(panel, (middle, 6), (middle, _PANEL_PX - 6), _TRACK_BGR, 1)
    pairs = (
        (row.driven_steer, row.driven_drive, _DRIVEN_BGR),
        (row.steer, row.drive, _POLICY_BGR),
    )
    for number, (steer, drive, color) in enumerate(pairs):
        if np.isnan(steer):
            continue
        top, left = 8 + 20 * number, round(0.86 * width) + 24 * number
        _bar(panel, (middle, top), (middle + round(reach * steer), top + 14), color)
        half = _PANEL_PX // 2
        _bar(panel, (left, half), (left + 14, half - round((half - 4) * drive)), color)
    _, data = cv2.imencode(".jpg", np.vstack([picture, panel]), [cv2.IMWRITE_JPEG_QUALITY, 82])
    return page.data_uri(data.tobytes(), "image/jpeg")


def _bar(
    panel: NDArray[np.uint8], one: tuple[int, int], other: tuple[int, int], color: tuple[int, ...]
) -> None:
    cv2.rectangle(panel, one, other, color, cv2.FILLED)
