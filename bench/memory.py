# SPDX-License-Identifier: Apache-2.0
"""Memory of buffers that are really filled, each in a fresh process, by the kernel's count."""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

from bench.report import Section
from bench.workload import EPISODE, our_replay

_MANY, _FEW = 1_000_000, 20_000  # SB3's would take 56.7 GB for a million


def _ours(count: int) -> object:
    return our_replay(count + count // EPISODE, count)


def _ours_in_file(count: int) -> object:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        return our_replay(count + count // EPISODE, count, Path(folder) / "replay")


def _sb3(count: int) -> object:
    from bench.sb3_peer import sb3_buffer

    return sb3_buffer(count, count)


_BUFFERS: tuple[tuple[str, Callable[[int], object], int], ...] = (
    ("ours", _ours, _MANY),
    ("ours, in a file", _ours_in_file, _MANY),
    ("SB3 Dict", _sb3, _FEW),
)


def _resident() -> dict[str, int]:
    """Bytes of this process in memory, by kind."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(":") for line in lines if line.startswith("Rss"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}


def _fill(make: Callable[[int], object], count: int, pipe: Connection) -> None:
    make(EPISODE)  # imports, and whatever is allocated once
    before = _resident()
    buffer = make(count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    pipe.send((before, _resident(), peak))
    del buffer


def measure() -> Section:
    """Fill every buffer in a process of its own."""
    section = Section(
        "Memory",
        "A buffer filled with the workload (episodes of"
        f" {EPISODE} steps): what the process's memory grew by for each transition, its peak,"
        " and the part of it that is a file's cache and given back when others need it.",
        ["buffer", "transitions", "bytes each", "peak GB", "of which file cache GB"],
    )
    context = multiprocessing.get_context("spawn")
    for name, make, count in _BUFFERS:
        ours, theirs = context.Pipe()
        process = context.Process(target=_fill, args=(make, count, theirs))
        process.start()
        theirs.close()
        before, after, peak = ours.recv()
        process.join()
        grown = sum(after.values()) - sum(before.values())
        cache = (after["RssFile"] - before["RssFile"]) / 1e9
        section.add(name, count, f"**{grown / count:.0f}**", f"{peak / 1e9:.2f}", f"{cache:.2f}")
    return section
