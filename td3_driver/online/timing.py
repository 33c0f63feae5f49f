# SPDX-License-Identifier: Apache-2.0
"""Does the control loop hold its rate: latencies, late commands, frames that got none."""

from __future__ import annotations

import enum

import numpy as np

# Stamps that jump by more are another time: the world was restarted, or stood still.
JUMP_S = 0.5
_REMEMBERED = 12_000  # latencies: ten minutes at 20 Hz


class Order(enum.Enum):
    """What a frame's stamp says about it."""

    NEXT = enum.auto()
    STALE = enum.auto()  # not newer than what was answered already
    JUMPED = enum.auto()


class FrameClock:
    """Judges frames by their stamps.

    Args:
        period_s: from frame to frame, s; 0: as the world likes (lock-step), no frame is missed.

    Attributes:
        frames: answered or to be answered, those that are not stale.
        missed: frames that never came, by the gaps between stamps.
        stale: frames that came too late or twice.
        jumps: of time, back or forward.
    """

    def __init__(self, period_s: float) -> None:
        self.frames = self.missed = self.stale = self.jumps = 0
        self._period_s = period_s
        self._last_ns: int | None = None

    def judge(self, stamp_ns: int) -> Order:
        """Take in the stamp of a frame."""
        last_ns = self._last_ns
        step_s = 0.0 if last_ns is None else (stamp_ns - last_ns) * 1e-9
        if last_ns is not None and self._is_stale(step_s):
            self.stale += 1
            return Order.STALE
        self._last_ns = stamp_ns
        self.frames += 1
        if abs(step_s) > JUMP_S or step_s < 0.0:
            self.jumps += 1
            return Order.JUMPED
        if self._period_s and last_ns is not None:
            self.missed += max(round(step_s / self._period_s) - 1, 0)
        return Order.NEXT

    def _is_stale(self, step_s: float) -> bool:
        # In lock-step nothing overtakes: a step back, however small, is a world begun anew.
        overtaken = bool(self._period_s) and -JUMP_S <= step_s < 0.0
        return step_s == 0.0 or overtaken


class Latencies:
    """How long commands took, of the last ten minutes at 20 Hz.

    Args:
        deadline_s: a command that took longer is late, s.

    Attributes:
        late: commands that took longer, since the start.
    """

    def __init__(self, deadline_s: float) -> None:
        self.late = 0
        self._deadline_s = deadline_s
        self._values_s = np.zeros(_REMEMBERED, np.float32)
        self._count = 0

    def add(self, latency_s: float) -> None:
        """One command's latency, s."""
        self._values_s[self._count % _REMEMBERED] = latency_s
        self._count += 1
        self.late += latency_s > self._deadline_s

    def percentile_ms(self, percent: float) -> float:
        """Of the latencies remembered, ms; 0 where there is none."""
        values_s = self._values_s[: self._count]
        return float(np.percentile(values_s, percent)) * 1e3 if values_s.size else 0.0
