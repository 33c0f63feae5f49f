# SPDX-License-Identifier: Apache-2.0
"""What is wrong at the moment: said once when it begins and once when it is over."""

from __future__ import annotations

from collections import Counter

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.impl.rcutils_logger import RcutilsLogger

WARN, ERROR = DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class Conditions:
    """Conditions by name, each with a level and a text.

    Attributes:
        counts: how often each was met, its repetitions included.
    """

    def __init__(self, logger: RcutilsLogger) -> None:
        self.counts: Counter[str] = Counter()
        self._logger = logger
        self._now: dict[str, tuple[bytes, str]] = {}

    def meet(self, name: str, text: str, level: bytes = ERROR) -> None:
        """It has happened, perhaps again: counted each time."""
        self.counts[name] += 1
        if name not in self._now:
            # On lines of their own: rclpy knows a message by its line, and fixes its severity.
            if level == ERROR:
                self._logger.error(text)
            else:
                self._logger.warning(text)
        self._now[name] = level, text

    def hold(self, name: str, text: str, level: bytes = ERROR) -> None:
        """It is so, perhaps still: counted once while it lasts."""
        if name not in self._now:
            self.meet(name, text, level)

    def over(self, *names: str) -> None:
        """It is so no more, if it was."""
        for name in names:
            if self._now.pop(name, None):
                self._logger.info(f"{name}: all right again")

    @property
    def level(self) -> bytes:
        """The worst of what is so."""
        return max((level for level, _ in self._now.values()), default=DiagnosticStatus.OK)

    @property
    def text(self) -> str:
        """All that is so, in one line."""
        return "; ".join(text for _, text in self._now.values())
