# SPDX-License-Identifier: Apache-2.0
"""Turns recorded drives into transitions to learn from, rewarded as in driving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from td3_driver.bags.reading import BagError
from td3_driver.driving.roles import DrivingConfig
from td3_driver.online.meaning import of_experience
from td3_driver.playback.drives import Drives
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions, Recording, open_recording
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay


@dataclass(frozen=True)
class Prefilled:
    """What was written: the number of transitions, counts of `Drives`, and notes on the bags."""

    transitions: int
    counts: Counter[str]
    mean_reward: float
    notes: list[str]


def prefill(
    paths: Sequence[Path],
    out: Path,
    config: DrivingConfig,
    reading: ReadOptions,
    progress: Progress,
) -> Prefilled:
    """Write the transitions of some bags to one file.

    Args:
        paths: the bags.
        out: the replay file to write; an existing one is replaced.
        config: rewards, ends and limits.
        reading: how to read the bags.
        progress: told how far the reading is.

    Raises:
        FileNotFoundError, BagError: a bag cannot be used.
        CheckpointError: the file cannot be written.
    """
    with ExitStack() as stack:
        opened = []
        for path in paths:
            one = stack.enter_context(open_recording(path, reading, progress))
            _check(one)
            opened.append(one)
        rows = sum(len(one.log.stamps_ns) for one in opened)
        meaning = of_experience(config)
        replay = stack.enter_context(replay_file.written(out, rows, config.spaces.row, meaning))
        counts: Counter[str] = Counter()
        rewards, notes = 0.0, []
        for one in opened:
            drives = Drives(one.bag, one.topics, one.log, config, progress)
            rewards += _store(replay, drives)
            counts.update(drives.counts)
            notes += [f"{one.bag.path}: {note}" for note in one.log.notes] + one.bag.warnings
            if not drives.counts["frames"]:
                raise BagError(f"bag {one.bag.path}: {drives.why_no_frame()}")
        if not replay.transitions:
            raise BagError(
                f"bag {', '.join(str(path) for path in paths)}: no transition in"
                f" {counts['frames']} matched frames of {counts['images']} images;"
                " a drive needs frames on the road and the commands that were given"
            )
        return Prefilled(replay.transitions, counts, rewards / replay.transitions, notes)


def _check(recording: Recording) -> None:
    log = recording.log
    if np.isnan(log.controls).all():
        raise BagError(f"bag {recording.bag.path}: {log.notes[0]}; it demonstrates nothing")


def _store(replay: Replay, drives: Drives) -> float:
    """Store the transitions of a bag; returns the sum of their rewards."""
    rewards, action = 0.0, None
    for step in drives:
        seen = step.situation.observation
        if step.outcome is None or action is None:  # what led here is not known
            ended = step.outcome is not None and step.outcome.ended
            if not ended:
                replay.begin(step.frame, seen.stored)
        elif step.outcome.ended or not step.outcome.waited:  # as `Driver` stores them
            outcome = step.outcome
            ends = (outcome.terminated, outcome.truncated)
            replay.add(action, outcome.reward, step.frame, seen.stored, *ends)
            rewards += outcome.reward
        action = step.action
    return rewards
