# SPDX-License-Identifier: Apache-2.0
"""Messages stored as rows of numbers, with their stamp and their time of recording (ns)."""

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
    """Rows sorted by time, one for each time.

    Attributes:
        times_ns: (N,) rising.
        rows: (N, width).
        recorded_ns: (N,) when the bag recorded each.
    """

    times_ns: Stamps
    rows: FloatArray
    recorded_ns: Stamps

    def exactly(self, times_ns: Stamps) -> FloatArray:
        """The rows at exactly these times, ns; NaN where there is none."""
        if not len(self.times_ns):
            return np.full((len(times_ns), self.rows.shape[1]), np.nan)
        where = np.minimum(np.searchsorted(self.times_ns, times_ns), len(self.times_ns) - 1)
        return np.where((self.times_ns[where] == times_ns)[:, None], self.rows[where], np.nan)

    def newest(self, times_ns: Stamps, oldest_ns: int | None = None) -> FloatArray:
        """The newest row not after each time, ns; NaN where there is none, or it is too old."""
        where = np.searchsorted(self.times_ns, times_ns, side="right") - 1
        known = where >= 0
        where = np.maximum(where, 0)
        if oldest_ns is not None:
            known &= times_ns - self.times_ns[where] <= oldest_ns
        return np.where(known[:, None], self.rows[where], np.nan)


@dataclass
class Columns:
    """A growing table of rows of numbers, each with its two times; 8 bytes a number."""

    width: int
    header_ns: array[int] = field(default_factory=lambda: array("q"))
    recorded_ns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, header_ns: int, recorded_ns: int, *row: float) -> None:
        """Append the row of one message."""
        self.header_ns.append(header_ns)
        self.recorded_ns.append(recorded_ns)
        self.values.extend(row)

    def times_ns(self, clock: Clock) -> Stamps:
        """The times of all rows, ns, in the order of arrival."""
        return np.frombuffer(self.header_ns if clock == "header" else self.recorded_ns, np.int64)

    def by(self, clock: Clock) -> Table:
        """The rows sorted by time; of several with the same time the last."""
        shape = (len(self.header_ns), self.width)
        rows = np.frombuffer(self.values, np.float64).reshape(shape)[::-1]
        times_ns, where = np.unique(self.times_ns(clock)[::-1], return_index=True)
        return Table(times_ns, rows[where], self.times_ns("bag")[::-1][where])
