# SPDX-License-Identifier: Apache-2.0
"""The fleet's learner: takes in what collectors drive, and learns in the ratio that is asked for.

It is `learner.process.Learner` with another way for messages in and out. It knows nothing of Ray.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from td3_driver.agent.health import complaints
from td3_driver.agent.policy import ActorPolicy
from td3_driver.checkpoints.checkpoint import LATEST
from td3_driver.configuration import Configuration
from td3_driver.fleet.blocks import Incoming
from td3_driver.fleet.collector import BLOCK_STEPS
from td3_driver.fleet.messages import Answer, CollectorStatus, Delivery, Status
from td3_driver.learner.messages import (
    Event,
    Load,
    Loaded,
    Log,
    Refused,
    Save,
    Saved,
    Train,
    Trained,
)
from td3_driver.learner.process import Learner, LearnerSpec
from td3_driver.learner.reach import Reach
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.weights import SharedWeights
from td3_driver.online.meaning import of_experience, of_policy
from td3_driver.online.run import demonstrations
from td3_driver.online.run_folder import TENSORBOARD
from td3_driver.online.update_debt import UpdateDebt
from td3_driver.replay.buffer import Replay

# `latest.pth` is written this often, so that a killed learner loses little.
AUTOSAVE_S = 30.0
_SMALLEST_MARGIN = 2 * BLOCK_STEPS  # of the replay, rows
_UPDATES_AT_ONCE = 32  # between two looks at whether the run is to end

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class FleetSpec:
    """The settings of a fleet's learner.

    Attributes:
        configuration: of networks, learning and driving.
        folder: the run's, for checkpoints.
        run: the run's name, in `provenance` of its checkpoints.
        settings: kept in every checkpoint.
        seed: of initial weights and batches.
        device: "cpu" or "cuda".
        threads: that torch computes with.
        steps: environment steps of the whole fleet, resumed ones included.
        save_freq: steps between checkpoints, at least.
        save_replay: save the replay with each numbered checkpoint.
        resume: checkpoint to go on from, or None.
        prefill, prefill_share: demonstrations, and their share of each batch.
    """

    configuration: Configuration
    folder: Path
    run: str
    settings: Mapping[str, Any]
    seed: int
    device: str
    threads: int
    steps: int
    save_freq: int
    save_replay: bool
    resume: Path | None = None
    prefill: Path | None = None
    prefill_share: float = 0.5


class UnfitBlockError(ValueError):
    """A delivery cannot be learned from; one line says why."""


@dataclass
class _Known:
    """What is known of one collector."""

    incoming: Incoming
    steps: int = 0
    age_updates: int = 0
    heard_s: float | None = None
    waiting: int = 0
    dropped: int = 0
    last_return: float | None = None


@dataclass
class _Job:
    """Something that callers want done by the learning thread, and wait for."""

    work: Callable[[], None]
    done: threading.Event = field(default_factory=threading.Event)
    refused: str = ""  # why it cannot be done; the learner goes on


class FleetLearner:
    """Learns in a thread of its own; its methods may be called from any others.

    Args:
        spec: see there.
        publish: hands on new weights, (N,) float32; what it returns is what collectors get.

    Raises:
        ValueError, UnfitError, CheckpointError: it cannot begin; one line says why.
    """

    def __init__(
        self, spec: FleetSpec, publish: Callable[[NDArray[np.float32]], Any] = lambda flat: flat
    ) -> None:
        torch.set_num_threads(spec.threads)
        agent, driving = spec.configuration.agent, spec.configuration.driving
        meaning, spaces = of_experience(driving), driving.spaces
        state_dim = agent.cnn_features + spaces.vector_dim
        policy = ActorPolicy(state_dim, spaces.action_dim, 1.0, True, agent)
        self._spec, self._publish = spec, publish
        self._replay = Replay(agent.replay_capacity, *spaces.row, meaning=meaning)
        self._weights = SharedWeights(policy.parameter_count)
        self._debt = UpdateDebt(agent, self._replay)
        self._known: dict[int, _Known] = {}
        self._env_steps = self._episodes = self._updates = 0
        self._unsaved = self._failed = ""
        self._measures: dict[str, float] = {}  # the newest of each
        self._lost: tuple[str, ...] = ()
        if self._replay.margin < _SMALLEST_MARGIN:
            raise ValueError(
                f"agent.replay_capacity {agent.replay_capacity}: too small for a fleet; expected"
                f" at least {16 * _SMALLEST_MARGIN}"
            )
        self._resuming = False
        self._resumed: Loaded | Refused | None = None
        self._version, self._published = -1, list[Any]()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._learner = Learner(
            LearnerSpec(
                settings=RunSettings(agent, of_policy(driving), spec.settings),
                state_dim=state_dim,
                action_dim=spaces.action_dim,
                device=spec.device,
                seed=spec.seed,
                threads=spec.threads,
                log_dir=spec.folder / TENSORBOARD,
                keep_last=0,
                keep_every=0,
                replay=self._replay,
                weights=self._weights,
                reach=Reach(spec.folder),
                run=spec.run,
                demonstrations=demonstrations(spec.prefill, spec.configuration, spec.settings),
                demonstration_share=spec.prefill_share,
            ),
            self._hear,
        )
        if spec.resume is not None:
            self._go_on_from(spec.resume)
        self._saved_s, self._due = time.monotonic(), self._env_steps + spec.save_freq
        self._share_weights()
        self._thread = threading.Thread(target=self._learn, name="learning", daemon=True)
        self._thread.start()

    def _go_on_from(self, path: Path) -> None:
        self._resuming = True
        self._learner.answer(Load(path, replay=True, anywhere=True))
        self._resuming, loaded = False, self._resumed
        if isinstance(loaded, Refused):
            raise ValueError(f"--resume {loaded.reason}")
        assert isinstance(loaded, Loaded)
        self._env_steps, self._episodes = loaded.env_steps, loaded.episodes
        self._updates = loaded.total_it
        told = (loaded.lost, loaded.settings if loaded.changed else "")
        self._lost = tuple(line for line in told if line)

    # What others ask.

    def newest(self) -> Answer:
        """The newest weights."""
        over = self._ending.is_set() or self._env_steps >= self._spec.steps
        return Answer(self._env_steps, self._version, self._published, over)

    def offer(self, collector: int, delivery: Delivery) -> Answer:
        """Take in a delivery; the answer comes when the updates that it makes due are made.

        So collectors that are faster than learning wait, and nothing is dropped.

        Raises:
            RuntimeError: the learner has failed.
        """
        known = self._of(collector)
        known.waiting += 1
        try:
            self._wait_for(lambda: self._take_in(known, delivery))
        finally:
            known.waiting -= 1
        return self.newest()

    def forget(self, collector: int) -> None:
        """A collector has gone: its open episode ends, as truncated."""
        self._wait_for(lambda: self._of(collector).incoming.close())

    def status(self) -> Status:
        """How far it is."""
        known = {
            number: CollectorStatus(
                each.steps,
                each.age_updates,
                each.heard_s,
                each.waiting > 0,
                each.last_return,
                each.dropped,
            )
            for number, each in list(self._known.items())
        }
        return Status(
            self._env_steps,
            self._updates,
            self._episodes,
            self._replay.transitions,
            time.monotonic(),
            known,
            self._unsaved,
            self._failed,
            complaints(self._measures),
            self._lost,
        )

    def finish(self, *, hurry: bool = False) -> Status:
        """Write a last checkpoint and end; return when it is written.

        `hurry`: without the updates that are still owed, and what was delivered meanwhile.
        """
        if hurry:
            self._ending.set()
        self._jobs.put(None)
        self._thread.join()
        self._ending.set()
        if not self._failed:
            self._save(f"td3_{self._env_steps}.pth", with_replay=self._spec.save_replay)
        self._learner.close()
        return self.status()

    def _wait_for(self, work: Callable[[], None]) -> None:
        job = _Job(work)
        if not self._ending.is_set():
            self._jobs.put(job)
            while not job.done.wait(0.2):
                if self._ending.is_set() or self._failed:
                    break
        if self._failed or job.refused:
            raise RuntimeError(self._failed or job.refused)

    # The learning thread.

    def _learn(self) -> None:
        try:
            while (job := self._jobs.get()) is not None and not self._ending.is_set():
                try:
                    job.work()
                except UnfitBlockError as error:
                    job.refused = str(error)
                job.done.set()
        except BaseException as error:  # noqa: BLE001 whoever waits is told
            _LOG.exception("the learner failed")
            self._failed = f"{type(error).__name__}: {error}"

    def _of(self, collector: int) -> _Known:
        return self._known.setdefault(collector, _Known(Incoming(self._replay)))

    def _take_in(self, known: _Known, delivery: Delivery) -> None:
        try:
            known.incoming.add(delivery.block)
        except ValueError as error:
            raise UnfitBlockError(f"a delivery does not fit: {error}") from error
        known.steps += delivery.steps
        known.dropped = delivery.dropped
        known.age_updates, known.heard_s = self._updates - delivery.version, time.monotonic()
        self._env_steps += delivery.steps
        for episode in delivery.episodes:
            known.last_return = episode["episode/return"]
            self._episodes += 1
            scalars = episode | {"fleet/weight_age_updates": float(known.age_updates)}
            self._learner.answer(Log(self._env_steps, scalars))
        for _ in range(delivery.steps):
            self._debt.step()
        due = self._debt.whole
        while due and not self._ending.is_set():
            count = min(due, _UPDATES_AT_ONCE)
            self._learner.answer(Train(count, None))
            self._debt.pay(count)
            due -= count
        known.heard_s = time.monotonic()  # until now it waited for us
        self._share_weights()
        if self._env_steps >= self._due:
            self._due += self._spec.save_freq
            self._save(f"td3_{self._env_steps}.pth", with_replay=self._spec.save_replay)
        elif time.monotonic() - self._saved_s > AUTOSAVE_S:
            self._save(LATEST, with_replay=False)

    def _share_weights(self) -> None:
        """Publish the newest weights, if there are newer ones."""
        if self._updates == self._version:
            return
        read = self._weights.read(0)
        if read is not None:
            self._version, self._published = self._updates, [self._publish(read[1])]

    def _save(self, name: str, *, with_replay: bool) -> None:
        self._saved_s = time.monotonic()
        run = {
            "settings": self._spec.settings,
            "meaning": of_policy(self._spec.configuration.driving),
        }
        rows = self._replay.rows_written if with_replay and len(self._replay) else None
        path = self._spec.folder / name
        self._learner.answer(Save(path, self._env_steps, self._episodes, run, rows))

    def _hear(self, event: Event) -> None:
        match event:
            case Trained():
                self._updates = event.total_it
                self._measures |= event.losses
                if event.halted:
                    raise RuntimeError(f"{event.discarded} updates were not finite")
            case Saved():
                self._unsaved = ""
            case Refused() if self._resuming:
                self._resumed = event
            case Refused():
                self._unsaved = event.reason
            case Loaded():
                self._resumed = event
