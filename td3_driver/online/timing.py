# SPDX-License-Identifier: Apache-2.0
"""Does the control loop hold its rate: latencies, late commands, frames that got none."""

from __future__ import annotations

import enum
from collections import deque

import numpy as np

# Stamps that jump by more are another time: the world was restarted, or stood still.
JUMP_S = 0.5
_REMEMBERED = 12_000  # latencies: ten minutes at 20 Hz
_GAPS = 5  # from so many, the newest, a camera's period is known, and the world's tick
# A tick that brings no picture is answered so much later: the bridge still publishes its last
# sensors, and would take a command for this tick before it waits as one for the next.
SETTLE_S = 0.01
# And so much later where it may bring one: the gaps of such a camera differ by a tick.
PERHAPS_S = 0.1


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
        frames: how many frames were or are to be answered; stale ones do not count.
        missed: how many frames never came, by the gaps between stamps.
        stale: how many frames came too late or twice.
        jumps: how often the stamps jumped, back or forward.
    """

    def __init__(self, period_s: float) -> None:
        self.frames = self.missed = self.stale = self.jumps = 0
        self._period_s = period_s
        self._last_ns: int | None = None
        self._half = False

    def judge(self, stamp_ns: int, usual_s: float = 0.0, *, half: bool = False) -> Order:
        """Take in the stamp of a frame.

        Args:
            stamp_ns: its stamp.
            usual_s: the camera's own period, if it has one.
            half: it lacks its image or odometry; those of the frames before may still come.
        """
        last_ns = self._last_ns
        step_s = 0.0 if last_ns is None else (stamp_ns - last_ns) * 1e-9
        if last_ns is not None and self._is_stale(step_s):
            self.stale += 1
            return Order.STALE
        self._last_ns, self._half = stamp_ns, half
        self.frames += 1
        if abs(step_s) > max(JUMP_S, 2.0 * usual_s) or step_s < 0.0:
            self.jumps += 1
            return Order.JUMPED
        if self._period_s and last_ns is not None:
            self.missed += max(round(step_s / self._period_s) - 1, 0)
        return Order.NEXT

    def _is_stale(self, step_s: float) -> bool:
        # In lock-step no frame overtakes another, but for one of which half is missing: any other
        # step back, however small, is a world begun anew.
        overtaken = (bool(self._period_s) or self._half) and -JUMP_S <= step_s < 0.0
        return step_s == 0.0 or overtaken


class Cadence:
    """In which ticks a camera delivers, as far as its pictures and the ticks' odometry tell.

    No topic tells a camera's `sensor_tick`. It is the shortest of the newest gaps between
    pictures; a gap is that or one tick more.
    """

    def __init__(self) -> None:
        self._picture_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._stamp_ns = 0
        self._ticks_ns: deque[int] = deque(maxlen=_GAPS)

    @property
    def period_s(self) -> float:
        """From picture to picture, s; 0 while it is not known."""
        return min(self._gaps_ns, default=0) * 1e-9

    @property
    def ticks(self) -> int:
        """Ticks from picture to picture; 1 while it is not known."""
        return max(round(self.period_s * 1e9 / self._tick_ns), 1) if self._tick_ns else 1

    @property
    def _tick_ns(self) -> int:
        return min(self._ticks_ns, default=0)

    def picture(self, stamp_ns: int) -> None:
        """A picture has come."""
        last_ns, self._picture_ns = self._picture_ns, stamp_ns
        if last_ns is not None and stamp_ns < last_ns:  # another time
            self._gaps_ns.clear()
        elif last_ns is not None and stamp_ns > last_ns:
            self._gaps_ns.append(stamp_ns - last_ns)

    def missed(self, before_ns: int, now_ns: int) -> int:
        """How many pictures are missing between two that came one after the other."""
        period_ns = min(self._gaps_ns, default=0)
        return max(round((now_ns - before_ns) / period_ns) - 1, 0) if period_ns else 0

    def tick(self, stamp_ns: int) -> None:
        """A tick's odometry has come."""
        last_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        if stamp_ns > last_ns > 0:
            self._ticks_ns.append(stamp_ns - last_ns)

    def patience_s(self) -> float | None:
        """How long to wait for the newest tick's picture, s; None: it has to come."""
        if not self._gaps_ns or self._picture_ns is None:
            return None
        # In half ticks, for CARLA's stamps are cut off and drift.
        overdue_ns = self._stamp_ns - self._picture_ns - min(self._gaps_ns)
        if 2 * overdue_ns < -self._tick_ns:
            return SETTLE_S if self._stamp_ns > self._picture_ns else None
        uneven = max(self._gaps_ns) - min(self._gaps_ns) > 0.5 * self._tick_ns
        return PERHAPS_S if uneven and 2 * overdue_ns < self._tick_ns else None


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
