# SPDX-License-Identifier: Apache-2.0
"""Sending to a process that may not read, without ever waiting for it."""

from __future__ import annotations

import socket
from collections import deque
from threading import Lock, Thread

# So much waits at most for a reader that has fallen behind, beside what the kernel holds.
BACKLOG_BYTES = 1 << 20


class Outbox:
    """Bytes to the other end of a stream socket, in the order in which they were put.

    What the socket takes at once goes at once, so that a reader who keeps up gets it without
    delay. What it does not take waits here, for a thread that ends when nothing waits any more.

    Args:
        stream: a connected stream socket, which is the outbox's from now on.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._lock = Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._closed = False

    def put(self, data: bytes) -> bool:
        """Send all of this, now or later; False, and none of it, where too much waits already.

        False, too, where nobody is there to read it. Never blocks.
        """
        with self._lock:
            if self._closed or self._backlog_bytes >= BACKLOG_BYTES:
                return False
            rest = data if self._backlog else data[self._send_at_once(data) :]
            if rest:
                self._backlog.append(rest)
                self._backlog_bytes += len(rest)
                if len(self._backlog) == 1:
                    Thread(target=self._send_backlog, name="outbox", daemon=True).start()
            return not self._closed

    def _send_at_once(self, data: bytes) -> int:
        try:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
        except OSError:  # nobody is there
            self._closed = True
            return len(data)

    def _send_backlog(self) -> None:
        while True:
            try:
                self._socket.sendall(self._backlog[0])
            except OSError:  # nobody is there any more
                self._closed = True
                return
            with self._lock:
                self._backlog_bytes -= len(self._backlog.popleft())
                if not self._backlog:
                    return
