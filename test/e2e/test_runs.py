# SPDX-License-Identifier: Apache-2.0
"""Runs one after the other, as a user starts them: none costs another one a byte.

The tests build on each other: what one leaves, the next one starts beside.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from td3_driver.checkpoints import checkpoint
from td3_driver.interchange.inspection import verify
from td3_driver.online import evaluations

from .running import Node

CLI = [sys.executable, "-m", "td3_driver.cli"]
SHORT = ("--steps", "40", "--save-freq", "20")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a user works."""
    return tmp_path_factory.mktemp("desk")


def run(desk: Path, *arguments: str) -> tuple[int, str]:
    """A command's exit code, and all that it wrote."""
    done = subprocess.run(
        [*CLI, *arguments],
        cwd=desk, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=300.0, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stdout, done.stdout
    return done.returncode, done.stdout


def folders(desk: Path) -> list[Path]:
    return sorted(path for path in (desk / "runs").iterdir() if not path.is_symlink())


def content(folder: Path) -> dict[str, bytes]:
    """What a run must not lose."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def documents(folder: Path) -> list[dict]:
    return list(yaml.safe_load_all((folder / "run.yaml").read_text()))


def test_two_runs_in_a_row_are_two_runs(desk: Path) -> None:
    code, output = run(desk, "train", *SHORT)
    assert code == 0, output
    (first,) = folders(desk)
    before = content(first)
    assert {"td3_20.pth", "td3_40.pth", "latest.pth", "best.pth", "log.txt"} <= before.keys()
    options = "--save-freq", "40", "--seed", "7", "--difficulty", "curvy"
    code, output = run(desk, "train", "--steps", "40", *options)
    assert code == 0, output
    assert content(first) == before
    (second,) = set(folders(desk)) - {first}
    assert first.name.endswith("_easy_default_s0")
    assert second.name.endswith("_curvy_default_s7")
    assert (desk / "runs" / "latest").resolve() == second
    assert str(second) in output
    names = {checkpoint.run_of(path) for path in second.glob("*.pth")}
    assert names == {documents(second)[0]["run"]}
    assert names.isdisjoint({checkpoint.run_of(first / "best.pth")})


def test_a_run_tells_how_to_repeat_it(desk: Path) -> None:
    folder = (desk / "runs" / "latest").resolve()
    command, node = documents(folder)
    assert command["command"].endswith(
        "train --steps 40 --save-freq 40 --seed 7 --difficulty curvy"
    )
    assert command["world"]["difficulty"] == "curvy"
    assert node["parameters"]["seed"] == 7
    assert node["configuration"] == {
        name: checkpoint.read(folder / "td3_40.pth")["run"]["settings"][name]
        for name in ("agent", "driving")
    }
    assert node["versions"]["torch"]
    log = (folder / "log.txt").read_text()
    assert "td3_40.pth at step 40" in log
    assert "evaluation: td3_40.pth" in log
    assert "TensorBoard" in log


def test_evaluate_takes_the_newest_run_s_best(desk: Path) -> None:
    code, output = run(desk, "evaluate", "--episodes", "1", "--route-length", "40")
    assert code == 0, output
    assert f"evaluate: runs/{(desk / 'runs' / 'latest').resolve().name}/best.pth" in output


def test_a_folder_that_holds_a_run_is_refused_in_one_line(desk: Path) -> None:
    first = folders(desk)[0]
    before = content(first)
    other = f"{folders(desk)[1]}/td3_40.pth"
    for more in ((), ("--resume", other)):
        code, output = run(desk, "train", *SHORT, *more, "--checkpoint-dir", str(first))
        assert code == 1
        (line,) = output.splitlines()
        assert "holds another run" in line
        assert f"--resume {first}/latest.pth" in line
        assert "another folder (--checkpoint-dir)" in line
        assert "--overwrite" in line
    node = Node("ros.driver.node", f"checkpoint_dir:={first}", f"resume:={other}")
    assert node.wait() == 1
    (line,) = node.lines
    assert "overwrite:=true" in line
    assert content(first) == before
    assert len(folders(desk)) == 2


def test_resuming_goes_on_in_the_file_s_folder(desk: Path) -> None:
    first, second = folders(desk)
    others = content(second)
    rows = len(evaluations.newest_run(first))
    before = content(first)
    code, output = run(desk, "train", "--resume", f"runs/{first.name}/td3_40.pth", "--steps", "60")
    assert code == 0, output
    assert "resuming at step 40" in output
    assert len(folders(desk)) == 2
    assert (desk / "runs" / "latest").resolve() == first
    after = content(first)
    assert checkpoint.read(first / "td3_60.pth")["env_steps"] == 60
    for name in ("td3_20.pth", "td3_40.pth"):
        assert after[name] == before[name]
    assert after["run.yaml"].startswith(before["run.yaml"])
    assert after["log.txt"].startswith(before["log.txt"])
    assert len(evaluations.newest_run(first)) == rows + 1
    assert len({document["run"] for document in documents(first)}) == 1
    assert content(second) == others
    verify(first / "best.pth")


def test_overwriting_begins_anew(desk: Path) -> None:
    first = folders(desk)[0]
    (first / "notes.txt").write_text("mine")
    resume = ("--resume", f"{first}/td3_20.pth")
    code, output = run(desk, "train", "--checkpoint-dir", str(first), "--overwrite", *resume)
    assert code == 1
    assert "would delete the run" in output
    code, output = run(
        desk, "train", "--steps", "10", "--checkpoint-dir", str(first), "--overwrite"
    )
    assert code == 0, output
    assert {path.name for path in first.glob("td3_*")} == {"td3_10.pth"}
    assert (first / "notes.txt").read_text() == "mine"


def test_a_node_of_its_own_makes_a_run_too(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {folder: content(folder) for folder in folders(desk)}
    monkeypatch.chdir(desk)
    node = Node("ros.driver.node", "place:=maps/Town01.xodr", "seed:=5")
    try:
        node.wait_for("latest.pth at step 0")
        (new,) = set(folders(desk)) - before.keys()
        assert new.name.endswith("_Town01_default_s5")
        assert (desk / "runs" / "latest").resolve() == new
        busy = Node("ros.driver.node", f"checkpoint_dir:={new}", f"resume:={new}/latest.pth")
        assert busy.wait() == 1
        assert f"a run is at work there (process {node.process.pid})" in busy.output
        assert node.stop() == 0
    finally:
        node.kill()
    assert {folder: content(folder) for folder in before} == before
    (document,) = documents(new)
    assert document["parameters"]["seed"] == 5
    assert "latest.pth at step 0" in Path(document["ros_log"]).read_text()
