# SPDX-License-Identifier: Apache-2.0
"""Bounds within which roads are drawn: what is known of them before any are."""

from __future__ import annotations

from dataclasses import dataclass

LANE_WIDTH_M = 3.5


@dataclass(frozen=True)
class Loop:
    """Bounds, each (smallest, largest), within which a loop is drawn.

    Attributes:
        corners: how many bends.
        distance_m: of the corners from the middle, m.
        radius_m: of the bends' arcs, m.
        spiral_m: length of the transition into and out of each arc, m.
        length_m: once around, m.
    """

    corners: tuple[int, int]
    distance_m: tuple[float, float]
    radius_m: tuple[float, float]
    spiral_m: tuple[float, float]
    length_m: tuple[float, float]


@dataclass(frozen=True)
class Network:
    """Bounds within which a network is drawn.

    Attributes:
        columns, rows: fewest and most places of the grid in each direction.
        spacing_m: between neighbouring places, m.
        shift_m: largest offset of a place from its grid point, east and north, m.
        lanes: most lanes each way of a street, 1 or 2.
        roundabouts: probability that a junction is one.
        lane_width_m: narrowest and widest lanes; one width in a network.
        varied_paint: each street's lines are drawn; else they are the usual ones.

    Raises:
        ValueError: no network is possible within the bounds.
    """

    columns: tuple[int, int]
    rows: tuple[int, int]
    spacing_m: float
    shift_m: float
    lanes: int
    roundabouts: float
    lane_width_m: tuple[float, float] = (LANE_WIDTH_M, LANE_WIDTH_M)
    varied_paint: bool = False

    def __post_init__(self) -> None:
        # With three a T junction would leave the middle lane nowhere to go.
        if self.lanes not in (1, 2):
            raise ValueError(f"roads: {self.lanes} lanes each way; expected 1 or 2")
        if self.columns[0] < 2 or self.rows[0] < 2 or self.columns[1] * self.rows[1] < 6:
            raise ValueError(
                f"roads: {self.columns} columns and {self.rows} rows of places; expected at "
                "least 2 by 3"
            )
