# SPDX-License-Identifier: Apache-2.0
"""When something is sensed, and what a message consists of."""

from __future__ import annotations

from dataclasses import dataclass

from td3_driver.carla_server import wire
from td3_driver.carla_server.wire import Pose6


@dataclass(frozen=True)
class Moment:
    """A tick: the number of its frame, and the simulated time of its episode."""

    frame: int
    elapsed_s: float

    def header(self, row: int, pose: Pose6) -> bytes:
        """What a sensor at a pose puts before its data."""
        return wire.sensor_header(row, self.frame, self.elapsed_s, pose)
