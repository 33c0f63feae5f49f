# SPDX-License-Identifier: Apache-2.0
"""The purposes of drives, kept apart so that a policy is never judged where it learned."""

from __future__ import annotations

from enum import Enum


class Purpose(Enum):
    """The purpose of a drive: no two share a generated road, or the start of a route.

    See `world.roads.generation.road_seed` for the roads, and `driving.routes.routing.random_route`
    for the starts.
    """

    TRAINING = "training"
    TUNING = "tuning"  # choice of this package's settings (`bench.learning`)
    SELECTION = "selection"  # choice of best.pth
    EVALUATION = "evaluation"
