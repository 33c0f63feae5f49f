# SPDX-License-Identifier: Apache-2.0
"""Seconds from `td3_driver train` to its first step.

Needs the environment of `make setup`, not that of the peers.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

from bench.report import Section
from bench.world import TOWN, quartiles

_CASES: dict[str, list[str]] = {
    "generated roads": [],
    "Town01": ["--map", str(TOWN)],
    "Town01, 20 vehicles": ["--map", str(TOWN), "--traffic", "20"],
}
_DONE = "the run is complete"


def measure(rounds: int) -> Section:
    """Each case `rounds` times, in turns."""
    section = Section(
        "Start",
        "`td3_driver train --steps 1`, from the command to the end of its one step; processor time"
        " of all its processes, their ends included. Medians, and quartiles in brackets.",
        ["world", "s", "processor s"],
    )
    results = [[_start(options) for options in _CASES.values()] for _ in range(rounds)]
    for row, name in enumerate(_CASES):
        columns = np.array([result[row] for result in results]).T
        section.add(name, *(quartiles(column) for column in columns))
    return section


def _start(options: list[str]) -> tuple[float, float]:
    command = [sys.executable, "-m", "td3_driver.cli", "train", "--steps", "1", "--domain", "auto"]
    before_s, began_s = _cpu_s(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [*command, "--checkpoint-dir", folder, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        took_s = float("nan")
        for line in process.stdout:
            if _DONE in line:
                took_s = time.perf_counter() - began_s
                process.send_signal(signal.SIGINT)  # the evaluation of its checkpoint is not asked
        process.wait()
    return took_s, _cpu_s() - before_s


def _cpu_s() -> float:
    """Processor time of all processes that were waited for, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
