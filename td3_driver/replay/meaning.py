# SPDX-License-Identifier: Apache-2.0
"""Compares what the numbers in a file mean with what a run takes them for.

A meaning is a flat mapping of names to plain values: what each number of an observation is, how
the camera saw it, what an action does, how rewards were weighed. `online/meaning.py` fills it;
here meanings are compared, and files carry them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from td3_driver.checkpoints.checkpoint import CheckpointError

Meaning = Mapping[str, Any]


class MeaningError(CheckpointError):
    """A file is sound, but its numbers have another meaning than this run's, or an unknown one."""


def flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        leaves |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return leaves


def differences(saved: Meaning, own: Meaning) -> list[str]:
    """The differences between a file's and this run's meaning, by name; lists by element."""
    found = []
    for name in [*own, *(name for name in saved if name not in own)]:
        if name not in saved:
            found.append(f"{name} is not told (this run: {own[name]})")
        elif name not in own:
            found.append(f"{name} is {saved[name]} (this run has no such setting)")
        elif saved[name] != own[name]:
            found.append(_difference(name, saved[name], own[name]))
    return found


def _difference(name: str, saved: object, own: object) -> str:
    if isinstance(saved, list) and isinstance(own, list) and len(saved) == len(own):
        pairs = enumerate(zip(saved, own, strict=True))
        index = next(index for index, (one, other) in pairs if one != other)
        return f"{name}[{index}] is {saved[index]} (this run: {own[index]})"
    return f"{name} is {saved} (this run: {own})"
