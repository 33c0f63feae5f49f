# SPDX-License-Identifier: Apache-2.0
"""The driving process's end of the learner: sends requests and keeps track of their answers.

Only `stop` waits for the learner.
"""

from __future__ import annotations

import atexit
import multiprocessing
import pickle
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection

from td3_driver.learner import process as learner
from td3_driver.learner.messages import (
    Event,
    Load,
    Loaded,
    Log,
    Lost,
    Refused,
    Request,
    Save,
    Saved,
    Stop,
    Train,
    Trained,
)
from td3_driver.learner.outbox import Outbox
from td3_driver.learner.process import LearnerSpec
from td3_driver.signals import ENDING

STOP_TIMEOUT_S = 10.0
# The most `Train` requests without an answer. In lock-step there are two at most, unless frames
# are answered without waiting for it any longer; a learner that is so far behind gets no more.
MOST_OUTSTANDING = 100

Then = Callable[[Event], None]
# Runs a learner, or what stands for one, in a process of its own: see `process.run`.
Serve = Callable[[LearnerSpec, socket.socket, Connection], None]


@contextmanager
def _deaf_to_signals() -> Iterator[None]:
    """Within, start a process that never sees a signal that asks it to end.

    Ctrl-C, systemd and `timeout` signal the whole group; the driver decides when learning ends, by
    closing the pipe. A child inherits blocked signals, so they are blocked from its first moment
    on, while it imports for seconds. Meanwhile a signal to this process waits, or goes to another
    thread.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        resource_tracker.ensure_running()  # a process too; starting it unblocks signals
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nobody(event: Event) -> None:
    """Ignore an answer whose caller was given another answer already."""


class LearnerClient:
    """Starts the learner process, sends it requests, and receives its events in order.

    Args:
        spec: what the process needs to start.
        on_event: called from a thread when there is an event to `poll`; must not block.
        serve: what the process does; it can be pickled.

    Attributes:
        total_it: number of updates made.
        losses: measures of the last update.
        discarded: number of updates that were not finite and changed nothing.
        halted: there were too many of those; the learner makes no more updates.
        unsaid: number of dropped requests: the learner hangs, is gone, or is too far behind.
        trained_s: time.monotonic of the last finished updates, s; None: none yet.
    """

    def __init__(
        self, spec: LearnerSpec, on_event: Callable[[], None], serve: Serve = learner.run
    ) -> None:
        # spawn: a fork would copy the locks of a live DDS participant in an unknown state.
        context = multiprocessing.get_context("spawn")
        requests, ours = socket.socketpair()
        events, theirs = context.Pipe(duplex=False)
        self._outbox = Outbox(ours)
        self._process = context.Process(
            target=serve, args=(spec, requests, theirs), daemon=True
        )
        with _deaf_to_signals():
            self._process.start()
        # Without `stop` multiprocessing would send SIGTERM, which is blocked, and wait for ever.
        atexit.register(self._process.kill)
        requests.close()
        theirs.close()
        self.total_it = 0
        self.losses: dict[str, float] = {}
        self.discarded = self.unsaid = 0
        self.halted = False
        self.trained_s: float | None = None
        self._outstanding = 0
        self._asked: deque[Then] = deque()  # callbacks of saves and loads, the oldest first
        self._unreachable: Refused | None = None
        self._lost = False
        self._heard_s = time.monotonic()
        self._events: deque[Event] = deque()
        self._on_event = on_event
        self._stopping = False
        self._thread = threading.Thread(
            target=self._listen, args=(events,), name="learner-events", daemon=True
        )
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process ID, for messages and tests."""
        return self._process.pid

    @property
    def outstanding(self) -> int:
        """The number of `Train` requests without an answer."""
        return self._outstanding

    @property
    def idle(self) -> bool:
        """Every request is answered, or there is no process to answer."""
        return not self.reachable or self._owes_nothing

    @property
    def reachable(self) -> bool:
        """The learner runs and answers."""
        return self._unreachable is None

    @property
    def silent_s(self) -> float:
        """Time for which an answer has been owed without any arriving, s."""
        return 0.0 if self._owes_nothing else time.monotonic() - self._heard_s

    def train(self, count: int, rows: int | None) -> None:
        """Ask for updates; see `Train`."""
        self._wait_from_now()
        if self._outstanding >= MOST_OUTSTANDING:
            self.unsaid += 1
        elif self._say(Train(count, rows)):
            self._outstanding += 1

    def ask(self, request: Save | Load, then: Then) -> None:
        """Ask for a file; `then` gets the answer, or `Refused` at once if there can be none."""
        self._wait_from_now()
        if self._say(request):
            self._asked.append(then)
        else:
            then(self._unreachable or Refused("the learner is too far behind to be asked"))

    def log(self, entry: Log) -> None:
        """Send an entry for TensorBoard."""
        self._say(entry)

    def hang(self, reason: str) -> None:
        """Declare that the learner hangs: send no more requests until it answers one.

        Callers that wait for a file get `Refused` now; a later answer is ignored.
        """
        self._unreachable = Refused(reason)
        waiting, self._asked = self._asked, deque([_nobody] * len(self._asked))
        for then in waiting:
            then(self._unreachable)

    def poll(self) -> Event | None:
        """Return the next event, or None; the callback of its request was called before."""
        if not self._events:
            return None
        event = self._events.popleft()
        self._account_for(event)
        return event

    def _account_for(self, event: Event) -> None:
        self._heard_s = time.monotonic()
        if not self._lost:
            self._unreachable = None
        match event:
            case Trained():
                self._outstanding -= 1
                self.total_it, self.losses = event.total_it, event.losses
                self.discarded, self.halted = event.discarded, event.halted
                self.trained_s = self._heard_s
            case Loaded():
                self.total_it, self.halted = event.total_it, False
                if event.path is not None:  # else it is the first event, which nobody asked for
                    self._asked.popleft()(event)
            case Saved() | Refused():
                self._asked.popleft()(event)
            case Lost():
                self._lost = True
                self._outstanding = 0
                self._unreachable = Refused(event.reason)
                while self._asked:
                    self._asked.popleft()(self._unreachable)

    def stop(self, within_s: float = STOP_TIMEOUT_S) -> None:
        """Let the learner finish its requests within a time in s, then end it."""
        self._stopping = True
        self._send(Stop())
        self._thread.join(within_s)  # ends when the learner closes its end of the pipe
        self._process.kill()  # only torch's teardown is left, which takes a second
        self._process.join()
        atexit.unregister(self._process.kill)

    def _say(self, request: Request) -> bool:
        """Send a request unless nobody would answer it; return whether it was sent.

        It is not sent while too much waits for a learner that does not read, nor when it has gone,
        which a `Lost` event reports.
        """
        said = self.reachable and self._send(request)
        self.unsaid += not said
        return said

    def _send(self, request: Request) -> bool:
        return self._outbox.put(pickle.dumps(request))

    @property
    def _owes_nothing(self) -> bool:
        return self._outstanding == 0 and not self._asked

    def _wait_from_now(self) -> None:
        if self._owes_nothing:
            self._heard_s = time.monotonic()

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
            if isinstance(event, Lost):  # it has reported the reason itself
                return

    def _post(self, event: Event) -> None:
        self._events.append(event)
        self._on_event()

    def _exit_reason(self) -> str:
        code = self._process.exitcode
        return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
