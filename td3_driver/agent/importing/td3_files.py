# SPDX-License-Identifier: Apache-2.0
"""The original TD3's four files (sfujim/TD3), and the origin system's checkpoints.

The origin system (seed/save_checkpoint_analysis.md) wrote, one after the other:
A no CNN at all; B one CNN, `cnn_state_dict`; C two CNNs with an optimizer each; D two CNNs whose
parameters are appended to the actor's and the critic's optimizers, later with LayerNorms `ln1` to
`ln4`. None has targets or random states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from td3_driver.agent.checkpoint import CheckpointError
from td3_driver.agent.importing.source import Source, conv_config, load, renamed

_FEATURES = 512  # of the origin's CNN
_SETTINGS = ("discount", "tau", "policy_freq", "policy_noise", "noise_clip")
_LAYER = re.compile(r"(?:Q[12]\.)?(?:fc|l)\d+")
_CNN = {name: name for name in ("conv1", "conv2", "conv3", "fc")}
_NORMS = [f"ln{index}" for index in range(1, 5)]


def actor_file(prefix: Path) -> Path:
    """Where the original TD3 keeps the actor of what was saved as `prefix`."""
    return prefix.with_name(f"{prefix.name}_actor")


def read_four_files(prefix: Path) -> Source:
    """Read `<prefix>_actor`, `_critic`, `_actor_optimizer` and `_critic_optimizer`.

    Raises:
        CheckpointError: If one that is needed is missing, or is of another kind.
    """
    files = {name: prefix.with_name(f"{prefix.name}_{name}") for name in ("actor", "critic")}
    if not files["critic"].is_file():
        raise CheckpointError(f"{files['critic']}: is missing, it belongs to {files['actor']}")
    states = {name: load(path, path) for name, path in files.items()}
    source = _without_cnn(prefix, "the original TD3", states["actor"], states["critic"])
    source.dimensions |= {"max_action": 1.0, "use_dict_buffer": False}
    source.notes.append("max_action: not in the source, 1.0 is assumed")
    source.notes.append(f"{', '.join(_SETTINGS)}: not in the source, TD3's usual ones")
    for name, state in states.items():
        path = prefix.with_name(f"{prefix.name}_{name}_optimizer")
        if path.is_file():
            names = _parameter_names(name, state, _mlp_names(state))
            source.take_optimizer(path.name, load(path, path), names)
    _set_learning_rate(source)
    return source


def read_origin(path: Path, payload: Any) -> Source:
    """Read a checkpoint of the origin system, of any era.

    Raises:
        CheckpointError: If it is none.
    """
    if not isinstance(payload, Mapping) or "actor_state_dict" not in payload:
        raise CheckpointError(
            f"{path}: is none of the files that can be converted: the original TD3's, a"
            " Stable-Baselines3 TD3 zip, a checkpoint of the origin system"
        )
    if "format_version" in payload:
        raise CheckpointError(f"{path}: is a checkpoint of this package already")
    if "critic_state_dict" not in payload:
        raise CheckpointError(f"{path}: has an actor but no critic_state_dict")
    origin = f"the origin system, era {_era(payload)}"
    actor, critic = payload["actor_state_dict"], payload["critic_state_dict"]
    source = _without_cnn(path, origin, actor, critic)
    _take_numbers(source, payload)
    cnns = _take_cnns(path, source, payload)
    _take_optimizers(source, payload, cnns)
    _set_learning_rate(source)
    return source


def _era(payload: Mapping[str, Any]) -> str:
    if "actor_cnn_state_dict" in payload:
        return "C" if payload.get("actor_cnn_optimizer_state_dict") else "D"
    return "B" if "use_dict_buffer" in payload else "A"


def _without_cnn(path: Path, origin: str, actor: Any, critic: Any) -> Source:
    networks = {
        "actor": renamed(path, actor, _mlp_names(actor), "actor"),
        "critic": renamed(path, critic, _mlp_names(critic), "critic"),
    }
    weights = [tensor for tensor in networks["actor"].values() if tensor.ndim == 2]
    if not weights:
        raise CheckpointError(f"{path}: its actor has no layers")
    sizes = [int(weight.shape[0]) for weight in weights]
    dimensions = {"state_dim": int(weights[0].shape[1]), "action_dim": sizes[-1]}
    config = {"hidden_sizes": sizes[:-1], "orthogonal_init": False}
    return Source(origin, dimensions, config, networks)


def _mlp_names(state: Any) -> dict[str, str | None]:
    """New names of an actor's layers l1, l2, l3, or of a critic's, given as Q1.l1 or l4."""
    if not isinstance(state, Mapping):
        return {}
    layers = {str(key).rpartition(".")[0] for key in state}
    found = sorted(filter(_LAYER.fullmatch, layers), key=_layer_number)
    twins = [[layer for layer in found if layer.startswith(q)] for q in ("Q1.", "Q2.")]
    if not any(twins) and len(found) == 6:
        twins = [found[:3], found[3:]]
    if any(twins):
        pairs = zip(("q1", "q2"), twins, strict=True)
        return {
            layer: f"{q}.{2 * index}" for q, layers in pairs for index, layer in enumerate(layers)
        }
    return {layer: f"layers.{2 * index}" for index, layer in enumerate(found)}


def _layer_number(layer: str) -> int:
    return int(re.findall(r"\d+", layer)[-1])


def _parameter_names(
    network: str, state: Mapping[str, Tensor], names: Mapping[str, str | None]
) -> list[str | None]:
    """New names in the order of the source's tensors, which is that of its optimizer."""
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
    source.dimensions["max_action"] = float(payload.get("max_action", 1.0))
    if "max_action" not in payload:
        source.notes.append("max_action: not in the source, 1.0 is assumed")
    source.config |= {name: payload[name] for name in _SETTINGS if name in payload}
    lacking = [name for name in _SETTINGS if name not in payload]
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
    source: Source, payload: Mapping[str, Any], cnns: Mapping[str, Mapping[str, Tensor]]
) -> None:
    table: dict[str, str | None] = {**_CNN, **dict.fromkeys(_NORMS)}
    for name in ("actor", "critic"):
        cnn = f"{name}_cnn"
        state = payload[f"{name}_state_dict"]
        own = _parameter_names(name, state, _mlp_names(state))
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
    """Number of parameters of an optimizer of one group; 0 where it is none."""
    groups = saved.get("param_groups") if isinstance(saved, Mapping) else None
    return len(groups[0].get("params", ())) if groups else 0


def _set_learning_rate(source: Source) -> None:
    if "actor" in source.groups:
        source.config["learning_rate"] = source.groups["actor"]["lr"]
