# SPDX-License-Identifier: Apache-2.0
"""When a sensor with a period of its own senses."""

from __future__ import annotations


class Shutter:
    """Decides in which ticks a camera or another sensor senses, by CARLA's `sensor_tick`, s.

    CARLA keeps the rate: a picture that is late for its time does not delay the next one. So
    0.125 s with ticks of 0.05 s is a picture every two or three ticks (carla issue 7108).
    """

    def __init__(self, sensor_tick_s: float) -> None:
        self._period_ns = round(sensor_tick_s * 1e9)
        self._due_ns: int | None = None

    def opens(self, stamp_ns: int) -> bool:
        """Whether there is a picture in the tick of this stamp, ns."""
        due_ns = stamp_ns if self._due_ns is None else self._due_ns
        if stamp_ns < due_ns:
            return False
        missed = (stamp_ns - due_ns) // self._period_ns if self._period_ns else 0
        self._due_ns = due_ns + (missed + 1) * self._period_ns
        return True
