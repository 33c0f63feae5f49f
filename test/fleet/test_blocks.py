# SPDX-License-Identifier: Apache-2.0
"""Rows of several collectors in one replay: stacks and returns never cross from one to another."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from td3_driver.fleet.blocks import Block, Incoming, Outgoing
from td3_driver.replay.batch import Batch
from td3_driver.replay.buffer import Replay

STACK, SIDE = 4, 2
N_STEP, DISCOUNT = 3, 0.9


class Drives:
    """Episodes of one collector, whose every row says whose it is, its episode and its step."""

    def __init__(self, collector: int, seed: int) -> None:
        self._collector, self._rng = collector, np.random.default_rng(seed)
        self._replay = Replay(256, (STACK, SIDE, SIDE), 3, 1)
        self.outgoing = Outgoing(self._replay)
        self._episode = self._step = -1
        self.open = False

    def drive(self, steps: int, ends: float = 0.1) -> None:
        for _ in range(steps):
            if not self.open:
                self._episode, self._step, self.open = self._episode + 1, 0, True
                self._replay.begin(*self._seen())
            self._step += 1
            terminated = self._rng.random() < ends
            truncated = not terminated and self._rng.random() < ends
            self._replay.add(
                np.array([self._step], np.float32), self._reward(), *self._seen(),
                terminated, truncated,
            )  # fmt: skip
            self.open = not (terminated or truncated)

    def _reward(self) -> float:
        return float(self._step - 1)

    def _seen(self) -> tuple[np.ndarray, np.ndarray]:
        told = np.array([self._collector, self._episode, self._step], np.float32)
        return np.full((SIDE, SIDE), self._step % 251, np.uint8), told


def check(batch: Batch) -> None:
    """Every stack is of one episode's steps in order, and every return of that episode's."""
    assert batch.images is not None
    assert np.array_equal(batch.vectors[:, :2], batch.next_vectors[:, :2])
    step, after = batch.vectors[:, 2], batch.next_vectors[:, 2]
    taken = after - step
    assert ((taken >= 1) & (taken <= N_STEP)).all()
    assert np.array_equal(batch.actions[:, 0], step + 1)
    powers = DISCOUNT ** np.arange(N_STEP)
    for row, count in enumerate(taken.astype(int)):
        rewards = step[row] + np.arange(count)
        assert batch.returns[row] == pytest.approx(float(rewards @ powers[:count]), rel=1e-5)
        if batch.bootstrap[row]:
            assert batch.bootstrap[row] == pytest.approx(DISCOUNT**count, rel=1e-5)
    for images, at in ((batch.images, step), (batch.next_images, after)):
        wanted = np.maximum(at[:, None] - np.arange(STACK - 1, -1, -1), 0) % 251
        assert np.array_equal(images[:, :, 0, 0], wanted)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 40))))
def test_stacks_and_returns_are_of_one_collector_s_one_episode(
    seed: int, blocks: list[tuple[int, int]]
) -> None:
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    drives = [Drives(number, seed + number) for number in range(3)]
    incoming = [Incoming(learner) for _ in drives]
    complete = 0
    for number, steps in blocks:
        drives[number].drive(steps)
        complete += incoming[number].add(drives[number].outgoing.take())
    assert complete == learner.transitions
    if complete:
        check(learner.sample(500, np.random.default_rng(0), N_STEP, DISCOUNT))


def test_nothing_is_lost_and_nothing_comes_twice() -> None:
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    drives, incoming = Drives(0, 1), Incoming(learner)
    for steps in (1, 1, 7, 30, 2, 19):
        drives.drive(steps)
        incoming.add(drives.outgoing.take())
    assert learner.transitions == 60 - 1  # the last one waits for its successor
    vectors = learner.sample(4000, np.random.default_rng(0), 1).vectors
    assert len(np.unique(vectors, axis=0)) == learner.transitions


def test_where_blocks_are_missing_the_episode_ends_before_them() -> None:
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    drives, incoming = Drives(0, 1), Incoming(learner)
    drives.drive(20, ends=0.0)
    incoming.add(drives.outgoing.take())
    drives.drive(20, ends=0.0)
    drives.outgoing.take()  # lost
    drives.drive(20, ends=0.0)
    incoming.add(drives.outgoing.take())
    batch = learner.sample(2000, np.random.default_rng(0), 1, DISCOUNT)
    assert set(batch.vectors[:, 2]) == {*range(19), *range(40, 59)}
    assert np.array_equal(batch.next_vectors[:, 2], batch.vectors[:, 2] + 1)
    assert batch.bootstrap.all()  # truncated, not terminated


def test_a_collector_that_begins_anew_goes_on_in_no_former_episode() -> None:
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    incoming = Incoming(learner)
    for _ in range(3):
        drives = Drives(0, 1)
        drives.drive(10, ends=0.0)
        incoming.add(drives.outgoing.take())
    batch = learner.sample(2000, np.random.default_rng(0), 1, DISCOUNT)
    assert set(batch.vectors[:, 2]) == set(range(9))
    check(learner.sample(500, np.random.default_rng(0), N_STEP, DISCOUNT))


def test_what_was_overwritten_before_it_was_taken_is_counted() -> None:
    drives = Drives(0, 1)
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    incoming = Incoming(learner)
    drives.drive(20, ends=0.0)
    incoming.add(drives.outgoing.take())
    drives.drive(200, ends=0.0)
    lost = drives.outgoing.take()
    assert (lost.rows, drives.outgoing.dropped) == (0, 200)
    incoming.add(lost)
    drives.drive(20, ends=0.0)
    incoming.add(drives.outgoing.take())
    batch = learner.sample(2000, np.random.default_rng(0), 1, DISCOUNT)
    assert set(batch.vectors[:, 2]) == {*range(19), *range(220, 239)}


def test_a_block_of_any_length_is_written_in_parts() -> None:
    learner = Replay(512, (STACK, SIDE, SIDE), 3, 1)  # whose margin is 32 rows
    drives, incoming = Drives(0, 1), Incoming(learner)
    drives.drive(100, ends=0.0)
    assert incoming.add(drives.outgoing.take()) == 99
    check(learner.sample(500, np.random.default_rng(0), N_STEP, DISCOUNT))


def test_rows_of_another_shape_are_refused() -> None:
    learner = Replay(4096, (STACK, SIDE, SIDE), 3, 1)
    drives = Drives(0, 1)
    drives.drive(10, ends=0.0)
    block = drives.outgoing.take()
    other = Block(0, {**block.columns, "actions": np.zeros((10, 2), np.float32)})
    with pytest.raises(ValueError, match=r"actions: shape \(10, 2\)"):
        Incoming(learner).add(other)
    assert learner.rows_written == 0
    assert replace(block, first=0).steps == 10
