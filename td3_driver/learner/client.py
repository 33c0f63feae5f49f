# SPDX-License-Identifier: Apache-2.0
"""The driving process' end of the learner: never blocks, and calls back when there is news."""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from td3_driver.learner import process as learner
from td3_driver.learner.messages import Event, Lost, Request, Stop
from td3_driver.learner.outbox import Outbox
from td3_driver.learner.process import LearnerSpec
from td3_driver.signals import ENDING

STOP_TIMEOUT_S = 10.0


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """A process that is started within never sees a signal that asks it to end.

    Ctrl-C, systemd and `timeout` ask the whole group; the driver decides when learning ends, by
    closing the pipe. A blocked signal is inherited, and so blocked from the process' first moment
    on, while it imports for seconds; ours waits meanwhile, or goes to another thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        resource_tracker.ensure_running()  # a process too; its start lets signals through again
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class LearnerClient:
    """Starts the learner process and keeps the events it sends, in order.

    Args:
        spec: what the process starts with.
        on_event: called from a thread when there is something to `poll`; must not block.
    """

    def __init__(self, spec: LearnerSpec, on_event: Callable[[], None]) -> None:
        # spawn: a fork would copy locks of a live DDS participant in an unknown state.
        context = multiprocessing.get_context("spawn")
        requests, ours = socket.socketpair()
        events, theirs = context.Pipe(duplex=False)
        self._outbox = Outbox(ours)
        self._process = context.Process(
            target=learner.run, args=(spec, requests, theirs), daemon=True
        )
        with _deaf_to_signals():
            self._process.start()
        # Should nobody stop it, multiprocessing would send SIGTERM and wait for ever.
        atexit.register(self._process.kill)
        requests.close()
        theirs.close()
        self._events: deque[Event] = deque()
        self._on_event = on_event
        self._stopping = False
        self._thread = threading.Thread(
            target=self._listen, args=(events,), name="learner-events", daemon=True
        )
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process id, for messages and tests."""
        return self._process.pid

    def send(self, request: Request) -> bool:
        """Ask for something; whether that could be said.

        It cannot while a learner that does not listen has been told too much already, nor when
        it has gone, which a `Lost` event reports.
        """
        return self._outbox.put(pickle.dumps(request))

    def poll(self) -> Event | None:
        """The next event, or None."""
        return self._events.popleft() if self._events else None

    def stop(self, within_s: float = STOP_TIMEOUT_S) -> None:
        """Let the learner finish what it was asked, but no longer than that, then end it."""
        self._stopping = True
        self.send(Stop())
        self._thread.join(within_s)  # until it closes its end of the pipe
        self._process.kill()  # what is left is taking torch down, which takes a second
        self._process.join()
        atexit.unregister(self._process.kill)

    def _listen(self, events: Connection) -> None:
        while True:
            try:
                event: Event = events.recv()
            except (EOFError, OSError):
                if not self._stopping:
                    self._process.join()
                    self._post(Lost(f"the learner process ended ({self._exit_reason()})"))
                return
            self._post(event)
            if isinstance(event, Lost):  # it has said why itself
                return

    def _post(self, event: Event) -> None:
        self._events.append(event)
        self._on_event()

    def _exit_reason(self) -> str:
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
