# SPDX-License-Identifier: Apache-2.0
"""The replay on disk: what is sampled after restoring is what would have been sampled before."""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_agent import ACTION, IMAGE, VECTOR

from td3_driver.agent import CheckpointError, Replay
from td3_driver.replay import file as replay_file
from td3_driver.replay.batch import Batch
from td3_driver.replay.log import ReplayLink

CAPACITY = 128


class Driving:
    """Writes random episodes into a buffer."""

    def __init__(self, seed: int = 0, image: tuple[int, int, int] | None = IMAGE) -> None:
        self.replay = Replay(CAPACITY, image, VECTOR, ACTION)
        self._rng = np.random.default_rng(seed)
        self._open = False

    def drive(self, rows: int) -> Replay:
        rng = self._rng
        for _ in range(rows):
            shape = self.replay.image_shape
            frame = rng.integers(0, 256, shape[1:], dtype=np.uint8) if shape else None
            vector = rng.normal(size=VECTOR).astype(np.float32)
            if not self._open:
                self.replay.begin(frame, vector)
                self._open = True
                continue
            ending = rng.random() < 0.1
            terminated = bool(ending and rng.random() < 0.5)
            action = rng.uniform(-1, 1, ACTION)
            reward = float(rng.normal())
            self.replay.add(action, reward, frame, vector, terminated, ending and not terminated)
            self._open = not ending
        return self.replay


def same_batches(one: Replay, other: Replay, head: int | None = None) -> bool:
    for n_step in (1, 3):
        rngs = np.random.default_rng(n_step), np.random.default_rng(n_step)
        for _ in range(5):
            first = one.sample(32, rngs[0], n_step, head=head)
            second = other.sample(32, rngs[1], n_step)
            for item in dataclasses.fields(Batch):
                if not np.array_equal(getattr(first, item.name), getattr(second, item.name)):
                    return False
    return True


def restored(folder: Path, link: ReplayLink, image: tuple[int, int, int] | None = IMAGE) -> Replay:
    replay = Replay(CAPACITY, image, VECTOR, ACTION)
    replay_file.restore(replay, folder, link)
    return replay


@settings(max_examples=40)
@given(st.lists(st.integers(2, 150), min_size=1, max_size=8), st.booleans())
def test_any_sequence_of_saves_restores_exactly(
    tmp_path_factory: pytest.TempPathFactory, stretches: list[int], images: bool
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    image = IMAGE if images else None
    driving, link, sizes = Driving(len(stretches), image), None, {}
    for number, rows in enumerate(stretches):
        replay = driving.drive(rows)
        path = folder / f"td3_{number}.replay"
        link = replay_file.save(replay, path, replay.rows_written, link)
        again = restored(folder, ReplayLink.from_mapping(link.to_mapping()), image)
        assert again.rows_written == replay.rows_written
        assert again.transitions == replay.transitions
        if replay.transitions:
            assert same_batches(replay, again)
        sizes[number] = link
    for link in sizes.values():  # later saves and new logs left every earlier part alone
        replay_file.verify(folder, link)


def test_a_save_writes_only_what_is_new(tmp_path: Path) -> None:
    driving = Driving()
    first = replay_file.save(driving.drive(100), tmp_path / "td3_1.replay", 100, None)
    second = replay_file.save(driving.drive(10), tmp_path / "td3_2.replay", 110, first)
    row = (first.bytes - 300) / 100
    # Ten new rows, and once more the row that had no action then.
    assert second.bytes - first.bytes < 11 * row + 100
    assert os.path.samefile(tmp_path / "td3_1.replay", tmp_path / "td3_2.replay")
    (tmp_path / "td3_1.replay").unlink()
    replay_file.verify(tmp_path, second)


@pytest.mark.parametrize("rows", [100, CAPACITY + 30])
def test_the_file_is_the_same_however_far_the_driver_has_gone_on(
    rows: int, tmp_path: Path
) -> None:
    """It writes into the newest row while the learner saves."""
    driving = Driving()
    early = replay_file.save(driving.drive(rows), tmp_path / "early.replay", rows, None)
    late = replay_file.save(driving.drive(1), tmp_path / "late.replay", rows, None)
    assert early.sha256 == late.sha256


def test_a_log_does_not_grow_for_ever(tmp_path: Path) -> None:
    driving, link, largest = Driving(), None, 0
    for step in range(60):
        replay = driving.drive(20)
        link = replay_file.save(replay, tmp_path / f"td3_{step}.replay", replay.rows_written, link)
        largest = max(largest, link.rows - link.first)
        (tmp_path / f"td3_{step - 1}.replay").unlink(missing_ok=True)
    assert CAPACITY < largest <= 2 * CAPACITY


def test_the_driver_may_be_ahead_of_what_is_saved(tmp_path: Path) -> None:
    driving = Driving()
    link = None
    for _ in range(6):
        head = driving.drive(60).rows_written
        alone = Driving()
        alone.drive(head)
        replay = driving.drive(driving.replay.margin)
        link = replay_file.save(replay, tmp_path / f"td3_{head}.replay", head, link)
        again = restored(tmp_path, link)
        assert same_batches(alone.replay, again)
        assert same_batches(replay, again, head)
        assert again.transitions == alone.replay.transitions


def test_going_on_after_restoring(tmp_path: Path) -> None:
    replay = Driving().drive(200)
    link = replay_file.save(replay, tmp_path / "td3_1.replay", 200, None)
    again = Driving(seed=5)
    replay_file.restore(again.replay, tmp_path, link)
    again.drive(50)
    newer = replay_file.save(again.replay, tmp_path / "td3_2.replay", 250, link)
    assert newer.first == link.first, "the log of the run before is appended to"
    assert same_batches(again.replay, restored(tmp_path, newer))
    assert same_batches(replay, restored(tmp_path, link))
    # The newest row as of the save leads nowhere: the action there was lost with the process.
    flags = again.replay.arrays()["flags"]
    assert flags[199 % CAPACITY] == 0


def test_rows_left_half_written_by_a_kill_are_ignored(tmp_path: Path) -> None:
    driving = Driving()
    link = replay_file.save(driving.drive(50), tmp_path / "td3_1.replay", 50, None)
    with (tmp_path / "td3_1.replay").open("ab") as file:
        file.write(b"segment\n half a segment")
    assert same_batches(driving.replay, restored(tmp_path, link))
    newer = replay_file.save(driving.drive(9), tmp_path / "td3_2.replay", 59, link)
    assert not os.path.samefile(tmp_path / "td3_1.replay", tmp_path / "td3_2.replay")
    assert same_batches(driving.replay, restored(tmp_path, newer))


def test_another_run_of_the_same_length_is_not_appended_to(tmp_path: Path) -> None:
    link = replay_file.save(Driving(1).drive(50), tmp_path / "td3_1.replay", 50, None)
    replay_file.save(Driving(2).drive(50), tmp_path / "td3_1.replay", 50, None)
    driving = Driving(1)
    newer = replay_file.save(driving.drive(60), tmp_path / "td3_2.replay", 60, link)
    assert not os.path.samefile(tmp_path / "td3_1.replay", tmp_path / "td3_2.replay")
    assert same_batches(driving.replay, restored(tmp_path, newer))


def test_a_full_disk_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driving = Driving()
    link = replay_file.save(driving.drive(50), tmp_path / "td3_1.replay", 50, None)
    driving.drive(9)
    with monkeypatch.context() as patch:

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"td3_2\.replay: .*No space left"):
            replay_file.save(driving.replay, tmp_path / "td3_2.replay", 59, link)
    assert [path.name for path in tmp_path.iterdir()] == ["td3_1.replay"]
    assert (tmp_path / "td3_1.replay").stat().st_size == link.bytes
    newer = replay_file.save(driving.replay, tmp_path / "td3_2.replay", 59, link)
    assert os.path.samefile(tmp_path / "td3_1.replay", tmp_path / "td3_2.replay")
    assert same_batches(driving.replay, restored(tmp_path, newer))


def test_without_hard_links_the_log_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "no hard links here")

    monkeypatch.setattr(os, "link", refuse)
    driving, links = Driving(), []
    for step in range(3):
        previous = links[-1] if links else None
        rows = driving.drive(30).rows_written
        links.append(
            replay_file.save(driving.replay, tmp_path / f"td3_{step}.replay", rows, previous)
        )
    for link in links:
        replay_file.verify(tmp_path, link)
    assert same_batches(driving.replay, restored(tmp_path, links[-1]))


def test_damage_anywhere_is_noticed_and_changes_nothing(tmp_path: Path) -> None:
    driving = Driving()
    path = tmp_path / "td3_2.replay"
    first = replay_file.save(driving.drive(60), tmp_path / "td3_1.replay", 60, None)
    link = replay_file.save(driving.drive(30), path, 90, first)
    (tmp_path / "td3_1.replay").unlink()
    whole = path.read_bytes()
    live = Driving(seed=8)
    live.drive(40)
    rng = random.Random(0)
    damaged = []
    for position in [*range(300), *(rng.randrange(link.bytes) for _ in range(100))]:
        flipped = bytearray(whole)
        flipped[position] ^= 1 << rng.randrange(8)
        damaged.append(bytes(flipped))
    damaged += [whole[: rng.randrange(link.bytes)] for _ in range(100)]
    before = {name: array.copy() for name, array in live.replay.arrays().items()}
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"td3_2\.replay: ") as caught:
            replay_file.restore(live.replay, tmp_path, link)
        assert "\n" not in str(caught.value)
    after = live.replay.arrays()
    assert all(np.array_equal(before[name], after[name]) for name in before)


def test_another_checkpoints_replay_is_refused(tmp_path: Path) -> None:
    ours = replay_file.save(Driving(1).drive(60), tmp_path / "td3_1.replay", 60, None)
    theirs = replay_file.save(Driving(2).drive(60), tmp_path / "td3_2.replay", 60, None)
    os.replace(tmp_path / "td3_2.replay", tmp_path / "td3_1.replay")
    assert ours.bytes == theirs.bytes
    with pytest.raises(CheckpointError, match="another checkpoint's replay"):
        replay_file.verify(tmp_path, ours)


def test_a_buffer_of_other_sizes_is_refused(tmp_path: Path) -> None:
    link = replay_file.save(Driving().drive(20), tmp_path / "td3_1.replay", 20, None)
    other = Replay(64, IMAGE, VECTOR + 1, ACTION)
    said = r"whose capacity is 128 \(this run: 64\); columns.vectors\[1\] is 5"
    with pytest.raises(CheckpointError, match=said):
        replay_file.restore(other, tmp_path, link)


def test_a_missing_replay(tmp_path: Path) -> None:
    link = replay_file.save(Driving().drive(20), tmp_path / "td3_1.replay", 20, None)
    (tmp_path / "td3_1.replay").unlink()
    with pytest.raises(CheckpointError, match="is missing"):
        replay_file.restore(Driving().replay, tmp_path, link)


def test_a_driver_too_far_ahead(tmp_path: Path) -> None:
    replay = Driving().drive(500)
    with pytest.raises(CheckpointError, match="overwritten before it was saved"):
        replay_file.save(replay, tmp_path / "td3_1.replay", 300, None)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("rows", [0, 21])
def test_rows_that_are_not_there(tmp_path: Path, rows: int) -> None:
    with pytest.raises(CheckpointError, match=r"not in 1 \.\. 20"):
        replay_file.save(Driving().drive(20), tmp_path / "td3_1.replay", rows, None)


@pytest.mark.parametrize("change", [{"file": "../x"}, {"bytes": "3"}, {"extra": 1}])
def test_a_link_that_is_none(tmp_path: Path, change: dict[str, object]) -> None:
    link = replay_file.save(Driving().drive(20), tmp_path / "td3_1.replay", 20, None)
    with pytest.raises(CheckpointError, match="does not describe a replay file"):
        ReplayLink.from_mapping({**link.to_mapping(), **change})
