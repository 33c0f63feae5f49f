# SPDX-License-Identifier: Apache-2.0
"""Transitions on their way from many collectors into one replay, in blocks of rows.

A collector writes rows into a small replay of its own (`replay.buffer`), and hands on those that
are complete. At the learner each block becomes a stretch of the one replay that stands alone: it
begins with the frames that its first stack reaches back to, without their actions, and ends with
an observation. So no stack and no n-step return reaches from one collector's rows, or from one
episode, into another's; sampling, saving and resuming know nothing of collectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.replay.buffer import Replay

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Block:
    """Rows of a collector's replay, each with its action, in the order in which they were driven.

    Attributes:
        first: number of the first row, counted from the collector's start.
        columns: by name, as in `Replay.arrays`, one entry a row.
    """

    first: int
    columns: Columns

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.columns["flags"])

    @property
    def steps(self) -> int:
        """The number of transitions that begin in these rows."""
        return int(np.count_nonzero(self.columns["flags"]))

    @property
    def nbytes(self) -> int:
        """The size of all columns, bytes."""
        return sum(column.nbytes for column in self.columns.values())


class Outgoing:
    """The rows of a collector's replay that are still to be handed on.

    Args:
        replay: the collector's; half of it holds what is driven between two calls of `take`.

    Attributes:
        dropped: rows that were not handed on, because the replay was about to overwrite them.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay, self._taken = replay, 0
        self.dropped = 0
        arrays = replay.arrays()
        self._columns = {name: array for name, array in arrays.items() if name != "counters"}

    @property
    def waiting(self) -> int:
        """The number of rows that `take` would return."""
        return max(self._replay.rows_written - 1 - self._taken, 0)

    def take(self) -> Block:
        """Return the rows since the last call, but for the newest, whose action is yet to come.

        If they are over half of the capacity, none is returned, as they could be overwritten while
        they are copied; they count in `dropped`.
        """
        first, end = self._taken, max(self._replay.rows_written - 1, self._taken)
        if self._replay.rows_written - first > self._replay.capacity // 2:
            self.dropped += end - first
            first = end
        slots = np.arange(first, end) % self._replay.capacity
        self._taken = end
        return Block(first, {name: column[slots] for name, column in self._columns.items()})


class Incoming:
    """One collector's rows on their way into the learner's replay.

    Args:
        replay: the learner's; several `Incoming` may write to it in turn.
    """

    def __init__(self, replay: Replay) -> None:
        self._replay = replay
        self._reach = (replay.image_shape[0] if replay.image_shape else 1) - 1
        self._kept: Columns | None = None  # the newest rows of the open episode, its end as well
        self._expected = 0  # number of the next row

    def add(self, block: Block) -> int:
        """Write a block's rows; return the number of transitions that became complete.

        The last row's transition waits for the next block, which has its successor. Where blocks
        are missing, it is dropped and its episode counts as truncated before it.
        """
        most = self._replay.margin - self._reach - 1
        return sum(self._add(part) for part in _parts(block, most))

    def _add(self, block: Block) -> int:
        if block.first != self._expected:
            self.close()
        self._expected = block.first + block.rows
        columns, before = block.columns, 0
        if self._kept is not None:
            before = len(self._kept["flags"]) - 1
            columns = _joined(self._kept, columns)
        stretch = {name: column.copy() for name, column in columns.items()}
        stretch["flags"][:before] = stretch["flags"][-1] = 0
        # Stacks reach no further back than to the stretch's first row.
        index = np.arange(len(stretch["ages"]), dtype=np.uint32)
        stretch["ages"] = np.minimum(stretch["ages"], index)
        self._replay.extend(stretch)
        self._kept = self._of_open_episode(columns)
        return int(np.count_nonzero(stretch["flags"]))

    def close(self) -> None:
        """End the open episode, as truncated: what follows is another's, or begins anew."""
        self._kept = None
        self._expected = 0

    def _of_open_episode(self, columns: Columns) -> Columns | None:
        """The last row and those before it that its stack reaches; None if its episode ended."""
        if not columns["flags"][-1]:
            return None
        count = min(int(columns["ages"][-1]), self._reach, len(columns["ages"]) - 1) + 1
        return {name: column[-count:].copy() for name, column in columns.items()}


def _parts(block: Block, most: int) -> Iterator[Block]:
    for start in range(0, block.rows, most):
        part = {name: column[start : start + most] for name, column in block.columns.items()}
        yield Block(block.first + start, part)


def _joined(one: Columns, other: Columns) -> Columns:
    return {name: np.concatenate((one[name], other[name])) for name in other}
