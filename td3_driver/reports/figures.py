# SPDX-License-Identifier: Apache-2.0
"""The figures of the evaluation report: drives on the map, and over the distance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from td3_driver.driving.judging.infractions import Kind
from td3_driver.measures.drives import Drive
from td3_driver.reports.page import figure_style

# Seen on light and on dark screens alike.
_LANE, _GOOD, _BAD = "#8a909c", "#3b82d6", "#d43a2f"
_ERRORS = LinearSegmentedColormap.from_list("errors", [_GOOD, "#e0a000", _BAD])
_WORST_ERROR_M = 1.0


@figure_style
def on_the_map(drives: Sequence[Drive], size_in: tuple[float, float]) -> Figure:
    """Drives on one map, coloured by their distance from the route; crosses where they failed."""
    figure = Figure(figsize=size_in, layout="constrained")
    axes = figure.add_subplot(aspect="equal")
    axes.grid(visible=False)
    lanes = drives[0].road_map.lane_graph.nodes(data="line_m")
    axes.add_collection(LineCollection([line_m for _, line_m in lanes], colors=_LANE, alpha=0.5))
    for drive in drives:
        colored = _colored_path(drive)
        axes.add_collection(colored)
        _mark_ends(axes, drive)
    _mark_infractions(axes, drives)
    figure.colorbar(colored, ax=axes, label="distance from the route (m)", shrink=0.8)
    axes.autoscale_view()
    axes.set_xlabel("x, east (m)")
    axes.set_ylabel("y, north (m)")
    return figure


@figure_style
def along_the_way(drives: Sequence[Drive]) -> Figure:
    """Speed, lateral offset and steering over the distance; failed drives in red."""
    figure = Figure(figsize=(9.0, 6.0), layout="constrained")
    speed, lateral, steer = figure.subplots(3, sharex=True)
    for drive in drives:
        trace = drive.trace
        color = _GOOD if drive.metrics.success else _BAD
        for axes, values in (
            (speed, trace.speed_mps),
            (lateral, trace.lateral_m),
            (steer, np.concatenate([[np.nan], trace.actions[:, 0]])),
        ):
            axes.plot(trace.s_m, values, color=color, lw=0.8, alpha=0.7, rasterized=True)
    speed.axhline(drives[0].trace.speed_limit_mps, color=_LANE, ls="--", lw=1.0)
    speed.set_ylabel("speed (m/s)")
    lateral.set_ylabel("offset, left + (m)")
    steer.set_ylabel("steer, right +")
    steer.set_xlabel("distance along the route (m)")
    return figure


def _colored_path(drive: Drive) -> LineCollection:
    points_m = drive.trace.poses[:, None, :2]
    colored = LineCollection(
        list(np.concatenate([points_m[:-1], points_m[1:]], axis=1)),
        array=np.abs(drive.trace.lateral_m[1:]),
        cmap=_ERRORS,
        linewidths=2.0,
        rasterized=True,
    )
    colored.set_clim(0.0, _WORST_ERROR_M)
    return colored


def _mark_infractions(axes: Axes, drives: Sequence[Drive]) -> None:
    """A diamond at each infraction, in a colour of its kind."""
    found = [each for drive in drives for each in drive.trace.infractions]
    for number, kind in enumerate(Kind):
        at_m = [(each.x_m, each.y_m) for each in found if each.kind == kind]
        if at_m:
            color, label = f"C{number % 10}", kind.value.replace("_", " ")
            axes.plot(*np.array(at_m).T, "D", color=color, ms=5.0, mew=0.0, label=label)
    if found:
        axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=3)


def _mark_ends(axes: Axes, drive: Drive) -> None:
    first, last = drive.trace.poses[0], drive.trace.poses[-1]
    axes.plot(first[0], first[1], "o", color=_GOOD, ms=4.0)
    if not drive.metrics.success:
        axes.plot(last[0], last[1], "X", color=_BAD, ms=8.0)
        axes.annotate(
            drive.metrics.reason, last[:2], xytext=(6, 6), textcoords="offset points", fontsize=8
        )
