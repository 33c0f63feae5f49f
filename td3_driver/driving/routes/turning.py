# SPDX-License-Identifier: Apache-2.0
"""The turning circle of a car, and which lines are too tight for it to follow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.safety import SafetyConfig

FloatArray = npt.NDArray[np.float64]

# The real Tesla Model 3's; those of most cars are within 0.3 m of it.
WHEELBASE_M = 2.875
MAX_WHEEL_RAD = 1.22  # CARLA's at a steer of 1: 70 degrees
# A car that cuts or swings wide by more than this has left its lane.
_WIDEST_MISS_M = 1.5


def turning_radius_m(max_steer: float) -> float:
    """Return the radius of a car's smallest circle, at the middle between its axles, m.

    Args:
        max_steer: the largest steer command, see `SafetyConfig`.
    """
    rear_axle_m = WHEELBASE_M / math.tan(MAX_WHEEL_RAD * max_steer)
    return math.hypot(rear_axle_m, WHEELBASE_M / 2.0)


def too_tight(line_m: FloatArray) -> bool:
    """Whether a line turns so tightly somewhere that a car misses it by 1.5 m.

    A turn by an angle on a radius r that is too small is driven on the car's own radius R, that
    of the default steering limit, which passes the corner (R - r) (1 / cos(angle / 2) - 1) away.
    So a tight metre does not matter, a U-turn does.

    Args:
        line_m: (N, 2) points.
    """
    radius_m = turning_radius_m(SafetyConfig().max_steer)
    steps = np.diff(line_m, axis=0)
    lengths_m = np.hypot(steps[:, 0], steps[:, 1])
    steps, lengths_m = steps[lengths_m > 1e-3], lengths_m[lengths_m > 1e-3]
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    middles_m = np.cumsum(lengths_m) - lengths_m / 2.0
    if not (np.abs(np.diff(headings)) * radius_m > np.diff(middles_m)).any():
        return False
    for window in range(1, len(headings)):
        turn = np.minimum(np.abs(headings[window:] - headings[:-window]), math.pi - 1e-3)
        along_m = middles_m[window:] - middles_m[:-window]
        if along_m.min() > math.pi * radius_m:
            break
        short_m = radius_m - along_m / np.maximum(turn, 1e-6)
        if (short_m * (1.0 / np.cos(turn / 2.0) - 1.0) > _WIDEST_MISS_M).any():
            return True
    return False
