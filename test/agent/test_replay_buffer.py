# SPDX-License-Identifier: Apache-2.0
"""The replay buffer against a plain list of whole transitions, and under a concurrent writer."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass, fields
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from td3_driver.agent import Replay
from td3_driver.replay.batch import Batch

DISCOUNT = 0.9
STACK = 4


def frame(row: int) -> np.ndarray:
    """A frame that tells its row."""
    return np.array([[row % 256, row // 256 % 256], [row // 65536, 7]], dtype=np.uint8)


def row_of(image: np.ndarray) -> int:
    """The row of an image's newest frame."""
    return int(image[-1, 0, 0]) + 256 * int(image[-1, 0, 1]) + 65536 * int(image[-1, 1, 0])


@dataclass
class Step:
    row: int
    reward: float
    terminated: bool


@dataclass
class Episode:
    first: int
    steps: list[Step]

    @property
    def last(self) -> int:
        return self.first + len(self.steps)

    def image(self, row: int) -> np.ndarray:
        return np.stack([frame(max(row - back, self.first)) for back in (3, 2, 1, 0)])


Plan = list[tuple[int, str]]  # length and how it ends


def write(replay: Replay, plan: Plan) -> dict[int, Episode]:
    """Write episodes as planned; every row's vector, action and reward tell the row."""
    episodes: dict[int, Episode] = {}
    row = 0
    for length, ending in plan:
        episode = Episode(row, [])
        episodes[row] = episode
        replay.begin(frame(row), np.full(1, row, np.float32))
        for index in range(length):
            final = index == length - 1
            terminated, truncated = final and ending == "term", final and ending == "trunc"
            episode.steps.append(Step(row, float(row % 7) - 3.0, terminated))
            episodes[row] = episode
            replay.add(
                np.full(1, row, np.float32),
                float(row % 7) - 3.0,
                frame(row + 1),
                np.full(1, row + 1, np.float32),
                terminated,
                truncated,
            )
            row += 1
        episodes[row] = episode
        row += 1
    assert replay.rows_written == row
    assert replay.transitions == sum(length for length, _ in plan)
    return episodes


def check(batch: Batch, episodes: dict[int, Episode], n_step: int, head: int) -> list[int]:
    """Compare every sample with the naive transition from the same row."""
    assert batch.images is not None
    assert batch.next_images is not None
    rows = []
    for index in range(len(batch.returns)):
        row = int(batch.vectors[index, 0])
        rows.append(row)
        episode = episodes[row]
        taken = [s for s in episode.steps if row <= s.row < min(row + n_step, head - 1)]
        assert taken, "a row without a transition was sampled"
        after = taken[-1].row + 1
        value = sum(DISCOUNT**k * step.reward for k, step in enumerate(taken))
        bootstrap = 0.0 if taken[-1].terminated else DISCOUNT ** len(taken)
        assert batch.returns[index] == pytest.approx(value, abs=1e-5)
        assert batch.bootstrap[index] == pytest.approx(bootstrap, abs=1e-6)
        assert int(batch.actions[index, 0]) == row
        assert int(batch.next_vectors[index, 0]) == after
        assert np.array_equal(batch.images[index], episode.image(row))
        assert np.array_equal(batch.next_images[index], episode.image(after))
    return rows


plans = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["term", "trunc", "open"])),
    min_size=1,
    max_size=12,
)


@settings(max_examples=150)
@given(plan=plans, capacity=st.integers(16, 70), n_step=st.integers(1, 3), data=st.data())
def test_samples_are_the_transitions_of_a_plain_list(
    plan: Plan, capacity: int, n_step: int, data: st.DataObject
) -> None:
    replay = Replay(capacity, (STACK, 2, 2), 1, 1)
    episodes = write(replay, plan)
    written = replay.rows_written
    assert len(replay) == min(written, capacity)
    head = data.draw(st.integers(max(0, written - replay.margin), written))
    low = max(0, head - capacity + replay.margin + STACK)
    valid = [row for row in range(low, head - 1) if row < episodes[row].last]
    rng = np.random.default_rng(0)
    if not valid:
        with pytest.raises(ValueError, match="no transition to sample"):
            replay.sample(4, rng, n_step, DISCOUNT, head)
        return
    batch = replay.sample(40 * len(valid), rng, n_step, DISCOUNT, head)
    assert set(check(batch, episodes, n_step, head)) == set(valid), "not all can be drawn"


def test_every_transition_is_as_likely() -> None:
    replay = Replay(64, (STACK, 2, 2), 1, 1)
    write(replay, [(1, "term")] * 4 + [(12, "trunc"), (8, "open")])
    batch = replay.sample(48_000, np.random.default_rng(0))
    counts = np.unique(batch.vectors[:, 0], return_counts=True)[1]
    assert len(counts) == 24
    assert np.abs(counts - 2000).max() < 250  # 5.7 standard deviations


def same(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, item.name), getattr(other, item.name)) for item in fields(Batch)]
    return all(np.array_equal(mine, yours) for mine, yours in pairs)


@pytest.mark.parametrize("length", [10, 200])
def test_head_makes_a_batch_independent_of_later_writing(length: int) -> None:
    replay = Replay(64, (STACK, 2, 2), 1, 1)
    plan: Plan = [(length, "open")]
    write(replay, plan)
    head = replay.rows_written
    before = replay.sample(32, np.random.default_rng(3), 3, DISCOUNT, head)
    other = np.full(1, 9, np.float32)
    replay.add(other, 1.0, frame(9), other, True, False)
    replay.begin(frame(9), other)
    while replay.rows_written < head + replay.margin:
        replay.add(other, 1.0, frame(9), other, False, False)
    assert same(before, replay.sample(32, np.random.default_rng(3), 3, DISCOUNT, head))


def test_head_out_of_reach() -> None:
    replay = Replay(64, (STACK, 2, 2), 1, 1)
    write(replay, [(200, "open")])
    with pytest.raises(RuntimeError, match="201 are written and only 4 more"):
        replay.sample(64, np.random.default_rng(0), head=150)
    with pytest.raises(ValueError, match="head: 300 rows, but only 201"):
        replay.sample(4, np.random.default_rng(0), head=300)


def test_a_row_takes_at_most_7300_bytes() -> None:
    replay = Replay(1000, (4, 84, 84), 23, 2)
    assert replay.nbytes / 1000 <= 7300


def test_without_images() -> None:
    replay = Replay(64, None, 3, 2)
    replay.begin(None, np.zeros(3))
    for row in range(20):
        replay.add(np.zeros(2), 1.0, None, np.full(3, row + 1), row == 9, False)
        if row == 9:
            replay.begin(None, np.zeros(3))
    batch = replay.sample(16, np.random.default_rng(0))
    assert batch.images is None
    assert batch.next_images is None
    with pytest.raises(ValueError, match="frame: must be None"):
        replay.begin(np.zeros((2, 2), np.uint8), np.zeros(3))


def test_the_newest_episode_alone_is_counted() -> None:
    replay = Replay(16, None, 3, 2)
    assert replay.episode_steps == 0
    vector = np.zeros(3, np.float32)
    for steps in (5, 3, 20):  # the last is longer than the buffer
        replay.begin(None, vector)
        for step in range(steps):
            assert replay.episode_steps == step
            replay.add(np.full(2, step / 100, np.float32), 0.0, None, vector, False, False)
        newest = replay.newest_actions(replay.episode_steps)
        assert newest[:, 0].tolist() == pytest.approx([i / 100 for i in range(steps)][-15:])


def test_wrong_input_changes_nothing() -> None:
    replay = Replay(64, (STACK, 2, 2), 1, 1)
    good, vector = frame(0), np.zeros(1)
    with pytest.raises(RuntimeError, match="no episode is open"):
        replay.add(vector, 0.0, good, vector, False, False)
    replay.begin(good, vector)
    for match, action, reward, image, following in (
        ("action", np.zeros(2), 0.0, good, vector),
        ("reward: inf is not finite", vector, float("inf"), good, vector),
        ("frame: None is not", vector, 0.0, None, vector),
        ("frame: .* float64 is not", vector, 0.0, good.astype(float), vector),
        ("vector: .* is not finite", vector, 0.0, good, np.full(1, np.nan)),
    ):
        with pytest.raises(ValueError, match=match):
            replay.add(action, reward, image, following, False, False)
    assert (replay.rows_written, replay.transitions) == (1, 0)
    replay.add(vector, 0.0, good, vector, True, False)
    with pytest.raises(RuntimeError, match="no episode is open"):
        replay.add(vector, 0.0, good, vector, False, False)


@pytest.mark.parametrize(
    ("capacity", "shape", "match"),
    [(15, None, "capacity: 15"), (16, (5, 2, 2), "image_shape: a stack of 5")],
)
def test_sizes_that_make_no_sense(capacity: int, shape: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Replay(capacity, shape, 1, 1)


def test_a_buffer_in_a_file_leaves_no_name(tmp_path: Path) -> None:
    replay = Replay(64, (STACK, 2, 2), 1, 1, file=tmp_path / "replay")
    assert not any(tmp_path.iterdir())
    episodes = write(replay, [(10, "term")])
    check(replay.sample(16, np.random.default_rng(0), 1, DISCOUNT), episodes, 1, 11)


SIDE = 40


def _write_until(replay: Replay, over: Event) -> None:
    """Write frames whose every byte tells the row, as fast as possible."""
    row = 0
    while not over.is_set():
        replay.begin(np.full((SIDE, SIDE), row % 251, np.uint8), np.full(4, row, np.float32))
        for _ in range(50):
            row += 1
            replay.add(
                np.full(4, row - 1, np.float32),
                float(row - 1),
                np.full((SIDE, SIDE), row % 251, np.uint8),
                np.full(4, row, np.float32),
                False,
                row % 51 == 50,
            )
        row += 1


def test_a_reader_never_sees_a_torn_row() -> None:
    replay = Replay(128, (STACK, SIDE, SIDE), 4, 4)
    spawn = multiprocessing.get_context("spawn")
    over = spawn.Event()
    writer = spawn.Process(target=_write_until, args=(replay, over), daemon=True)
    writer.start()
    rng = np.random.default_rng(0)
    batches = 0
    while batches <= 100 or replay.rows_written <= 10 * replay.capacity:  # the ring has wrapped
        assert writer.is_alive()
        if replay.rows_written < 10:
            time.sleep(0.001)
            continue
        batch = replay.sample(32, rng, 3, 1.0)
        batches += 1
        rows = batch.vectors[:, 0].astype(np.int64)
        assert (batch.vectors == batch.vectors[:, :1]).all()
        assert (batch.actions == batch.vectors).all()
        assert batch.images is not None
        back = np.minimum(np.arange(3, -1, -1), (rows % 51)[:, None])
        assert (batch.images == ((rows[:, None] - back) % 251)[:, :, None, None]).all()
        after = batch.next_vectors[:, 0].astype(np.int64)
        taken = after - rows
        assert ((taken >= 1) & (taken <= 3)).all()
        assert np.allclose(batch.returns, taken * (rows + (taken - 1) / 2))
    over.set()
    writer.join(240)
    assert writer.exitcode == 0
