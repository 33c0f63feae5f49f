# SPDX-License-Identifier: Apache-2.0
"""The signals that ask a process to end: Ctrl-C, systemd and `timeout`, a terminal that closes."""

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

    Not KeyboardInterrupt: where one has passed through `exec`, Python kills itself in the end.
    """


Handler = Callable[[int, FrameType | None], object]


def handle(handler: Handler) -> None:
    """Have each of them handled.

    A terminal's end that is ignored stays so: that is what nohup is for. Ctrl-C does not, as in
    every ROS node: a shell script has what it starts with `&` ignore it, and so would whatever
    that starts, which is asked to end by it.
    """
    for number in ENDING:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


def ignore() -> None:
    """From now on they change nothing, not even when Python, ending, takes handlers away.

    For the end alone: Python complains of a signal that came before and is not handled yet.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def held_back() -> Iterator[None]:
    """What is begun in here is finished before a signal is handled; in the main thread."""
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
    """A handler that raises `error`, once: the next signal does not cut short what it ends."""

    def handler(number: int, frame: FrameType | None) -> NoReturn:
        handle(lambda *_: None)
        raise error

    return handler
