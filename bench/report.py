# SPDX-License-Identifier: Apache-2.0
"""Tables in Markdown, with the machine, the versions and the command that made them."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

_PACKAGES = ("torch", "numpy", "stable-baselines3", "cpprb", "gymnasium", "mujoco")


@dataclass
class Section:
    """One table with a heading and a sentence that says what was measured."""

    title: str
    text: str
    header: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Append a row, and print it: measurements take long, and may be stopped."""
        self.rows.append([str(cell) for cell in cells])
        print(f"{self.title}: " + " | ".join(self.rows[-1]), flush=True)

    def markdown(self) -> str:
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        table = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"## {self.title}\n\n{self.text}\n\n{table}\n"


def ratio(peer: float, ours: float) -> str:
    """How many times as fast as the peer we are."""
    return f"**{peer / ours:.2f}**"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def _versions() -> str:
    found = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{name} absent")
    return ", ".join(found)


def preamble() -> str:
    """Where and how the tables were made; the load shows whether the machine was quiet."""
    gpu = f", {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return (
        f"- machine: {_processor()}, {os.cpu_count()} cores{gpu}, {platform.system()}\n"
        f"- versions: Python {platform.python_version()}, {_versions()}\n"
        f"- command: `python -m bench {' '.join(sys.argv[1:])}`\n"
        f"- load average at the start: {os.getloadavg()[0]:.2f}\n"
    )
