# SPDX-License-Identifier: Apache-2.0
"""Remote calls: msgpack-rpc over TCP, as LibCarla's rpclib speaks it.

A request is `[0, id, method, [[asynchronous], argument...]]`, its reply `[1, id, error, result]`.
Calls of a connection are done in their order.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgpack

from td3_driver.carla_server.structures import CallError, decoder, encode

Log = Callable[[str], None]

_LARGEST_BYTES = 128 * 2**20  # of one message: the largest public map has 80 MB
_MOST_UNSENT_BYTES = 256 * 2**20  # of replies that a client does not fetch
_MOST_SAID = 1000  # lines about calls
_REQUEST = 0


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
        hints = typing.get_type_hints(function)
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
        self._log = log
        self._failed = failed
        self._said: set[str] = set()

    def connection(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        return _Connection(self._answer, self._log)

    def _answer(
        self, reply: Callable[[Any, Any], None], unheard: bool, name: str, arguments: list[Any]
    ) -> None:
        method = self._methods.get(name)
        if method is None:
            self._say(f"a client called {name[:80]!r}, which this server does not have")
            reply(
                f"this server has no function '{name}' (td3_driver's embedded world; "
                f"{len(arguments)} arguments)",
                None,
            )
            return
        try:
            value = method.function(*_decoded(name, method, arguments))
        except CallError as error:
            if unheard:  # the client throws the reply to such a call away
                self._say(f"a client's call failed: {str(error)[:200]}")
            failure = [str(error)]
            reply(None, [[0, failure]] if method.returns else [[True, failure]])
            return
        except Exception:  # noqa: BLE001 - ours: the client is told, the world goes on
            self._failed(name)
            failure = [f"{name}: internal error of the server, see its log"]
            reply(None, [[0, failure]] if method.returns else [[True, failure]])
            return
        then = None
        if isinstance(value, Replied):
            value, then = value.value, value.then
        if method.bare:
            reply(None, value)
        else:
            reply(None, [[1, encode(value)]] if method.returns else [[False]])
        if then is not None:
            then()

    def _say(self, text: str) -> None:
        """Log a line once, and not more than so many."""
        if text not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(text)
            self._log(text)


class _Connection(asyncio.Protocol):
    def __init__(
        self, answer: Callable[[Callable[[Any, Any], None], bool, str, list[Any]], None], log: Log
    ) -> None:
        self._answer = answer
        self._log = log
        self._transport: asyncio.Transport | None = None
        self._unpacker = msgpack.Unpacker(
            raw=False, unicode_errors="surrogateescape", max_buffer_size=_LARGEST_BYTES
        )
        self._pack = msgpack.Packer(unicode_errors="surrogateescape").pack

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        try:
            self._unpacker.feed(data)
            for message in self._unpacker:
                self._take(message)
                if self._transport is None:
                    return
        except (msgpack.exceptions.UnpackException, ValueError) as error:
            self._refuse(f"what it sent is not msgpack ({error or type(error).__name__})")

    def _take(self, message: Any) -> None:
        match message:
            case [int(kind), int(number), str(name), [how, *arguments]] if kind == _REQUEST:
                self._answer(partial(self._reply, number), how == [True], name, arguments)
            case _:
                self._refuse("what it sent is not a call of msgpack-rpc")

    def _reply(self, number: int, error: Any, result: Any) -> None:
        if self._transport is None:
            return
        self._transport.write(self._pack([1, number, error, result]))
        if self._transport.get_write_buffer_size() > _MOST_UNSENT_BYTES:
            self._refuse("it does not fetch its replies")

    def _refuse(self, why: str) -> None:
        if self._transport is not None:
            host, port = self._transport.get_extra_info("peername")[:2]
            self._log(f"closed the connection of {host}:{port}: {why}")
            self._transport.abort()
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
