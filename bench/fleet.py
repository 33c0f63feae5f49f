# SPDX-License-Identifier: Apache-2.0
"""A fleet's learner under many collectors, a broadcast of its weights, and `fleet` beside `train`.

The collectors that the learner is loaded with are synthetic: they send the blocks of a recorded
drive again and again, as fast as it answers. A process stands for several of them, for each has
its own calls under way. Needs the environment of `make setup`.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import ray
from ray.exceptions import RayActorError

from bench.report import Section
from td3_driver.configuration import Configuration, load_configuration
from td3_driver.fleet.actors import LEARNER, start_learner
from td3_driver.fleet.blocks import Block
from td3_driver.fleet.cluster import cluster
from td3_driver.fleet.collector import BLOCK_STEPS, Collector, CollectorSpec
from td3_driver.fleet.learner import FleetSpec
from td3_driver.fleet.messages import Delivery
from td3_driver.world.simulation import WorldConfig

_COLLECTORS = (1, 4, 16, 64)
_PROCESSES = 4
_RECORDED = 12  # blocks
_SETTLE_S, _SECONDS = 1.0, 4.0
_WANTED_PER_S = 1280.0  # 64 worlds at 20 Hz
_WANTED_SHARE = 0.95  # of the updates a second that the learner makes alone
_BUSY = 1e6  # updates per step: more than it makes in the time
_ROUNDS = 2  # at most: one takes four minutes
# `train` and `fleet`: steps are counted from here on, for so long.
_FROM_STEP, _DRIVEN_S, _PATIENCE_S = 330, 15.0, 240.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_COMMANDS = {
    "train": ["train", "--domain", "auto"],
    "fleet, 1 world": ["fleet", "--worlds", "1"],
    "fleet, 2 worlds": ["fleet", "--worlds", "2"],
}


class _Many:
    """Synthetic collectors in one process."""

    def run(self, learner: Any, numbers: list[int], blocks: list[Block]) -> None:
        """Deliver until the learner is killed, each collector with one delivery under way."""
        sent = dict.fromkeys(numbers, (0, 0))
        under_way = {self._send(learner, number, sent, blocks): number for number in numbers}
        with contextlib.suppress(RayActorError):
            while True:
                (done,), _ = ray.wait(list(under_way), num_returns=1)
                ray.get(done)  # its error is ours
                number = under_way.pop(done)
                under_way[self._send(learner, number, sent, blocks)] = number

    def fetch(self, weights: list[Any], readers: int) -> None:
        """Get weights, as that many collectors would."""
        for _ in range(readers):
            ray.get(weights[0]).copy()

    def _send(
        self, learner: Any, number: int, sent: dict[int, tuple[int, int]], blocks: list[Block]
    ) -> Any:
        count, first = sent[number]
        block = replace(blocks[count % len(blocks)], first=first)
        sent[number] = count + 1, first + block.rows
        return learner.offer.remote(number, Delivery(block, BLOCK_STEPS, 0))


@dataclass(frozen=True)
class _Rates:
    """What happened in a second; the cores are those that processes kept busy."""

    transitions: float
    updates: float
    learner_cores: float
    collector_cores: float


def measure(rounds: int) -> Section:
    """Every figure in up to two rounds, in turn; the median."""
    rounds = min(rounds, _ROUNDS)
    configuration = load_configuration("default")
    section = Section(
        "Fleet",
        "",
        [
            "collectors", "transitions/s, no updates", "transitions/s", "MB/s", "updates/s",
            "of those alone", "cores: learner", "cores: collectors",
        ],
    )  # fmt: skip
    blocks = _recorded(configuration)
    nbytes = sum(block.nbytes for block in blocks) / sum(block.steps for block in blocks)
    alones, free = list[float](), defaultdict[int, list[_Rates]](list)
    loaded = defaultdict[int, list[_Rates]](list)
    with cluster(None, "bench", _PROCESSES + 2, 0.0):
        many = [ray.remote(_Many).remote() for _ in range(_PROCESSES)]
        for _ in range(rounds):
            # The one collector waits for ever: after its first delivery it takes no time.
            alones.append(_rates(configuration, many, 1, blocks, _BUSY).updates)
            ratio = _WANTED_SHARE * alones[0] / _WANTED_PER_S
            for count in _COLLECTORS:
                free[count].append(_rates(configuration, many, count, blocks, 0.0))
                loaded[count].append(_rates(configuration, many, count, blocks, ratio))
        broadcast = _broadcast(configuration, many, rounds)
    alone = median(alones)
    for count in _COLLECTORS:
        both, updates = loaded[count], median(one.updates for one in loaded[count])
        taken = median(one.transitions for one in both)
        section.add(
            count,
            f"{median(one.transitions for one in free[count]):.0f}",
            f"{taken:.0f}",
            f"{taken * nbytes / 1e6:.1f}",
            f"{updates:.1f}",
            f"{updates / alone:.2f}",
            f"{median(one.learner_cores for one in both):.2f}",
            f"{median(one.collector_cores for one in both):.2f}",
        )
    section.text = (
        f"Rounds: {rounds}; medians. Blocks of {BLOCK_STEPS} recorded steps ({nbytes:.0f} bytes"
        f" a step), sent by {_PROCESSES} processes (one for a single collector) beside the"
        f" learner, which computes with one thread; {os.cpu_count()} cores, nothing is pinned."
        f" Alone it makes {alone:.1f} updates/s of batch {configuration.agent.batch_size}. Where"
        f" {_WANTED_PER_S:.0f} transitions/s come in, {_WANTED_SHARE} of these are due.\n\n"
        f"{broadcast}\n\n{_beside_train(rounds)}"
    )
    return section


def _recorded(configuration: Configuration) -> list[Block]:
    world = WorldConfig(seed=1).through(configuration.driving.view)
    collector = Collector(CollectorSpec(0, configuration, world, (), "easy", 1.0))
    return [collector.drive(BLOCK_STEPS).block for _ in range(_RECORDED)]


@contextlib.contextmanager
def _learner(configuration: Configuration, ratio: float) -> Iterator[Any]:
    agent = replace(configuration.agent, updates_per_step=ratio)
    with tempfile.TemporaryDirectory() as folder:
        learner = start_learner(0.0)
        spec = FleetSpec(
            replace(configuration, agent=agent), Path(folder), "bench", {}, seed=0, device="cpu",
            threads=1, steps=10**9, save_freq=10**9, save_replay=False,
        )  # fmt: skip
        ray.get(learner.begin.remote(spec))
        yield learner
        ray.kill(learner)
        while LEARNER in ray.util.list_named_actors():  # the next one's name
            time.sleep(0.05)


def _rates(
    configuration: Configuration, many: list[Any], count: int, blocks: list[Block], ratio: float
) -> _Rates:
    """Measure a learner under so many collectors, which has that many updates to make a step."""
    with _learner(configuration, ratio) as learner:
        shares = [list(range(count))[part::_PROCESSES] for part in range(_PROCESSES)]
        running = [
            each.run.remote(learner, share, blocks)
            for each, share in zip(many, shares, strict=True)
            if share
        ]
        if ratio:
            _wait_for_updates(learner)
        found = _watched(learner)
    ray.get(running)
    return found


def _wait_for_updates(learner: Any) -> None:
    while not ray.get(learner.status.remote()).updates:
        time.sleep(0.05)


def _watched(learner: Any) -> _Rates:
    time.sleep(_SETTLE_S)
    before, began_s, learner_s, many_s = _now(learner)
    time.sleep(_SECONDS)
    after, ended_s, learner_end_s, many_end_s = _now(learner)
    took_s = ended_s - began_s
    return _Rates(
        (after.transitions - before.transitions) / took_s,
        (after.updates - before.updates) / took_s,
        (learner_end_s - learner_s) / took_s,
        (many_end_s - many_s) / took_s,
    )


def _now(learner: Any) -> tuple[Any, float, float, float]:
    status = ray.get(learner.status.remote())
    return status, time.monotonic(), _cpu_s("ray::LearnerActor"), _cpu_s("ray::_Many")


def _cpu_s(named: str) -> float:
    """The processor time of the actors of a kind, s."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cmdline").read_text().startswith(named):
                user, system = (entry / "stat").read_text().rpartition(")")[2].split()[11:13]
                ticks += int(user) + int(system)
        except (OSError, UnicodeDecodeError):  # it has ended, or is another's
            continue
    return ticks / _TICKS_PER_S


def _broadcast(configuration: Configuration, many: list[Any], rounds: int) -> str:
    with _learner(configuration, 0.0) as learner:
        answer = ray.get(learner.newest.remote())
        size = ray.get(answer.weights[0]).nbytes
        readers, times_s = max(_COLLECTORS) // _PROCESSES, []
        for _ in range(10 * rounds):
            began_s = time.perf_counter()
            ray.get([each.fetch.remote(answer.weights, readers) for each in many])
            times_s.append(time.perf_counter() - began_s)
    return (
        f"Weights to {max(_COLLECTORS)} collectors: {size} bytes each, {1e3 * median(times_s):.1f}"
        " ms for all, each with its own copy, read from one object."
    )


def _beside_train(rounds: int) -> str:
    rates = defaultdict[str, list[float]](list)
    for _ in range(rounds):
        for name, command in _COMMANDS.items():
            rates[name].append(_steps_per_s(command))
    train, one, two = (median(rates[name]) for name in _COMMANDS)
    return (
        f"Steps/s from step {_FROM_STEP} on, one update a step, as the commands run:"
        f" `train` {train:.1f}; `fleet --worlds 1` {one:.1f}, {one / train:.2f} of it;"
        f" `fleet --worlds 2` {two:.1f}, {two / one:.2f} of one world."
    )


def _steps_per_s(command: list[str]) -> float:
    """Run a command of `td3_driver` for a while, and read how far it says that it is."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*command, "--checkpoint-dir", folder, "--steps", "100000"]
        words += ["--save-freq", "100000"]  # no evaluation beside it
        process = subprocess.Popen(
            [sys.executable, "-m", "td3_driver.cli", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        began: tuple[float, int] | None = None
        rate, until_s = 0.0, time.monotonic() + _PATIENCE_S
        for line in process.stdout:
            now_s, told = time.monotonic(), re.match(r"step (\d+)\b", line)
            if told and int(told[1]) >= _FROM_STEP:
                began = began or (now_s, int(told[1]))
                if now_s - began[0] > _DRIVEN_S:
                    rate = (int(told[1]) - began[1]) / (now_s - began[0])
                    break
            if now_s > until_s:
                break
        process.send_signal(signal.SIGINT)
        process.communicate()
    if not rate:
        raise RuntimeError(f"td3_driver {' '.join(words)}: it did not drive")
    return rate
