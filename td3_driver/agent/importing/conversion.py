# SPDX-License-Identifier: Apache-2.0
"""Checkpoints from other programs' files: what they hold is taken over, what they lack is listed.

Each format has a module that reads it into a `Source`, with this package's names; here a
checkpoint is made of that. Nothing in a foreign file is ever run.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from td3_driver.agent import checkpoint, snapshot
from td3_driver.agent.checkpoint import CheckpointError
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.importing import sb3_zip, td3_files
from td3_driver.agent.importing.source import Source, load
from td3_driver.agent.td3 import TD3Agent

_GROUP = ("lr", "betas", "eps", "weight_decay")
_COUNTERS = ("env_steps", "episodes", "total_it")


def convert(source: str | Path, destination: str | Path, name: str | None = None) -> Source:
    """Write a checkpoint made of another program's files.

    Args:
        source: A Stable-Baselines3 zip, a checkpoint of the origin system, or for the original
            TD3 the folder of its files, or their path up to `_actor`.
        destination: The checkpoint to write; must not exist.
        name: With a folder as source: the files are `<name>_actor` and so on.

    Returns:
        What was read; its `notes` list all that was lacking and how it was made up for. They are
        also in the checkpoint's `provenance`.

    Raises:
        FileNotFoundError: If there is no such source.
        CheckpointError: If it is of another kind, or cannot be represented, or not be written.
    """
    destination = Path(destination)
    if destination.exists():
        raise CheckpointError(f"{destination}: exists already, it is not overwritten")
    path = Path(source)
    found = _read(path, name)
    try:
        payload = _payload(found)
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be converted: {error}") from None
    payload["provenance"] |= {"imported_from": found.origin, "import_notes": list(found.notes)}
    checkpoint.write(destination, payload)
    return found


def _read(path: Path, name: str | None) -> Source:
    prefix = path / name if name else path
    if td3_files.actor_file(prefix).is_file():
        return td3_files.read_four_files(prefix)
    if path.is_dir():
        raise CheckpointError(_which(path, name))
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file, and no {path.name}_actor")
    if name:
        raise CheckpointError(f"{path}: is a file; --name goes with the original TD3's folder")
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "policy.pth" in archive.namelist():
                return sb3_zip.read_zip(path, archive)
    return td3_files.read_origin(path, load(path, path))


def _which(folder: Path, name: str | None) -> str:
    suffix = "_actor"
    found = sorted(path.name.removesuffix(suffix) for path in folder.glob(f"*{suffix}"))
    if name or not found:
        return f"{folder}: has no file {name or 'NAME'}{suffix}"
    return f"{folder}: say which with --name: {', '.join(found)}"


def _payload(source: Source) -> dict[str, Any]:
    config = AgentConfig.from_mapping(source.config)
    agent = TD3Agent(**source.dimensions, config=config)
    for name in _COUNTERS:
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
    """Give one network, its target and its optimizer what the source has for them."""
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
