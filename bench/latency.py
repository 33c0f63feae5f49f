# SPDX-License-Identifier: Apache-2.0
"""How long the actor takes for a frame, beside a node that trains in its callback."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from multiprocessing.synchronize import Event

import numpy as np
import torch

from bench.report import Section, ratio
from bench.workload import ACTION, IMAGE, PRESETS, VECTOR, our_agent, our_replay, preset
from td3_driver.agent.policy import ActorPolicy

_PERIOD = 0.05  # 20 Hz, as the control loop runs
_FRAMES = 200
_ROWS = 2000
_LEARNERS = ((1, 0), (1, 10), (2, 10))  # threads, niceness


@dataclass(frozen=True)
class _Measured:
    """From a frame's time to its action, ms; the share of frames that no newer one overtook."""

    p50_ms: float
    p99_ms: float
    answered: float

    def cells(self, callback: _Measured) -> tuple[str, ...]:
        """The ratios to a node that trains in its callback, then the numbers."""
        return (
            ratio(callback.p99_ms, self.p99_ms),
            ratio(self.answered, callback.answered),
            f"{self.p50_ms:.2f}",
            f"{self.p99_ms:.2f}",
            f"{100.0 * (1.0 - self.answered):.1f}",
        )


def _learn(name: str, threads: int, nice: int, ready: Event, stop: Event) -> None:
    os.nice(nice)
    torch.set_num_threads(threads)
    agent, replay = our_agent(preset(name)), our_replay(_ROWS + 100, _ROWS)
    agent.train(replay)
    ready.set()
    parent = multiprocessing.parent_process()
    while not stop.is_set() and parent is not None and parent.is_alive():
        agent.train(replay)


def _act(name: str, then: Callable[[], object] | None = None) -> _Measured:
    """The newest frame counts: what came while `then`, the rest of the callback, ran is missed."""
    config = preset(name)
    policy = ActorPolicy(config.cnn_features + VECTOR, ACTION, 1.0, True, config)
    rng = np.random.default_rng(0)
    observation = {
        "image": rng.integers(0, 256, IMAGE, dtype=np.uint8),
        "vector": rng.standard_normal(VECTOR, dtype=np.float32),
    }
    policy.act(observation)
    times: list[float] = []
    begun, frame = time.perf_counter(), 0
    while frame + 1 < _FRAMES:
        newest = int((time.perf_counter() - begun) / _PERIOD)
        frame = max(newest, frame + 1)
        due = begun + frame * _PERIOD
        time.sleep(max(0.0, due - time.perf_counter()))
        policy.act(observation)
        times.append((time.perf_counter() - due) * 1e3)
        if then is not None:
            then()
    p50_ms, p99_ms = (float(np.percentile(times, percent)) for percent in (50, 99))
    return _Measured(p50_ms, p99_ms, len(times) / frame)


def _in_the_callback(name: str) -> _Measured:
    """One update after each frame, in the process and thread that acts."""
    agent, replay = our_agent(preset(name)), our_replay(_ROWS + 100, _ROWS)
    return _act(name, lambda: agent.train(replay))


def _beside(name: str, threads: int, nice: int) -> _Measured:
    """A learner in a process of its own, which updates without a pause."""
    context = multiprocessing.get_context("spawn")
    ready, stop = context.Event(), context.Event()
    learner = context.Process(target=_learn, args=(name, threads, nice, ready, stop))
    learner.start()
    ready.wait()
    measured = _act(name)
    stop.set()
    learner.join()
    return measured


def _median(rounds: list[_Measured]) -> _Measured:
    values = [(one.p50_ms, one.p99_ms, one.answered) for one in rounds]
    p50_ms, p99_ms, answered = (float(value) for value in np.median(values, axis=0))
    return _Measured(p50_ms, p99_ms, answered)


def measure(rounds: int) -> Section:
    """The actor has one thread; the learner is a process of its own."""
    torch.set_num_threads(1)
    section = Section(
        "Actor latency",
        f"From a frame's time to its action, {_FRAMES} frames at 20 Hz, one thread for the actor;"
        f" ms, medians of {rounds} rounds in turns. The ratios say how many times as good as a"
        " node that trains in its callback (one update after each frame): its p99 through ours,"
        " our share of answered frames through its. Missed: frames that a newer one overtook, %."
        " Other learners are a process that updates without a pause at the preset's batch size.",
        ["networks", "learner", "ratio of p99", "of frames answered", "p50", "p99", "missed"],
    )
    for name in PRESETS:
        candidates: dict[str, Callable[[], _Measured]] = {
            "in the callback": partial(_in_the_callback, name),
            "none": partial(_act, name),
        }
        for threads, nice in _LEARNERS:
            row = f"{threads} threads, nice {nice}"
            candidates[row] = partial(_beside, name, threads, nice)
        found: dict[str, list[_Measured]] = {row: [] for row in candidates}
        for _ in range(rounds):
            for row, measured in candidates.items():
                found[row].append(measured())
        callback = _median(found["in the callback"])
        for row, each in found.items():
            section.add(name, row, *_median(each).cells(callback))
    return section
