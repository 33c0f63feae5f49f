# SPDX-License-Identifier: Apache-2.0
"""Memory of a buffer that is really filled, each in a fresh process, by the kernel's count."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.report import Section, ratio
from bench.workload import ACTION, IMAGE, VECTOR, our_replay

_MANY, _FEW = 1_000_000, 20_000


def _resident() -> dict[str, int]:
    """Bytes of this process that are in memory now: private or shared ones, and a file's."""
    fields = {}
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name in ("VmRSS", "RssAnon", "RssShmem", "RssFile"):
            fields[name] = int(value.split()[0]) * 1024
    return fields


def _fill_ours(file: Path | None, count: int) -> None:
    from td3_driver.agent import Replay

    replay = Replay(count, IMAGE, VECTOR, ACTION, file=file)
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (64, *IMAGE[1:]), dtype=np.uint8)
    vector, action = np.zeros(VECTOR, np.float32), np.zeros(ACTION, np.float32)
    replay.begin(frames[0], vector)
    for index in range(1, count):
        replay.add(action, 0.0, frames[index % 64], vector, False, False)


def _fill_sb3(count: int) -> None:
    from bench.sb3_peer import sb3_buffer

    sb3_buffer(count, count)


def _measured(kind: str, count: int, pipe: multiprocessing.connection.Connection) -> None:
    # Both import everything first, so that libraries are not counted.
    our_replay(100, 50)
    if kind == "sb3":
        import bench.sb3_peer  # noqa: F401
    before = _resident()
    if kind == "sb3":
        _fill_sb3(count)
    elif kind == "file":
        with tempfile.TemporaryDirectory(dir=".") as folder:
            _fill_ours(Path(folder) / "replay", count)
            pipe.send((before, _resident(), _peak()))
            return
    else:
        _fill_ours(None, count)
    pipe.send((before, _resident(), _peak()))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
