# SPDX-License-Identifier: Apache-2.0
"""Finds networks and optimizers in other people's files by the names of files and keys.

A role is `actor`, `critic`, `critic1` or `critic2` (of two critics), with or without `_target` or
`_optimizer`. Files, keys and prefixes of keys name a role in many ways.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from td3_driver.checkpoints.checkpoint import CheckpointError

SUFFIXES = ("", ".pth", ".pt", ".ckpt", ".pkl", ".bin", ".model", ".tar", ".zip")
_NO_MODELS = (
    ".py", ".txt", ".md", ".json", ".yaml", ".yml", ".csv", ".png", ".npy", ".npz", ".onnx",
)  # fmt: skip
_ACTOR = {"actor", "policy", "pi"}
_CRITIC = {"critic", "critics", "q", "qf", "qnet", "qnetwork", "qvalue"}
_TARGET = {"target", "targ", "tgt"}
_ENCODER = {"cnn", "encoder", "conv", "features", "extractor"}
_OPTIMIZER = {"optimizer", "optimiser", "optim", "opt"}
_WORD = re.compile(r"[a-z]+|\d+")
ONE_CRITIC = "of one critic: a DDPG model; TD3 has two"
_SEPARATOR = re.compile(r"([_\-. ]+)")
# What wraps a network's names where it was trained on several cards, or compiled.
_WRAPPERS = r"^((module|_orig_mod)\.)+"
# Names of what a stochastic actor has, and a deterministic one has not.
_STOCHASTIC = re.compile(r"log_?(std|sigma|alpha|ent_coef)|sigma", re.IGNORECASE)
_Q_NETWORK = re.compile(r"q_net|advantage|dueling", re.IGNORECASE)


@dataclass
class Parts:
    """The networks and optimizers in one or several files.

    Attributes:
        networks: State dicts by role; "" where the role is not known.
        optimizers: Optimizers' state dicts by role without `_optimizer`.
        rest: The other entries at the top of a file.
    """

    networks: dict[str, dict[str, Any]] = field(default_factory=dict)
    optimizers: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    rest: dict[str, Any] = field(default_factory=dict)

    @property
    def critics(self) -> list[str]:
        """The roles of the critics, without targets."""
        roles = ("critic", "critic1", "critic2")
        return [role for role in roles if role in self.networks]

    @property
    def stochastic(self) -> bool:
        """Whether the actor's output is a distribution."""
        return any(_STOCHASTIC.search(key) for state in self.networks.values() for key in state)

    @property
    def complete(self) -> bool:
        """Whether there are an actor and a critic."""
        return "actor" in self.networks and bool(self.critics)


def kind(parts: Parts) -> str:
    """What the networks are, as a phrase for messages, if they are not those of a TD3 agent."""
    keys = [key for state in parts.networks.values() for key in state]
    if parts.stochastic:
        which = next(filter(_STOCHASTIC.search, keys))
        return f"of a stochastic actor (it has {which}), as SAC's and PPO's; TD3's is not"
    if any(_Q_NETWORK.search(key) for key in keys):
        return "a network of Q values without an actor, as DQN's"
    if parts.complete:
        return ONE_CRITIC
    if "actor" in parts.networks:
        return "an actor alone"
    if parts.critics:
        return "a critic alone"
    if parts.networks:
        state = next(iter(parts.networks.values()))
        sizes = [tuple(item.shape) for item in state.values() if getattr(item, "ndim", 0) == 2]
        ends = f", {sizes[0][1]} numbers to {sizes[-1][0]}" if sizes else ""
        shown = ", ".join(list(state)[:2])
        return f"one network that is called neither actor nor critic ({shown}, ...{ends})"
    if parts.optimizers:
        return "an optimizer's state alone"
    return f"without networks ({', '.join(list(parts.rest)[:3]) or 'it holds no state dicts'})"


def role_of(name: str) -> str:
    """The role that the name of a file or key tells; empty if it tells none."""
    words = _WORD.findall(name.lower())
    for index, word in enumerate(words):
        if word in _ACTOR:
            base = "actor"
        elif word in _CRITIC:
            number = next(iter(words[index + 1 : index + 2]), "")
            base = f"critic{number}" if number in ("0", "1", "2") else "critic"
        else:
            continue
        rest = {*words}
        target = "_target" if rest & _TARGET else ""
        return f"{base}{target}{'_optimizer' if rest & _OPTIMIZER else ''}"
    return ""


def stem_of(file: str) -> str:
    """A file's name without the suffix of a model file."""
    suffix = Path(file).suffix
    return file.removesuffix(suffix) if suffix.lower() in SUFFIXES else file


def name_of(file: str) -> str:
    """A file's name without its role: the agent's name, which its files share."""
    pieces = _SEPARATOR.split(stem_of(file))
    kept, was_critic = [], False
    for separator, word in zip(["", *pieces[1::2]], pieces[::2], strict=True):
        words = _WORD.findall(word.lower())
        own = _ACTOR | _CRITIC | _TARGET | _OPTIMIZER
        is_role = bool(words) and words[0] in own and all(w in own or len(w) == 1 for w in words)
        number = was_critic and word in ("0", "1", "2")
        was_critic = is_role and words[0] in _CRITIC
        if not is_role and not number:
            kept.append(separator + word)
    return "".join(kept).strip("_-. ")


def of_payload(payload: Any, role: str = "") -> Parts:
    """The parts in the content of a file; `role` is the role of parts that do not name theirs."""
    parts = Parts()
    if isinstance(payload, list | tuple) and len(payload) in (2, 3):
        # As CleanRL saves its agents: actor, then one critic or two.
        roles = ("actor", *(("critic1", "critic2") if len(payload) == 3 else ("critic",)))
        for own, state in zip(roles, payload, strict=True):
            _take(parts, state, own)
    else:
        _take(parts, payload, role)
    _number_critics_from_one(parts)
    return parts


def joined(found: Sequence[Parts]) -> Parts:
    """The parts of several files in one."""
    parts = Parts()
    for one in found:
        parts.networks |= one.networks
        parts.optimizers |= one.optimizers
        parts.rest |= one.rest
    _number_critics_from_one(parts)
    return parts


def _take(parts: Parts, value: Any, role: str) -> None:
    if not isinstance(value, Mapping):
        return
    if {"state", "param_groups"} <= {*value}:
        parts.optimizers[role.removesuffix("_optimizer")] = value
        return
    tensors = {str(key): item for key, item in value.items() if isinstance(item, Tensor)}
    if tensors and not any(isinstance(item, Mapping) for item in value.values()):
        _take_network(parts, tensors, role)
        return
    for key, item in value.items():
        if isinstance(item, Mapping):
            _take(parts, item, _role_of_key(str(key)) or role)
        else:
            parts.rest[str(key)] = item


def _take_network(parts: Parts, tensors: Mapping[str, Any], role: str) -> None:
    state = unwrapped(tensors)
    inner = {key: _role_of_key(key.partition(".")[0]) for key in state}
    kinds = {own[:5] for own in inner.values()}
    if not any(kinds) or (role and len(kinds) == 1):
        parts.networks[role] = state
        return
    for key, own in inner.items():  # one module with all networks in it
        parts.networks.setdefault(own, {})[key] = state[key]


def unwrapped(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict without the prefixes that DataParallel or torch.compile put before names."""
    return {re.sub(_WRAPPERS, "", str(key)): tensor for key, tensor in state.items()}


def _role_of_key(key: str) -> str:
    """As `role_of`, but the key itself if it names the encoder of an actor or critic."""
    return key if {*_WORD.findall(key.lower())} & _ENCODER else role_of(key)


def _number_critics_from_one(parts: Parts) -> None:
    _from_one(parts.networks)
    _from_one(parts.optimizers)


def _from_one(by_role: dict[str, Any]) -> None:
    """Rename two critics that are counted 0 and 1, none and 1, or none and 2, to 1 and 2."""
    for target in ("", "_target"):
        names = [f"critic{number}{target}" for number in ("0", "", "1", "2")]
        there = [name for name in names if name in by_role]
        if len(there) == 2:
            states = [by_role.pop(name) for name in there]
            by_role |= zip((f"critic1{target}", f"critic2{target}"), states, strict=True)


def find(folder: Path, name: str | None) -> dict[str, dict[str, Path]]:
    """Find the files of agents in a folder: by the agent's name, then by role.

    Args:
        folder: The folder.
        name: The name of an agent, to find only its files.

    Raises:
        CheckpointError: If two files have the same role.
    """
    agents: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        role = role_of(stem_of(path.name))
        own = name_of(path.name)
        plain = path.is_file() and path.suffix.lower() not in _NO_MODELS
        if not role or not plain or (name is not None and _plain(own) != _plain(name)):
            continue
        taken = agents.setdefault(own, {})
        if role in taken:
            raise CheckpointError(f"{folder}: {taken[role].name} and {path.name} are both {role}")
        taken[role] = path
    return agents


def _plain(name: str) -> str:
    return _SEPARATOR.sub("_", name).strip("_")
