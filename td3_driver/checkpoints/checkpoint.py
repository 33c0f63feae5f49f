# SPDX-License-Identifier: Apache-2.0
"""Writes, verifies, reads and deletes checkpoint files; no code in a file is ever run.

`archive` has the bytes of a file, `agent/snapshot.py` what the contents mean; this module knows
only their keys.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from td3_driver.checkpoints import durable_file
from td3_driver.checkpoints.archive import (
    CheckpointError,
    append_hash,
    glance,
    is_ours,
    may_replace,
    one_line,
    open_file,
    parse,
    verify_hash,
)
from td3_driver.checkpoints.migration import FORMAT_VERSION, migrate

LATEST = "latest.pth"
BEST = "best.pth"
REPLAY_SUFFIX = ".replay"
_PLAIN = (str, bool, int, float, type(None))
NUMBERED = re.compile(r"td3_(\d+)\.pth")
_NAMED_REPLAY = re.compile(r"td3_\d+\.replay")
_FIRST_WITH_HASH = 2  # format_version


def write(path: str | Path, payload: Mapping[str, Any]) -> None:
    """Write a checkpoint completely or not at all, even if the power fails.

    Args:
        path: The file; folders are created, and a checkpoint already there is replaced.
        payload: Tensors and plain Python data; nothing else could be read again.

    Raises:
        CheckpointError: If it cannot be written, holds a value of another type, or would replace
            what is no checkpoint of this package; a file already there is unchanged.
    """
    import torch  # here, as in archive.py

    path = Path(path)
    _check_plain("", payload, torch.Tensor)
    _check_replaceable(path)

    def fill(file: BinaryIO) -> None:
        torch.save(dict(payload), file)
        append_hash(file)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        durable_file.replace(path, fill)
    # torch reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path}: cannot be written: {one_line(error)}") from error


def read(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint file into CPU tensors and plain Python data of the current format.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged, or not a checkpoint that this version understands.
    """
    path = Path(path)
    try:
        file = open_file(path)
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such checkpoint file") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {one_line(error)}") from error
    with file:
        has_hash = verify_hash(path, file)
        payload = parse(path, file, check_archive=not has_hash)
    if not isinstance(payload, dict) or "actor_state_dict" not in payload:
        raise CheckpointError(f"{path}: is no checkpoint of this package, it has no actor")
    version = payload.get("format_version")
    if version is None:
        raise CheckpointError(
            f"{path}: has no format_version, another program wrote it: see"
            " 'td3_driver checkpoint convert'"
        )
    try:
        current = migrate(payload)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    if not has_hash and version >= _FIRST_WITH_HASH:
        raise CheckpointError(f"{path}: is damaged: the SHA-256 at its end is missing")
    return current


def publish_latest(path: str | Path) -> Path:
    """Make `latest.pth` beside a checkpoint the same file, at once and without a gap.

    Returns:
        The path of `latest.pth`.

    Raises:
        CheckpointError: If it cannot be written; the old one is unchanged then.
    """
    return _publish(Path(path), LATEST)


def publish_best(path: str | Path) -> Path:
    """As `publish_latest`, for `best.pth`."""
    return _publish(Path(path), BEST)


def newest(
    directory: str | Path, since_ns: int = 0, *, with_replay: bool = False
) -> Path | None:
    """The valid `td3_<step>.pth` or `latest.pth` that was written last; None if there is none.

    The time of writing counts, because a folder may hold a longer, earlier run. Of files written
    at the same time the one with more steps is taken, and a numbered name before `latest.pth`.
    Damaged files are passed over.

    Args:
        directory: The folder of the files.
        since_ns: Files written earlier are passed over, ns since the epoch.
        with_replay: So are files without a replay beside them.
    """
    found = _numbered(Path(directory))
    latest = Path(directory) / LATEST
    with contextlib.suppress(OSError):
        found.append((latest.stat().st_mtime_ns, -1, latest))
    for written_ns, _, path in sorted(found, reverse=True):
        if written_ns < since_ns:
            break
        if with_replay and not path.with_suffix(REPLAY_SUFFIX).exists():
            continue
        if _is_valid(path):
            return path
    return None


def retain(
    directory: str | Path, keep_last: int, keep_every: int = 0, run: str | None = None
) -> list[Path]:
    """Delete old numbered checkpoints and the replays beside them.

    Kept are the `keep_last` numbered files written last, those whose step is a multiple of
    `keep_every`, `latest.pth` and `best.pth`, and all files that this package or, where `run` is
    given, that run did not write. A replay is kept with the `keep_last` files only: a run is
    resumed from them, and it is too large to keep for ever.

    Args:
        directory: The folder of the files.
        keep_last: At least 1, so the file just written is always kept.
        keep_every: In environment steps; 0 keeps none for ever.
        run: The run whose files to look at, as in `provenance` of the checkpoints; None: any.

    Returns:
        The deleted files.

    Raises:
        ValueError: If a number is out of range.
        CheckpointError: If a file cannot be deleted.
    """
    if keep_last < 1 or keep_every < 0:
        raise ValueError(f"retain: {keep_last} is not >= 1, or {keep_every} not >= 0")
    folder = Path(directory)
    unwanted: list[Path] = []
    last: set[Path] = set()
    for _, step, path in sorted(_numbered(folder), reverse=True):
        replay = path.with_suffix(REPLAY_SUFFIX)
        for_ever = bool(keep_every) and step % keep_every == 0
        if len(last) == keep_last and for_ever and not replay.exists():
            continue  # nothing to decide, so it is not read
        payload = _written_by(path, run)
        if payload is None:
            continue
        if len(last) < keep_last:
            last.add(path)
            continue
        if payload["replay"] and replay.exists():  # first: killed between, none is left alone
            unwanted.append(replay)
        if not for_ever:
            unwanted.append(path)
    unwanted += _spare_names(folder, {path.with_suffix(REPLAY_SUFFIX) for path in last})
    for path in unwanted:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise CheckpointError(f"{path}: cannot be deleted: {one_line(error)}") from error
    return unwanted


def run_of(path: str | Path) -> str | None:
    """The name of the run that wrote a checkpoint, from its `provenance`; None if unknown."""
    payload = _written_by(Path(path), None)
    return None if payload is None else (payload.get("provenance") or {}).get("run")


def _check_replaceable(path: Path) -> None:
    if not may_replace(path):
        raise CheckpointError(
            f"{path}: cannot be written: what is there is no checkpoint of this package"
        )


def _written_by(path: Path, run: str | None) -> dict[str, Any] | None:
    """The contents, tensors unread, of a file of this package and of this run; else None."""
    if not is_ours(path):
        return None
    try:
        payload = glance(path)
    except CheckpointError:  # of what is damaged nobody knows whose it is
        return None
    if not isinstance(payload, dict) or "replay" not in payload:
        return None
    own = run is None or (payload.get("provenance") or {}).get("run") == run
    return payload if own else None


def _spare_names(folder: Path, wanted: set[Path]) -> list[Path]:
    """Replays without a checkpoint that are hard links to a replay that is kept.

    A process killed between writing replay and checkpoint leaves them; removing the name loses
    nothing.
    """
    logs = [path.stat() for path in wanted if path.exists()]
    return [
        path
        for path in folder.glob(f"*{REPLAY_SUFFIX}")
        if _NAMED_REPLAY.fullmatch(path.name)
        and not path.with_suffix(".pth").exists()
        and any(os.path.samestat(path.stat(), log) for log in logs)
    ]


def _publish(path: Path, name: str) -> Path:
    published = path.with_name(name)
    _check_replaceable(published)
    try:
        durable_file.publish(path, published)
    except OSError as error:
        raise CheckpointError(f"{published}: cannot be written: {one_line(error)}") from error
    return published


def _numbered(folder: Path) -> list[tuple[int, int, Path]]:
    """Every `td3_<step>.pth` with its time of writing, in ns, and its step."""
    found = []
    for path in folder.glob("td3_*.pth"):
        named = NUMBERED.fullmatch(path.name)
        if named:
            with contextlib.suppress(OSError):  # deleted since it was listed, or a link to itself
                found.append((path.stat().st_mtime_ns, int(named[1]), path))
    return found


def _check_plain(where: str, value: object, tensor: type) -> None:
    """Raise CheckpointError for a value that `torch.load(weights_only=True)` would refuse."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_plain(f"{where}.{key}" if where else str(key), item, tensor)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_plain(f"{where}[{index}]", item, tensor)
    # The exact type: a numpy number is a float too, but loads only with code of numpy's.
    elif type(value) not in _PLAIN and not isinstance(value, tensor):
        raise CheckpointError(
            f"{where}: a checkpoint cannot hold a {type(value).__name__}, only tensors and"
            " Python's own str, bool, int, float, None, list, tuple and dict"
        )


def _is_valid(path: Path) -> bool:
    try:
        read(path)
    except (CheckpointError, FileNotFoundError):
        return False
    return True


__all__ = [
    "BEST",
    "FORMAT_VERSION",
    "LATEST",
    "CheckpointError",
    "is_ours",
    "may_replace",
    "newest",
    "one_line",
    "publish_best",
    "publish_latest",
    "read",
    "retain",
    "run_of",
    "write",
]
