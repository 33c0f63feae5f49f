# SPDX-License-Identifier: Apache-2.0
"""Inspects checkpoint files: their contents, whether they are sound, how two differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from td3_driver.agent import algorithm, snapshot
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.replay import file as replay_file
from td3_driver.replay.log import ReplayLink


def verify(path: str | Path) -> str:
    """Check that a checkpoint, and the replay beside it, are undamaged and can be resumed.

    Returns:
        A few words on the replay, which may be absent but not damaged.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged or cannot be resumed.
    """
    path = Path(path)
    algorithm.load(path)
    described = checkpoint.read(path)["replay"]
    if described is None:
        return "no replay"
    link = ReplayLink.from_mapping(described)
    if not (path.parent / link.file).exists():
        return f"its replay {link.file} is not beside it"
    replay_file.verify(path.parent, link)
    return f"replay of {link.rows - link.first} rows"


def describe(path: str | Path) -> str:
    """A text of several lines on what a checkpoint file holds and lacks.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If it is damaged or no checkpoint.
    """
    path = Path(path)
    payload = checkpoint.read(path)
    size = path.stat().st_size / 1e6
    title = f"{path}: format {payload['format_version']}, {size:.1f} MB, undamaged"
    try:
        return f"{title}\n\n{_contents(payload)}"
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its contents are not a checkpoint's: {error!r}") from None


def _contents(payload: Mapping[str, Any]) -> str:
    blocks = [
        _pairs("counters", payload, sorted(snapshot.COUNTERS)),
        _pairs("agent", payload, (*snapshot.DIMENSIONS, *snapshot.HYPERPARAMETERS)),
        _networks(payload),
        _tensors(payload),
        _mapping("config", payload.get("config")),
        _mapping("provenance", payload.get("provenance")),
        _mapping("run", payload.get("run")),
        _mapping("replay", payload.get("replay")),
        "missing\n" + "\n".join(f"  {line}" for line in missing(payload) or ["nothing"]),
    ]
    return "\n\n".join(block for block in blocks if block)


def missing(payload: Mapping[str, Any]) -> list[str]:
    """A line for each part of a complete checkpoint that a payload lacks."""
    images = payload.get("use_dict_buffer", True)
    lines = []
    parts = map(snapshot.key_of, algorithm.class_of(payload).components)
    for key in (*parts, *snapshot.KEYS):
        if key not in payload:
            lines.append(key)
        elif payload[key] is None and key == "replay":
            lines.append("replay: none was saved, a resumed run starts with an empty one")
        elif payload[key] is None and (images or "cnn" not in key):
            lines.append(f"{key}: is None")
        elif key.endswith("optimizer_state_dict") and payload[key] and not payload[key]["state"]:
            lines.append(f"{key}: has no moments, as before the first update")
    imported = (payload.get("provenance") or {}).get("import_notes", [])
    return lines + [f"import: {note}" for note in imported]


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """A line for each difference between two payloads; one for all tensors of a network."""
    first, second = dict(_leaves("", one)), dict(_leaves("", other))
    lines = [f"{name}: only in the first" for name in first if name not in second]
    lines += [f"{name}: only in the second" for name in second if name not in first]
    pairs: dict[str, list[tuple[Tensor, Tensor]]] = {}
    for name, value in first.items():
        if name not in second:
            continue
        found = second[name]
        if not isinstance(value, Tensor) or not isinstance(found, Tensor):
            if type(value) is not type(found) or value != found:
                lines.append(f"{name}: {_short(value)} -> {_short(found)}")
        elif value.shape != found.shape:
            lines.append(f"{name}: shape {_shape(value)} -> {_shape(found)}")
        else:
            pairs.setdefault(name.split(".")[0], []).append((value, found))
    return lines + [line for name in pairs for line in _gap(name, pairs[name])]


def _gap(name: str, pairs: Sequence[tuple[Tensor, Tensor]]) -> list[str]:
    unequal = sum(not torch.equal(value, other) for value, other in pairs)
    if not unequal:
        return []
    # Not the numbers: Adam counts its steps in one, beside which its moments are nothing.
    arrays = [pair for pair in pairs if pair[0].ndim]
    gap = _norm(value.double() - other.double() for value, other in arrays)
    scale = _norm(value for value, _ in arrays)
    relative = f", {gap / scale:.1e} of its norm" if scale else ""
    return [f"{name}: {unequal} of {len(pairs)} tensors differ, by {gap:.3g}{relative}"]


def _leaves(where: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(f"{where}.{key}" if where else str(key), item)
    else:
        yield where, value


def _networks(payload: Mapping[str, Any]) -> str:
    rows = [("network", "parameters", "norm", "target differs by", "Adam steps", "moments")]
    for name in _network_names(payload):
        weights = payload.get(f"{name}_state_dict")
        if weights is None:
            rows.append((name, "none", "", "", "", ""))
            continue
        count = sum(tensor.numel() for tensor in weights.values())
        target = payload.get(f"{name}_target_state_dict")
        lag = f"{_distance(weights, target):.4g}" if target else "no target"
        optimizer = payload.get(f"{name}_optimizer_state_dict") or {"state": {}}
        moments = optimizer["state"]
        steps = f"{max((float(m['step']) for m in moments.values()), default=0):.0f}"
        there = f"{len(moments)} of {len(weights)}"
        rows.append((name, f"{count:,}", f"{_norm(weights.values()):.4g}", lag, steps, there))
    return _table(rows)


def _network_names(payload: Mapping[str, Any]) -> list[str]:
    parts = algorithm.class_of(payload).components
    return [name for name in parts if not name.endswith(("_target", "_optimizer"))]


def _tensors(payload: Mapping[str, Any]) -> str:
    rows = [("tensor", "shape", "norm")]
    for name in _network_names(payload):
        for key, tensor in (payload.get(f"{name}_state_dict") or {}).items():
            rows.append((f"{name}.{key}", _shape(tensor), f"{_norm([tensor]):.4g}"))
    return _table(rows)


def _norm(tensors: Iterable[Tensor]) -> float:
    return math.sqrt(sum(tensor.double().square().sum().item() for tensor in tensors))


def _distance(weights: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> float:
    shared = [name for name in weights if name in target]
    return _norm(weights[name].double() - target[name].double() for name in shared)


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _pairs(title: str, payload: Mapping[str, Any], names: Sequence[str]) -> str:
    found = (f"{name} {payload[name]}" for name in names if name in payload)
    return f"{title}: {', '.join(found)}"


def _mapping(title: str, mapping: Mapping[str, Any] | None) -> str:
    if not mapping:
        return ""
    leaves = (f"  {name}: {_short(value)}" for name, value in _leaves("", mapping))
    return "\n".join([title, *leaves])


def _table(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
