# SPDX-License-Identifier: Apache-2.0
"""Kill a saving trainer at random moments and look at what it left.

    python test/checkpoints/fuzz_kill.py --kills 300

The trainer is a process of its own: it resumes from the newest checkpoint and its replay, then
learns and saves without pause until it is killed (SIGKILL). After each kill every published file
must verify, and the newest must be at least as new as the last save that the trainer reported.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch

from td3_driver.agent import CheckpointError, Replay, TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.inspection import verify
from td3_driver.learner import resume

CONFIG: dict[str, Any] = {
    "conv_layers": [[16, 8, 4], [32, 4, 2]],
    "cnn_features": 64,
    "hidden_sizes": [128, 128],
    "image_size": 36,
    "batch_size": 8,
}
IMAGE, VECTOR, CAPACITY, ROWS_PER_SAVE = (4, 36, 36), 5, 400, 37
LONGEST_LIFE_S = 0.6
PATIENCE_S = 60.0


@dataclass
class Tally:
    """What a run of kills saw."""

    kills: int = 0
    saves_reported: int = 0
    resumes: int = 0
    files_verified: int = 0
    left_over_temporaries: int = 0
    logs_beyond_their_checkpoint: int = 0
    saves_newer_than_reported: int = 0


def train_until_killed(folder: Path, pipe: Connection) -> None:
    """Resume, then learn and save for ever; reports ("resumed" or "saved", steps)."""
    torch.set_num_threads(1)
    replay = Replay(CAPACITY, IMAGE, VECTOR, 2)
    newest = checkpoint.newest(folder)
    agent, link = TD3Agent(64 + VECTOR, config=CONFIG), None
    if newest:
        link = resume.load(agent, newest, replay).link
        agent.train(replay, 8)
    pipe.send(("resumed", agent.env_steps))
    rng = np.random.default_rng(os.getpid())
    while True:
        drive(replay, rng)
        agent.train(replay, 8)
        agent.env_steps += 1
        path = folder / f"td3_{agent.env_steps}.pth"
        link = resume.save(agent, path, {}, replay, replay.rows_written, link)
        if agent.env_steps % 3 == 0:
            checkpoint.publish_best(path)
        checkpoint.retain(folder, keep_last=3, keep_every=100)
        pipe.send(("saved", agent.env_steps))


def drive(replay: Replay, rng: np.random.Generator) -> None:
    """One short episode."""
    frames = rng.integers(0, 256, (ROWS_PER_SAVE, *IMAGE[1:]), dtype=np.uint8)
    vectors = rng.normal(size=(ROWS_PER_SAVE, VECTOR))
    replay.begin(frames[0], vectors[0])
    for frame, vector in zip(frames[1:], vectors[1:], strict=True):
        replay.add(rng.uniform(-1, 1, 2), 1.0, frame, vector, False, False)


def live_and_die(folder: Path, life_s: float, tally: Tally) -> int:
    """Start a trainer, kill it after `life_s`; returns the steps of the last save it reported."""
    # Forked: importing torch anew takes seconds, and it is the saving that is tested.
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=train_until_killed, args=(folder, theirs))
    process.start()
    theirs.close()
    time.sleep(life_s)
    assert process.is_alive(), f"the trainer ended by itself, exit code {process.exitcode}"
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(PATIENCE_S)
    last = 0
    try:
        while ours.poll():
            what, steps = ours.recv()
            last = steps
            tally.resumes += what == "resumed" and steps > 0
            tally.saves_reported += what == "saved"
    except EOFError:
        pass
    tally.kills += 1
    return last


def examine(folder: Path, reported: int, tally: Tally) -> int:
    """Check everything in the folder; returns the steps of the newest checkpoint."""
    published = sorted(folder.glob("*.pth"))
    for path in published:
        remark = verify(path)
        assert "replay" in remark, remark
        tally.files_verified += 1
    tally.left_over_temporaries += len([*folder.glob(".*.tmp")])
    newest = checkpoint.newest(folder)
    if newest is None:
        assert reported == 0, f"{reported} steps were reported as saved, and nothing is there"
        return 0
    payload = checkpoint.read(newest)
    steps = int(payload["env_steps"])
    assert steps >= reported, f"{reported} steps were reported as saved, the newest is {steps}"
    tally.saves_newer_than_reported += steps > reported
    log = folder / payload["replay"]["file"]
    tally.logs_beyond_their_checkpoint += log.stat().st_size > payload["replay"]["bytes"]
    return steps


def fuzz(folder: Path, kills: int, seed: int) -> Tally:
    """Kill `kills` trainers, one after the other, in one folder."""
    rng, tally, steps = random.Random(seed), Tally(), 0
    TD3Agent(64 + VECTOR, config=CONFIG)  # torch imports more when it is first used
    for _ in range(kills):
        reported = live_and_die(folder, rng.uniform(0.0, LONGEST_LIFE_S), tally)
        steps = examine(folder, max(steps, reported), tally)
    return tally


def main() -> int:
    """Command line: run, print what was seen, exit 1 at the first fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300, help="number of kills (300)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    args = parser.parse_args()
    folder, start = Path(tempfile.mkdtemp(prefix="td3_fuzz_")), time.monotonic()
    torch.set_num_threads(1)
    try:
        tally = fuzz(folder, args.kills, args.seed)
    except (AssertionError, CheckpointError, OSError) as error:
        print(f"FAULT: {error} (kept: {folder})", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    for item in fields(tally):
        print(f"{item.name.replace('_', ' '):30}{getattr(tally, item.name):8}")
    print(f"{'seconds':30}{time.monotonic() - start:8.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
