# SPDX-License-Identifier: Apache-2.0
"""What the server says to who runs it. No client can fill a disk with it."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable

_MOST_AT_ONCE = 20
_PERIOD_S = 10.0


class Log:
    """Standard output and error, with at most 20 messages in 10 s; the others are counted.

    Args:
        clock: seconds, ever growing.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began_s = -_PERIOD_S
        self._said = 0
        self._left_out = 0

    def say(self, text: str) -> None:
        """A line."""
        if self._may_say():
            print(f"[carla_server] {text}", flush=True)

    def failed(self, what: str) -> None:
        """The error that is being handled, with its traceback: it is ours."""
        if self._may_say():
            print(f"[carla_server] {what} failed", file=sys.stderr)
            traceback.print_exc()

    def _may_say(self) -> bool:
        now_s = self._clock()
        if now_s - self._began_s >= _PERIOD_S:
            if self._left_out:
                print(f"[carla_server] {self._left_out} messages were left out", flush=True)
            self._began_s, self._said, self._left_out = now_s, 0, 0
        self._said += 1
        self._left_out += self._said > _MOST_AT_ONCE
        return self._said <= _MOST_AT_ONCE
