# SPDX-License-Identifier: Apache-2.0
"""What one learner takes in from many collectors, and what a broadcast of its weights costs.

The collectors are synthetic: they send the blocks of a recorded drive again and again, as fast as
the learner answers. A process stands for several of them, for each has its own calls under way.
Needs the environment of `make setup`.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import ray

from bench.report import Section
from td3_driver.configuration import Configuration, load_configuration
from td3_driver.fleet.actors import start_learner
from td3_driver.fleet.blocks import Block
from td3_driver.fleet.cluster import cluster
from td3_driver.fleet.collector import BLOCK_STEPS, Collector, CollectorSpec
from td3_driver.fleet.learner import FleetSpec
from td3_driver.fleet.messages import Delivery
from td3_driver.world.simulation import WorldConfig

_COLLECTORS = (1, 4, 16, 64)
_PROCESSES = 4
_RECORDED = 12  # blocks
_SECONDS = 8.0
_WANTED_PER_S = 1280.0  # 64 worlds at 20 Hz


class _Many:
    """Synthetic collectors in one process."""

    def run(self, learner: Any, numbers: list[int], blocks: list[Block], seconds: float) -> None:
        """Deliver for some time, each collector with one delivery under way."""
        sent = dict.fromkeys(numbers, (0, 0))
        under_way: dict[Any, int] = {}
        end_s = time.monotonic() + seconds
        for number in numbers:
            under_way[self._send(learner, number, sent, blocks)] = number
        while time.monotonic() < end_s:
            (done,), _ = ray.wait(list(under_way), num_returns=1)
            number = under_way.pop(done)
            under_way[self._send(learner, number, sent, blocks)] = number
        ray.wait(list(under_way), num_returns=len(under_way))

    def fetch(self, weights: list[Any], readers: int) -> float:
        """Return how long it takes that many readers here to get weights, s."""
        began_s = time.perf_counter()
        for _ in range(readers):
            ray.get(weights[0]).copy()
        return time.perf_counter() - began_s

    def _send(
        self, learner: Any, number: int, sent: dict[int, tuple[int, int]], blocks: list[Block]
    ) -> Any:
        count, first = sent[number]
        block = replace(blocks[count % len(blocks)], first=first)
        sent[number] = count + 1, first + block.rows
        return learner.offer.remote(number, Delivery(block, BLOCK_STEPS, 0))


def measure(rounds: int) -> Section:
    """Every figure `rounds` times; the median."""
    configuration = load_configuration("default")
    section = Section(
        "Fleet",
        f"Blocks of {BLOCK_STEPS} recorded steps, sent by {_PROCESSES} processes (one for a single"
        " collector) on the machine of the learner, which computes with one thread. Ratio: updates"
        " a second beside this, by those alone, at an update ratio that asks for about as many as"
        f" the learner makes alone while {_WANTED_PER_S:.0f} transitions a second come in.",
        ["collectors", "transitions/s, no updates", "transitions/s", "updates/s", "ratio", "MB/s"],
    )
    blocks = _recorded(configuration)
    nbytes = sum(block.nbytes for block in blocks) / sum(block.steps for block in blocks)
    with cluster(None, "bench", _PROCESSES + 2, 0.0):
        processes = [ray.remote(_Many).remote() for _ in range(_PROCESSES)]
        alone = median(_rate(configuration, processes, 1, blocks, 1.0)[1] for _ in range(rounds))
        for count in _COLLECTORS:
            free = [_rate(configuration, processes, count, blocks, 0.0)[0] for _ in range(rounds)]
            ratio = alone / _WANTED_PER_S
            both = [
                _rate(configuration, processes, count, blocks, ratio) for _ in range(rounds)
            ]
            taken, updates = (median(values) for values in zip(*both, strict=True))
            section.add(
                count, f"{median(free):.0f}", f"{taken:.0f}", f"{updates:.1f}",
                f"{updates / alone:.2f}", f"{taken * nbytes / 1e6:.1f}",
            )  # fmt: skip
        section.text += (
            f" Alone: {alone:.1f} updates/s. {_broadcast(configuration, processes, rounds)}"
        )
    return section


def _recorded(configuration: Configuration) -> list[Block]:
    world = WorldConfig(seed=1).through(configuration.driving.view)
    collector = Collector(CollectorSpec(0, configuration, world, (), "easy", 1.0))
    return [collector.drive(BLOCK_STEPS).block for _ in range(_RECORDED)]


def _started(configuration: Configuration, ratio: float, folder: str) -> Any:
    agent = replace(configuration.agent, updates_per_step=ratio)
    learner = start_learner(0.0)
    spec = FleetSpec(
        replace(configuration, agent=agent), Path(folder), "bench", {}, seed=0, device="cpu",
        threads=1, steps=10**9, save_freq=10**9, save_replay=False,
    )  # fmt: skip
    ray.get(learner.begin.remote(spec))
    return learner


def _rate(
    configuration: Configuration,
    processes: list[Any],
    count: int,
    blocks: list[Block],
    ratio: float,
) -> tuple[float, float]:
    """Return transitions and updates a second."""
    with tempfile.TemporaryDirectory() as folder:
        learner = _started(configuration, ratio, folder)
        shares = [list(range(count))[part::_PROCESSES] for part in range(_PROCESSES)]
        runs = [(each, share) for each, share in zip(processes, shares, strict=True) if share]
        waiting = [each.run.remote(learner, share, blocks, 2.0) for each, share in runs]
        ray.get(waiting)  # learning has begun
        before, began_s = ray.get(learner.status.remote()), time.monotonic()
        shares_on = [[number + count for number in share] for _, share in runs]
        waiting = [
            each.run.remote(learner, share, blocks, _SECONDS)
            for (each, _), share in zip(runs, shares_on, strict=True)
        ]
        ray.get(waiting)
        after, took_s = ray.get(learner.status.remote()), time.monotonic() - began_s
        ray.kill(learner)
    taken = (after.transitions - before.transitions) / took_s
    return taken, (after.updates - before.updates) / took_s


def _broadcast(configuration: Configuration, processes: list[Any], rounds: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        learner = _started(configuration, 0.0, folder)
        answer = ray.get(learner.newest.remote())
        size = ray.get(answer.weights[0]).nbytes
        readers = 64 // _PROCESSES
        times_s = []
        for _ in range(rounds):
            began_s = time.perf_counter()
            ray.get([each.fetch.remote(answer.weights, readers) for each in processes])
            times_s.append(time.perf_counter() - began_s)
        ray.kill(learner)
    return (
        f"Weights to 64 collectors: {size / 1e6:.2f} MB each, {1e3 * median(times_s):.1f} ms for"
        " all, each with its own copy, read from one object."
    )
