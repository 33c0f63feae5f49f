# SPDX-License-Identifier: Apache-2.0
"""What a request over the network may name: checkpoints in the run's folder, nothing else."""

import os
import shutil
import threading
from pathlib import Path

import pytest
import torch
from small_agent import SMALL

from td3_driver.agent import CheckpointError, TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.learner.reach import Reach, ReachError, check_name
from td3_driver.text import shown


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def reach(run: Path) -> Reach:
    return Reach(run)


def refusal(reach: Reach, path: str | Path, step: int = 0) -> str:
    """Of saving; one line. Nothing is there afterwards that was not there before."""
    with pytest.raises(ReachError) as caught:
        reach.new_file(Path(path), step)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    return str(caught.value)


def test_names_are_of_the_run_s_folder(run: Path, reach: Reach) -> None:
    assert reach.new_file(Path("mine.pth"), 0) == run / "mine.pth"
    assert reach.file(run / "x" / ".." / "td3_5.pth") == run / "td3_5.pth"


@pytest.mark.parametrize(
    "path", ["/", "", ".", "..", "/etc/passwd", "mine", "mine.zip", "~/.bashrc", "x/../../y.txt"]
)
def test_what_is_not_named_as_a_checkpoint_is_refused(path: str, reach: Reach) -> None:
    assert "is not named .pth" in refusal(reach, path)


@pytest.mark.parametrize(
    "path", ["/mine.pth", "../mine.pth", "/proc/self/cwd/mine.pth", "x/../../m.pth"]
)
def test_what_lies_elsewhere_is_refused(path: str, reach: Reach) -> None:
    assert "checkpoint_roots" in refusal(reach, path)


@pytest.mark.parametrize("path", ["a\0b.pth", "a\nb.pth", "\x1b[2J.pth", "\udcff.pth"])
def test_unprintable_names_are_refused_and_shown_as_they_are(path: str, reach: Reach) -> None:
    assert refusal(reach, path).isprintable()


def test_a_path_of_a_megabyte_is_refused_at_once(reach: Reach) -> None:
    for text in ("a/" * 500_000 + "b.pth", "x" * 1_000_000 + ".pth"):
        assert "longer than a path may be" in refusal(reach, text)
    assert len(shown("x" * 1_000_000)) < 200
    check_name("")


def test_links_are_followed_before_anything_is_decided(run: Path, reach: Reach) -> None:
    outside = run.parent / "outside"
    outside.mkdir()
    (outside / "precious.pth").touch()
    for name, target in (
        ("file.pth", "../outside/precious.pth"),
        ("dangling.pth", "../outside/new.pth"),
        ("to_another_kind.pth", "notes.txt"),
        ("folder", "../outside"),
    ):
        (run / name).symlink_to(target)
    assert "is outside" in refusal(reach, "file.pth")
    assert "is outside" in refusal(reach, "dangling.pth")
    assert "leads to a file that is not named .pth" in refusal(reach, "to_another_kind.pth")
    assert "is outside" in refusal(reach, "folder/precious.pth")
    (run / "within.pth").symlink_to("real.pth")
    assert reach.new_file(Path("within.pth"), 0) == run / "real.pth"
    (run / "loop.pth").symlink_to("loop.pth")
    loop = reach.file(Path("loop.pth"))
    assert not checkpoint.may_replace(loop)
    with pytest.raises(CheckpointError):
        checkpoint.read(loop)


def test_the_run_s_folder_may_itself_be_a_link(run: Path) -> None:
    link = run.parent / "latest"
    link.symlink_to(run)
    assert Reach(link).file(link / "a.pth") == run / "a.pth"
    assert Reach(run).file(link / "a.pth") == run / "a.pth"


def test_roots_open_other_folders(run: Path) -> None:
    other = run.parent / "other"
    (other / "below").mkdir(parents=True)
    reach = Reach(run, (other,))
    assert reach.new_file(other / "below" / "a.pth", 0) == other / "below" / "a.pth"
    assert "folder is not there" in refusal(reach, other / "nowhere" / "a.pth")
    assert "is outside" in refusal(reach, run.parent / "other_too" / "a.pth")


def test_what_is_for_others_to_write_stays(run: Path, reach: Reach) -> None:
    (run / "td3_500.pth").touch()
    assert "is there already" in refusal(reach, "td3_500.pth", step=501)
    assert reach.new_file(Path("td3_500.pth"), 500) == run / "td3_500.pth"
    assert "chosen by evaluation" in refusal(reach, "best.pth")


def foreign(path: Path, kind: str) -> None:
    """Something that is no checkpoint of this package."""
    match kind:
        case "text":
            path.write_text("export PATH\n")
        case "folder":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "zip":
            shutil.make_archive(str(path.with_suffix("")), "zip", path.parent)
            path.with_suffix(".zip").rename(path)
        case "model":
            torch.save({"model": torch.zeros(3)}, path)


@pytest.mark.parametrize("kind", ["text", "folder", "fifo", "device", "zip", "model"])
def test_what_is_no_checkpoint_is_never_replaced_nor_waited_for(tmp_path: Path, kind: str) -> None:
    """By any way of writing one: saving, and publishing as latest.pth or best.pth."""
    path = tmp_path / "latest.pth"
    foreign(path, kind)
    before = path.lstat()
    agent = TD3Agent(21, config=SMALL)
    agent.save_checkpoint(tmp_path / "td3_1.pth")
    with pytest.raises(CheckpointError, match=r"latest\.pth: cannot be written: what is there"):
        agent.save_checkpoint(path)
    with pytest.raises(CheckpointError, match=r"latest\.pth: cannot be written: what is there"):
        checkpoint.publish_latest(tmp_path / "td3_1.pth")
    after = path.lstat()
    assert (before.st_ino, before.st_size) == (after.st_ino, after.st_size)
    with pytest.raises(CheckpointError, match=r"latest\.pth"):
        checkpoint.read(path)
    assert checkpoint.newest(tmp_path) == tmp_path / "td3_1.pth"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.9])
def test_a_damaged_checkpoint_is_replaced(tmp_path: Path, share: float) -> None:
    """A fault of the disk must not keep a run from saving."""
    path = tmp_path / "latest.pth"
    agent = TD3Agent(21, config=SMALL)
    agent.save_checkpoint(path)
    whole = path.read_bytes()
    for damaged in (whole[: int(share * len(whole))], whole[:-100] + bytes(10) + whole[-90:]):
        path.write_bytes(damaged)
        agent.save_checkpoint(path)
        checkpoint.read(path)


def test_a_folder_that_changes_meanwhile_ends_in_a_file_or_a_refusal(
    run: Path, reach: Reach
) -> None:
    """Somebody exchanges a folder in it for a link out of it, again and again."""
    inside, outside = run / "inside", run.parent / "outside"
    inside.mkdir()
    outside.mkdir()
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            inside.rename(run / "aside")
            inside.symlink_to(outside)
            inside.unlink()
            (run / "aside").rename(inside)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        for _ in range(2000):
            try:
                path = reach.new_file(Path("inside/a.pth"), 0)
            except ReachError:
                continue
            assert path.is_relative_to(run)
    finally:
        over.set()
        thread.join()
