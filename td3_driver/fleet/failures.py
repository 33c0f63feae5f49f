# SPDX-License-Identifier: Apache-2.0
"""The failures of a fleet's parts: how many are too many, and what is said of them."""

from __future__ import annotations

import time
from collections import deque

from ray.exceptions import RayError, RayTaskError

from td3_driver.driving.routes.routing import NoRouteError

# So many failures within so long, or so many in a row without a step, and a part is given up.
MOST_FAILURES, FAILURES_WITHIN_S, MOST_FRUITLESS = 5, 600.0, 3


class PartEndedError(RuntimeError):
    """The bridge or the driver of a collector has ended; one line says how."""


# Said in one line; anything else that a part raises is an error of its program.
_TOLD = (PartEndedError, NoRouteError)


class Failures:
    """The failures of a part of the run."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=MOST_FAILURES)
        self._fruitless = 0

    def again(self, *, fruitless: bool) -> bool:
        """Count a failure; return whether it is one too many.

        `fruitless`: nothing came of it since it began.
        """
        now_s = time.monotonic()
        self._times_s.append(now_s)
        self._fruitless = self._fruitless + 1 if fruitless else 0
        full = len(self._times_s) == MOST_FAILURES
        often = full and now_s - self._times_s[0] < FAILURES_WITHIN_S
        return often or self._fruitless >= MOST_FRUITLESS


def internal(error: RayError) -> bool:
    """Whether a part failed by an error of its program, which is worth its traceback."""
    return isinstance(error, RayTaskError) and not isinstance(error.cause, _TOLD)


def reason(error: RayError) -> str:
    """Return why a part failed, in one line."""
    if not isinstance(error, RayTaskError):
        return "its process ended"
    cause = error.cause
    said = " ".join(str(cause).split())[:300]
    return said if isinstance(cause, _TOLD) else f"{type(cause).__name__}: {said}"
