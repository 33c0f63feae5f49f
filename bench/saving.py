# SPDX-License-Identifier: Apache-2.0
"""What a save costs: the driving process, the learner, and the replay beside SB3's pickle."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from threading import Thread

import numpy as np

from bench.report import Section, ratio
from bench.workload import EPISODE, PRESETS, our_agent, our_replay, preset
from td3_driver.learner import resume
from td3_driver.learner.messages import Save
from td3_driver.replay import file as replay_file

_OURS, _PEERS = 1_000_000, 20_000  # SB3's would take 56.7 GB for a million
_NEW = 1000  # rows between two saves
_ROUNDS = 5
_LONGEST_EPISODE = 1500


def _median_ms(call: Callable[[], object], rounds: int = _ROUNDS) -> float:
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def _ask_ms() -> float:
    """Sending the request with the longest episode's actions: all that driving waits for."""
    ours, theirs = Pipe()
    Thread(target=lambda: [theirs.recv() for _ in range(101)], daemon=True).start()
    run = {"driver": {"actions": np.random.default_rng(0).random((_LONGEST_EPISODE, 2)).tolist()}}
    request = Save(Path("td3_1.pth"), 1, 1, run)
    ours.send(request)
    return _median_ms(lambda: ours.send(request), 100)


def _sb3_save_ms(folder: Path) -> float:
    from stable_baselines3.common.save_util import save_to_pkl

    from bench.sb3_peer import sb3_buffer

    buffer = sb3_buffer(_PEERS, _PEERS)
    return _median_ms(lambda: save_to_pkl(folder / "buffer.pkl", buffer))


def measure() -> Section:
    """Each figure is the median of at least five runs, but for the first save of a million."""
    section = Section(
        "Saving",
        "What driving waits for, what the learner's updates wait for, and the replay. SB3 is"
        f" measured at {_PEERS} transitions and scaled to {_OURS}: a million would not fit.",
        ["what", "ms", "× SB3 at a million"],
    )
    section.add("driving process: ask for a save", f"{_ask_ms():.2f}", "")
    with tempfile.TemporaryDirectory(dir=".") as place:
        folder = Path(place)
        few = our_replay(1000, 500)
        for name in PRESETS:
            agent = our_agent(preset(name))
            for _ in range(2):  # so that every optimizer has its moments
                agent.train(few, 32)
            copy = _median_ms(lambda agent=agent: agent.checkpoint_payload())
            section.add(f"learner: copy the state, {name}", f"{copy:.1f}", "")
            write = _median_ms(lambda agent=agent: resume.save(agent, folder / "td3_1.pth", {}))
            section.add(f"beside: copy, write and fsync, {name}", f"{write:.0f}", "")
        sb3_ms = _sb3_save_ms(folder) * _OURS / _PEERS
        section.add("replay: SB3's pickle, scaled", f"{sb3_ms:.0f}", "1")
        _add_replay(section, folder, sb3_ms)
    return section


def _add_replay(section: Section, folder: Path, sb3_ms: float) -> None:
    replay = our_replay(_OURS + _OURS // EPISODE, _OURS)
    start = time.perf_counter()
    link = replay_file.save(replay, folder / "td3_0.replay", replay.rows_written, None)
    first_ms = (time.perf_counter() - start) * 1e3
    section.add("replay: ours, all of a million", f"{first_ms:.0f}", ratio(sb3_ms, first_ms))
    frame, vector = replay.arrays()["frames"][0].copy(), replay.arrays()["vectors"][0].copy()
    action, times = np.zeros(replay.action_dim, np.float32), []
    for round_ in range(_ROUNDS):
        replay.begin(frame, vector)
        for _ in range(_NEW - 1):
            replay.add(action, 0.0, frame, vector, False, False)
        path = folder / f"td3_{round_ + 1}.replay"
        start = time.perf_counter()
        link = replay_file.save(replay, path, replay.rows_written, link)
        times.append((time.perf_counter() - start) * 1e3)
    new_ms = float(np.median(times))
    section.add(f"replay: ours, {_NEW} new rows", f"{new_ms:.1f}", ratio(sb3_ms, new_ms))
