# SPDX-License-Identifier: Apache-2.0
"""A fleet's run: starts learner and collectors, restarts what fails, shows how far it is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import (
    ActorAlreadyExistsError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)

from td3_driver import signals
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.fleet.actors import start_learner
from td3_driver.fleet.cluster import cluster
from td3_driver.fleet.collector import CollectorSpec
from td3_driver.fleet.evaluations import Evaluations, Where
from td3_driver.fleet.failures import Failures
from td3_driver.fleet.learner import FleetSpec
from td3_driver.fleet.member import Member
from td3_driver.fleet.messages import Status
from td3_driver.fleet.progress import Progress
from td3_driver.fleet.ros_collector import RosCollectorSpec
from td3_driver.learner.surroundings import UnfitError
from td3_driver.online.evaluations import LAST_EVALUATION_S
from td3_driver.online.run_folder import LOG, RECORD, RunFolder

LOOK_EVERY_S = 0.5
STATUS_WITHIN_S = 60.0  # the learner answers beside its updates
FORGET_WITHIN_S = 30.0
BEGIN_WITHIN_S = 600.0  # room for the learner, and a large replay to be read
NO_ROOM_S = 20.0  # then the user is told what is waited for
FINISH_S, HURRIED_S = 180.0, 30.0
KILLED_S = 5.0
NAME_FREE_S = 60.0


@dataclass(frozen=True)
class FleetOptions:
    """The checked options of the command line.

    Attributes:
        learner: its settings.
        collectors: theirs.
        run: the folder that was claimed.
        address: of a cluster, or None.
        learner_gpus: GPUs that the learner gets, in part if the cluster divides them.
        judged: where checkpoints are driven.
    """

    learner: FleetSpec
    collectors: tuple[CollectorSpec | RosCollectorSpec, ...]
    run: RunFolder
    address: str | None
    learner_gpus: float
    judged: Where


class FleetError(Exception):
    """The run cannot go on; one line says why."""


class NobodyDrivesError(FleetError):
    """Every collector was given up; the learner is well."""


class AskedToEndError(Exception):
    """A signal came while something was waited for."""


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
        name, gpus = options.run.name, options.learner_gpus
        stack.enter_context(
            cluster(
                options.address, name, cpus, gpus,
                lost=lambda: progress.log(
                    f"fleet: the cluster's head is lost; {_go_on(options)}"
                ),
            )
        )  # fmt: skip
        signals.handle(lambda number, _: asked.append(number))  # Ray has put in its own
        fleet = Fleet(options, progress, lambda: bool(asked))
        try:
            alone = False
            try:
                with contextlib.suppress(AskedToEndError):  # as `asked` says, too
                    fleet.begin()
                    while not asked and not fleet.over:
                        fleet.look()
                        time.sleep(LOOK_EVERY_S)
            except NobodyDrivesError as error:
                progress.log(f"fleet: {error}")
                alone = True
            return max(fleet.finish(hurry=bool(asked) or alone), int(alone))
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
    """Learner, collectors and evaluation of one run.

    Args:
        options: see there.
        progress: where it is shown.
        asked: whether somebody wants the run to end.
    """

    def __init__(
        self, options: FleetOptions, progress: Progress, asked: Callable[[], bool]
    ) -> None:
        self._options, self._progress, self._asked = options, progress, asked
        self._members = [Member(spec, progress, self._forget) for spec in options.collectors]
        self._evaluations = Evaluations(options.run, options.judged, progress)
        self._failures = Failures()  # of the learner
        self._learner: Any = None
        self._status: Status | None = None
        self._learner_begun_s = 0.0
        # By the file system's clock, as the checkpoints are: this command has just written there.
        self._begun_ns = (options.run.path / RECORD).stat().st_mtime_ns
        self._unsaved = ""
        self._complained: set[str] = set()  # once of each measure

    @property
    def over(self) -> bool:
        """All steps are driven."""
        return self._steps >= self._options.learner.steps

    @property
    def _steps(self) -> int:
        return 0 if self._status is None else self._status.env_steps

    def begin(self) -> None:
        """Start everything.

        Raises:
            ValueError: the learner cannot begin.
            AskedToEndError: somebody wants the run to end.
        """
        try:
            self._begin_learner(self._options.learner)
        except RayTaskError as error:
            if isinstance(error.cause, _MISTAKES):
                raise ValueError(str(error.cause)) from error
            raise
        assert self._status is not None
        for line in self._status.resumed:
            self._progress.log(f"resumed: {line}")
        for member in self._members:
            member.begin(self._steps)

    def look(self) -> None:
        """See how everything is, restart what failed, and show it.

        Raises:
            FleetError: too much failed.
            AskedToEndError: somebody wants the run to end.
        """
        try:
            self._status = self._wait(self._learner.status.remote(), STATUS_WITHIN_S)
        except (RayActorError, GetTimeoutError) as error:
            self._restart_learner(error)
        assert self._status is not None
        if self._status.failed:
            raise FleetError(f"the learner failed: {self._status.failed}")
        if self._status.unsaved != self._unsaved:
            self._unsaved = self._status.unsaved
            self._progress.log(f"not saved: {self._unsaved}" if self._unsaved else "saved again")
        for name, complaint in self._status.unhealthy.items():
            if name not in self._complained:
                self._complained.add(name)
                self._progress.log(f"learning: {complaint}")
        for member in self._members:
            member.look(self._status, self._learner_begun_s, self.over)
        self._evaluations.look()
        restarts = {member.number: member.restarts for member in self._members}
        given_up = {member.number for member in self._members if member.given_up}
        self._progress.show(self._status, restarts, given_up)
        if len(given_up) == len(self._members):
            raise NobodyDrivesError("every collector was given up; saving what was learned")

    def finish(self, *, hurry: bool) -> int:
        """Save, end everything, and evaluate what is left unless there is no time.

        Raises:
            FleetError: the learner did not end in time.
        """
        killed = [reference for member in self._members if (reference := member.end())]
        if killed:
            ray.wait(killed, num_returns=len(killed), timeout=KILLED_S)
        if self._status is None:  # it had not begun
            return 0 if hurry else 1
        try:
            asked = self._learner.finish.remote(hurry)
            self._status = status = ray.get(asked, timeout=HURRIED_S if hurry else FINISH_S)
        except (RayActorError, GetTimeoutError) as error:
            raise FleetError(
                f"the learner did not end ({type(error).__name__}); {_go_on(self._options)}"
            ) from error
        until_s = time.monotonic() + (0.0 if hurry else LAST_EVALUATION_S)
        while self._evaluations.look():
            if self._asked() or time.monotonic() > until_s:
                self._progress.log("evaluation: what is left is passed over")
                break
            time.sleep(LOOK_EVERY_S)
        self._progress.show(status, {}, set())
        self._progress.log(self._progress.summary(self._options.run.path))
        for line in filter(None, (status.unsaved, status.failed)):
            self._progress.log(f"fleet: what was learned last is not saved: {line}")
        return 1 if status.unsaved or status.failed else 0

    def _wait(self, reference: Any, within_s: float, told: str = "") -> Any:
        """Return what an actor answers; `told` is logged if that takes a while.

        Raises:
            GetTimeoutError: it does not answer in time.
            AskedToEndError: somebody wants the run to end.
        """
        began_s, said = time.monotonic(), not told
        while (spent_s := time.monotonic() - began_s) < within_s:
            ended, _ = ray.wait([reference], timeout=LOOK_EVERY_S)
            if ended:
                return ray.get(reference)
            if self._asked():
                raise AskedToEndError
            if not said and spent_s > NO_ROOM_S:
                self._progress.log(told)
                said = True
        raise GetTimeoutError(f"no answer in {within_s:.0f} s")

    def _begin_learner(self, spec: FleetSpec) -> None:
        gpus = self._options.learner_gpus
        self._learner = self._named_learner(gpus)
        needs = f"1 CPU and {gpus:g} GPUs" if gpus else "1 CPU"
        told = f"fleet: waiting for the learner to begin; it needs a node with {needs} free"
        self._status = self._wait(self._learner.begin.remote(spec), BEGIN_WITHIN_S, told)
        self._learner_begun_s = time.monotonic()

    def _named_learner(self, gpus: float) -> Any:
        """Start the learner's process, once its name is free of one that was killed."""
        until_s = time.monotonic() + NAME_FREE_S
        while time.monotonic() < until_s:
            try:
                return start_learner(gpus)
            except ActorAlreadyExistsError:
                time.sleep(LOOK_EVERY_S)
            if self._asked():
                raise AskedToEndError
        raise FleetError("the learner that was killed keeps its name")

    def _restart_learner(self, error: Exception) -> None:
        why: Exception = error
        while not self._failures.again(fruitless=why is not error):
            newest = self._newest()
            self._progress.log(
                f"learner lost ({type(why).__name__}); it goes on with"
                f" {newest.name if newest else 'a new agent'}"
            )
            with contextlib.suppress(RayError):
                ray.kill(self._learner)
            try:
                self._begin_learner(replace(self._options.learner, resume=newest))
            except (RayActorError, GetTimeoutError) as failed:
                why = failed
            except RayTaskError as refused:
                raise FleetError(f"the learner cannot go on: {refused.cause}") from refused
            else:
                return
        raise FleetError(f"the learner fails again and again; {_go_on(self._options)}")

    def _forget(self, collector: int) -> None:
        with contextlib.suppress(RayActorError, RayTaskError, GetTimeoutError):
            # If the learner has gone, too, or has failed, the next look finds it.
            self._wait(self._learner.forget.remote(collector), FORGET_WITHIN_S)

    def _newest(self) -> Path | None:
        """The checkpoint to go on from: this command's newest, with its replay if that is saved.

        The folder may hold a longer, earlier run, from the midst of which this one was resumed.
        """
        folder, given = self._options.run.path, self._options.learner
        whole = checkpoint.newest(folder, self._begun_ns, with_replay=given.save_replay)
        return whole or given.resume or checkpoint.newest(folder, self._begun_ns)


# Of the user's, not of the program.
_MISTAKES = (ValueError, OSError, CheckpointError, UnfitError)
