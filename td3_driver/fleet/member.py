# SPDX-License-Identifier: Apache-2.0
"""One collector of a fleet, watched: begun anew where it fails, given up if it always does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ray
from ray.exceptions import RayError

from td3_driver.fleet.actors import CollectorActor, kill
from td3_driver.fleet.collector import CollectorSpec
from td3_driver.fleet.failures import Failures, internal, reason
from td3_driver.fleet.messages import Status
from td3_driver.fleet.progress import Progress
from td3_driver.fleet.ros_collector import RosCollectorActor, RosCollectorSpec

HUNG_S = 60.0  # without a delivery, though the learner waits for one
START_S = 180.0  # likewise of a collector that has just begun


class Member:
    """A collector, and its actor at present.

    Args:
        spec: the collector's settings.
        progress: where it is said what happens to it.
        forget: has the learner end the open episode of the collector of a number.

    Attributes:
        restarts: how often it was begun anew.
        given_up: why it was given up; empty: it was not.
    """

    def __init__(
        self,
        spec: CollectorSpec | RosCollectorSpec,
        progress: Progress,
        forget: Callable[[int], None],
    ) -> None:
        self.number, self.restarts, self.given_up = spec.number, 0, ""
        self._spec, self._progress, self._forget = spec, progress, forget
        self._actor: Any = None
        self._where: Any = None  # reference of its node and process
        self._running: Any = None  # reference of its `run`
        self._begun_s = 0.0
        self._begun_steps = 0  # of its own, as the learner counts them
        self._dropped = 0  # as was said last
        self._failures = Failures()

    def begin(self, attempt: int) -> None:
        """Start its actor, wherever the cluster has room."""
        spec = replace(self._spec, attempt=attempt)
        embedded = isinstance(spec, CollectorSpec)
        made: Any = ray.remote(CollectorActor if embedded else RosCollectorActor)
        self._actor = made.options(num_cpus=1, scheduling_strategy="SPREAD").remote()
        self._where = self._actor.where.remote()
        self._running = self._actor.run.remote(spec)
        self._begun_s = time.monotonic()

    def end(self) -> Any:
        """Kill its actor, and with it its world; return a reference to wait for, or None."""
        killed = None
        if self._actor is not None:
            begun, _ = ray.wait([self._where], timeout=0)
            ray.kill(self._actor)
            with contextlib.suppress(RayError):  # it had ended before it said where it is
                killed = kill(*ray.get(self._where)) if begun else None
        self._actor = self._running = self._where = None
        return killed

    def look(self, status: Status, learner_begun_s: float, over: bool) -> None:
        """See how it is, and begin it anew if it failed or hangs.

        Args:
            status: the learner's.
            learner_begun_s: time.monotonic when the learner's process began, s.
            over: all steps are driven.
        """
        if self.given_up:
            return
        known = status.collectors.get(self.number)
        if known is not None and known.dropped > self._dropped:
            self._dropped = known.dropped
            self._progress.log(
                f"collector {self.number}: {known.dropped} rows so far were not handed on in"
                " time, and are lost"
            )
        ended, _ = ray.wait([self._running], timeout=0)
        if ended:
            try:
                ray.get(self._running)
            except RayError as error:
                if internal(error):
                    self._progress.keep(f"collector {self.number}: internal error:\n{error}")
                self._restart(status, reason(error))
            else:
                self.end()
                if not over:  # the learner went back to an earlier step meanwhile
                    self.begin(status.env_steps)
            return
        now_s, limit_s = time.monotonic(), START_S
        since_s = max(self._begun_s, learner_begun_s)
        if known is not None and known.heard_s is not None:
            heard_s = now_s - (status.now_s - known.heard_s)
            if heard_s > since_s:
                since_s, limit_s = heard_s, HUNG_S
        waits = known is not None and known.waits
        if not waits and now_s - since_s > limit_s:
            self._restart(status, f"nothing heard for {limit_s:.0f} s")

    def _restart(self, status: Status, why: str) -> None:
        self.end()
        self._forget(self.number)
        known = status.collectors.get(self.number)
        steps = 0 if known is None else known.steps
        if self._failures.again(fruitless=steps <= self._begun_steps):
            self.given_up = why
            self._progress.log(f"collector {self.number}: given up, {why}")
            return
        self._begun_steps = steps
        self.restarts += 1
        self._progress.log(
            f"collector {self.number}: restarted, {why}; its open episode is truncated"
        )
        self.begin(status.env_steps + self.restarts)
