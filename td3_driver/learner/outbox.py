# SPDX-License-Identifier: Apache-2.0
"""Sending to a process that may not read, without ever blocking."""

from __future__ import annotations

import socket
from collections import deque
from threading import Lock, Thread

# The most bytes that wait for a slow reader, beside what the kernel holds.
BACKLOG_BYTES = 1 << 20


class Outbox:
    """Sends bytes to the other end of a stream socket, in the order of `put`.

    What the socket takes is sent at once, so that a reader that keeps up gets it without delay.
    The rest waits here for a thread, which ends when nothing waits any more.

    Args:
        stream: a connected stream socket, owned by the outbox from now on.
    """

    def __init__(self, stream: socket.socket) -> None:
        self._socket = stream
        self._lock = Lock()
        self._backlog: deque[bytes] = deque()
        self._backlog_bytes = 0
        self._closed = False

    def put(self, data: bytes) -> bool:
        """Send all of the data, now or later; False if too much waits, and nothing is sent.

        Also False if the reader has gone. Never blocks.
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
        except OSError:  # the reader has gone
            self._closed = True
            return len(data)

    def _send_backlog(self) -> None:
        while True:
            try:
                self._socket.sendall(self._backlog[0])
            except OSError:  # the reader has gone
                self._closed = True
                return
            with self._lock:
                self._backlog_bytes -= len(self._backlog.popleft())
                if not self._backlog:
                    return
