# SPDX-License-Identifier: Apache-2.0
"""Every run has a folder, and no run has another's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from td3_driver.checkpoints import checkpoint
from td3_driver.online.run_folder import (
    RunFolder,
    RunFolderError,
    Wording,
    claim,
    new_folder,
    newest_best,
    point_newest,
    record,
)

WORDS = Wording("--checkpoint-dir", "--resume", "--overwrite")
HOLDER = """
import sys
from pathlib import Path
from td3_driver.online.run_folder import Wording, claim
run = claim(Path(sys.argv[1]), None, Wording("a", "b", "c"), overwrite=False)
print("held", flush=True)
sys.stdin.read()
"""


def write(path: Path, run: str = "") -> Path:
    payload = {"format_version": 2, "actor_state_dict": {}, "provenance": {"run": run}}
    checkpoint.write(path, {**payload, "replay": None})
    return path


def taken(folder: Path, resume: Path | None = None, *, overwrite: bool = False) -> RunFolder:
    return claim(folder, resume, WORDS, overwrite=overwrite)


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """A folder that holds a run."""
    folder = tmp_path / "another"
    run = taken(folder)
    record(run, {})
    write(folder / "td3_10.pth", run.name)
    checkpoint.publish_latest(folder / "td3_10.pth")
    checkpoint.publish_best(folder / "td3_10.pth")
    run.release()
    return folder


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_runs_of_the_same_second_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(lambda _: new_folder("Town01", "default", 3, tmp_path), range(40)))
    assert len(set(made)) == 40
    assert all("_Town01_default_s3" in folder.name for folder in made)


@pytest.mark.parametrize(
    ("place", "shown"),
    [("maps/My town.xodr", "_My-town_"), ("../../..", "_.._"), ("x" * 5000, "_xxx"), ("", "__")],
)
def test_a_place_is_a_part_of_a_name_and_no_way(place: str, shown: str, tmp_path: Path) -> None:
    folder = new_folder(place, "default", 0, tmp_path / "runs")
    assert folder.parent == tmp_path / "runs"
    assert shown in folder.name


def test_a_new_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    run = taken(tmp_path)
    record(run, {"seed": 3})
    record(run, {"seed": 4})
    documents = list(yaml.safe_load_all((tmp_path / "run.yaml").read_text()))
    assert [document["seed"] for document in documents] == [3, 4]
    assert {document["run"] for document in documents} == {run.name}
    assert "python" in documents[0]["command"]
    assert documents[0]["versions"].keys() >= {"package", "git", "torch", "numpy", "python"}


def test_another_run_s_folder_is_refused_in_one_line_with_the_three_ways_out(
    another: Path,
) -> None:
    before = content(another)
    for resume in (None, another.parent / "elsewhere" / "td3_1.pth"):
        with pytest.raises(RunFolderError) as caught:
            taken(another, resume)
        line = str(caught.value)
        assert "\n" not in line
        for way in (f"--resume {another}/latest.pth", "another folder (--checkpoint-dir)"):
            assert way in line
        assert "--overwrite" in line
    assert content(another) == before


@pytest.mark.parametrize(
    "left", ["td3_7.pth", "latest.pth", "best.pth", "td3_7.replay", "evaluations.jsonl"]
)
def test_whatever_is_left_of_a_run_counts(left: str, tmp_path: Path) -> None:
    if left.endswith(".pth"):
        write(tmp_path / left)
    else:
        (tmp_path / left).touch()
    with pytest.raises(RunFolderError, match="holds another run"):
        taken(tmp_path)


def test_a_file_in_the_folder_goes_on_with_its_run(another: Path, tmp_path: Path) -> None:
    before = content(another)
    name = yaml.safe_load_all((another / "run.yaml").read_text()).__next__()["run"]
    (tmp_path / "link").symlink_to(another)
    for resume in (another / "td3_10.pth", tmp_path / "link" / "best.pth"):
        run = taken(another, resume)
        assert run.name == name
        run.release()
    assert content(another) == before
    with pytest.raises(RunFolderError, match="would delete the run"):
        taken(another, another / "td3_10.pth", overwrite=True)
    assert content(another) == before


def test_overwriting_deletes_the_run_and_nothing_else(another: Path) -> None:
    old = yaml.safe_load((another / "run.yaml").read_text().replace("---", ""))["run"]
    events = another / "tensorboard" / "evaluation" / "events.out.tfevents.1"
    events.parent.mkdir(parents=True)
    events.touch()
    mine = {"notes.txt", "my_td3_1.pth", "demonstrations.replay", "tensorboard/mine.csv"}
    for name in mine:
        (another / name).write_text("mine")
    run = taken(another, overwrite=True)
    assert content(another).keys() == mine
    assert run.name != old


@pytest.mark.parametrize("name", ["latest.pth", "best.pth", "td3_1.pth", "td3_1.replay"])
def test_a_file_of_another_program_s_is_not_taken_for_a_run(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"of another program")
    for overwrite in (False, True):
        with pytest.raises(RunFolderError, match=f"{name}, which is not this package's"):
            taken(tmp_path, overwrite=overwrite)
    assert content(tmp_path) == {name: b"of another program"}


@pytest.fixture
def hold() -> Callable[[Path], "subprocess.Popen[str]"]:
    def start(folder: Path) -> "subprocess.Popen[str]":
        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        return holder

    return start


def test_a_run_at_work_is_named_and_left_alone(
    tmp_path: Path, hold: Callable[[Path], "subprocess.Popen[str]"]
) -> None:
    """Also by who would go on with it, or overwrite it; until it ends, however that happens."""
    holder = hold(tmp_path)
    write(tmp_path / "td3_1.pth")
    try:
        for resume, overwrite in ((None, False), (tmp_path / "td3_1.pth", False), (None, True)):
            with pytest.raises(RunFolderError, match=f"at work there .process {holder.pid}"):
                taken(tmp_path, resume, overwrite=overwrite)
    finally:
        holder.kill()
        holder.wait()
    taken(tmp_path, tmp_path / "td3_1.pth")


def test_who_inherits_the_lock_keeps_the_folder(tmp_path: Path) -> None:
    """As the driver of a `td3_driver train` that was killed, while it brakes and saves."""
    script = HOLDER + (
        "import subprocess\n"
        "heir = subprocess.Popen(['sleep', '60'], pass_fds=[run.lock.fileno()], stdout=2)\n"
        "print(heir.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        input="", stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True,
    )  # fmt: skip
    try:
        with pytest.raises(RunFolderError, match="at work there"):
            taken(tmp_path)
    finally:
        os.kill(int(done.stdout.split()[-1]), signal.SIGKILL)
    wait_until(lambda: is_free(tmp_path), 60.0)


def is_free(folder: Path) -> bool:
    try:
        taken(folder).release()
    except RunFolderError:
        return False
    return True


def wait_until(condition: Callable[[], bool], within_s: float) -> None:
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def test_latest_leads_to_the_newest(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for seed in (1, 2):
        folder = new_folder("easy", "default", seed, runs)
        assert point_newest(folder, runs) == ""
        assert (runs / "latest").resolve() == folder
        assert os.readlink(runs / "latest") == folder.name
    with pytest.raises(FileNotFoundError, match=r"best\.pth is not there"):
        newest_best(runs)
    write(folder / "best.pth")
    assert newest_best(runs) == folder / "best.pth"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert point_newest(elsewhere, runs) == ""
    assert (runs / "latest").resolve() == folder
    assert sorted(path.name for path in runs.iterdir() if path.name.startswith(".")) == []
    (runs / "latest").unlink()
    (runs / "latest").mkdir()
    assert "is no link" in point_newest(folder, runs)
    with pytest.raises(FileNotFoundError, match="there is no"):
        newest_best(tmp_path / "none")
