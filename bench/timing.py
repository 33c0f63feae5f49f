# SPDX-License-Identifier: Apache-2.0
"""Timing several candidates in turns, so that a busy moment of the machine hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one call: median and quartiles over the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g}–{self.high:.3g})"


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    rounds: int,
    calls: int,
    synchronize: Callable[[], object] = lambda: None,
) -> dict[str, Timing]:
    """Time `calls` calls of each candidate per round, in turns A, B, C, A, B, C, ...

    Args:
        candidates: What to time, by name.
        rounds: At least five, for the median.
        calls: Calls in a round; even where the work alternates from call to call.
        synchronize: Waits for the device before the clock is read.
    """
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for index in range(rounds + 1):
        for name, call in candidates.items():
            synchronize()
            start = time.perf_counter()
            for _ in range(calls):
                call()
            synchronize()
            if index:  # the first round warms up
                times[name].append((time.perf_counter() - start) / calls * 1e3)
    return {name: _timing(values) for name, values in times.items()}


def _timing(values: list[float]) -> Timing:
    low, median, high = (float(value) for value in np.percentile(values, (25, 50, 75)))
    return Timing(median, low, high)
