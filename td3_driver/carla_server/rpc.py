# SPDX-License-Identifier: Apache-2.0
"""Remote calls: msgpack-rpc over TCP, as LibCarla's rpclib speaks it.

A request is `[0, id, method, [[asynchronous], argument...]]`, its reply `[1, id, error, result]`.
Calls of a connection are done in their order. Nothing is read from a client that does not fetch
its replies, and no client keeps the others waiting by sending many calls at once.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgpack

from td3_driver.carla_server.structures import CallError, decoder, encode

Log = Callable[[str], None]

MOST_CONNECTIONS = 200
_LARGEST_BYTES = 128 * 2**20  # of one message: the largest public map has 80 MB
_MOST_ELEMENTS = 2_000_000  # of one message, each of which takes up to 100 times its bytes
_LONGEST_TEXT = 1000  # of an error
_TURN_S = 0.02  # for the calls that a client has sent, before others have theirs
_REQUEST = 0
_NOTHING = object()
_MOST_SAID = 1000  # lines about clients, each once


@dataclass(frozen=True)
class Method:
    """A function that clients may call, with the types of its arguments.

    Attributes:
        bare: the result is not wrapped, as `apply_batch`'s.
        returns: the function returns a value; else the reply says that nothing failed.
    """

    function: Callable[..., Any]
    decoders: tuple[Callable[[Any], Any], ...]
    names: tuple[str, ...]
    required: int
    returns: bool
    bare: bool


class Replied:
    """A result, and what is done after it has been sent."""

    def __init__(self, value: Any, then: Callable[[], None]) -> None:
        self.value, self.then = value, then


def methods_of(source: object, *, bare: frozenset[str] = frozenset()) -> dict[str, Method]:
    """The public methods of an object, by name; their annotations say what is decoded."""
    found = {}
    for name, function in inspect.getmembers(source, inspect.ismethod):
        if name.startswith("_"):
            continue
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = inspect.signature(function).parameters
        found[name] = Method(
            function,
            tuple(decoder(hints[parameter]) for parameter in parameters),
            tuple(parameters),
            sum(p.default is inspect.Parameter.empty for p in parameters.values()),
            hints["return"] is not type(None),
            name in bare,
        )
    return found


class RpcServer:
    """Answers the calls of any number of clients.

    Args:
        methods: what can be called.
        log: says a line to who runs the server.
        failed: called in an `except` block with the method of a call that failed by our own fault.
    """

    def __init__(
        self, methods: Mapping[str, Method], log: Log, failed: Callable[[str], None]
    ) -> None:
        self._methods = methods
        self._failed = failed
        self._said: set[str] = set()
        self._connections: set[asyncio.Transport] = set()
        self._pack = msgpack.Packer(unicode_errors="surrogateescape").pack
        self.log = log

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self)

    def arrived(self, transport: asyncio.Transport) -> bool:
        """Note a connection; False: there are enough."""
        if len(self._connections) >= MOST_CONNECTIONS:
            return False
        self._connections.add(transport)
        return True

    def left(self, transport: asyncio.Transport) -> None:
        """Forget a connection."""
        self._connections.discard(transport)

    def close(self) -> None:
        """End all connections."""
        for transport in self._connections:
            transport.abort()

    def answer(
        self, number: int, name: str, arguments: list[Any], *, unheard: bool = False
    ) -> tuple[bytes, Callable[[], None] | None]:
        """Do a call; returns the bytes of its reply, and what is to be done after these are sent.

        Of an `unheard` call the client throws the reply away.

        What fails by our own fault is logged, and the client is told: the world goes on.
        """
        method = self._methods.get(name)
        if method is None:
            shown = name if len(name) <= 80 else f"{name[:77]}..."
            self._say(f"a client called {shown!r}, which this server does not have")
            failure = (
                f"this server has no function '{shown}' (td3_driver's embedded world; "
                f"{len(arguments)} arguments)"
            )
            return self._pack([1, number, failure, None]), None
        then = None
        try:
            value = method.function(*_decoded(name, method, arguments))
            if isinstance(value, Replied):
                value, then = value.value, value.then
            if method.bare:
                result = value
            else:
                result = [[1, encode(value)]] if method.returns else [[False]]
            return self._pack([1, number, None, result]), then
        except CallError as error:
            if unheard:
                self._say(f"a client's call failed: {str(error)[:200]}")
            return self._failure(number, method, str(error)), None
        except Exception:  # noqa: BLE001 - ours: the client is told, the world goes on
            self._failed(name)
            text = f"{name}: internal error of the server, see its log"
            return self._failure(number, method, text), None

    def follow_up(self, name: str, then: Callable[[], None]) -> None:
        """Do what is to be done after a reply."""
        try:
            then()
        except Exception:  # noqa: BLE001 - ours: the world goes on
            self._failed(name)

    def _failure(self, number: int, method: Method, text: str) -> bytes:
        packed: bytes
        if len(text) > _LONGEST_TEXT:  # it names what the client sent
            text = f"{text[: _LONGEST_TEXT - 3]}..."
        if method.bare:
            packed = self._pack([1, number, text, None])
        else:
            result = [[0, [text]]] if method.returns else [[True, [text]]]
            packed = self._pack([1, number, None, result])
        return packed

    def _say(self, text: str) -> None:
        """Log a line once, and not more than so many."""
        if text not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(text)
            self.log(text)


class _Connection(asyncio.Protocol):
    def __init__(self, server: RpcServer) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._elements = 0
        self._behind = False  # the client, with fetching its replies
        self._unpacker = msgpack.Unpacker(
            raw=False,
            unicode_errors="surrogateescape",
            list_hook=self._counted,
            object_hook=self._counted,
            max_buffer_size=_LARGEST_BYTES,
            max_array_len=_MOST_ELEMENTS,
            max_map_len=_MOST_ELEMENTS,
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if not self._server.arrived(transport):
            self._refuse(f"there are {MOST_CONNECTIONS} others")
            return
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._server.left(self._transport)
        self._transport = None

    def pause_writing(self) -> None:
        self._behind = True

    def resume_writing(self) -> None:
        self._behind = False
        # Not at once: a reply that cannot be sent in here ends the transport twice.
        asyncio.get_running_loop().call_soon(self._go_on)

    def data_received(self, data: bytes) -> None:
        try:
            self._unpacker.feed(data)
        except msgpack.exceptions.BufferFull:
            self._refuse(f"a message of more than {_LARGEST_BYTES} bytes")
            return
        self._go_on()

    def _go_on(self) -> None:
        """Do the calls that have come, for as long as it is this client's turn."""
        end_s = time.monotonic() + _TURN_S
        while self._transport is not None:
            if self._behind:
                self._transport.pause_reading()
                return
            try:
                message = next(self._unpacker, _NOTHING)
            except (msgpack.exceptions.UnpackException, ValueError) as error:
                self._refuse(f"what it sent is not msgpack ({error or type(error).__name__})")
                return
            self._elements = 0
            if message is _NOTHING:
                self._transport.resume_reading()
                return
            self._take(message)
            if time.monotonic() > end_s and self._transport is not None:
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._go_on)
                return

    def _take(self, message: Any) -> None:
        match message:
            case [int(kind), int(number), str(name), [how, *arguments]] if kind == _REQUEST:
                reply, then = self._server.answer(
                    number, name, arguments, unheard=how == [True]
                )
                if self._transport is not None:
                    self._transport.write(reply)
                if then is not None:
                    self._server.follow_up(name, then)
            case _:
                self._refuse("what it sent is not a call of msgpack-rpc")

    def _counted(self, value: Any) -> Any:
        """A list or map of a message."""
        self._elements += 1 + len(value)
        if self._elements > _MOST_ELEMENTS:
            raise ValueError(f"more than {_MOST_ELEMENTS} elements in a message")
        return value

    def _refuse(self, why: str) -> None:
        if self._transport is not None:
            host, port = self._transport.get_extra_info("peername")[:2]
            self._server.log(f"closed the connection of {host}:{port}: {why}")
            self._transport.abort()
            self._server.left(self._transport)
            self._transport = None


def _decoded(name: str, method: Method, arguments: list[Any]) -> list[Any]:
    """The arguments of a call.

    Raises:
        CallError: one is missing or of another kind.
    """
    if len(arguments) < method.required:
        raise CallError(
            f"{name}: {len(arguments)} arguments; expected {', '.join(method.names)}"
        )
    values = []
    for argument, decode, of in zip(arguments, method.decoders, method.names, strict=False):
        try:
            values.append(decode(argument))
        except CallError as error:
            raise CallError(f"{name}: {of} {error}") from error
    return values
