# SPDX-License-Identifier: Apache-2.0
"""Reads files of TD3 agents: of sfujim/TD3 and programs like it, and of the origin system.

The origin system (seed/save_checkpoint_analysis.md) wrote, one after the other:
A no CNN at all; B one CNN, `cnn_state_dict`; C two CNNs with an optimizer each; D two CNNs whose
parameters are appended to the actor's and the critic's optimizers, later with LayerNorms `ln1` to
`ln4`. None has targets or random states.

Layers are recognised by their shapes, in the order of the file, not by their names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from td3_driver.agent.snapshot import HYPERPARAMETERS
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.importing.parts import ONE_CRITIC, Parts, kind, unwrapped
from td3_driver.interchange.importing.source import Source, conv_config, renamed

_FEATURES = 512  # of the origin's CNN
_ORIGINAL = re.compile(r"l\d+\.(weight|bias)")
_CNN = {name: name for name in ("conv1", "conv2", "conv3", "fc")}
_NORMS = [f"ln{index}" for index in range(1, 5)]


def read_parts(path: Path, parts: Parts) -> Source:
    """Read an agent without images from its networks and optimizers.

    Args:
        path: The name of the source in messages.
        parts: An actor, and a critic of two values or two critics.

    Raises:
        CheckpointError: If they are another algorithm's, or cannot be represented.
    """
    if parts.stochastic:
        raise CheckpointError(f"{path}: cannot be converted: it is {kind(parts)}")
    strange = [role for role in parts.networks if not re.fullmatch(_ROLES, role)]
    if strange:
        raise CheckpointError(f"{path}: cannot be converted: has {strange[0]} of no known form")
    actor, scale = _without_scale(path, parts.networks["actor"])
    critic = _twin(path, parts, "")
    source = _without_cnn(path, _origin(actor, critic), actor, critic)
    source.dimensions["use_dict_buffer"] = False
    _take_settings(source, parts.rest if scale is None else {**parts.rest, "max_action": scale})
    if not all(_ORIGINAL.fullmatch(key) for key in actor):
        source.notes.append(
            "not in the source, assumed: ReLU between layers, tanh at the end, and a critic that"
            " takes the state and then the action"
        )
    if "actor_target" in parts.networks:
        state, _ = _without_scale(path, parts.networks["actor_target"])
        names = _mlp_names(path, state, "actor")
        source.networks["actor_target"] = renamed(path, state, names, "actor_target")
    if {"critic_target", "critic1_target"} & {*parts.networks}:
        state = _twin(path, parts, "_target")
        names = _mlp_names(path, state, "critic")
        source.networks["critic_target"] = renamed(path, state, names, "critic_target")
    _take_parts_optimizers(path, source, parts, {"actor": actor, "critic": critic})
    _set_learning_rate(source)
    return source


def _take_parts_optimizers(
    path: Path, source: Source, parts: Parts, states: Mapping[str, Mapping[str, Any]]
) -> None:
    """Take over the optimizers: one for each network, or for each of the two critics."""
    for name, state in states.items():
        names = _parameter_names(name, state, _mlp_names(path, state, name))
        if name in parts.optimizers:
            source.take_optimizer(f"{name}_optimizer", parts.optimizers[name], names)
        for number in ("1", "2"):
            saved = parts.optimizers.get(f"{name}{number}")
            if saved is not None:
                own = [new for new in names if new and new.startswith(f"critic.q{number}.")]
                source.take_optimizer(f"{name}{number}_optimizer", saved, own)


_ROLES = r"(actor|critic[12]?)(_target)?"


def _origin(actor: Mapping[str, Any], critic: Mapping[str, Any]) -> str:
    if all(_ORIGINAL.fullmatch(key) for key in (*actor, *critic)):
        return "the original TD3"
    if "fc_mu.weight" in actor:
        return "CleanRL's TD3"
    return "another program's TD3"


def _twin(path: Path, parts: Parts, target: str) -> dict[str, Any]:
    """Merge two critics into one state dict."""
    if f"critic{target}" in parts.networks:
        return parts.networks[f"critic{target}"]
    pair = [parts.networks.get(f"critic{number}{target}") for number in (1, 2)]
    if None in pair:
        raise CheckpointError(f"{path}: cannot be converted: it is {ONE_CRITIC}")
    named = zip(("Q1", "Q2"), pair, strict=True)
    return {f"{q}.{key}": tensor for q, state in named for key, tensor in (state or {}).items()}


def _without_scale(path: Path, actor: Mapping[str, Any]) -> tuple[dict[str, Any], float | None]:
    """An actor without the buffers that scale its actions, and the scale, None if it has none."""
    state = dict(actor)
    scale, bias = state.pop("action_scale", None), state.pop("action_bias", None)
    if scale is None:
        return state, None
    bounds = torch.as_tensor(scale).flatten().tolist()
    about = [] if bias is None else torch.as_tensor(bias).flatten().tolist()
    if len({*bounds}) != 1 or any(about):
        raise CheckpointError(
            f"{path}: cannot be converted: its actions are scaled by {bounds} about {about or 0};"
            " here one bound serves all, about 0"
        )
    return state, float(bounds[0])


def read_origin(path: Path, payload: Mapping[str, Any]) -> Source:
    """Read a checkpoint of the origin system, of any of the four eras.

    Raises:
        CheckpointError: If it is no such checkpoint.
    """
    payload = {
        key: unwrapped(item) if isinstance(item, Mapping) and "state" not in item else item
        for key, item in payload.items()
    }
    origin = f"the origin system, era {_era(payload)}"
    actor, critic = payload["actor_state_dict"], payload["critic_state_dict"]
    source = _without_cnn(path, origin, actor, critic)
    _take_numbers(source, payload)
    cnns = _take_cnns(path, source, payload)
    _take_optimizers(path, source, payload, cnns)
    _set_learning_rate(source)
    return source


def _era(payload: Mapping[str, Any]) -> str:
    if "actor_cnn_state_dict" in payload:
        return "C" if payload.get("actor_cnn_optimizer_state_dict") else "D"
    return "B" if "use_dict_buffer" in payload else "A"


def _without_cnn(path: Path, origin: str, actor: Any, critic: Any) -> Source:
    networks = {
        "actor": renamed(path, actor, _mlp_names(path, actor, "actor"), "actor"),
        "critic": renamed(path, critic, _mlp_names(path, critic, "critic"), "critic"),
    }
    weights = [tensor for tensor in networks["actor"].values() if tensor.ndim == 2]
    if not weights:
        raise CheckpointError(f"{path}: its actor has no layers")
    sizes = [int(weight.shape[0]) for weight in weights]
    if len(sizes) == 1:
        raise CheckpointError(f"{path}: its actor has no hidden layer; here it needs one")
    dimensions = {"state_dim": int(weights[0].shape[1]), "action_dim": sizes[-1]}
    config = {"hidden_sizes": sizes[:-1], "orthogonal_init": False}
    return Source(origin, dimensions, config, networks)


def _mlp_names(path: Path, state: Any, role: str) -> dict[str, str | None]:
    """New names of the layers of an actor or critic, by their old names.

    A layer whose inputs are the outputs of the one before continues that network; else another
    network begins.

    Raises:
        CheckpointError: If there are not one (actor) or two (critic) networks.
    """
    if not isinstance(state, Mapping):
        return {}
    chains: list[list[str]] = []
    outputs = 0
    for key, tensor in state.items():
        layer, _, what = str(key).rpartition(".")
        if what != "weight" or not isinstance(tensor, Tensor) or tensor.ndim != 2:
            continue
        if not chains or outputs != tensor.shape[1]:
            chains.append([])
        chains[-1].append(layer)
        outputs = int(tensor.shape[0])
    if role == "actor":
        wanted = ["layers"]
    elif len(chains) == 1:
        raise CheckpointError(f"{path}: cannot be converted: it is {ONE_CRITIC}")
    else:
        wanted = ["q1", "q2"]
    if chains and len(chains) != len(wanted):
        what = kind(Parts({role: dict(state)}))
        raise CheckpointError(
            f"{path}: cannot be converted: its {role} is no chain of layers but {len(chains)}"
            f" ({'; '.join(' '.join(chain) for chain in chains[:4])}); it may be {what}"
        )
    named = zip(wanted, chains, strict=False)
    return {f"{layer}": f"{q}.{2 * i}" for q, chain in named for i, layer in enumerate(chain)}


def _parameter_names(
    network: str, state: Mapping[str, Tensor], names: Mapping[str, str | None]
) -> list[str | None]:
    """New names of the source's tensors in their order, which is that of its optimizer."""
    found: list[str | None] = []
    for key in state:
        layer, _, kind = key.rpartition(".")
        new = names[layer]
        found.append(None if new is None else f"{network}.{new}.{kind}")
    return found


def _take_numbers(source: Source, payload: Mapping[str, Any]) -> None:
    images = payload.get("use_dict_buffer", source.dimensions["state_dim"] > _FEATURES)
    source.dimensions["use_dict_buffer"] = bool(images)
    if "use_dict_buffer" not in payload:
        kind = "images" if images else "no images"
        source.notes.append(f"use_dict_buffer: not in the source, {kind} by its state's length")
    _take_settings(source, payload)


def _take_settings(source: Source, payload: Mapping[str, Any]) -> None:
    source.dimensions["max_action"] = float(payload.get("max_action", 1.0))
    if "max_action" not in payload:
        source.notes.append("max_action: not in the source, 1.0 is assumed")
    source.config |= {name: payload[name] for name in HYPERPARAMETERS if name in payload}
    lacking = [name for name in HYPERPARAMETERS if name not in payload]
    if lacking:
        source.notes.append(f"{', '.join(lacking)}: not in the source, TD3's usual ones")
    if isinstance(payload.get("total_it"), int):
        source.counters["total_it"] = payload["total_it"]


def _take_cnns(
    path: Path, source: Source, payload: Mapping[str, Any]
) -> dict[str, Mapping[str, Tensor]]:
    """Take over the CNNs; returns the source's own state dicts by this package's names."""
    if not source.dimensions["use_dict_buffer"]:
        return {}
    names = ("actor_cnn", "critic_cnn")
    saved = {name: payload.get(f"{name}_state_dict") for name in names}
    if payload.get("cnn_state_dict") is not None:
        saved = dict.fromkeys(names, payload["cnn_state_dict"])
        source.notes.append("actor_cnn, critic_cnn: both are the source's one CNN")
    found = {name: state for name, state in saved.items() if state is not None}
    for name, state in found.items():
        table = {**_CNN, **dict.fromkeys(_NORMS)}
        source.networks[name] = renamed(path, state, table, name)
        source.config |= conv_config(path, source.networks[name])
    if found:
        _note_other_function(source, found)
    return found


def _note_other_function(source: Source, cnns: Mapping[str, Mapping[str, Tensor]]) -> None:
    if any(key.startswith("ln") for state in cnns.values() for key in state):
        source.notes.append(
            "CNNs: the source has LayerNorms ln1 to ln4 and LeakyReLU, which this package's have"
            " not; they are LEFT OUT, so the features are others than the actor learned with"
        )
    else:
        source.notes.append("CNNs: the activation is not in the source, ReLU is assumed")


def _take_optimizers(
    path: Path,
    source: Source,
    payload: Mapping[str, Any],
    cnns: Mapping[str, Mapping[str, Tensor]],
) -> None:
    table: dict[str, str | None] = {**_CNN, **dict.fromkeys(_NORMS)}
    for name in ("actor", "critic"):
        cnn = f"{name}_cnn"
        state = payload[f"{name}_state_dict"]
        own = _parameter_names(name, state, _mlp_names(path, state, name))
        features = _parameter_names(cnn, cnns[cnn], table) if cnn in cnns else []
        saved = payload.get(f"{name}_optimizer_state_dict")
        if features and _count(saved) == len(own) + len(features):
            source.take_optimizer(f"{name}_optimizer", saved, own + features)
            continue
        source.take_optimizer(f"{name}_optimizer", saved, own)
        if payload.get(f"{cnn}_optimizer_state_dict") and features:
            saved = payload[f"{cnn}_optimizer_state_dict"]
            source.take_optimizer(f"{cnn}_optimizer", saved, features)
    if payload.get("cnn_optimizer_state_dict"):
        source.notes.append("cnn_optimizer: its moments are of both CNNs at once, not taken over")


def _count(saved: Any) -> int:
    """Number of parameters of an optimizer with one group; 0 if it is no such optimizer."""
    groups = saved.get("param_groups") if isinstance(saved, Mapping) else None
    return len(groups[0].get("params", ())) if groups else 0


def _set_learning_rate(source: Source) -> None:
    if "actor" in source.groups:
        source.config["learning_rate"] = source.groups["actor"]["lr"]
