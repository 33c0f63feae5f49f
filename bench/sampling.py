# SPDX-License-Identifier: Apache-2.0
"""Drawing batches: our replay, Stable-Baselines3's DictReplayBuffer, and cpprb."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from cpprb import ReplayBuffer

from bench.report import Section, ratio
from bench.sb3_peer import sb3_buffer
from bench.timing import interleaved
from bench.workload import ACTION, BATCH_SIZES, IMAGE, VECTOR, our_replay, steps

_ROWS = 10_000  # 567 MB in SB3's buffer: far more than any cache holds
_OURS, _SB3, _PLAIN, _COMPRESSED = "ours", "SB3 Dict", "cpprb", "cpprb compressed"


def _cpprb(compressed: bool) -> ReplayBuffer:
    """Full transitions, or cpprb's own sharing of frames, which wants the stack as last axis."""
    image = {"shape": (*IMAGE[1:], IMAGE[0]) if compressed else IMAGE, "dtype": np.uint8}
    columns = {
        "obs": image,
        "vector": {"shape": VECTOR},
        "next_vector": {"shape": VECTOR},
        "act": {"shape": ACTION},
        "rew": {},
        "done": {},
    }
    if compressed:
        buffer = ReplayBuffer(_ROWS, columns, next_of="obs", stack_compress="obs")
    else:
        buffer = ReplayBuffer(_ROWS, {**columns, "next_obs": image})
    for step in steps(_ROWS):
        images = (step.image, step.next_image)
        if compressed:
            images = (np.moveaxis(step.image, 0, -1), np.moveaxis(step.next_image, 0, -1))
        buffer.add(
            obs=images[0],
            next_obs=images[1],
            vector=step.vector,
            next_vector=step.next_vector,
            act=step.action,
            rew=step.reward,
            done=step.terminated,
        )
        if step.terminated or step.truncated:
            buffer.on_episode_end()
    return buffer


def measure(rounds: int) -> Section:
    """Time all buffers at every batch size."""
    replay, sb3 = our_replay(_ROWS + _ROWS // 10, _ROWS), sb3_buffer(_ROWS, _ROWS)
    plain, compressed = _cpprb(False), _cpprb(True)
    rng = np.random.default_rng(0)
    peers = [_SB3, _PLAIN, _COMPRESSED]
    section = Section(
        "Sampling",
        f"One batch of 4×84×84 uint8 and {VECTOR} float32 from {_ROWS} transitions; ms, median"
        f" (quartiles) of {rounds} rounds in turns. SB3's result is tensors on the CPU, the"
        " others' are arrays. cpprb compressed shares frames as we do, but cannot give n-step"
        " returns then.",
        ["batch", *(f"× {peer}" for peer in peers), _OURS, *peers],
    )
    for size in BATCH_SIZES:
        candidates: dict[str, Callable[[], object]] = {
            _OURS: lambda size=size: replay.sample(size, rng),
            _SB3: lambda size=size: sb3.sample(size),
            _PLAIN: lambda size=size: plain.sample(size),
            _COMPRESSED: lambda size=size: compressed.sample(size),
        }
        timings = interleaved(candidates, rounds, 20)
        ours = timings[_OURS].median
        section.add(
            size,
            *(ratio(timings[peer].median, ours) for peer in peers),
            *(str(timings[name]) for name in (_OURS, *peers)),
        )
    return section
