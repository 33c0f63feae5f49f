# SPDX-License-Identifier: Apache-2.0
"""One update with its sampling: ours, Stable-Baselines3's, and an eager loop like CleanRL's."""

from __future__ import annotations

import dataclasses
import importlib.util
from collections.abc import Callable

import torch

from bench.cleanrl_style import Buffer, CleanRLStyle
from bench.report import Section, ratio
from bench.timing import Timing, interleaved
from bench.workload import (
    ACTION,
    BATCH_SIZES,
    PRESETS,
    VECTOR,
    our_agent,
    our_replay,
    preset,
    steps,
)

_ROWS = 2000  # the work of an update does not depend on it; 56.7 kB a row with SB3
_OURS, _SB3, _CLEANRL = "ours", "SB3 TD3", "CleanRL style"
_BF16 = "ours, bf16"
_WHOLE = "ours, as the preset"  # what the peers lack is off in the others: the work is the same
_ONLY_OURS = {
    "random_shift": 0, "smoothness_penalty": 0.0, "pre_tanh_penalty": 0.0, "n_step": 1,
    "precision": "float32",
}


def measure(device: str, rounds: int) -> Section:
    """Time all three at every batch size with the networks of every preset."""
    peers = [_CLEANRL]
    if importlib.util.find_spec("stable_baselines3"):
        peers.insert(0, _SB3)
    section = Section(
        "Updates",
        "One update, its sampling included; ms, median (quartiles) of "
        f"{rounds} rounds in turns, {torch.get_num_threads()} threads, device {device}.",
        [
            *("networks", "batch", *(f"× {peer}" for peer in peers), "ours, updates/s"),
            *(_OURS, *peers, _BF16, _WHOLE),
        ],
    )
    for name in PRESETS:
        for batch_size in BATCH_SIZES:
            timings = _time(name, batch_size, device, rounds, _SB3 in peers)
            ours = timings[_OURS].median
            section.add(
                name,
                batch_size,
                *(ratio(timings[peer].median, ours) for peer in peers),
                f"{1e3 / ours:.1f}",
                *(str(timings[key]) for key in (_OURS, *peers, _BF16, _WHOLE)),
            )
    return section


def _time(
    name: str, batch_size: int, device: str, rounds: int, with_sb3: bool
) -> dict[str, Timing]:
    config = preset(name)
    plain = dataclasses.replace(config, **_ONLY_OURS)
    ours, whole = our_agent(plain, device), our_agent(config, device)
    rounded = our_agent(dataclasses.replace(plain, precision="bf16"), device)
    replay = our_replay(_ROWS + 100, _ROWS)
    eager = CleanRLStyle(config, VECTOR, ACTION, images=True, device=device)
    buffer = Buffer(steps(_ROWS), device)
    candidates: dict[str, Callable[[], object]] = {
        _OURS: lambda: ours.train(replay, batch_size),
        _BF16: lambda: rounded.train(replay, batch_size),
        _WHOLE: lambda: whole.train(replay, batch_size),
        _CLEANRL: lambda: eager.update(*buffer.sample(batch_size)),
    }
    if with_sb3:
        from bench.sb3_peer import sb3_agent, sb3_buffer

        sb3 = sb3_agent(config, sb3_buffer(_ROWS, _ROWS, device), device)
        candidates[_SB3] = lambda: sb3.train(1, batch_size)
    synchronize = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    # Two updates are one period of the delayed actor.
    calls = 2 * max(1, 64 // batch_size) if device == "cpu" else 100
    return interleaved(candidates, rounds, calls, synchronize)
