# SPDX-License-Identifier: Apache-2.0
"""Compares what the numbers in a file mean with what a run takes them for.

A meaning is a flat mapping of names to plain values: what each number of an observation is, how
the camera saw it, what an action does, how rewards were weighed. `online/meaning.py` fills it;
here meanings are compared, and files carry them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from td3_driver.checkpoints.checkpoint import CheckpointError

Meaning = Mapping[str, Any]

# Settings that are younger than the first files, and what files mean that do not tell of them.
# Switches were off.
_BEFORE = {
    "driving.view.fov_deg": 90.0, "driving.view.size_px": 84, "driving.view.colour": "grey",
    "driving.view.cameras": [],
}  # fmt: skip


class MeaningError(CheckpointError):
    """A file is sound, but its numbers have another meaning than this run's, or an unknown one."""


def flat(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by their dotted names."""
    leaves: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{prefix}{key}"
        leaves |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return leaves


def completed(meaning: Meaning, other: Meaning) -> Meaning:
    """A meaning with what it has for younger settings that only the other one tells."""
    return {**{name: _BEFORE[name] for name in other if name in _BEFORE}, **meaning}


def differences(saved: Meaning, own: Meaning) -> list[str]:
    """The differences between a file's and this run's meaning, by name; lists by element.

    A setting that is not told may be younger than the file, or left out; see `_BEFORE`.
    """
    saved, own = completed(saved, own), completed(own, saved)
    found = []
    for name in [*own, *(name for name in saved if name not in own)]:
        if name not in saved and own[name] is False:
            continue
        if name not in saved:
            found.append(f"{name} is not told (this run: {own[name]})")
        elif name not in own:
            found.append(f"{name} is {saved[name]} (this run has no such setting)")
        elif saved[name] != own[name]:
            found.append(_difference(name, saved[name], own[name]))
    return found


def _difference(name: str, saved: object, own: object) -> str:
    if not (_is_layout(saved) and _is_layout(own)):
        return f"{name} is {saved} (this run: {own})"
    if len(saved) == len(own):
        pairs = enumerate(zip(saved, own, strict=True))
        index = next(index for index, (one, other) in pairs if one != other)
        return f"{name}[{index}] is {saved[index]} (this run: {own[index]})"
    return f"{name} has {len(saved)} elements (this run: {len(own)})"


def _is_layout(value: object) -> TypeGuard[list[Any]]:
    """Whether a value has a name for each element, as the vector's has."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], str)
