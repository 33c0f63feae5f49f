# SPDX-License-Identifier: Apache-2.0
"""The replay buffer in shared memory: one process drives and writes, another learns and samples.

A row holds an observation's newest frame and its vector, and the action and reward that led to the
next row. Frame stacks and n-step returns are put together when sampling, so every frame is stored
once. An episode's last observation is a row without an action.

Rows are numbered from 0 without end; row r lies in slot r % capacity. The writer fills row w while
`rows_written` is w, and thereby overwrites row w - capacity. The two processes share only that
number; there are no locks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from td3_driver.replay.batch import Batch, FrameSource, Rows
from td3_driver.replay.meaning import Meaning
from td3_driver.replay.shared_memory import ArrayType, SharedBlock, fence, packed

_HAS_ACTION = 1  # a transition leads from this row to the next
_TERMINATED = 2  # and there the episode ended for good, with nothing to bootstrap from
_SHOWN = 4  # a human or a demonstrator drove
_LARGEST_MARGIN = 1024
_DRAWS = 16


class Replay:
    """A ring of rows; pass it to a `spawn` process to sample there while writing here.

    Args:
        capacity: Number of rows, at least 16. Memory is taken as rows are written.
        image_shape: (frames in a stack, height, width), with frames of several channels
            (frames in a stack, channels, height, width); None without images.
        vector_dim: Length of the vector.
        action_dim: Length of the action.
        file: None for memory, or the path of a new file for a buffer larger than memory.
        meaning: What the numbers in it mean, see meaning.py; files carry it. None if not known:
            a file of any meaning can be read into it.

    Raises:
        ValueError: If a size is out of range.
        OSError: If the memory or the file cannot be had.
    """

    def __init__(
        self,
        capacity: int,
        image_shape: tuple[int, ...] | None,
        vector_dim: int,
        action_dim: int,
        *,
        file: str | Path | None = None,
        meaning: Meaning | None = None,
    ) -> None:
        if capacity < 16:
            raise ValueError(f"capacity: {capacity} rows are too few, use at least 16")
        if image_shape is not None and not 1 <= image_shape[0] <= capacity // 4:
            raise ValueError(
                f"image_shape: a stack of {image_shape[0]} frames is not in 1 .. {capacity // 4}"
            )
        self.capacity, self.image_shape = capacity, image_shape
        self.vector_dim, self.action_dim = vector_dim, action_dim
        self.meaning = meaning
        self._attach(SharedBlock(packed(self._arrays())[1], file))

    def _arrays(self) -> dict[str, ArrayType]:
        arrays: dict[str, ArrayType] = {
            "counters": ((2,), np.int64),  # rows written, transitions written
            "vectors": ((self.capacity, self.vector_dim), np.float32),
            "actions": ((self.capacity, self.action_dim), np.float32),
            "rewards": ((self.capacity,), np.float32),
            "flags": ((self.capacity,), np.uint8),
            "ages": ((self.capacity,), np.uint32),  # steps since the episode's start
        }
        if self.image_shape is not None:
            arrays["frames"] = ((self.capacity, *self.image_shape[1:]), np.uint8)
        return arrays

    def _attach(self, block: SharedBlock) -> None:
        self._block = block
        views = self.arrays()
        self._counters = views["counters"]
        self._vectors, self._actions = views["vectors"], views["actions"]
        self._rewards, self._flags, self._ages = views["rewards"], views["flags"], views["ages"]
        self._frames = views.get("frames")
        self._stack = self.image_shape[0] if self.image_shape is not None else 1
        self._next_age: int | None = None  # no episode is open in this process

    def __getstate__(self) -> dict[str, Any]:
        names = ("capacity", "image_shape", "vector_dim", "action_dim", "meaning", "_block")
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._attach(state["_block"])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Views of the memory by name: `counters`, and columns of `capacity` rows each."""
        arrays = self._arrays()
        offsets, _ = packed(arrays)
        return {name: self._block.array(offsets[name], *arrays[name]) for name in arrays}

    @property
    def nbytes(self) -> int:
        """Size of the whole buffer in bytes once every row is written."""
        return self._block.nbytes

    @property
    def rows_written(self) -> int:
        """Number of rows written since the buffer was made, including overwritten ones."""
        return int(self._counters[0])

    @property
    def transitions(self) -> int:
        """Transitions written since the buffer was made, including overwritten ones."""
        return int(self._counters[1])

    @property
    def has_shown(self) -> bool:
        """Whether any transition there is marked as shown."""
        return bool(np.any(self._flags[: len(self)] & _SHOWN))

    @property
    def margin(self) -> int:
        """How many rows the writer of a full buffer may be ahead of the `head` of a sample."""
        return min(self.capacity // 16, _LARGEST_MARGIN)

    def __len__(self) -> int:
        """The number of rows in the buffer."""
        return min(self.rows_written, self.capacity)

    @property
    def episode_steps(self) -> int:
        """Steps stored since `begin` was called last; those that waited at a light are not."""
        return int(self._ages[(self.rows_written - 1) % self.capacity])

    @property
    def frames(self) -> npt.NDArray[np.uint8] | None:
        """The frames of all slots (capacity, [channels,] H, W), a view of the memory, or None."""
        return self._frames

    # Writing: one process.

    def begin(self, frame: npt.NDArray[np.uint8] | None, vector: npt.NDArray[np.float32]) -> None:
        """Write an episode's first observation.

        An episode left open before it counts as truncated at its last observation.

        Args:
            frame: (H, W) or (channels, H, W) uint8; None without images.
            vector: (V,) float, finite.

        Raises:
            ValueError: If an argument has another shape or type, or is not finite.
        """
        _check_observation(frame, vector, self.image_shape, self.vector_dim)
        self._append(frame, vector, age=0)

    def reopen(self) -> None:
        """Continue the episode of the newest row in a buffer that was restored within one."""
        self._next_age = int(self._ages[(self.rows_written - 1) % self.capacity]) + 1

    def add(
        self,
        action: npt.NDArray[np.float32],
        reward: float,
        next_frame: npt.NDArray[np.uint8] | None,
        next_vector: npt.NDArray[np.float32],
        terminated: bool,
        truncated: bool,
        intervention: bool = False,
    ) -> None:
        """Write one step: the action at the last observation, its reward, the next observation.

        Args:
            action: (A,) float, finite, the action that was executed.
            reward: Finite.
            next_frame: (H, W) or (channels, H, W) uint8; None without images.
            next_vector: (V,) float, finite.
            terminated: The episode ended in a terminal state: returns do not bootstrap from it.
            truncated: The episode was cut short, as by a time limit: returns bootstrap.
            intervention: A human drove; the row is sampled like any other, and marked as shown.

        Raises:
            RuntimeError: If no episode is open.
            ValueError: If an argument has another shape or type, or is not finite; the episode
                stays open, unchanged.
        """
        if self._next_age is None:
            raise RuntimeError("add: no episode is open, call begin first")
        _check_observation(next_frame, next_vector, self.image_shape, self.vector_dim)
        _check_finite("action", action, (self.action_dim,))
        _check_finite("reward", reward, ())
        slot = (self.rows_written - 1) % self.capacity
        self._actions[slot] = action
        self._rewards[slot] = reward
        flags = _TERMINATED * terminated | _SHOWN * intervention
        self._flags[slot] = _HAS_ACTION | flags
        self._counters[1] += 1
        self._append(next_frame, next_vector, self._next_age)
        if terminated or truncated:
            self._next_age = None

    def _append(
        self, frame: npt.NDArray[np.uint8] | None, vector: npt.NDArray[np.float32], age: int
    ) -> None:
        row = self.rows_written
        slot = row % self.capacity
        if self._frames is not None:
            self._frames[slot] = frame
        self._vectors[slot] = vector
        self._flags[slot] = 0
        self._ages[slot] = age
        self._next_age = age + 1
        fence()  # readers must not see the row's number before its contents
        self._counters[0] = row + 1
        fence()  # nor the next row's contents, over their old row, before this number

    def extend(self, rows: Mapping[str, npt.NDArray[Any]]) -> None:
        """Write whole rows that were written elsewhere, at most `margin` of them.

        Args:
            rows: The columns of `arrays`, each with as many entries as there are rows. The first
                row's age is 0, and the last has no action.

        Raises:
            ValueError: If a column has another shape, or there are too many rows.
        """
        count = len(rows["flags"])
        if not 0 < count <= self.margin:
            raise ValueError(f"rows: {count} are not in 1 .. {self.margin}, the replay's margin")
        columns = {name: view for name, view in self.arrays().items() if name != "counters"}
        for name, view in columns.items():
            if rows[name].shape != (count, *view.shape[1:]):
                raise ValueError(f"{name}: shape {rows[name].shape} is not that of {count} rows")
        slots = np.arange(self.rows_written, self.rows_written + count) % self.capacity
        for name, view in columns.items():
            view[slots] = rows[name]
        self._next_age = None
        self._counters[1] += np.count_nonzero(rows["flags"])
        fence()
        self._counters[0] += count
        fence()

    def newest_actions(self, count: int) -> npt.NDArray[np.float32]:
        """(N, A) the actions in the newest `count` + 1 rows: an episode of `count` steps."""
        newest = min(count + 1, len(self))
        slots = np.arange(self.rows_written - newest, self.rows_written) % self.capacity
        actions: npt.NDArray[np.float32] = self._actions[slots[self._flags[slots] != 0]]
        return actions

    # Sampling: one process, the same or another.

    def sample(
        self,
        batch_size: int,
        rng: np.random.Generator,
        n_step: int = 1,
        discount: float = 0.99,
        head: int | None = None,
        frames: FrameSource | None = None,
    ) -> Batch:
        """Draw transitions uniformly, with replacement.

        Args:
            batch_size: B.
            rng: Generator of the draws.
            n_step: Steps in a return; fewer where the episode, or the written part of it, ends.
            discount: Discount factor per step.
            head: Sample from the first `head` rows only. The batch then depends on `head` and
                `rng` alone, whatever the writer has added since. None: all rows written.
            frames: Source of the images; None: this buffer, as arrays.

        Raises:
            ValueError: If there is no transition to sample, or `head` is beyond what is written.
            RuntimeError: If the writer is more than `margin` rows ahead of `head` and has
                overwritten what was to be sampled.
        """
        while True:
            newest = self.rows_written if head is None else head
            if newest > self.rows_written:
                raise ValueError(f"head: {head} rows, but only {self.rows_written} are written")
            fence()
            rows = self._draw(batch_size, rng, newest)
            batch = self._gather(rows, n_step, discount, newest, frames)
            fence()
            # Rows that the writer reached while we copied may be torn: draw again.
            if int(rows.min()) - self._stack + 1 > self.rows_written - self.capacity:
                return batch
            if head is not None:
                raise RuntimeError(
                    f"head: {head} rows were asked for, but {self.rows_written} are written and"
                    f" only {self.margin} more than head can be, with capacity {self.capacity}"
                )

    def _draw(self, count: int, rng: np.random.Generator, newest: int) -> Rows:
        """The numbers of `count` rows below `newest` from which transitions start."""
        # The oldest row kept, the margin, and the frames that a stack reaches back.
        low = max(0, newest - self.capacity + self.margin + self._stack)
        high = newest - 1  # the newest row has no successor yet
        if high > low:
            rows = rng.integers(low, high, count)
            for _ in range(_DRAWS):
                without = np.flatnonzero(self._flags[rows % self.capacity] == 0)
                if not without.size:
                    return rows
                rows[without] = rng.integers(low, high, without.size)
            starts = low + np.flatnonzero(self._flags[np.arange(low, high) % self.capacity])
            if starts.size:
                return rng.choice(starts, count)
        raise ValueError(f"replay: no transition to sample among {newest} rows, add steps first")

    def _gather(
        self, rows: Rows, n_step: int, discount: float, newest: int, frames: FrameSource | None
    ) -> Batch:
        steps = rows[:, None] + np.arange(n_step)
        slots = steps % self.capacity
        flags = self._flags[slots]
        # A row without an action ends its episode, and nothing counts beyond it.
        counts = np.logical_and.accumulate((flags != 0) & (steps < newest - 1), axis=1)
        taken = counts.sum(axis=1)
        rewards = np.where(counts, self._rewards[slots], 0.0)
        terminated = flags[np.arange(rows.size), taken - 1] & _TERMINATED != 0
        start, after = slots[:, 0], (rows + taken) % self.capacity
        images, next_images = self._images(start, after, frames)
        return Batch(
            images=images,
            vectors=self._vectors[start],
            actions=self._actions[start],
            returns=(rewards @ discount ** np.arange(n_step)).astype(np.float32),
            bootstrap=np.where(terminated, 0.0, discount**taken).astype(np.float32),
            next_images=next_images,
            next_vectors=self._vectors[after],
            shown=(self._flags[start] & _SHOWN != 0).astype(np.float32),
        )

    def _images(
        self, start: Rows, after: Rows, frames: FrameSource | None
    ) -> tuple[npt.NDArray[np.uint8] | Tensor | None, npt.NDArray[np.uint8] | Tensor | None]:
        """Two (B, C, H, W) stacks, oldest frame first, padded with the episode's first frame."""
        if self._frames is None:
            return None, None
        slots = np.concatenate((start, after))
        ages = self._ages[slots, None].astype(np.int64)
        rows = slots[:, None] - np.minimum(ages, np.arange(self._stack - 1, -1, -1))
        images: npt.NDArray[np.uint8] | Tensor
        if frames is not None:
            images = frames.take(rows % self.capacity)
        else:
            images = self._frames.take(rows, axis=0, mode="wrap")
        # Where frames have several channels, those of the oldest frame come first.
        images = images.reshape(len(rows), -1, *self._frames.shape[-2:])
        return images[: len(start)], images[len(start) :]


# What may be written: one wrong number would spoil all learning after it.


def _check_observation(
    frame: npt.NDArray[np.uint8] | None,
    vector: npt.NDArray[np.float32],
    image_shape: tuple[int, ...] | None,
    vector_dim: int,
) -> None:
    """Check a frame against the shape of a stack of them, and a vector against its length.

    Raises:
        ValueError: If one has another shape or type, or the vector is not finite.
    """
    if image_shape is None:
        if frame is not None:
            raise ValueError("frame: must be None, this replay was made without images")
    elif frame is None or frame.shape != image_shape[1:] or frame.dtype != np.uint8:
        found = "None" if frame is None else f"{frame.shape} {frame.dtype}"
        raise ValueError(f"frame: {found} is not {image_shape[1:]} uint8")
    _check_finite("vector", vector, (vector_dim,))


def _check_finite(name: str, value: object, shape: tuple[int, ...]) -> None:
    """Check a number or an array.

    Raises:
        ValueError: If it has another shape, or is not finite.
    """
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{name}: shape {array.shape} is not {shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: {array} is not finite")
