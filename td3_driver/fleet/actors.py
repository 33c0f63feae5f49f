# SPDX-License-Identifier: Apache-2.0
"""The fleet's learner and collectors as Ray actors; see there for what they do."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from pathlib import Path
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from td3_driver.fleet.collector import BLOCK_STEPS, Collector, CollectorSpec
from td3_driver.fleet.learner import FleetLearner, FleetSpec
from td3_driver.fleet.messages import Answer, Delivery, Status

LEARNER = "learner"  # the actor's name
# Deliveries that are under way while a collector drives on: it drives while the learner learns.
_UNDER_WAY = 1
_LOOK_AGAIN_S = 0.5
# Calls of the learner that may wait at once: those of collectors do.
CALLS = 1024


class LearnerActor:
    """`FleetLearner`, whose weights lie in Ray's object store."""

    def begin(self, spec: FleetSpec) -> Status:
        """Make the learner; its errors come to whoever called."""
        self._learner = FleetLearner(spec, ray.put)
        return self._learner.status()

    def newest(self) -> Answer:
        return self._learner.newest()

    def offer(self, collector: int, delivery: Delivery) -> Answer:
        return self._learner.offer(collector, delivery)

    def forget(self, collector: int) -> None:
        self._learner.forget(collector)

    def status(self) -> Status:
        return self._learner.status()

    def finish(self, hurry: bool) -> Status:
        return self._learner.finish(hurry=hurry)


class Located:
    """An actor whose process can be found: one that is stopped does not end by Ray alone."""

    def where(self) -> tuple[str, int]:
        """Its node, and its process there."""
        return ray.get_runtime_context().get_node_id(), os.getpid()


def kill(node: str, pid: int) -> Any:
    """Kill an actor's process on its node, if it is there; return a reference to wait for."""
    there = NodeAffinitySchedulingStrategy(node, soft=True)
    task: Any = ray.remote(_kill)
    return task.options(num_cpus=0, scheduling_strategy=there, max_retries=0).remote(node, pid)


def _kill(node: str, pid: int) -> None:
    if ray.get_runtime_context().get_node_id() == node:  # else the node has gone, too
        with contextlib.suppress(OSError):
            if b"ray::" in Path(f"/proc/{pid}/cmdline").read_bytes():  # not another's by now
                os.kill(pid, signal.SIGKILL)


class CollectorActor(Located):
    """`Collector`, which drives until the learner has enough."""

    def run(self, spec: CollectorSpec) -> None:
        """Drive until the run is over.

        The learner is looked for by its name: after a failure it may be another actor.
        """
        collector = Collector(spec)
        under_way = deque[Any]()
        learner, answer = found_learner()
        while not answer.over:
            try:
                _take(collector, answer)
                delivery = collector.drive(BLOCK_STEPS)
                under_way.append(learner.offer.remote(spec.number, delivery))
                if len(under_way) > _UNDER_WAY:
                    answer = ray.get(under_way.popleft())
            except RayTaskError:
                raise
            except RayError:  # the learner has gone, with what was under way and its weights
                under_way.clear()
                learner, answer = found_learner()


def start_learner(gpus: float) -> Any:
    """Start the learner's actor, which then waits for `begin`; `gpus`: how many it gets."""
    made: Any = ray.remote(LearnerActor)
    return made.options(name=LEARNER, num_cpus=1, num_gpus=gpus, max_concurrency=CALLS).remote()


def found_learner() -> tuple[ActorHandle[Any], Answer]:
    """Wait for the learner; who ends the run ends whoever waits, too."""
    while True:
        try:
            learner = ray.get_actor(LEARNER)
            return learner, ray.get(learner.newest.remote())
        except (ValueError, RayActorError, RayTaskError):  # gone, or not begun yet
            time.sleep(_LOOK_AGAIN_S)


def _take(collector: Collector, answer: Answer) -> None:
    if answer.version != collector.version:
        (weights,) = answer.weights
        collector.take(answer.version, ray.get(weights), answer.env_steps)
