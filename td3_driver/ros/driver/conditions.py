# SPDX-License-Identifier: Apache-2.0
"""Faults that last a while, each logged once when it begins and once when it ends."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.impl.rcutils_logger import RcutilsLogger

WARN, ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR
# A condition that returns within this time, and this often, is logged only if it lasts.
FLAPPING_S = 2.0
RETURNS = 2


@dataclass
class _Condition:
    """A present condition: since when (time.monotonic, s), its returns, whether it is logged."""

    level: bytes
    text: str
    since_s: float
    returns: int
    said: bool = False


class Conditions:
    """Present conditions by name, each with a level and a text.

    One that comes and goes many times a second is logged at most `RETURNS` times.

    Attributes:
        counts: number of times that each was met, with repetitions.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._now: dict[str, _Condition] = {}
        self._last: dict[str, tuple[_Condition, float]] = {}  # and their end

    def meet(self, name: str, text: str, level: bytes = ERROR) -> None:
        """Note that a condition has occurred, perhaps again: each time counts."""
        self.counts[name] += 1
        if name in self._now:
            self._now[name].level, self._now[name].text = level, text
        else:
            now_s = time.monotonic()
            self._now[name] = _Condition(level, text, now_s, self._returns(name, text, now_s))
        self._say(name)

    def hold(self, name: str, text: str, level: bytes = ERROR) -> None:
        """Note that a condition is present, perhaps still: it counts once while it lasts."""
        if name in self._now:
            self._say(name)
        else:
            self.meet(name, text, level)

    def over(self, *names: str) -> None:
        """End conditions, if they are present."""
        for name in names:
            condition = self._now.pop(name, None)
            if condition is not None:
                self._last[name] = condition, time.monotonic()
                if condition.said:
                    self._logger.info(f"{name}: all right again")

    def _returns(self, name: str, text: str, now_s: float) -> int:
        if name not in self._last:
            return 0
        last, over_s = self._last[name]
        return last.returns + 1 if last.text == text and now_s - over_s < FLAPPING_S else 0

    def _say(self, name: str) -> None:
        """Log a condition once; one that comes and goes only when it lasts."""
        condition = self._now[name]
        lasts = time.monotonic() - condition.since_s > FLAPPING_S
        if condition.said or (condition.returns >= RETURNS and not lasts):
            return
        condition.said = True
        # On separate lines: rclpy identifies a message by its line and fixes its severity.
        if condition.level == ERROR:
            self._logger.error(condition.text)
        else:
            self._logger.warning(condition.text)

    @property
    def level(self) -> bytes:
        """The highest level of the present conditions."""
        return max((now.level for now in self._now.values()), default=DiagnosticStatus.OK)

    @property
    def text(self) -> str:
        """The texts of the present conditions in one line."""
        return "; ".join(now.text for now in self._now.values())
