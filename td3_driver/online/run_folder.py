# SPDX-License-Identifier: Apache-2.0
"""The folder of a run: its name, its lock, and the files in it.

Beside the checkpoints lie `run.yaml`, a YAML document for each program that began or went on with
the run, `log.txt` under `td3_driver train`, `evaluations.jsonl` and `tensorboard/`. `.lock` is
locked as long as a process of the run lives.
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
    """A run cannot have a folder; one line names the folder, the reason and a remedy."""


@dataclass(frozen=True)
class Wording:
    """The names of the options in messages, as the user gave them."""

    folder: str
    resume: str
    overwrite: str


@dataclass(frozen=True)
class RunFolder:
    """A folder that belongs to one run alone while the process lives.

    Attributes:
        path: the folder's.
        name: random; checkpoints carry it in `provenance`.
        lock: descriptor of the locked file; a child process that inherits it keeps the folder too.
            None: the file system has no locks, or a parent holds it.
    """

    path: Path
    name: str
    lock: IO[str] | None

    def release(self) -> None:
        """Release the lock, so that another process may take the folder."""
        if self.lock is not None:
            self.lock.close()


def new_folder(place: str, preset: str, seed: int, runs: Path = RUNS) -> Path:
    """Make `runs/<when>_<place>_<preset>_s<seed>`.

    If `place` is the path of a map, the map's name is used; so with several, separated by ':'.

    Raises:
        OSError: it cannot be made.
    """
    when = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    place = "+".join(PurePath(one).name.removesuffix(".xodr") for one in place.split(":"))[:60]
    name = re.sub(r"[^\w.-]+", "-", f"{when}_{place}_{preset}_s{seed}")
    prepare_folder(runs, "folder of runs")
    for attempt in range(1, 1000):
        path = runs / (name if attempt == 1 else f"{name}_{attempt}")
        with contextlib.suppress(FileExistsError):
            path.mkdir()
            return path.resolve()
    raise OSError(f"{runs / name}: is there a thousand times already")


def claim(folder: Path, resume: Path | None, words: Wording, *, overwrite: bool) -> RunFolder:
    """Take a folder for a run that begins or continues.

    Args:
        folder: the folder; made if it is not there.
        resume: the checkpoint that the run begins with; a checkpoint in `folder` continues its
            run.
        words: names of the options, for messages.
        overwrite: first delete the files of another run in it.

    Raises:
        RunFolderError: it belongs to another run, or another process is using it.
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
    """Append a document to `run.yaml` that says how a program of the run was started.

    Args:
        run: the run's folder.
        about: entries beside the command line and the versions; plain Python types.

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
    """Link `runs/latest` to a run in `runs`; return why that failed, or ""."""
    if folder.resolve().parent != runs.resolve():
        return ""
    link, temporary = runs / NEWEST, runs / f".{NEWEST}.{secrets.token_hex(4)}"
    try:
        if link.exists() and not link.is_symlink():
            return f"{link}: is no link; it is left alone, and does not lead to {folder}"
        temporary.symlink_to(folder.name)
        temporary.replace(link)
    except OSError as error:  # some file systems have no symbolic links
        return f"{link}: cannot lead to {folder} ({error.strerror})"
    return ""


def newest_best(runs: Path = RUNS) -> Path:
    """Return `best.pth` of the newest run, the run by its own name.

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
    """Whether a path is a checkpoint, a replay or the evaluations of a run."""
    name = path.name
    named = _CHECKPOINTS.fullmatch(name) or _REPLAYS.fullmatch(name)
    return bool(named) or name == evaluations.FILE


def _check_published(folder: Path, words: Wording) -> None:
    """Raise if another program's file has the name of a checkpoint or replay."""
    for path in sorted(folder.iterdir()):
        ours = checkpoint.may_replace if path.suffix == ".pth" else replay_log.may_replace
        if (_CHECKPOINTS.fullmatch(path.name) or _REPLAYS.fullmatch(path.name)) and not ours(path):
            raise RunFolderError(
                f"{words.folder} {folder}: holds {path.name}, which is not this package's; take"
                f" another folder ({words.folder})"
            )


def _clear(folder: Path) -> None:
    """Delete a run's files, and no others."""
    for path in folder.iterdir():
        if _is_of_a_run(path) or path.name in (RECORD, LOG):
            path.unlink()
    events = folder / TENSORBOARD
    for path in (*events.glob("events.out.tfevents.*"), *events.glob("*/events.out.tfevents.*")):
        path.unlink()


def _name_of(folder: Path) -> str | None:
    """Return the name of the run that `run.yaml` records; None if it cannot be read."""
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
