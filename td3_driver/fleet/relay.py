# SPDX-License-Identifier: Apache-2.0
"""Stands for the learner beside a `driver_node`: hands on what it drives to the fleet's learner.

The node writes its replay and reads its weights in shared memory as ever; in place of learning,
this process sends the replay's rows over Ray and puts the fleet's weights there.
"""

from __future__ import annotations

import contextlib
import logging
import pickle
import socket
from collections import deque
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, BinaryIO

import ray
from ray.exceptions import RayError, RayTaskError

from td3_driver.fleet.actors import found_learner
from td3_driver.fleet.blocks import Outgoing
from td3_driver.fleet.collector import BLOCK_STEPS
from td3_driver.fleet.messages import Answer, Delivery
from td3_driver.learner.messages import (
    Load,
    Loaded,
    Log,
    Lost,
    Refused,
    Save,
    Stop,
    Train,
    Trained,
)
from td3_driver.learner.process import LearnerSpec

_UNDER_WAY = 1  # deliveries, while the car drives on


@dataclass(frozen=True)
class Relay:
    """Where the fleet is; an instance is a `Serve` of `LearnerClient`.

    Attributes:
        address: of the Ray cluster.
        run: the run's name, in which the learner is found.
        collector: number of the collector.
    """

    address: str
    run: str
    collector: int

    def __call__(self, spec: LearnerSpec, requests: socket.socket, events: Connection) -> None:
        """Serve a driver until it has gone, or the fleet has."""
        try:
            ray.init(
                self.address, namespace=self.run, log_to_driver=False, logging_level=logging.ERROR
            )
            _Serving(self.collector, spec, events).serve(requests.makefile("rb"))
        except (RayError, ConnectionError, ValueError) as error:
            with contextlib.suppress(OSError):
                events.send(Lost(f"the fleet's learner is lost ({type(error).__name__})"))
        finally:
            events.close()
            ray.shutdown()


class _Serving:
    def __init__(self, collector: int, spec: LearnerSpec, events: Connection) -> None:
        self._collector, self._spec, self._events = collector, spec, events
        self._outgoing = Outgoing(spec.replay)
        self._learner: Any
        self._answer: Answer
        self._learner, self._answer = found_learner()
        self._under_way: deque[Any] = deque()
        self._episodes: list[dict[str, float]] = []
        self._version = -1
        self._take_weights()
        events.send(
            Loaded(None, self._answer.env_steps, 0, self._answer.version, spec.weights.version, {})
        )

    def serve(self, requests: BinaryIO) -> None:
        """Answer requests until the driver has gone or a `Stop` comes."""
        while True:
            try:
                request = pickle.load(requests)
            except (EOFError, OSError, pickle.UnpicklingError):  # the driver has gone
                return
            match request:
                case Train():
                    self._hand_on()
                    answer, version = self._answer, self._spec.weights.version
                    self._events.send(
                        Trained(answer.version, version, env_steps=answer.env_steps)
                    )
                case Save() | Load():
                    self._events.send(Refused("the fleet's learner saves and loads"))
                case Log():
                    self._episodes.append(request.scalars)
                case Stop():
                    return

    def _hand_on(self) -> None:
        """Send a block once there is one; wait where the learner is behind."""
        if self._outgoing.waiting < BLOCK_STEPS:
            return
        block = self._outgoing.take()
        delivery = Delivery(
            block, block.steps, self._version, tuple(self._episodes), self._outgoing.dropped
        )
        self._episodes.clear()
        try:
            self._under_way.append(self._learner.offer.remote(self._collector, delivery))
            while len(self._under_way) > _UNDER_WAY:
                self._answer = ray.get(self._under_way.popleft())
                self._take_weights()
        except RayTaskError:
            raise
        except RayError:  # the learner has gone, and with it what was under way and its weights
            self._under_way.clear()
            self._learner, self._answer = found_learner()
            self._take_weights()

    def _take_weights(self) -> None:
        if self._answer.version != self._version:
            (weights,) = self._answer.weights
            self._spec.weights.publish(ray.get(weights))
            self._version = self._answer.version
