# SPDX-License-Identifier: Apache-2.0
"""Standard output and error, whose reader may leave early, as in `... | head -1`."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

BAR = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
"""A run's progress, as tqdm's `bar_format`."""

READER_LEFT = 128 + signal.SIGPIPE  # a shell's exit code of a program that wrote to a closed pipe


@contextlib.contextmanager
def readers_may_leave() -> Iterator[None]:
    """Within, writing to a closed pipe ends the program quietly: SystemExit(READER_LEFT).

    BrokenPipeError would, as an OSError, look like a fault of the file being worked on. SystemExit
    in a thread would end only that, so there the process gets a SIGTERM instead.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):  # not replaced
            setattr(sys, name, _watched(stream))
    try:
        yield
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()  # here, since at the interpreter's exit it would be too late


class _Watched(io.FileIO):
    """A file descriptor that discards all output once its reader has left."""

    def write(self, data: Any) -> int:
        """Write like FileIO.

        Raises:
            SystemExit: the reader has left; only in the main thread, and only once.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if threading.current_thread() is threading.main_thread():
                raise SystemExit(READER_LEFT) from None
            signal.raise_signal(signal.SIGTERM)
            return len(data)


def _watched(stream: Any) -> io.TextIOWrapper:
    stream.flush()
    raw: Any = _Watched(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if stream.write_through else io.BufferedWriter(raw),  # as with `python -u`
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
