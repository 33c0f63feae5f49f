# SPDX-License-Identifier: Apache-2.0
"""Timing of the control loop: latencies, late commands, frames without a command."""

from __future__ import annotations

import enum
from collections import deque

import numpy as np

# A larger jump of stamps begins a new time: the world was restarted, or paused.
JUMP_S = 0.5
_REMEMBERED = 12_000  # latencies: ten minutes at 20 Hz
_GAPS = 5  # number of newest gaps by which a camera's period and the world's tick are known
# Delay before a tick without a picture is answered: the bridge still publishes its last sensors,
# and would count a command that comes before it waits as one for the next tick.
SETTLE_S = 0.01
# Delay where a picture may still come: the gaps of such a camera differ by a tick.
PERHAPS_S = 0.1


class Order(enum.Enum):
    """The place of a frame in time, by its stamp."""

    NEXT = enum.auto()
    STALE = enum.auto()  # not newer than the last answered frame
    JUMPED = enum.auto()


class FrameClock:
    """Judges frames by their stamps.

    Args:
        period_s: time from frame to frame, s; 0: any (lock-step), so that no frame is missed.

    Attributes:
        frames: number of frames that get an answer; stale ones do not count.
        missed: number of frames that never came, by the gaps between stamps.
        stale: number of frames that came too late or twice.
        jumps: how often the stamps jumped, back or forward.
    """

    def __init__(self, period_s: float) -> None:
        self.frames = self.missed = self.stale = self.jumps = 0
        self._period_s = period_s
        self._last_ns: int | None = None
        self._half = False

    def judge(self, stamp_ns: int, usual_s: float = 0.0, *, half: bool = False) -> Order:
        """Judge a frame by its stamp.

        Args:
            stamp_ns: its stamp, ns.
            usual_s: the camera's own period, s; 0 if it has none.
            half: its image or odometry is missing; those of the frames before may still come.
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
        # In lock-step only a frame of which half is missing can overtake another: any other step
        # back, however small, means that the world was restarted.
        overtaken = (bool(self._period_s) or self._half) and -JUMP_S <= step_s < 0.0
        return step_s == 0.0 or overtaken


class Cadence:
    """The ticks in which a camera delivers, inferred from stamps of pictures and odometry.

    No topic has a camera's `sensor_tick`. It is taken as the shortest of the newest gaps between
    pictures; a gap is that or one tick more.
    """

    def __init__(self) -> None:
        self._picture_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=_GAPS)
        self._stamp_ns = 0
        self._ticks_ns: deque[int] = deque(maxlen=_GAPS)

    @property
    def period_s(self) -> float:
        """Time from picture to picture, s; 0 while it is not known."""
        return min(self._gaps_ns, default=0) * 1e-9

    @property
    def ticks(self) -> int:
        """Number of ticks from picture to picture; 1 while it is not known."""
        return max(round(self.period_s * 1e9 / self._tick_ns), 1) if self._tick_ns else 1

    @property
    def _tick_ns(self) -> int:
        return min(self._ticks_ns, default=0)

    def picture(self, stamp_ns: int) -> None:
        """Take in the stamp of a picture, ns."""
        last_ns, self._picture_ns = self._picture_ns, stamp_ns
        if last_ns is not None and stamp_ns < last_ns:  # time jumped
            self._gaps_ns.clear()
        elif last_ns is not None and stamp_ns > last_ns:
            self._gaps_ns.append(stamp_ns - last_ns)

    def missed(self, before_ns: int, now_ns: int) -> int:
        """Return the number of pictures missing between two consecutive ones, stamps in ns."""
        period_ns = min(self._gaps_ns, default=0)
        return max(round((now_ns - before_ns) / period_ns) - 1, 0) if period_ns else 0

    def tick(self, stamp_ns: int) -> None:
        """Take in the stamp of a tick's odometry, ns."""
        last_ns, self._stamp_ns = self._stamp_ns, stamp_ns
        if stamp_ns > last_ns > 0:
            self._ticks_ns.append(stamp_ns - last_ns)

    def patience_s(self) -> float | None:
        """Return how long to wait for the newest tick's picture, s; None: without limit."""
        if not self._gaps_ns or self._picture_ns is None:
            return None
        # In half ticks, as CARLA's stamps are truncated and drift.
        overdue_ns = self._stamp_ns - self._picture_ns - min(self._gaps_ns)
        if 2 * overdue_ns < -self._tick_ns:
            return SETTLE_S if self._stamp_ns > self._picture_ns else None
        uneven = max(self._gaps_ns) - min(self._gaps_ns) > 0.5 * self._tick_ns
        return PERHAPS_S if uneven and 2 * overdue_ns < self._tick_ns else None


class Latencies:
    """Latencies of the commands of the last ten minutes at 20 Hz.

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
        """Add one command's latency, s."""
        self._values_s[self._count % _REMEMBERED] = latency_s
        self._count += 1
        self.late += latency_s > self._deadline_s

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the remembered latencies, ms; 0 if there are none."""
        values_s = self._values_s[: self._count]
        return float(np.percentile(values_s, percent)) * 1e3 if values_s.size else 0.0
