# SPDX-License-Identifier: Apache-2.0
"""Conversion of plain values to diagnostic messages, and back."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from td3_driver.driving.episode import EpisodeSummary


def status(
    name: str, message: str, values: Mapping[str, object], *, level: bytes = DiagnosticStatus.OK
) -> DiagnosticStatus:
    """Create a status with its values as strings; floats keep six digits."""
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="td3_driver",
        values=[KeyValue(key=key, value=_text(value)) for key, value in values.items()],
    )


def array(stamp: Time, *statuses: DiagnosticStatus) -> DiagnosticArray:
    """Create the message of `/diagnostics`."""
    message = DiagnosticArray(status=list(statuses))
    message.header.stamp = stamp
    return message


def values(message: DiagnosticStatus) -> dict[str, str]:
    """Return the values of a status by key."""
    return {pair.key: pair.value for pair in message.values}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def episode_values(ended: EpisodeSummary) -> dict[str, object]:
    """Return the values of an ended episode, for `~/episode`."""
    terms = {f"reward_{name}": value for name, value in ended.terms.items()}
    return {
        "episode": ended.number,
        "steps": ended.steps,
        "return": ended.total_reward,
        "completion": ended.completion,
        "mean_speed_mps": ended.mean_speed_mps,
        "lateral_rmse_m": ended.lateral_rmse_m,
        "success": ended.success,
        "interventions": ended.interventions,
        **terms,
    }


class Rates:
    """Counts per second of wall time, over about the last five seconds."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, dict[str, int]]] = deque(maxlen=11)

    def update(self, **counts: int) -> dict[str, float]:
        """Take in the counts now; return the rates as `<name>_per_s`."""
        now_s = time.monotonic()
        self._history.append((now_s, counts))
        first_s, first = self._history[0]
        span_s = max(now_s - first_s, 1e-9)
        return {
            f"{name}_per_s": max(count - first[name], 0) / span_s for name, count in counts.items()
        }
