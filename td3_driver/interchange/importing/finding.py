# SPDX-License-Identifier: Apache-2.0
"""Finds the files to convert: a user names a file, one of an agent's files, or their folder."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.importing import parts, recognition, sb3_zip, td3_files
from td3_driver.interchange.importing.source import Source, load

_Files = Mapping[str, Path]  # by role


class OwnCheckpointError(CheckpointError):
    """A file to be converted is a checkpoint of this package already."""


def read(path: Path, name: str | None) -> Source:
    """Read the source that `convert` was given.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        CheckpointError: If it cannot be converted; one line says what it is, and which names were
            looked for.
    """
    if path.is_file():
        if name:
            raise CheckpointError(f"{path}: is a file; --name goes with the folder of several")
        return _read_file(path)
    if not name and path.name and path.parent.is_dir():
        names = [path.name]
        if parts.role_of(path.name) and not path.is_dir():  # half of the files, without suffix
            names.append(parts.name_of(path.name))
        for own in names:
            for files in parts.find(path.parent, own).values():
                return _read_agent(path, files)
    if path.is_dir():
        return _read_folder(path, name)
    raise FileNotFoundError(f"{path}: there is no such file, and no {path.name}_actor")


def _read_file(path: Path) -> Source:
    recognition.check(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "policy.pth" in archive.namelist():
                return sb3_zip.read_zip(path, archive)
    payload = load(path, path)
    if isinstance(payload, Mapping):
        if "format_version" in payload:
            raise OwnCheckpointError(f"{path}: is a checkpoint of this package already")
        if {"actor_state_dict", "critic_state_dict"} <= {*payload}:
            return td3_files.read_origin(path, payload)
    own = parts.role_of(parts.stem_of(path.name))
    found = parts.of_payload(payload, own)
    if found.complete:
        return td3_files.read_parts(path, found)
    beside = parts.find(path.parent, parts.name_of(path.name)) if own else {}
    for files in beside.values():
        if path in files.values():
            return _read_agent(path, files)
    lacking = "no critic_state_dict, critic, q1 and q2" if "actor" in found.networks else ""
    raise CheckpointError(
        f"{path}: is none of the files that can be converted: it is {parts.kind(found)}; there is"
        f" {lacking or 'no actor_state_dict, actor, policy or pi'} or the like in it"
    )


def _read_folder(path: Path, name: str | None) -> Source:
    agents = parts.find(path, name)
    whole = {own: files for own, files in agents.items() if _is_whole(files)}
    if len(whole) > 1:
        raise CheckpointError(f"{path}: say which with --name: {', '.join(sorted(whole))}")
    what = recognition.folder(path)
    if what and not name and not whole:
        raise CheckpointError(f"{path}: cannot be converted: it is {what}")
    for files in (*whole.values(), *agents.values()):
        return _read_agent(path / name if name else path, files)
    looked = f"{name}_actor or {name}_actor.pth" if name else "NAME_actor, actor.pth or the like"
    raise CheckpointError(f"{path}: has no file {looked}; of one file with all in it, name it")


def _is_whole(files: _Files) -> bool:
    return "actor" in files and any(role.startswith("critic") for role in files)


def _read_agent(path: Path, files: _Files) -> Source:
    """Read an agent whose networks are in separate files."""
    wanted = {role: file for role, file in files.items() if not role.endswith("_optimizer")}
    for role, other in (("actor", "critic"), ("critic", "actor")):
        if not any(name.startswith(role) and "_target" not in name for name in wanted):
            there = next(iter(files.values()))
            stem, *others = _names(there, role)
            raise CheckpointError(
                f"{there}: cannot be converted: it is {_article(other)} alone; its {role}"
                f" {stem}: is missing, as are {', '.join(others)}"
            )
    found = []
    for role, file in files.items():
        recognition.check(file)
        found.append(parts.of_payload(load(file, file), role))
    together = parts.joined(found)
    if not together.complete:
        raise CheckpointError(f"{path}: cannot be converted: it is {parts.kind(together)}")
    return td3_files.read_parts(path, together)


def _article(role: str) -> str:
    return f"an {role}" if role == "actor" else f"a {role}"


def _names(there: Path, role: str) -> list[str]:
    """Some of the names under which the missing networks were looked for."""
    name = parts.name_of(there.name)
    stem = f"{name}_{role}" if name else role
    pair = [f"{stem}_1 with {stem}_2"] if role == "critic" else []
    return [stem, *(f"{stem}{suffix}" for suffix in (".pth", ".pt")), *pair]
