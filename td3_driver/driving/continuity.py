# SPDX-License-Identifier: Apache-2.0
"""Interruptions of a drive: missing frames, or a car that was moved instead of driven."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Numbers = TypeVar("Numbers", float, NDArray[np.float64])

GAP_NS = 500_000_000
# In a step a car moves at most its speed times the time, times the one and plus the other.
JUMP_FACTOR, JUMP_M = 1.5, 2.0


def furthest_m(speed_mps: Numbers, elapsed_s: Numbers) -> Numbers:
    """Return how far a car can drive in some time, m; one that is further away was moved."""
    reach_m: Numbers = JUMP_FACTOR * speed_mps * elapsed_s + JUMP_M
    return reach_m
