# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: prints the tables and writes them to a Markdown file."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bench import updates
from bench.report import preamble

_RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=["updates"])
    parser.add_argument("--device", default="cpu", help="of the updates: cpu or cuda")
    parser.add_argument("--threads", type=int, default=2, help="of every candidate (default 2)")
    parser.add_argument("--rounds", type=int, default=7, help="of each timing (default 7)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(preamble())
    print(updates.measure(arguments.device, arguments.rounds).markdown())


if __name__ == "__main__":
    main()
