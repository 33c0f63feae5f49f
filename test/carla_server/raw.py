# SPDX-License-Identifier: Apache-2.0
"""A client of plain sockets: it says what no library would, and sees every byte."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Any

import msgpack

from .serving import HOST

PATIENCE_S = 60.0


class RefusedError(Exception):
    """The server's answer is an error."""


class Connection:
    """A TCP connection, which ends with the block."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((HOST, port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Any:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def die(self) -> None:
        """End as a killed process does that has left something unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def ended(self) -> bool:
        """Wait for a byte or the end: whether the server has ended the connection."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True

    def _read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(min(count - len(data), 2**20))
            if not part:
                raise ConnectionError("the server has ended the connection")
            data += part
        return bytes(data)


class Caller(Connection):
    """Calls of msgpack-rpc."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._unpacker = msgpack.Unpacker(raw=False)
        self._number = 0

    def send(self, name: str, *arguments: Any) -> None:
        """A request, whose reply stays to be fetched."""
        self._number += 1
        self.socket.sendall(request(self._number, name, *arguments))

    def reply(self) -> Any:
        """The next reply's value.

        Raises:
            RefusedError: it is an error.
        """
        while (message := next(self._unpacker, None)) is None:
            data = self.socket.recv(2**20)
            if not data:
                raise ConnectionError("the server has ended the connection")
            self._unpacker.feed(data)
        kind, _, error, result = message
        assert kind == 1
        if error is not None:
            raise RefusedError(error)
        match result:
            case [[True, [text]]] | [[0, [str(text)]]]:
                raise RefusedError(text)
            case [[False]]:
                return None
            case [[1, value]] if len(result) == 1:
                return value
        return result

    def call(self, name: str, *arguments: Any) -> Any:
        """A call's value.

        Raises:
            RefusedError: the server refuses it.
        """
        self.send(name, *arguments)
        return self.reply()

    def synchronous(self, *, on: bool = True) -> int:
        """Change how the world ticks; the number of the newest frame."""
        frame: int = self.call("set_episode_settings", [on, False, [True, 0.05]])
        return frame

    def spawn(self, kind: str, at: Any = None, parent: int = 0, **attributes: object) -> Any:
        """The actor: its number is the first of it, its token the last."""
        where = at or [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        values = [[name, 4, str(value)] for name, value in attributes.items()]
        described = [1, kind, values]
        if parent:
            return self.call("spawn_actor_with_parent", described, where, parent, 0, "")
        return self.call("spawn_actor", described, where)

    def spawn_points(self) -> list[Any]:
        points: list[Any] = self.call("get_map_info")[1]
        return points


class Listener(Connection):
    """One who listens to a stream.

    Args:
        token: which one.
    """

    def __init__(self, token: bytes) -> None:
        stream_id, port = struct.unpack_from("<IH", token)
        super().__init__(port)
        self.socket.sendall(struct.pack("<I", stream_id))

    def message(self) -> bytes:
        (size,) = struct.unpack("<I", self._read(4))
        return self._read(size)


def request(number: int, name: str, *arguments: Any) -> bytes:
    """The bytes of a call."""
    packed: bytes = msgpack.packb([0, number, name, [[False], *arguments]])
    return packed


def frame_of(message: bytes) -> int:
    """The frame of a stream's message."""
    (frame,) = struct.unpack_from("<Q", message, 8)
    return int(frame)


def episode_token(caller: Caller) -> bytes:
    """Where the state of each tick is told."""
    _, [token] = caller.call("get_episode_info")
    assert isinstance(token, bytes)
    return token
