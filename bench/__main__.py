# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: measures the agent beside its peers and writes the tables as Markdown."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from bench.report import Section, preamble
from td3_driver.console import readers_may_leave

_RESULTS = Path(__file__).resolve().parent / "results"
_QUICK = ("updates", "sampling", "latency")  # "all" leaves out what takes long


def _measure(name: str, arguments: argparse.Namespace) -> Section:
    # Imported when wanted: on a machine with a GPU only PyTorch may be there.
    if name == "updates":
        from bench import updates

        return updates.measure(arguments.device, arguments.rounds)
    if name == "sampling":
        from bench import sampling

        return sampling.measure(arguments.rounds)
    if name == "latency":
        from bench import latency

        return latency.measure(arguments.rounds)
    if name == "memory":
        from bench import memory

        return memory.measure()
    if name == "saving":
        from bench import saving

        return saving.measure()
    if name == "world":
        from bench import world

        return world.measure(arguments.rounds)
    if name == "start":
        from bench import start

        return start.measure(arguments.rounds)
    if name == "carla":
        from bench import carla_server

        return carla_server.measure(arguments.rounds)
    if name == "fleet":
        from td3_driver.fleet.cluster import prepare

        prepare(None)
        from bench import fleet

        return fleet.measure(arguments.rounds)
    from bench import gym_compare

    return gym_compare.measure(arguments.threads)


def main() -> None:
    """Measure what was asked for, print it, and write it to results/."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        default="all",
        choices=("all", *_QUICK, "memory", "saving", "gym", "world", "start", "carla", "fleet"),
        help=f"all (the default) is {', '.join(_QUICK)}; "
        "memory and saving take minutes and 8 GB, gym hours; "
        "world is the embedded world's speed, carla its speed as a CARLA server, start how long"
        " train takes to its first step, fleet what one learner takes in, and a fleet beside"
        " train, in at most two rounds: these need .venv",
    )
    parser.add_argument("--device", default="cpu", help="of the updates: cpu (default) or cuda")
    parser.add_argument("--threads", type=int, default=2, help="of every candidate (default 2)")
    parser.add_argument("--rounds", type=int, default=7, help="of each timing (default 7)")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.device == "cuda":
        # Ours uses TF32 whatever this says; the peers' layers are to be as fast as ours.
        torch.set_float32_matmul_precision("high")
    text = preamble()
    print(text)
    for name in _QUICK if arguments.what == "all" else (arguments.what,):
        text += "\n" + _measure(name, arguments).markdown()
    print(text)
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{arguments.what}_{arguments.device}_{arguments.threads}.md"
    path.write_text(text, encoding="utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    with readers_may_leave():
        main()
