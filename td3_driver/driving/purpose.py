# SPDX-License-Identifier: Apache-2.0
"""What is driven for what, so that nothing is judged where it was made."""

from __future__ import annotations

from enum import Enum


class Purpose(Enum):
    """Why a road is driven: no two purposes share a generated road, or the start of a route.

    See `world.roads.road_seed` for the roads, and `driving.routing.random_route` for the starts.
    """

    TRAINING = "training"
    TUNING = "tuning"  # choosing this package's own settings (`bench.learning`)
    SELECTION = "selection"  # choosing best.pth
    EVALUATION = "evaluation"
