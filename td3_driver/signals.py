# SPDX-License-Identifier: Apache-2.0
"""The signals of Ctrl-C, systemd, `timeout` and a closing terminal, which end a process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(BaseException):
    """The process was asked to end.

    Not KeyboardInterrupt: after one that passed through `exec`, Python exits by killing itself.
    """


Handler = Callable[[int, FrameType | None], object]


def handle(handler: Handler) -> None:
    """Install a handler for each of these signals.

    SIGHUP stays ignored if it is, as nohup wants. SIGINT does not, as in every ROS node: a shell
    script makes what it starts with `&` ignore it, and their children, which are ended by SIGINT,
    would inherit that.
    """
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore these signals from now on, even while Python exits and removes handlers.

    Only for a process's end: Python prints an error about a signal that came before and is not
    handled yet.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """Within, delay the handling of signals until the block ends; in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in ENDING}
    handle(lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        os.kill(os.getpid(), came[0])


def raise_once(error: BaseException) -> Handler:
    """Return a handler that raises `error` once; later signals do not interrupt the cleanup."""

    def handler(number: int, frame: FrameType | None) -> NoReturn:
        handle(lambda *_: None)
        raise error

    return handler
