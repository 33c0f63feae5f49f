# SPDX-License-Identifier: Apache-2.0
"""The measures of a playback, and their comparison with those of an earlier one."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.routes.route import FloatArray
from td3_driver.playback.open_loop import Playback

SPEED_EDGES_MPS = (0.0, 2.0, 5.0, 8.0, 11.0, math.inf)
CURVATURE_EDGES = (0.0, 0.005, 0.02, 0.05, math.inf)  # 1/m
COMPARED = ("steer_mae", "throttle_brake_mae", "steer_rate_rms")
_DIGITS = 6
# What is nearer to zero than this is not told apart by `regressions`.
_NOTHING = 1e-6


def metrics(playback: Playback) -> dict[str, Any]:
    """The content of metrics.json. Actions are in [-1, 1]; all but `latency_*` repeats."""
    rows, counts = playback.rows, playback.counts
    steer, drive = _errors(rows, "steer"), _errors(rows, "drive")
    spans_s = [(after - before) * 1e-9 for before, after in playback.gaps_ns]
    stamps_ns = playback.log.stamps_ns
    return {
        "frames": len(rows["stamp_s"]),
        "episodes": counts.get("episodes", 0),
        "duration_s": _rounded((stamps_ns[-1] - stamps_ns[0]) * 1e-9),
        "dropped_frames": counts.get("dropped", 0),
        "unmatched_images": counts["images"] - counts["frames"],
        "unmatched_odometries": playback.log.frames.unmatched,
        "outside_episodes": counts.get("outside_episodes", 0),
        "gaps": {"count": len(spans_s), "longest_s": _rounded(max(spans_s, default=0.0))},
        "steer_mae": _rounded(_mean(np.abs(steer))),
        "steer_rmse": _rounded(_rms(steer)),
        "steer_correlation": _correlation(rows["steer"], rows["driven_steer"]),
        "throttle_brake_mae": _rounded(_mean(np.abs(drive))),
        "throttle_brake_rmse": _rounded(_rms(drive)),
        "throttle_brake_correlation": _correlation(rows["drive"], rows["driven_drive"]),
        "by_speed_mps": _by(rows, rows["speed_mps"], SPEED_EDGES_MPS),
        "by_curvature_per_m": _by(rows, np.abs(rows["curvature"]), CURVATURE_EDGES),
        "steer_rate_rms": _rounded(_rate_rms(rows, "steer")),
        "steer_rate_rms_driven": _rounded(_rate_rms(rows, "driven_steer")),
        "q_mean": _rounded(_mean(rows["q"])),
        "q_driven_mean": _rounded(_mean(rows["q_driven"])),
        "q_disagreement_mean": _rounded(_mean(rows["q_gap"])),
        "q_disagreement_p95": _rounded(float(np.percentile(rows["q_gap"], 95.0))),
        "latency_ms_p50": _rounded(1e3 * float(np.percentile(rows["latency_s"], 50.0))),
        "latency_ms_p99": _rounded(1e3 * float(np.percentile(rows["latency_s"], 99.0))),
        "worst_frames": [
            {"stamp_s": _rounded(shown.row.stamp_s), "difference": _rounded(shown.worth)}
            for shown in playback.shown
        ],
        "sync": playback.log.frames.to_mapping(),
        "topics": playback.topics.to_mapping(),
        "notes": [*playback.log.notes, *playback.warnings],
    }


def read_baseline(baseline: Path) -> dict[str, float | None]:
    """The measures of an earlier metrics.json that `regressions` compares.

    Raises:
        OSError, ValueError: the file cannot be read, or is no such metrics.json.
    """
    try:
        before = json.loads(baseline.read_text(encoding="utf-8"))
        return {name: None if before[name] is None else float(before[name]) for name in COMPARED}
    except OSError as error:
        raise OSError(f"--baseline {baseline}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"--baseline {baseline}: not a replay's metrics.json") from error


def regressions(
    found: Mapping[str, Any], before: Mapping[str, float | None], largest: float
) -> list[str]:
    """A line for each measure that exceeds that of a `read_baseline` by more than a share."""
    lines = []
    for name, old in before.items():
        new = found[name]
        if old is None or new is None:
            if old is not None:
                lines.append(f"{name}: {old:g} in the baseline, not known now")
        elif new > old * (1.0 + largest) + _NOTHING:
            lines.append(f"{name}: {new:g}, in the baseline {old:g}; at most {largest:.0%} more")
    return lines


def _errors(rows: Mapping[str, FloatArray], name: str) -> FloatArray:
    """The policy's action minus the driven one, of the frames with a driven one."""
    errors: FloatArray = rows[name] - rows[f"driven_{name}"]
    known: FloatArray = errors[~np.isnan(errors)]
    return known


def _by(
    rows: Mapping[str, FloatArray], values: FloatArray, edges: tuple[float, ...]
) -> list[dict[str, Any]]:
    """Mean errors within each range of a value."""
    ranges = []
    for low, high in pairwise(edges):
        inside: NDArray[np.bool_] = (values >= low) & (values < high)
        if low == edges[0]:
            inside |= values < low  # rolling backwards is slow too
        part = {name: column[inside] for name, column in rows.items()}
        ranges.append(
            {
                "from": low,
                "to": high if math.isfinite(high) else None,
                "frames": int(inside.sum()),
                "steer_mae": _rounded(_mean(np.abs(_errors(part, "steer")))),
                "throttle_brake_mae": _rounded(_mean(np.abs(_errors(part, "drive")))),
            }
        )
    return ranges


def _rate_rms(rows: Mapping[str, FloatArray], name: str) -> float:
    """Root mean square of an action's change per second within episodes."""
    same = np.diff(rows["episode"]) == 0.0
    rates = np.diff(rows[name])[same] / np.diff(rows["stamp_s"])[same]
    return _rms(rates[~np.isnan(rates)])


def _correlation(one: FloatArray, other: FloatArray) -> float | None:
    known = ~np.isnan(other)
    one, other = one[known], other[known]
    if len(one) < 2 or np.ptp(one) < _NOTHING or np.ptp(other) < _NOTHING:
        return None
    return _rounded(float(np.corrcoef(one, other)[0, 1]))


def _mean(values: FloatArray) -> float:
    known = values[~np.isnan(values)]
    return float(np.mean(known)) if len(known) else math.nan


def _rms(values: FloatArray) -> float:
    return math.sqrt(float(np.mean(np.square(values)))) if len(values) else math.nan


def _rounded(value: float) -> float | None:
    """A number rounded for JSON; None for NaN, which JSON lacks."""
    return round(float(value), _DIGITS) if math.isfinite(value) else None
