# SPDX-License-Identifier: Apache-2.0
"""What lights, signs and limits ask of a car at one instant."""

from __future__ import annotations

import math
from dataclasses import dataclass

from td3_driver.driving.road_users import Leader

SIGHT_M = 50.0  # a stop line further away asks nothing yet
_AT_LINE_M = 10.0  # so near before a line at which it must stop, a car may stand


@dataclass(frozen=True)
class Demand:
    """What is asked of a car at one instant.

    Attributes:
        stop_line_m: distance along the route from the car's front to the first line at which it
            must stop, m; inf if there is none within `SIGHT_M`.
        limit_mps: the speed limit, m/s; inf if there is none.
    """

    stop_line_m: float = math.inf
    limit_mps: float = math.inf

    @property
    def must_stop(self) -> bool:
        """Whether there is a line at which the car must stop."""
        return math.isfinite(self.stop_line_m)

    @property
    def obstacle(self) -> Leader | None:
        """The line at which the car must stop, as a road user that stands there."""
        return Leader(self.stop_line_m, 0.0) if self.must_stop else None

    @property
    def waiting(self) -> bool:
        """Whether a car that stands does so for the line."""
        return self.stop_line_m < _AT_LINE_M


NO_DEMAND: Demand = Demand()
