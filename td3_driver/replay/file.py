# SPDX-License-Identifier: Apache-2.0
"""The replay buffer on disk, beside a checkpoint: each save writes only the new rows.

A file is a log (log.py). Saving again appends to the same log and gives it one more name,
a hard link: `td3_1000.replay` and `td3_2000.replay` are one file, of which the first checkpoint
knows a shorter part, by its length and digest (`ReplayLink`). What was appended later, or half
appended when the process was killed, is beyond that part and harms nothing. Deleting a name frees
the disk when it was the last one. When the log has grown to twice the buffer's capacity, a save
starts a new one with the rows that the buffer holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from td3_driver.checkpoints import durable_file
from td3_driver.checkpoints.checkpoint import CheckpointError, one_line
from td3_driver.replay import log as replay_log
from td3_driver.replay.buffer import Replay
from td3_driver.replay.log import Columns, ReplayLink
from td3_driver.replay.meaning import Meaning, MeaningError, completed, differences

__all__ = ["ReplayLink", "load", "restore", "save", "verify", "written"]

_SEGMENT_ROWS = 4096
_LARGEST_LOG = 2  # capacities
# What `Replay.sample` leaves out at the old end of a full buffer, at most.
_UNREACHED = 1024


def save(replay: Replay, path: str | Path, rows: int, previous: ReplayLink | None) -> ReplayLink:
    """Write those of the first `rows` rows of a buffer that sampling can reach.

    The driving process may go on writing meanwhile: up to `Replay.margin` rows beyond `rows`.

    Args:
        replay: The buffer.
        path: The file, `td3_<step>.replay`; folders are created, a replay there is replaced.
        rows: As the `head` of `Replay.sample`; at least 1.
        previous: What the last save of this buffer into this folder returned, or what the buffer
            was restored from; the new rows are appended to that file. None writes all rows.

    Raises:
        CheckpointError: If it cannot be written; the replays of earlier checkpoints are unchanged.
    """
    path = Path(path)
    if not 1 <= rows <= replay.rows_written:
        raise CheckpointError(f"{path}: {rows} rows are not in 1 .. {replay.rows_written}")
    _check_replaceable(path)
    # The oldest row that sampling below `rows` can reach, see `Replay.sample`.
    oldest = max(0, rows - replay.capacity + replay.margin + 1)
    reaches = previous if previous and oldest < previous.rows <= rows else None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if reaches and _has_room(replay, path.parent / reaches.file, rows, reaches):
            size, digest = _append(replay, path, rows, reaches)
            first = reaches.first
        else:
            size, digest = _write_anew(replay, path, oldest, rows)
            first = oldest
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written: {one_line(error)}") from error
    transitions = _transitions_below(replay, rows, reaches)
    return ReplayLink(path.name, size, first, rows, transitions, digest)


def _check_replaceable(path: Path) -> None:
    if not replay_log.may_replace(path):
        raise CheckpointError(f"{path}: cannot be written: what is there is no replay file")


@contextlib.contextmanager
def written(
    out: Path, rows: int, sizes: tuple[tuple[int, ...] | None, int, int], meaning: Meaning
) -> Iterator[Replay]:
    """A buffer that is saved as one file of its own when it was filled without an error.

    Args:
        out: The file; folders are created, a replay there is replaced.
        rows: How many rows are written at most.
        sizes: Shape of a stack of frames, lengths of vector and action.
        meaning: What the numbers mean.

    Raises:
        CheckpointError: If the file cannot be written.
    """
    _check_replaceable(out)  # before it is filled
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        unreached = _UNREACHED + (sizes[0][0] if sizes[0] else 0)
        # In a file, not in memory: an hour is half a gigabyte.
        filled = Replay(rows + unreached, *sizes, file=Path(folder) / "rows", meaning=meaning)
        yield filled
        save(filled, out, filled.rows_written, None)


def verify(folder: str | Path, link: ReplayLink) -> None:
    """Check the replay file beside a checkpoint in `folder`.

    Raises:
        CheckpointError: If it is missing, damaged, or another checkpoint's.
    """
    for _ in replay_log.segments(Path(folder) / link.file, link, expected=None):
        pass


def restore(
    replay: Replay, folder: str | Path, link: ReplayLink, told: Meaning | None = None
) -> None:
    """Fill a buffer from a file; `sample` then draws what it would have drawn when it was saved.

    Nothing may write to or sample from the buffer meanwhile. An episode that was open is closed:
    the next one begins with `Replay.begin`.

    Args:
        replay: The buffer to fill.
        folder: The folder of the checkpoint.
        link: The checkpoint's link to its replay.
        told: The meaning of the numbers if the file does not say; None if not known.

    Raises:
        MeaningError: If its numbers mean something else than the buffer's.
        CheckpointError: If the file is missing, damaged, another checkpoint's or from a buffer of
            other sizes; the buffer is unchanged then.
    """
    path = Path(folder) / link.file
    columns = _columns(replay)
    expected = replay_log.header(columns, replay.meaning)
    for _ in replay_log.segments(path, link, expected):
        pass  # all of it is verified before the buffer changes
    _check_meaning(path, replay.meaning, told)
    counters = replay.arrays()["counters"]
    counters[:] = 0  # should reading fail now, the buffer is empty rather than mixed
    for segment in replay_log.segments(path, link, expected):
        if segment.first + segment.count > link.rows - replay.capacity:
            segment.put(columns)
    counters[:] = link.rows, link.transitions


def load(
    path: str | Path,
    image_shape: tuple[int, ...] | None,
    vector_dim: int,
    action_dim: int,
    meaning: Meaning | None = None,
) -> Replay:
    """A new buffer with the content of a file, whether or not it belongs to a checkpoint.

    Args:
        path: A whole file written by `save`.
        image_shape: As `vector_dim`, `action_dim` and `meaning`, of `Replay`.

    Raises:
        MeaningError: If its numbers mean something else.
        CheckpointError: If the file cannot be read, is damaged or from a buffer of other sizes.
    """
    path = Path(path)
    capacity, link = replay_log.describe(path)
    replay = Replay(capacity, image_shape, vector_dim, action_dim, meaning=meaning)
    restore(replay, path.parent, link)
    transitions = _count_actions(replay, max(link.first, link.rows - capacity), link.rows)
    replay.arrays()["counters"][1] = transitions
    return replay


def _check_meaning(path: Path, own: Meaning | None, told: Meaning | None) -> None:
    if own is None:
        return
    saved = replay_log.meaning(path)
    if saved is None:
        own = completed(own, told or {})
        known = {name: told[name] for name in own if name in told} if told else {}
        if not known:
            raise MeaningError(f"{path}: does not say what its numbers mean")
        saved = {**own, **known}
    if differ := differences(saved, own):
        raise MeaningError(f"{path}: its numbers mean something else: {'; '.join(differ)}")


def _columns(replay: Replay) -> Columns:
    return {name: array for name, array in replay.arrays().items() if name != "counters"}


def _has_room(replay: Replay, log: Path, rows: int, previous: ReplayLink) -> bool:
    """Whether a log belongs to this buffer, ends where it was last saved, and may grow."""
    if rows - previous.first > _LARGEST_LOG * replay.capacity:
        return False
    header = replay_log.header(_columns(replay), replay.meaning)
    with contextlib.suppress(FileNotFoundError), log.open("rb") as file:
        if file.seek(0, os.SEEK_END) != previous.bytes:
            return False
        file.seek(previous.bytes - replay_log.DIGEST_BYTES)
        last = file.read()
        file.seek(0)
        return last.hex() == previous.sha256 and file.read(len(header)) == header
    return False


def _append(replay: Replay, path: Path, rows: int, previous: ReplayLink) -> tuple[int, str]:
    log = path.parent / previous.file
    with log.open("r+b") as file:
        file.seek(previous.bytes)
        try:
            # From the row that was the newest: it had no action then.
            digest = _write_rows(replay, file, previous.rows - 1, rows, previous.sha256)
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            # A log that ends elsewhere than its last checkpoint's part is not appended to again.
            with contextlib.suppress(OSError):
                file.truncate(previous.bytes)
            raise
        size = file.tell()
    if log != path:
        durable_file.publish(log, path)
    return size, digest


def _write_anew(replay: Replay, path: Path, oldest: int, rows: int) -> tuple[int, str]:
    written: tuple[int, str] = (0, "")

    def fill(file: BinaryIO) -> None:
        nonlocal written
        header = replay_log.header(_columns(replay), replay.meaning)
        file.write(header)
        digest = _write_rows(replay, file, oldest, rows, hashlib.sha256(header).hexdigest())
        written = file.tell(), digest

    durable_file.replace(path, fill)
    return written


def _write_rows(replay: Replay, file: BinaryIO, start: int, end: int, digest: str) -> str:
    """Write rows start .. end - 1 in segments; returns the digest of the last one."""
    columns = _columns(replay)
    for first in range(start, end, _SEGMENT_ROWS):
        rows = np.arange(first, min(first + _SEGMENT_ROWS, end))
        copies = {name: column[rows % replay.capacity] for name, column in columns.items()}
        if first <= replay.rows_written - replay.capacity:
            raise CheckpointError(
                f"replay: row {first} was overwritten before it was saved, a buffer of"
                f" {replay.capacity} rows is too small for this speed of driving"
            )
        if rows[-1] == end - 1:
            # The driver may have gone on; as of this save, the newest row has no action yet.
            for name in ("actions", "rewards", "flags"):
                copies[name][-1] = 0
        digest = replay_log.write_segment(file, first, copies, digest)
    return digest


def _transitions_below(replay: Replay, rows: int, previous: ReplayLink | None) -> int:
    """The value of `Replay.transitions` when `rows` rows had been written."""
    if previous:
        return previous.transitions + _count_actions(replay, previous.rows - 1, rows - 1)
    return replay.transitions - _count_actions(replay, rows - 1, replay.rows_written)


def _count_actions(replay: Replay, start: int, end: int) -> int:
    """The number of rows among start .. end - 1 that have an action."""
    slots = np.arange(start, end) % replay.capacity
    return int(np.count_nonzero(replay.arrays()["flags"][slots]))
