# SPDX-License-Identifier: Apache-2.0
"""Messages kept as rows of numbers, by their stamps or by the time at which they were recorded."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from td3_driver.driving.routes.route import FloatArray

Stamps = NDArray[np.int64]
# Which of a message's times counts: its header's stamp, or when the bag recorded it.
Clock = Literal["header", "bag"]


@dataclass(frozen=True)
class Table:
    """Rows by time, of each time one.

    Attributes:
        times_ns: (N,) rising.
        rows: (N, width).
        recorded_ns: (N,) when the bag recorded each.
    """

    times_ns: Stamps
    rows: FloatArray
    recorded_ns: Stamps

    def exactly(self, times_ns: Stamps) -> FloatArray:
        """The rows of these times, NaN where there is none."""
        if not len(self.times_ns):
            return np.full((len(times_ns), self.rows.shape[1]), np.nan)
        where = np.minimum(np.searchsorted(self.times_ns, times_ns), len(self.times_ns) - 1)
        return np.where((self.times_ns[where] == times_ns)[:, None], self.rows[where], np.nan)

    def newest(self, times_ns: Stamps, oldest_ns: int | None = None) -> FloatArray:
        """The last row up to each of these times, NaN where it is older than that or missing."""
        where = np.searchsorted(self.times_ns, times_ns, side="right") - 1
        known = where >= 0
        where = np.maximum(where, 0)
        if oldest_ns is not None:
            known &= times_ns - self.times_ns[where] <= oldest_ns
        return np.where(known[:, None], self.rows[where], np.nan)


@dataclass
class Columns:
    """Rows of numbers with their two times, 8 bytes each."""

    width: int
    header_ns: array[int] = field(default_factory=lambda: array("q"))
    recorded_ns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, header_ns: int, recorded_ns: int, *row: float) -> None:
        """Keep a message."""
        self.header_ns.append(header_ns)
        self.recorded_ns.append(recorded_ns)
        self.values.extend(row)

    def times_ns(self, clock: Clock) -> Stamps:
        """In the order of arrival."""
        return np.frombuffer(self.header_ns if clock == "header" else self.recorded_ns, np.int64)

    def by(self, clock: Clock) -> Table:
        """By time; of several at the same time the last."""
        shape = (len(self.header_ns), self.width)
        rows = np.frombuffer(self.values, np.float64).reshape(shape)[::-1]
        times_ns, where = np.unique(self.times_ns(clock)[::-1], return_index=True)
        return Table(times_ns, rows[where], self.times_ns("bag")[::-1][where])
