# SPDX-License-Identifier: Apache-2.0
"""Standard output and standard error, whose reader may leave early: `... | head -1`."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

READER_LEFT = 128 + signal.SIGPIPE  # the exit code that a shell gives a program in a closed pipe


@contextlib.contextmanager
def readers_may_leave() -> Iterator[None]:
    """Within, who writes to a closed pipe ends in order and says nothing: SystemExit(READER_LEFT).

    Not BrokenPipeError: as an OSError it looks like a fault of the file that is being worked on.
    A thread does not end by it; the process gets a SIGTERM instead.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and stream is getattr(sys, f"__{name}__"):  # nobody else's stand-in
            setattr(sys, name, _watched(stream))
    try:
        yield
    finally:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()  # here, for at the interpreter's end it would be too late


class _Watched(io.FileIO):
    """A file descriptor that swallows everything once its reader has left."""

    def write(self, data: Any) -> int:
        """As FileIO's.

        Raises:
            SystemExit: the reader left, seen from the main thread; the first time only.
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
