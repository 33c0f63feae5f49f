# SPDX-License-Identifier: Apache-2.0
"""A fleet's run: starts learner and collectors, restarts what fails, shows how far it is."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError, RayTaskError

from td3_driver import signals
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.fleet.actors import CollectorActor, evaluate, start_learner
from td3_driver.fleet.cluster import cluster
from td3_driver.fleet.collector import CollectorSpec
from td3_driver.fleet.learner import FleetSpec
from td3_driver.fleet.messages import Status
from td3_driver.fleet.progress import Progress
from td3_driver.fleet.ros_collector import (
    PartEndedError,
    RosCollectorActor,
    RosCollectorSpec,
)
from td3_driver.learner.surroundings import UnfitError
from td3_driver.online.run_folder import LOG, RunFolder
from td3_driver.world.simulation import WorldConfig

LOOK_EVERY_S = 0.5
STATUS_WITHIN_S = 60.0  # the learner answers beside its updates
HUNG_S = 60.0  # without a delivery, though the learner waits for one
START_S = 180.0  # likewise of a collector that has just begun
FINISH_S = 60.0
LAST_EVALUATION_S = 180.0
# So many failures within so long, and a part of the run is given up.
MOST_FAILURES, FAILURES_WITHIN_S = 5, 600.0


@dataclass(frozen=True)
class FleetOptions:
    """The checked options of the command line.

    Attributes:
        learner: its settings.
        collectors: theirs.
        run: the folder that was claimed.
        address: of a cluster, or None.
        learner_gpus: GPUs that the learner gets, in part if the cluster divides them.
        maps, difficulty, judged_in: the roads and the world in which checkpoints are driven.
    """

    learner: FleetSpec
    collectors: tuple[CollectorSpec | RosCollectorSpec, ...]
    run: RunFolder
    address: str | None
    learner_gpus: float
    maps: tuple[str, ...]
    difficulty: str
    judged_in: WorldConfig


class FleetError(Exception):
    """The run cannot go on; one line says why."""


class Failures:
    """The times at which a part of the run failed."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=MOST_FAILURES)

    def again(self) -> bool:
        """Count a failure; return whether it is one too many."""
        now_s = time.monotonic()
        self._times_s.append(now_s)
        full = len(self._times_s) == MOST_FAILURES
        return full and now_s - self._times_s[0] < FAILURES_WITHIN_S


@dataclass
class Member:
    """A collector of the fleet, and its actor at present."""

    spec: CollectorSpec | RosCollectorSpec
    actor: Any = None
    running: Any = None  # reference of its `run`
    begun_s: float = 0.0
    restarts: int = 0
    given_up: str = ""
    failures: Failures = field(default_factory=Failures)

    @property
    def number(self) -> int:
        """Its number."""
        return self.spec.number

    def begin(self) -> None:
        """Start its actor, wherever the cluster has room."""
        kind = CollectorActor if isinstance(self.spec, CollectorSpec) else RosCollectorActor
        made: Any = ray.remote(kind)
        self.actor = made.options(num_cpus=1).remote()
        self.running = self.actor.run.remote(self.spec)
        self.begun_s = time.monotonic()

    def end(self) -> None:
        """Kill its actor, and with it its world."""
        if self.actor is not None:
            ray.kill(self.actor)
        self.actor = self.running = None


def run(options: FleetOptions) -> int:
    """Run to the end, to Ctrl-C or to a failure; return the exit code.

    Raises:
        ClusterError: there is no cluster.
        ValueError: the run cannot begin as asked.
    """
    asked: list[int] = []
    signals.handle(lambda number, _: asked.append(number))
    cpus = len(options.collectors) + 2  # learner and evaluation; they share the machine
    with ExitStack() as stack:
        progress = Progress(options.learner.steps, options.run.path / LOG)
        stack.callback(progress.close)
        stack.enter_context(
            cluster(options.address, options.run.name, cpus, options.learner_gpus)
        )
        signals.handle(lambda number, _: asked.append(number))  # Ray has put in its own
        fleet = Fleet(options, progress)
        try:
            fleet.begin()
            while not asked and not fleet.over:
                fleet.look()
                time.sleep(LOOK_EVERY_S)
            return fleet.finish(hurry=bool(asked))
        except FleetError as error:
            progress.log(f"fleet: {error}")
            return 1
        except RayTaskError as error:
            progress.log(f"fleet: internal error, ending:\n{error}")
            return 1
        except RayError as error:
            progress.log(f"fleet: the cluster is lost ({type(error).__name__}); {_go_on(options)}")
            return 1


def _go_on(options: FleetOptions) -> str:
    newest = checkpoint.newest(options.run.path)
    return f"go on with --resume {newest}" if newest else "nothing was saved yet"


class Fleet:
    """Learner, collectors and evaluation of one run."""

    def __init__(self, options: FleetOptions, progress: Progress) -> None:
        self._options, self._progress = options, progress
        self._members = [Member(spec) for spec in options.collectors]
        self._failures = Failures()  # of the learner
        self._began_ns = time.time_ns()
        self._evaluating: tuple[str, Any] | None = None
        self._evaluated: set[str] = set()
        self._learner: Any
        self._status: Status

    @property
    def over(self) -> bool:
        """All steps are driven."""
        return self._status.env_steps >= self._options.learner.steps

    def begin(self) -> None:
        """Start everything.

        Raises:
            ValueError: the learner cannot begin.
        """
        try:
            self._begin_learner(self._options.learner)
        except RayTaskError as error:
            if isinstance(error.cause, (ValueError, OSError, CheckpointError, UnfitError)):
                raise ValueError(str(error.cause)) from error
            raise
        for member in self._members:
            member.begin()

    def look(self) -> None:
        """See how everything is, restart what failed, and show it.

        Raises:
            FleetError: too much failed.
        """
        try:
            self._status = ray.get(self._learner.status.remote(), timeout=STATUS_WITHIN_S)
            if self._status.failed:
                raise FleetError(f"the learner failed: {self._status.failed}")
        except (RayActorError, GetTimeoutError) as error:
            self._restart_learner(error)
        for member in self._members:
            if not member.given_up:
                self._look_at(member)
        self._evaluate()
        restarts = {member.number: member.restarts for member in self._members}
        given_up = {member.number for member in self._members if member.given_up}
        self._progress.show(self._status, restarts, given_up)
        if len(given_up) == len(self._members):
            raise FleetError("every collector was given up")

    def finish(self, *, hurry: bool) -> int:
        """Save, end everything, and evaluate what is left unless there is no time."""
        for member in self._members:
            member.end()
        try:
            self._status = ray.get(self._learner.finish.remote(), timeout=FINISH_S)
        except (RayError, GetTimeoutError) as error:
            raise FleetError(
                f"the learner did not end ({type(error).__name__}); {_go_on(self._options)}"
            ) from error
        until_s = time.monotonic() + (0.0 if hurry else LAST_EVALUATION_S)
        while self._evaluate() and time.monotonic() < until_s:
            time.sleep(LOOK_EVERY_S)
        self._progress.show(self._status, {}, set())
        self._progress.log(self._progress.summary(self._options.run.path))
        if self._status.unsaved:
            self._progress.log(f"fleet: not saved: {self._status.unsaved}")
        return 1 if self._status.unsaved or self._status.failed else 0

    def _begin_learner(self, spec: FleetSpec) -> None:
        self._learner = start_learner(self._options.learner_gpus)
        self._status = ray.get(self._learner.begin.remote(spec))
        self._learner_begun_s = time.monotonic()

    def _restart_learner(self, error: Exception) -> None:
        if self._failures.again():
            raise FleetError(f"the learner fails again and again; {_go_on(self._options)}")
        folder = self._options.run.path
        newest = checkpoint.newest(folder)
        self._progress.log(
            f"learner lost ({type(error).__name__}); it goes on with"
            f" {newest.name if newest else 'a new agent'}"
        )
        ray.kill(self._learner)
        spec = replace(self._options.learner, resume=newest)
        for _ in range(MOST_FAILURES):
            try:
                self._begin_learner(spec)
            except ValueError:  # its name is not free yet
                time.sleep(LOOK_EVERY_S)
            else:
                return
        raise FleetError(f"the learner does not start again; {_go_on(self._options)}")

    def _look_at(self, member: Member) -> None:
        ended, _ = ray.wait([member.running], timeout=0)
        if ended:
            try:
                lost = ray.get(member.running)
            except RayError as error:
                if isinstance(error, RayTaskError) and not isinstance(error.cause, PartEndedError):
                    self._progress.keep(f"collector {member.number}: internal error:\n{error}")
                self._restart(member, _reason(error))
            else:
                member.end()
                if lost:
                    self._progress.log(f"collector {member.number}: {lost} deliveries were lost")
                if not self.over:
                    member.begin()  # the learner went back to an earlier step meanwhile
            return
        known = self._status.collectors.get(member.number)
        now_s, limit_s = time.monotonic(), START_S
        since_s = max(member.begun_s, self._learner_begun_s)
        if known is not None and known.heard_s is not None:
            heard_s = now_s - (self._status.now_s - known.heard_s)
            if heard_s > since_s:
                since_s, limit_s = heard_s, HUNG_S
        waits = known is not None and known.waits
        if not waits and now_s - since_s > limit_s:
            self._restart(member, f"nothing heard for {limit_s:.0f} s")

    def _restart(self, member: Member, reason: str) -> None:
        member.end()
        with contextlib.suppress(RayActorError):  # the learner has gone, too: seen soon
            ray.get(self._learner.forget.remote(member.number))
        if member.failures.again():
            member.given_up = reason
            self._progress.log(f"collector {member.number}: given up, {reason}")
            return
        member.restarts += 1
        self._progress.log(
            f"collector {member.number}: restarted, {reason}; its open episode is truncated"
        )
        member.begin()

    def _evaluate(self) -> bool:
        """Have the newest checkpoint driven, one at a time; whether something is under way."""
        if self._evaluating is not None:
            name, running = self._evaluating
            ended, _ = ray.wait([running], timeout=0)
            if not ended:
                return True
            self._evaluating = None
            try:
                self._progress.log(f"evaluation: {ray.get(running)}")
            except RayError as error:
                self._progress.log(f"evaluation: {name}: passed over ({_reason(error)})")
        if self._status.saved is None:
            return False
        name, _ = self._status.saved
        if name in self._evaluated or not name.startswith("td3_"):
            return False
        self._evaluated.add(name)
        options = self._options
        running = evaluate.remote(
            options.run.path, options.run.path / name, options.run.name, self._began_ns,
            options.maps, options.difficulty, options.judged_in,
        )  # fmt: skip
        self._evaluating = name, running
        return True


def _reason(error: RayError) -> str:
    """Return why a part failed, in one line."""
    if not isinstance(error, RayTaskError):
        return "its process ended"
    cause = error.cause
    said = " ".join(str(cause).split())[:300]
    return said if isinstance(cause, PartEndedError) else f"{type(cause).__name__}: {said}"
