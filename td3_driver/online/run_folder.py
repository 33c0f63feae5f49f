# SPDX-License-Identifier: Apache-2.0
"""A folder for each run: its name, who may write into it, and what lies in it.

Beside the checkpoints lie `run.yaml`, a YAML document for each program that began or went on with
the run, `log.txt` under `td3_driver train`, `evaluations.jsonl` and `tensorboard/`. `.lock` is
held as long as a process of the run lives.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import re
import secrets
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePath
from typing import IO, Any

import yaml

from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import BEST, LATEST
from td3_driver.checkpoints.provenance import provenance
from td3_driver.online import evaluations
from td3_driver.online.folder import prepare_folder
from td3_driver.replay import log as replay_log

RUNS = Path("runs")
NEWEST = "latest"
LOG = "log.txt"
RECORD = "run.yaml"
TENSORBOARD = "tensorboard"
_LOCK = ".lock"
_CHECKPOINTS = re.compile(r"(td3_\d+|latest|best)\.pth")
_REPLAYS = re.compile(r"td3_\d+\.replay")


class RunFolderError(ValueError):
    """A run cannot have a folder; one line says which, why, and what would be right."""


@dataclass(frozen=True)
class Wording:
    """What options are called where they are given."""

    folder: str
    resume: str
    overwrite: str


@dataclass(frozen=True)
class RunFolder:
    """A folder that is this run's alone while the process lives.

    Attributes:
        path: of the folder.
        name: random; checkpoints carry it in `provenance`.
        lock: kept open; a child process that inherits it keeps the folder too. None: the file
            system has no locks, or a parent holds it.
    """

    path: Path
    name: str
    lock: IO[str] | None

    def release(self) -> None:
        """Let another have the folder."""
        if self.lock is not None:
            self.lock.close()


def new_folder(place: str, preset: str, seed: int, runs: Path = RUNS) -> Path:
    """Make `runs/<when>_<place>_<preset>_s<seed>`, and let nobody else have it.

    `place` may be a map's path; its name counts.

    Raises:
        OSError: it cannot be made.
    """
    when = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    place = PurePath(place).name.removesuffix(".xodr")[:60]
    name = re.sub(r"[^\w.-]+", "-", f"{when}_{place}_{preset}_s{seed}")
    prepare_folder(runs, "folder of runs")
    for attempt in range(1, 1000):
        path = runs / (name if attempt == 1 else f"{name}_{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path.resolve()
    raise OSError(f"{runs / name}: is there a thousand times already")


def claim(folder: Path, resume: Path | None, words: Wording, *, overwrite: bool) -> RunFolder:
    """Take a folder for a run, new or gone on with.

    Args:
        folder: where; made if it is not there.
        resume: the checkpoint that the run begins with; one in `folder` goes on with its run.
        words: for messages.
        overwrite: delete another run's files in it first.

    Raises:
        RunFolderError: it is another run's, or another process is at work there.
        OSError: files cannot be written there.
    """
    prepare_folder(folder)
    lock = _locked(folder, words)
    goes_on = resume is not None and resume.resolve().parent == folder.resolve()
    if goes_on and overwrite:
        raise RunFolderError(
            f"{words.overwrite}: would delete the run that {words.resume} {resume} goes on with;"
            " give one of the two"
        )
    if not goes_on:
        _check_published(folder, words)
    if not goes_on and _is_a_run(folder):
        if not overwrite:
            raise RunFolderError(
                f"{words.folder} {folder}: holds another run; go on with it"
                f" ({words.resume} {folder / LATEST}), take another folder ({words.folder}), or"
                f" delete it and begin anew ({words.overwrite})"
            )
        _clear(folder)
    return RunFolder(folder, _name_of(folder) or secrets.token_hex(8), lock)


def record(run: RunFolder, about: Mapping[str, Any]) -> None:
    """Add a document to `run.yaml`: what a program of the run was started with.

    Args:
        run: whose.
        about: besides its command line and versions; plain Python types.

    Raises:
        OSError: it cannot be written.
    """
    began = datetime.now().astimezone().isoformat(timespec="seconds")
    versions = {name: value for name, value in provenance().items() if name != "created"}
    head: dict[str, Any] = {"run": run.name, "began": began, "command": shlex.join(sys.orig_argv)}
    head |= {"working_directory": str(Path.cwd()), "versions": versions}
    text = yaml.safe_dump({**head, **about}, sort_keys=False, width=math.inf)
    with (run.path / RECORD).open("a", encoding="utf-8") as file:
        file.write(f"---\n{text}")


def point_newest(folder: Path, runs: Path = RUNS) -> str:
    """Let `runs/latest` lead to a run in `runs`; why it does not, "" where all is well."""
    if folder.resolve().parent != runs.resolve():
        return ""
    link, temporary = runs / NEWEST, runs / f".{NEWEST}.{secrets.token_hex(4)}"
    try:
        if link.exists() and not link.is_symlink():
            return f"{link}: is no link; it is left alone, and does not lead to {folder}"
        temporary.symlink_to(folder.name)
        temporary.replace(link)
    except OSError as error:  # some file systems have no links
        return f"{link}: cannot lead to {folder} ({error.strerror})"
    return ""


def newest_best(runs: Path = RUNS) -> Path:
    """`best.pth` of the newest run, by its run's own name.

    Raises:
        FileNotFoundError: there is none; one line says why.
    """
    link = runs / NEWEST
    best = link / BEST
    if best.is_file():
        return runs / link.resolve().name / BEST
    there = f"{best} is not there" if link.exists() else f"there is no {link}"
    raise FileNotFoundError(
        f"{there}: train first, long enough for a checkpoint to be evaluated, or name one with"
        " --checkpoint"
    )


def _locked(folder: Path, words: Wording) -> IO[str] | None:
    file = (folder / _LOCK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip()
        file.close()
        # `td3_driver train` took it for its driver too; and of one process it is one's own.
        if holder in (str(os.getppid()), str(os.getpid())):
            return None
        raise RunFolderError(
            f"{words.folder} {folder}: a run is at work there (process {holder or 'unknown'});"
            f" take another folder ({words.folder})"
        ) from None
    except OSError:  # no locks on this file system
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def _is_a_run(folder: Path) -> bool:
    return any(map(_is_of_a_run, folder.iterdir()))


def _is_of_a_run(path: Path) -> bool:
    """What a run has made and would be a pity to lose."""
    name = path.name
    named = _CHECKPOINTS.fullmatch(name) or _REPLAYS.fullmatch(name)
    return bool(named) or name == evaluations.FILE


def _check_published(folder: Path, words: Wording) -> None:
    """`latest.pth` and the like are common names, other programs' too."""
    for path in sorted(folder.iterdir()):
        ours = checkpoint.may_replace if path.suffix == ".pth" else replay_log.may_replace
        if (_CHECKPOINTS.fullmatch(path.name) or _REPLAYS.fullmatch(path.name)) and not ours(path):
            raise RunFolderError(
                f"{words.folder} {folder}: holds {path.name}, which is not this package's; take"
                f" another folder ({words.folder})"
            )


def _clear(folder: Path) -> None:
    """Delete a run's files and no others."""
    for path in folder.iterdir():
        if _is_of_a_run(path) or path.name in (RECORD, LOG):
            path.unlink()
    events = folder / TENSORBOARD
    for path in (*events.glob("events.out.tfevents.*"), *events.glob("*/events.out.tfevents.*")):
        path.unlink()


def _name_of(folder: Path) -> str | None:
    """The name of the run that `run.yaml` tells of, if it can be read."""
    try:
        first = next(yaml.safe_load_all((folder / RECORD).read_text(encoding="utf-8")), None)
    except (OSError, ValueError, yaml.YAMLError):
        return None
    name = first.get("run") if isinstance(first, dict) else None
    return name if isinstance(name, str) and name else None


__all__ = [
    "BEST",
    "LOG",
    "NEWEST",
    "RUNS",
    "RunFolder",
    "RunFolderError",
    "Wording",
    "claim",
    "new_folder",
    "newest_best",
    "point_newest",
    "record",
]
