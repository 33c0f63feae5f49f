# SPDX-License-Identifier: Apache-2.0
"""Streams: what sensors and the episode send, a TCP connection for each stream and listener.

A client connects, sends the stream's id as four bytes, and gets messages: four bytes of length,
then so many. Nobody waits for a listener: what one does not fetch is dropped, whole messages at a
time, and if all together leave too much, the one that leaves the most is sent away.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
from collections.abc import Callable

from td3_driver.carla_server import wire

_ID = struct.Struct("<I")
_PATIENCE_S = 10.0  # for the id of a stream
MOST_CONNECTIONS = 500
_MOST_UNSENT_BYTES = 64 * 2**20  # of one listener, if it is more than one message
_MOST_UNSENT_OF_ALL_BYTES = 512 * 2**20


class Streams:
    """All streams of a server.

    Args:
        port: where they are found.
        log: says a line to who runs the server.
    """

    def __init__(self, port: int, log: Callable[[str], None]) -> None:
        self._port = port
        self._log = log
        self._listeners: dict[int, list[_Listener]] = {}
        self._ids = itertools.count(1)
        self._connected: set[_Listener] = set()
        self._behind: set[_Listener] = set()

    def open(self) -> int:
        """A new stream's id."""
        stream_id = next(self._ids)
        self._listeners[stream_id] = []
        return stream_id

    def close(self, stream_id: int) -> None:
        """End a stream; who listens to it is told by the end of the connection."""
        for listener in self._listeners.pop(stream_id, []):
            listener.end()

    def token(self, stream_id: int) -> bytes:
        """What a client needs to find a stream."""
        return wire.token(stream_id, self._port)

    def heard(self, stream_id: int) -> bool:
        """Whether anybody listens."""
        return bool(self._listeners.get(stream_id))

    def publish(self, stream_id: int, *parts: bytes) -> None:
        """Send a message to everybody who listens."""
        listeners = self._listeners.get(stream_id)
        if listeners:
            message = b"".join((_ID.pack(sum(map(len, parts))), *parts))
            for listener in listeners:
                listener.send(message)
                if listener.unsent_bytes:
                    self._behind.add(listener)
            self._send_away()

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Listener(self)

    def shut(self) -> None:
        """End all connections."""
        for listener in self._connected:
            listener.end()

    def arrived(self, listener: _Listener) -> bool:
        """Note a connection; False: there are enough."""
        if len(self._connected) >= MOST_CONNECTIONS:
            return False
        self._connected.add(listener)
        return True

    def subscribed(self, listener: _Listener, stream_id: int) -> bool:
        """Add a listener; False: there is no such stream."""
        if stream_id not in self._listeners:
            return False
        self._listeners[stream_id].append(listener)
        return True

    def left(self, listener: _Listener, stream_id: int | None) -> None:
        """Forget a listener."""
        self._connected.discard(listener)
        self._behind.discard(listener)
        listeners = self._listeners.get(stream_id, []) if stream_id is not None else []
        if listener in listeners:
            listeners.remove(listener)

    def say(self, text: str) -> None:
        """Log a line."""
        self._log(text)

    def _send_away(self) -> None:
        """End the connections of those furthest behind, until the rest is bearable."""
        if not self._behind:
            return
        self._behind = {listener for listener in self._behind if listener.unsent_bytes}
        unsent = sum(listener.unsent_bytes for listener in self._behind)
        while unsent > _MOST_UNSENT_OF_ALL_BYTES:
            slowest = max(self._behind, key=lambda listener: listener.unsent_bytes)
            unsent -= slowest.unsent_bytes
            self._behind.discard(slowest)
            self._log("closed the connection of a listener that does not fetch what it is sent")
            slowest.end()


class _Listener(asyncio.Protocol):
    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._transport: asyncio.Transport | None = None
        self._heard = b""
        self._stream_id: int | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._misses = False

    @property
    def unsent_bytes(self) -> int:
        """What it has not fetched yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._streams.arrived(self):
            self._streams.say(f"refused a listener: there are {MOST_CONNECTIONS} others")
            self.end()
            return
        self._patience = asyncio.get_running_loop().call_later(_PATIENCE_S, self.end)

    def data_received(self, data: bytes) -> None:
        if self._stream_id is not None:
            return  # nothing more is expected
        self._heard += data[: _ID.size]
        if len(self._heard) < _ID.size:
            return
        if self._patience is not None:
            self._patience.cancel()
        (stream_id,) = _ID.unpack(self._heard[: _ID.size])
        if self._streams.subscribed(self, stream_id):
            self._stream_id = stream_id
        else:
            self.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._patience is not None:
            self._patience.cancel()
        self._streams.left(self, self._stream_id)

    def send(self, message: bytes) -> None:
        """Send a message, or drop it if this listener is far behind."""
        if self._transport is None:
            return
        unsent = self.unsent_bytes
        misses = unsent > 0 and unsent + len(message) > _MOST_UNSENT_BYTES
        if misses and not self._misses:
            self._streams.say(f"a listener of stream {self._stream_id} is slow and misses some")
        self._misses = misses
        if not misses:
            self._transport.write(message)

    def end(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
