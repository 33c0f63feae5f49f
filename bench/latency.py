# SPDX-License-Identifier: Apache-2.0
"""How long the actor takes for a frame, alone and with a learner at full speed beside it."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing.synchronize import Event

import numpy as np
import torch

from bench.report import Section
from bench.workload import IMAGE, PRESETS, VECTOR, our_agent, our_replay, preset
from td3_driver.agent.policy import Policy

_PERIOD = 0.05  # 20 Hz, as the control loop runs
_FRAMES = 200
_ROWS = 2000
_LEARNERS = ((1, 0), (2, 0), (2, 10))  # threads, niceness


def _learn(name: str, threads: int, nice: int, ready: Event, stop: Event) -> None:
    os.nice(nice)
    torch.set_num_threads(threads)
    agent, replay = our_agent(preset(name)), our_replay(_ROWS + 100, _ROWS)
    agent.train(replay)
    ready.set()
    while not stop.is_set():
        agent.train(replay)


def _percentiles(name: str) -> tuple[float, float, int]:
    """p50 and p99 in ms, and how many of the frames took longer than the period."""
    config = preset(name)
    policy = Policy(config.cnn_features + VECTOR, 2, 1.0, True, config)
    rng = np.random.default_rng(0)
    observation = {
        "image": rng.integers(0, 256, IMAGE, dtype=np.uint8),
        "vector": rng.standard_normal(VECTOR, dtype=np.float32),
    }
    policy.act(observation)
    times = []
    due = time.perf_counter()
    for _ in range(_FRAMES):
        due = max(due + _PERIOD, time.perf_counter())
        time.sleep(max(0.0, due - time.perf_counter()))
        start = time.perf_counter()
        policy.act(observation)
        times.append((time.perf_counter() - start) * 1e3)
    late = sum(value > _PERIOD * 1e3 for value in times)
    return float(np.percentile(times, 50)), float(np.percentile(times, 99)), late


def measure() -> Section:
    """The actor has one thread; the learner is a process of its own."""
    torch.set_num_threads(1)
    section = Section(
        "Actor latency",
        f"One action for one frame, {_FRAMES} frames at 20 Hz, one thread for the actor; ms. The"
        " learner is another process that updates without a pause at the preset's batch size.",
        ["networks", "learner", "p50", "p99", "frames over 50 ms"],
    )
    context = multiprocessing.get_context("spawn")
    for name in PRESETS:
        section.add(name, "none", *_cells(name))
        for threads, nice in _LEARNERS:
            ready, stop = context.Event(), context.Event()
            learner = context.Process(target=_learn, args=(name, threads, nice, ready, stop))
            learner.start()
            ready.wait()
            section.add(name, f"{threads} threads, nice {nice}", *_cells(name))
            stop.set()
            learner.join()
    return section


def _cells(name: str) -> tuple[str, str, str]:
    p50, p99, late = _percentiles(name)
    return f"{p50:.2f}", f"**{p99:.2f}**", str(late)
