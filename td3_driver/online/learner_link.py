# SPDX-License-Identifier: Apache-2.0
"""What a run has asked of the learner, what came back, and whether it still answers."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from td3_driver.learner.client import LearnerClient
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
    Train,
    Trained,
)

Then = Callable[[Event], None]
# In lock-step there is one at a time, but where frames are answered without waiting for it any
# longer; a learner that is so far behind is told of no more.
MOST_OUTSTANDING = 100


def _nobody(event: Event) -> None:
    """Who asked was answered otherwise."""


class LearnerLink:
    """Keeps account of requests and answers. Nothing here waits for the learner.

    Attributes:
        total_it: updates made.
        losses: what the last of them measured.
        discarded: updates that were not finite and changed nothing.
        halted: there were too many of those; the learner makes no more.
        unsaid: requests that were dropped: it hangs, is gone, or has too much to do already.
        trained_s: when the last updates came back, as of time.monotonic; None: none yet.
    """

    def __init__(self, learner: LearnerClient) -> None:
        self.total_it = 0
        self.losses: dict[str, float] = {}
        self.discarded = self.unsaid = 0
        self.halted = False
        self.trained_s: float | None = None
        self._learner = learner
        self._outstanding = 0
        self._asked: deque[Then] = deque()
        self._unreachable: Refused | None = None
        self._lost = False
        self._heard_s = time.monotonic()

    @property
    def outstanding(self) -> int:
        """`Train` requests without an answer."""
        return self._outstanding

    @property
    def idle(self) -> bool:
        """Everything asked for is done, or there is nobody to do it."""
        return not self.reachable or self._owes_nothing

    @property
    def reachable(self) -> bool:
        """The learner is there and answers."""
        return self._unreachable is None

    @property
    def silent_s(self) -> float:
        """For how long it has owed an answer without giving any, s."""
        return 0.0 if self._owes_nothing else time.monotonic() - self._heard_s

    def train(self, count: int, rows: int | None) -> None:
        """Ask for updates."""
        self._wait_from_now()
        if self._outstanding >= MOST_OUTSTANDING:
            self.unsaid += 1
        elif self._say(Train(count, rows)):
            self._outstanding += 1

    def ask(self, request: Save | Load, then: Then) -> None:
        """Ask for a file; `then` gets the answer, at once a `Refused` where nobody can give it."""
        self._wait_from_now()
        if self._say(request):
            self._asked.append(then)
        else:
            then(self._unreachable or Refused("the learner is too far behind to be asked"))

    def log(self, entry: Log) -> None:
        """Something for TensorBoard."""
        self._say(entry)

    def _say(self, request: Request) -> bool:
        said = self.reachable and self._learner.send(request)
        self.unsaid += not said
        return said

    def hang(self, reason: str) -> None:
        """It owes an answer for too long: ask nothing more of it until it gives one.

        Who waits for a file hears that now; should its answer come later, it is nobody's.
        """
        self._unreachable = Refused(reason)
        waiting, self._asked = self._asked, deque([_nobody] * len(self._asked))
        for then in waiting:
            then(self._unreachable)

    def handle(self, event: Event) -> None:
        """Take in an event; whoever asked for it hears it through `answer`."""
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
            case Lost():
                self._lost = True
                self._outstanding = 0
                self._unreachable = Refused(event.reason)
                while self._asked:
                    self.answer(self._unreachable)

    def answer(self, event: Saved | Loaded | Refused) -> None:
        """Hand the answer of the oldest open `Save` or `Load` to who asked."""
        self._asked.popleft()(event)

    @property
    def _owes_nothing(self) -> bool:
        return self._outstanding == 0 and not self._asked

    def _wait_from_now(self) -> None:
        if self._owes_nothing:
            self._heard_s = time.monotonic()
