# SPDX-License-Identifier: Apache-2.0
"""How long the actor takes for a frame, alone and with a learner at full speed beside it."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event

import numpy as np
import torch

from bench.report import Section
from bench.workload import IMAGE, PRESETS, VECTOR, our_agent, our_replay, preset
from td3_driver.agent.policy import Policy

_PERIOD = 0.05  # 20 Hz, as the control loop runs
_FRAMES = 200
_ROWS = 2000
_LEARNERS = ((1, 0), (1, 10), (2, 10))  # threads, niceness


def _learn(name: str, threads: int, nice: int, ready: Event, stop: Event) -> None:
    os.nice(nice)
    torch.set_num_threads(threads)
    agent, replay = our_agent(preset(name)), our_replay(_ROWS + 100, _ROWS)
    agent.train(replay)
    ready.set()
    while not stop.is_set():
        agent.train(replay)


def _percentiles(name: str, then: Callable[[], object] | None = None) -> tuple[float, float, int]:
    """p50 and p99 in ms from a frame's time to its action, and how many frames got none.

    The newest frame counts: what came while `then`, the rest of the callback, ran is missed.
    """
    config = preset(name)
    policy = Policy(config.cnn_features + VECTOR, 2, 1.0, True, config)
    rng = np.random.default_rng(0)
    observation = {
        "image": rng.integers(0, 256, IMAGE, dtype=np.uint8),
        "vector": rng.standard_normal(VECTOR, dtype=np.float32),
    }
    policy.act(observation)
    times: list[float] = []
    begun, frame, missed = time.perf_counter(), 0, 0
    while frame + 1 < _FRAMES:
        newest = int((time.perf_counter() - begun) / _PERIOD)
        missed += max(newest - frame - 1, 0)
        frame = max(newest, frame + 1)
        due = begun + frame * _PERIOD
        time.sleep(max(0.0, due - time.perf_counter()))
        policy.act(observation)
        times.append((time.perf_counter() - due) * 1e3)
        if then is not None:
            then()
    return float(np.percentile(times, 50)), float(np.percentile(times, 99)), missed


def _in_the_callback(name: str) -> tuple[float, float, int]:
    """One update after each frame, in the process and thread that acts."""
    agent, replay = our_agent(preset(name)), our_replay(_ROWS + 100, _ROWS)
    return _percentiles(name, lambda: agent.train(replay))


def measure() -> Section:
    """The actor has one thread; the learner is a process of its own."""
    torch.set_num_threads(1)
    section = Section(
        "Actor latency",
        f"From a frame's time to its action, {_FRAMES} frames at 20 Hz, one thread for the actor;"
        " ms. Missed: frames that a newer one overtook. The learner is another process that"
        " updates without a pause at the preset's batch size; in the last row of each it is the"
        " callback itself, which makes one update after each frame.",
        ["networks", "learner", "p50", "p99", "frames missed"],
    )
    context = multiprocessing.get_context("spawn")
    for name in PRESETS:
        section.add(name, "none", *_cells(_percentiles(name)))
        for threads, nice in _LEARNERS:
            ready, stop = context.Event(), context.Event()
            learner = context.Process(target=_learn, args=(name, threads, nice, ready, stop))
            learner.start()
            ready.wait()
            section.add(name, f"{threads} threads, nice {nice}", *_cells(_percentiles(name)))
            stop.set()
            learner.join()
        section.add(name, "in the callback", *_cells(_in_the_callback(name)))
    return section


def _cells(measured: tuple[float, float, int]) -> tuple[str, str, str]:
    p50, p99, missed = measured
    return f"{p50:.2f}", f"**{p99:.2f}**", str(missed)
