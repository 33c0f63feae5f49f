# SPDX-License-Identifier: Apache-2.0
"""Converts other programs' files to checkpoints, and lists what they lack.

Each format has a module that reads it into a `Source`, with this package's names; here a
checkpoint is made from it. No code in a foreign file is ever run.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from td3_driver.agent import snapshot
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.td3 import TD3Agent
from td3_driver.checkpoints import checkpoint
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.importing.finding import OwnCheckpointError, read
from td3_driver.interchange.importing.source import Source

_GROUP = ("lr", "betas", "eps", "weight_decay")


def convert(source: str | Path, destination: str | Path, name: str | None = None) -> Source:
    """Convert another program's files to a checkpoint.

    Args:
        source: A Stable-Baselines3 zip, a checkpoint of the origin system, a file with an actor
            and its critics, or of files for each one of them, their folder, or their common path.
        destination: The checkpoint to write; must not exist.
        name: If the source is a folder: the common part of the names of the agent's files.

    Returns:
        The source; its `notes` list what was lacking and what took its place. They are also in
        the checkpoint's `provenance`.

    Raises:
        FileNotFoundError: If there is no such source.
        CheckpointError: If it is of another kind, cannot be represented, or cannot be written.
    """
    destination = Path(destination)
    if destination.exists():
        raise CheckpointError(f"{destination}: exists already, it is not overwritten")
    path = Path(source)
    found, payload = _read(path, name)
    payload["provenance"] |= {"imported_from": found.origin, "import_notes": list(found.notes)}
    checkpoint.write(destination, payload)
    return found


def explained(path: Path, error: Exception) -> str:
    """Why a file is no checkpoint of this package; how to convert it if it is another program's.

    Args:
        path: The file, or the common part of the names of several.
        error: The error that reading it gave.
    """
    if checkpoint.is_ours(path):
        return str(error)
    try:
        found, payload = _read(path, None)
    except (OwnCheckpointError, FileNotFoundError):
        return str(error)
    except (CheckpointError, OSError) as reason:
        return str(reason)
    made = f"td3_{payload['env_steps']}.pth"
    where = Path(made) if not Path(made).exists() else Path("converted", made)
    command = shlex.join(["td3_driver", "checkpoint", "convert", str(path), str(where)])
    return f"{path}: is a checkpoint of {found.origin}; convert it with: {command}"


def _read(path: Path, name: str | None) -> tuple[Source, dict[str, Any]]:
    """Read a source and build the contents of a checkpoint from it."""
    try:
        source = read(path, name)
        return source, _payload_of(path, source)
    except CheckpointError:
        raise
    # Keys and values of foreign files may be anything.
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
        what = f"{type(error).__name__}: {checkpoint.one_line(error)}"
        raise CheckpointError(f"{path}: cannot be converted: odd contents ({what})") from error


def _payload_of(path: Path, source: Source) -> dict[str, Any]:
    try:
        return _payload(source)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be converted: {error}") from None


def _payload(source: Source) -> dict[str, Any]:
    config = AgentConfig.from_mapping(source.config)
    agent = TD3Agent(**source.dimensions, config=config)
    kinds = {tensor.dtype for state in source.networks.values() for tensor in state.values()}
    if other := kinds - {torch.float32}:
        source.notes.append(f"weights: rounded to float32 from {', '.join(map(str, other))}")
    for name in sorted(snapshot.COUNTERS):
        if name in source.counters:
            setattr(agent, name, source.counters[name])
        else:
            source.notes.append(f"{name}: not in the source, starts at 0")
    for name in snapshot.NETWORKS:
        if getattr(agent, name) is not None:
            _fill(agent, name, source)
    source.notes.append("random states: not in the source, made from seed 0")
    payload = agent.checkpoint_payload()
    problems = snapshot.mismatches(agent, payload)
    if problems:
        raise CheckpointError("; ".join(problems))
    return payload


def _fill(agent: TD3Agent, name: str, source: Source) -> None:
    """Set the weights of a network and its target, and its optimizer's state, from the source."""
    network: nn.Module = getattr(agent, name)
    target: nn.Module = getattr(agent, f"{name}_target")
    weights = source.networks.get(name)
    if weights is None:
        source.notes.append(f"{name}: not in the source, INITIALISED ANEW (seed 0), untrained")
    else:
        _load(name, network, weights)
    saved = source.networks.get(f"{name}_target")
    if saved is None:
        source.notes.append(f"{name}_target: not in the source, a copy of {name}")
        target.load_state_dict(network.state_dict())
    else:
        _load(f"{name}_target", target, saved)
    if weights is not None:
        _fill_optimizer(getattr(agent, f"{name}_optimizer"), name, network, source)


def _load(name: str, network: nn.Module, weights: dict[str, Tensor]) -> None:
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    if expected != found:
        odd = [
            f"{name}.{key} is {found.get(key, 'missing')}, not {expected.get(key, 'known')}"
            for key in sorted({*expected, *found})
            if expected.get(key) != found.get(key)
        ]
        raise CheckpointError("; ".join(odd))
    network.load_state_dict(weights)


def _fill_optimizer(
    optimizer: torch.optim.Optimizer, name: str, network: nn.Module, source: Source
) -> None:
    group = source.groups.get(name)
    if group is None:
        source.notes.append(f"{name}_optimizer: not in the source, starts without moments")
        return
    own = optimizer.state_dict()
    for key in _GROUP:
        own["param_groups"][0][key] = group[key]
    moments = source.moments.get(name, {})
    parameters = dict(network.named_parameters())
    own["state"] = {
        index: _state(moments[key]) for index, key in enumerate(parameters) if key in moments
    }
    lacking = [key for key in parameters if key not in moments]
    if lacking:
        which = "any" if len(lacking) == len(parameters) else ", ".join(lacking)
        source.notes.append(f"{name}_optimizer: no moments of {which}")
    optimizer.load_state_dict(own)


def _state(moments: dict[str, Any]) -> dict[str, Tensor]:
    """Adam's state of one parameter; torch before 1.12 kept `step` as a plain number."""
    return {
        "step": torch.tensor(float(moments["step"])),
        "exp_avg": moments["exp_avg"],
        "exp_avg_sq": moments["exp_avg_sq"],
    }
