# SPDX-License-Identifier: Apache-2.0
"""Which files stay, and which one a run goes on from."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from td3_driver.agent import CheckpointError
from td3_driver.checkpoints import checkpoint


def write(folder: Path, step: int, age_s: int = 0, *, replay: bool = False, run: str = "") -> Path:
    """A checkpoint as far as retention looks at it."""
    path = folder / f"td3_{step}.pth"
    payload = {"format_version": 2, "actor_state_dict": {}, "provenance": {"run": run}}
    checkpoint.write(path, {**payload, "replay": {"rows": 1} if replay else None})
    if replay:
        path.with_suffix(".replay").write_bytes(b"rows")
    time = 1_700_000_000 + step - age_s
    os.utime(path, (time, time))
    return path


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_last_and_every_nth_and_the_published_ones_stay(tmp_path: Path) -> None:
    for step in range(100, 1100, 100):
        path = write(tmp_path, step, replay=True)
    best = checkpoint.publish_best(tmp_path / "td3_300.pth").read_bytes()
    checkpoint.publish_latest(path)
    (tmp_path / "notes.txt").touch()
    (tmp_path / "mine.replay").touch()
    deleted = checkpoint.retain(tmp_path, keep_last=2, keep_every=500)
    kept = {"td3_500.pth", "td3_900.pth", "td3_1000.pth", "td3_900.replay", "td3_1000.replay"}
    assert names(tmp_path) == kept | {"latest.pth", "best.pth", "notes.txt", "mine.replay"}
    assert len(deleted) == 7 + 8
    assert (tmp_path / "best.pth").read_bytes() == best


def test_an_older_run_with_more_steps_does_not_push_out_the_new_one(tmp_path: Path) -> None:
    for step in (8000, 9000, 10000):
        write(tmp_path, step, age_s=100_000)
    written = write(tmp_path, 10)
    checkpoint.retain(tmp_path, keep_last=1)
    assert names(tmp_path) == {written.name}


def test_a_replay_s_name_without_a_checkpoint_goes_and_no_data(tmp_path: Path) -> None:
    write(tmp_path, 1, replay=True)
    (tmp_path / "td3_2.replay").hardlink_to(tmp_path / "td3_1.replay")  # killed between the two
    (tmp_path / "td3_3.replay").write_bytes(b"demonstrations of somebody's")
    checkpoint.retain(tmp_path, keep_last=3)
    assert names(tmp_path) == {"td3_1.pth", "td3_1.replay", "td3_3.replay"}


def test_nothing_but_the_run_s_own_files_is_deleted(tmp_path: Path) -> None:
    """Neither another run's, nor another program's, nor what merely has such a name."""
    for step in (1, 2):
        write(tmp_path, step, run="another", replay=True)
    (tmp_path / "td3_3.pth").write_bytes(b"PK\x03\x04 another program's")
    (tmp_path / "td3_4.pth").mkdir()
    (tmp_path / "td3_5.pth").symlink_to("td3_3.pth")
    os.mkfifo(tmp_path / "td3_6.pth")
    others = names(tmp_path)
    for step in (11, 12, 13):
        write(tmp_path, step, run="own", replay=True)
    checkpoint.retain(tmp_path, keep_last=1, run="own")
    assert names(tmp_path) == others | {"td3_13.pth", "td3_13.replay"}
    # Those of others do not count as the last ones either.
    newest = write(tmp_path, 14, run="another")
    assert not checkpoint.retain(tmp_path, keep_last=1, run="own")
    assert newest.exists()


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 50), unique=True, max_size=12), st.integers(1, 5), st.integers(0, 7)
)
def test_the_number_kept_is_the_number_asked_for(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], last: int, every: int
) -> None:
    folder = tmp_path_factory.mktemp("retain")
    order = random.Random(0).sample(steps, len(steps))
    for age, step in enumerate(order):
        path = write(folder, step)
        os.utime(path, (age, age))
    checkpoint.retain(folder, last, every)
    expected = {*order[-last:], *(step for step in steps if every and step % every == 0)}
    assert names(folder) == {f"td3_{step}.pth" for step in expected}


@pytest.mark.parametrize(("last", "every"), [(0, 0), (-1, 0), (1, -1)])
def test_numbers_out_of_range(tmp_path: Path, last: int, every: int) -> None:
    with pytest.raises(ValueError, match="retain"):
        checkpoint.retain(tmp_path, last, every)


def test_a_file_that_cannot_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    for step in (1, 2):
        write(tmp_path, step)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CheckpointError, match=r"td3_1\.pth: cannot be deleted"):
        checkpoint.retain(tmp_path, keep_last=1)


def test_newest_is_the_one_written_last(saved: Path) -> None:
    whole = saved.read_bytes()
    older = saved.with_name("td3_9000.pth")
    older.write_bytes(whole)
    os.utime(older, (1_000_000, 1_000_000))
    assert checkpoint.newest(saved.parent) == saved
    saved.write_bytes(whole[:-1])
    assert checkpoint.newest(saved.parent) == older
    checkpoint.publish_latest(older)
    older.unlink()
    assert checkpoint.newest(saved.parent) == saved.with_name("latest.pth")


def test_of_files_of_one_moment_the_one_with_more_steps(saved: Path) -> None:
    for step in (2, 300, 41):
        path = saved.with_name(f"td3_{step}.pth")
        path.write_bytes(saved.read_bytes())
        os.utime(path, ns=(10**18, 10**18))
    os.utime(saved, ns=(10**18, 10**18))
    checkpoint.publish_latest(saved.with_name("td3_300.pth"))
    assert checkpoint.newest(saved.parent) == saved.with_name("td3_300.pth")
