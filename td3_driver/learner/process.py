# SPDX-License-Identifier: Apache-2.0
"""The learner process: serves requests in order, trains, publishes weights, writes files.

It lives in a process of its own because the GIL would otherwise make the control loop wait for
every update, save and log entry.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import pickle
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import torch

from td3_driver.agent import algorithm
from td3_driver.agent.algorithm import Algorithm
from td3_driver.agent.demonstrations import Demonstrations
from td3_driver.agent.measures import Measures
from td3_driver.agent.policy import flatten
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError, one_line
from td3_driver.learner import resume
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
from td3_driver.learner.reach import Reach
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.surroundings import UnfitError, check_device, summary_writer
from td3_driver.learner.weights import SharedWeights
from td3_driver.replay.buffer import Replay
from td3_driver.replay.log import ReplayLink

LOSS_LOG_UPDATES = 50
# Updates in a row that are not finite, after which learning has failed for good.
NONFINITE_LIMIT = 10

_LOG = logging.getLogger(__name__)


class _DriverGoneError(Exception):
    """The driver, which sends requests and reads events, has gone."""


@dataclass(frozen=True)
class LearnerSpec:
    """The settings of the process; all of them can be pickled for a spawned process.

    `reach`: the run's folder and other files that requests may name. `run`: the run's name in
    `provenance` of its checkpoints, by which old ones are deleted. `niceness`: how much the
    process yields to driving once it has begun, as of nice(1).
    """

    settings: RunSettings
    state_dim: int
    action_dim: int
    device: str
    seed: int
    threads: int
    log_dir: Path | None
    keep_last: int
    keep_every: int
    replay: Replay
    weights: SharedWeights
    reach: Reach
    run: str
    niceness: int = 0
    demonstrations: Replay | None = None
    demonstration_share: float = 0.5


class Learner:
    """Answers requests, wherever they come from.

    Args:
        spec: how to learn.
        send: takes its `Event`s, from any thread, one at a time.

    Raises:
        UnfitError: the device or the folder of `spec` cannot be used.
    """

    def __init__(self, spec: LearnerSpec, send: Callable[[Event], None]) -> None:
        check_device(spec.device)
        self._spec = spec
        self._take = send
        sizes = (spec.state_dim, spec.action_dim)
        self._agent: Algorithm = algorithm.create(
            spec.settings.agent, *sizes, device=spec.device, seed=spec.seed
        )
        # One thread, so that files are written in the order of requests.
        self._files = ThreadPoolExecutor(max_workers=1, thread_name_prefix="files")
        self._sending = Lock()
        self._discarded = self._nonfinite_in_a_row = 0
        self._link: ReplayLink | None = None
        self._demonstrations: Demonstrations | None = None
        if spec.demonstrations is not None:
            self._demonstrations = Demonstrations(
                spec.demonstrations, spec.demonstration_share, self._agent.device
            )
        self._writer = summary_writer(spec.log_dir) if spec.log_dir else None
        self._send(self._loaded(None, {}))

    def serve(self, requests: BinaryIO) -> None:
        """Answer a stream of pickled requests until a `Stop` comes."""
        while not isinstance(request := _next(requests), Stop):
            self.answer(request)

    def answer(self, request: Train | Save | Load | Log) -> None:
        """Answer a request; strictly in order, so that a save holds the state at its request."""
        match request:
            case Train():
                self._train(request)
            case Save():
                self._save(request)
            case Load():
                self._load(request)
            case Log():
                self._log(request)

    def close(self) -> None:
        """Finish writing the requested files."""
        self._files.shutdown(wait=True)
        if self._writer:
            with contextlib.suppress(OSError):  # its folder may be gone; this was reported before
                self._writer.close()

    def _train(self, request: Train) -> None:
        agent, made = self._agent, []
        for _ in range(0 if self._halted else request.count):
            made.append(
                agent.train(
                    self._spec.replay, rows=request.rows, demonstrations=self._demonstrations
                )
            )
        version = self._publish()  # waits for a device, which must not wait for us between updates
        losses: dict[str, float] = {}
        for number, measures in enumerate(made, agent.total_it - len(made) + 1):
            self._count_nonfinite(measures)
            losses |= measures
            if number % LOSS_LOG_UPDATES == 0:
                scalars = {f"learner/{name}": value for name, value in losses.items()}
                self._log(Log(number, scalars))
        self._send(Trained(self._agent.total_it, version, losses, self._discarded, self._halted))

    @property
    def _halted(self) -> bool:
        return self._nonfinite_in_a_row >= NONFINITE_LIMIT

    def _count_nonfinite(self, measures: Measures) -> None:
        """Count an update that was not finite; the agent has skipped it (`Algorithm.train`)."""
        if all(math.isfinite(value) for value in measures.values()):
            self._nonfinite_in_a_row = 0
        else:
            self._nonfinite_in_a_row += 1
            self._discarded += 1

    def _save(self, request: Save) -> None:
        """Copy the state now and write it while training; files and answers keep their order."""
        self._agent.env_steps, self._agent.episodes = request.env_steps, request.episodes
        payload = self._agent.checkpoint_payload(request.run)
        payload["provenance"]["run"] = self._spec.run
        self._files.submit(self._report, lambda: self._written(request, payload))

    def _written(self, request: Save, payload: dict[str, Any]) -> Event:
        reach = self._spec.reach
        path = reach.new_file(request.path, request.env_steps)
        # Only in the run's folder is `latest.pth` renewed and are old files deleted.
        own = path.parent.samefile(reach.folder) if path.parent.exists() else True
        if request.rows is None:
            resume.write(payload, path, publish=own)
        else:
            replay, rows = self._spec.replay, request.rows
            self._link = resume.write(payload, path, replay, rows, self._link, publish=own)
        if own:
            self._retain(path.parent)
        return Saved(path, request.env_steps)

    def _report(self, work: Callable[[], Event]) -> None:
        """Do some work and send the event it returns, or `Refused` if it fails."""
        try:
            event = work()
        except (CheckpointError, OSError) as error:
            event = Refused(one_line(error))
        except Exception as error:  # noqa: BLE001 it is reported, and an answer is sent
            _LOG.exception("a request failed")
            event = Refused(f"internal error: {type(error).__name__}: {one_line(error)}")
        self._send(event)

    def _retain(self, folder: Path) -> None:
        """Delete old files; a file that cannot be deleted does not undo the save."""
        spec = self._spec
        if not spec.keep_last:
            return
        try:
            checkpoint.retain(folder, spec.keep_last, spec.keep_every, spec.run)
        except (CheckpointError, OSError) as error:
            _LOG.error("%s", error)

    def _load(self, request: Load) -> None:
        self._files.submit(_nothing).result()  # a requested save may write the file that is loaded
        self._report(lambda: self._load_now(request))

    def _load_now(self, request: Load) -> Event:
        path = self._path_of(request)
        if path is None:
            return Refused(f"{self._spec.reach.folder}: no valid checkpoint in this folder")
        replay = self._spec.replay if request.replay else None
        resumed = resume.load(self._agent, path, replay, self._spec.settings)
        self._nonfinite_in_a_row = 0
        if request.replay:
            self._link = resumed.link
        loaded = self._loaded(path.resolve(), resumed.run)
        filled = resumed.link is not None
        return replace(loaded, replay=filled, lost=resumed.lost, changed=resumed.changed)

    def _path_of(self, request: Load) -> Path | None:
        if request.path is None:
            return checkpoint.newest(self._spec.reach.folder)
        return request.path if request.anywhere else self._spec.reach.file(request.path)

    def _loaded(self, path: Path | None, run: dict[str, Any]) -> Loaded:
        agent = self._agent
        return Loaded(path, agent.env_steps, agent.episodes, agent.total_it, self._publish(), run)

    def _publish(self) -> int:
        return self._spec.weights.publish(flatten(self._agent))

    def _log(self, request: Log) -> None:
        if self._writer is None:
            return
        try:
            for name, value in request.scalars.items():
                self._writer.add_scalar(name, value, request.step)
            for name, values in request.histograms.items():
                self._writer.add_histogram(name, values, request.step)
        except OSError as error:  # its folder was deleted, or its disk is full: go on learning
            _LOG.error("TensorBoard: cannot write (%s); this run logs no more", error)
            self._writer = None

    def _send(self, event: Event) -> None:
        try:
            with self._sending:
                self._take(event)
        except OSError as error:
            raise _DriverGoneError from error


def _next(requests: BinaryIO) -> Request:
    try:
        request: Request = pickle.load(requests)
    except (EOFError, OSError, pickle.UnpicklingError) as error:  # also within a request
        raise _DriverGoneError from error
    return request


def _nothing() -> None:
    """Do nothing; as the last job in the queue it is done when every file is written."""


def yield_processor(niceness: int) -> None:
    """Raise the niceness of every thread: Linux keeps one for each, and torch has made some."""
    wanted = os.getpriority(os.PRIO_PROCESS, 0) + niceness
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # the thread has ended meanwhile
            os.setpriority(os.PRIO_PROCESS, int(task.name), wanted)


def run(spec: LearnerSpec, requests: socket.socket, events: Connection) -> None:
    """Run the learner as a spawned process, which signals do not reach (`LearnerClient`)."""
    torch.set_num_threads(spec.threads)
    # TensorBoard writes in a thread of its own, and raises its errors with the next entry.
    threading.excepthook = lambda failed: _LOG.error("%s: %s", failed.thread, failed.exc_value)
    try:
        learner = Learner(spec, events.send)
        yield_processor(spec.niceness)  # not before: until now the driver has to wait
        try:
            learner.serve(requests.makefile("rb"))
        finally:
            learner.close()
    except _DriverGoneError:
        return  # the driver is gone; all its requests are done
    except (UnfitError, torch.cuda.OutOfMemoryError) as error:
        with contextlib.suppress(OSError):  # the driver is gone
            events.send(Lost(one_line(error)))
    finally:
        events.close()
