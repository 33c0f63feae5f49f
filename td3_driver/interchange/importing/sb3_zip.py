# SPDX-License-Identifier: Apache-2.0
"""Reads the TD3 zip of Stable-Baselines3 (1.0 and later): tensors, and settings as JSON.

Up to 1.5 actor and critic shared one CNN by default, whose tensors the file then holds under both
names. Spaces are gym's or gymnasium's, which write their shapes in different ways.

Parts of its JSON hold pickled code in base64; these are never decoded. Where the weights depend on
one of them (another activation, unscaled images), the file is refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.importing.source import Source, conv_config, load

_KEY = re.compile(
    r"(?P<part>actor|actor_target|critic|critic_target)\."
    r"(?:features_extractor\.(?:extractors\.(?P<input>.+?)\.)?(?P<cnn>cnn|linear)"
    r"|(?P<mlp>mu|qf\d|q\d_net))"
    r"\.(?P<index>\d+)\.(?P<kind>weight|bias)"
)
_MLP = {"mu": "layers", "qf0": "q1", "qf1": "q2", "q1_net": "q1", "q2_net": "q2"}
# Text of what may be given and is what this package's networks have anyhow.
_USUAL = {
    "activation_fn": "<class 'torch.nn.modules.activation.ReLU'>",
    "optimizer_class": "<class 'torch.optim.adam.Adam'>",
    "normalize_images": "True",
}
_EXTRACTORS = ("NatureCNN", "FlattenExtractor", "CombinedExtractor")
# Algorithms by the words in which their files differ.
_ALGORITHMS = (
    ("top_quantiles_to_drop_per_net", "TQC, whose actor is stochastic"),
    ("n_epochs", "PPO, whose actor is stochastic"),
    ("gae_lambda", "A2C, whose actor is stochastic"),
    ("ent_coef", "SAC, whose actor is stochastic"),
    ("exploration_fraction", "DQN, which has no actor"),
)
_SETTINGS = {
    "discount": "gamma",
    "tau": "tau",
    "policy_freq": "policy_delay",
    "policy_noise": "target_policy_noise",
    "noise_clip": "target_noise_clip",
    "batch_size": "batch_size",
    "learning_starts": "learning_starts",
    "n_step": "n_steps",
}
_COUNTERS = {"env_steps": "num_timesteps", "episodes": "_episode_num", "total_it": "_n_updates"}
# What may be set without changing what the networks compute.
_HARMLESS = ("net_arch", "n_critics", "share_features_extractor", "optimizer_kwargs")


def read_zip(path: Path, archive: zipfile.ZipFile) -> Source:
    """Read a saved TD3.

    Raises:
        CheckpointError: If it is damaged, of another algorithm, or cannot be represented.
    """
    data = _settings(path, archive)
    policy = _with_both_cnns(_tensors(path, archive, "policy.pth"))
    _check_algorithm(path, data, policy)
    _check_representable(path, data)
    networks = _networks(path, policy)
    config = _config(path, data, networks)
    source = Source(_origin(archive), _dimensions(networks), config, networks)
    source.counters |= {
        name: data[key] for name, key in _COUNTERS.items() if type(data.get(key)) is int
    }
    for name in ("actor", "critic"):
        if f"{name}.optimizer.pth" not in archive.namelist():
            continue
        saved = _tensors(path, archive, f"{name}.optimizer.pth")
        keys = [key for key in policy if key.startswith(f"{name}.")]
        source.take_optimizer(f"{name}.optimizer", saved, [_new_name(key) for key in keys])
    if _is_shared(policy):
        source.notes.append(
            "critic_cnn: the source's critic shares the actor's; here it has a copy of its own"
        )
    _rescale_pixels(source)
    _note_actions(source, data)
    return source


def _with_both_cnns(policy: Any) -> dict[str, Tensor]:
    """The state dict with a CNN for each network, also if the file has one for all."""
    tensors = dict(policy) if isinstance(policy, Mapping) else {}
    shared = {key: item for key, item in tensors.items() if key.startswith("features_extractor.")}
    if not shared:
        return tensors
    whole: dict[str, Tensor] = {}
    for part in ("actor", "actor_target", "critic", "critic_target"):
        own = {key: item for key, item in tensors.items() if key.startswith(f"{part}.")}
        if not any(key.startswith(f"{part}.features_extractor.") for key in own):
            whole |= {f"{part}.{key}": item for key, item in shared.items()}
        whole |= own
    return whole


def _is_shared(policy: Mapping[str, Tensor]) -> bool:
    cnn = [key for key in policy if key.startswith("actor.features_extractor.")]
    own = [policy.get(key.replace("actor", "critic", 1)) for key in cnn]
    return bool(cnn) and all(
        other is not None and policy[key].data_ptr() == other.data_ptr()
        for key, other in zip(cnn, own, strict=True)
    )


def _check_algorithm(path: Path, data: Mapping[str, Any], policy: Mapping[str, Tensor]) -> None:
    heads = {matched["mlp"] for key in policy if (matched := _KEY.fullmatch(key))} - {None}
    critics = [head for head in heads if head.startswith("q")]
    if "mu" in heads and critics == ["qf0"]:
        raise CheckpointError(
            f"{path}: cannot be converted: it has one critic (qf0): a DDPG model; TD3 has two"
        )
    if "mu" in heads and len(critics) > 2:
        raise CheckpointError(
            f"{path}: cannot be converted: it has {len(critics)} critics"
            f" ({', '.join(sorted(critics))}); TD3 has two"
        )
    if not any(key.startswith("actor_target.mu.") for key in policy) or "policy_delay" not in data:
        known = (what for key, what in _ALGORITHMS if key in data)
        raise CheckpointError(
            f"{path}: cannot be converted: is of another Stable-Baselines3 algorithm than TD3:"
            f" {next(known, 'not known which')}"
        )


def _settings(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        data = json.loads(_member(path, archive, "data"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: its settings cannot be read: {error}") from None
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: its settings are no mapping")
    return data


def _tensors(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    return load(path, io.BytesIO(_member(path, archive, name)))


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        return archive.read(name)
    # An archive may be damaged in every way: no narrower type covers them.
    except Exception as error:
        raise CheckpointError(f"{path}: {name} in it cannot be read: {error}") from error


def _origin(archive: zipfile.ZipFile) -> str:
    version = "of unknown version"
    if "_stable_baselines3_version" in archive.namelist():
        version = archive.read("_stable_baselines3_version").decode(errors="replace").strip()
    return f"Stable-Baselines3 {version} TD3"


def _check_representable(path: Path, data: Mapping[str, Any]) -> None:
    for key, value in (data.get("policy_kwargs") or {}).items():
        text = str(value)
        if key in _HARMLESS or key.startswith(":") or text == _USUAL.get(key):
            continue
        if key == "features_extractor_kwargs" and "normalized_image" not in text:
            continue
        if key == "features_extractor_class" and any(name in text for name in _EXTRACTORS):
            continue
        raise CheckpointError(
            f"{path}: its policy has {key} {text}, which this package's networks cannot represent"
        )


def _new_name(key: str) -> str | None:
    """This package's name, "<network>.<parameter>", of a tensor of SB3."""
    matched = _KEY.fullmatch(key)
    if matched is None:
        return None
    part, index, kind = matched["part"], int(matched["index"]), matched["kind"]
    if matched["cnn"]:
        role, target = part.removesuffix("_target"), "_target" * part.endswith("_target")
        layer = "fc" if matched["cnn"] == "linear" else f"conv{index // 2 + 1}"
        return f"{role}_cnn{target}.{layer}.{kind}"
    layer = _MLP.get(matched["mlp"], "")
    return f"{part}.{layer}.{index}.{kind}" if layer else None


def _networks(path: Path, policy: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    networks: dict[str, dict[str, Tensor]] = {}
    inputs = {matched["input"] for key in policy if (matched := _KEY.fullmatch(key))} - {None}
    if len(inputs) > 1:
        raise CheckpointError(f"{path}: its policy has several image inputs: {sorted(inputs)}")
    for key, tensor in policy.items():
        name = _new_name(key)
        if name is None:
            raise CheckpointError(f"{path}: its policy has {key}, which this package has not")
        network, _, parameter = name.partition(".")
        networks.setdefault(network, {})[parameter] = tensor
    return networks


def _dimensions(networks: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    weights = [tensor for tensor in networks["actor"].values() if tensor.ndim == 2]
    return {
        "state_dim": int(weights[0].shape[1]),
        "action_dim": int(weights[-1].shape[0]),
        "max_action": 1.0,
        "use_dict_buffer": "actor_cnn" in networks,
    }


def _config(
    path: Path, data: Mapping[str, Any], networks: Mapping[str, Mapping[str, Tensor]]
) -> dict[str, Any]:
    weights = [tensor for tensor in networks["actor"].values() if tensor.ndim == 2]
    if len(weights) == 1:
        raise CheckpointError(
            f"{path}: cannot be converted: its networks have no hidden layer (net_arch [], as up"
            " to 1.5 by default with images); here they need one"
        )
    config: dict[str, Any] = {"hidden_sizes": [int(weight.shape[0]) for weight in weights[:-1]]}
    config |= {name: data[key] for name, key in _SETTINGS.items() if key in data}
    if isinstance(data.get("learning_rate"), float):
        config["learning_rate"] = data["learning_rate"]
    if "actor_cnn" in networks:
        config |= conv_config(path, networks["actor_cnn"])
        config["image_size"] = _image_size(path, data) or config["image_size"]
    return config


def _image_size(path: Path, data: Mapping[str, Any]) -> int | None:
    """Side of the image in pixels, from the text of the observation space in SB3's JSON.

    A dictionary of spaces was printed as {'image': Box(...)} or as [('image', Box(...))], a box as
    Box(0, 255, (4, 84, 84), uint8) or as Box(4, 84, 84), its shape kept as `shape` or `_shape`.
    """
    space = data.get("observation_space")
    space = space if isinstance(space, Mapping) else {}
    inputs = re.findall(
        r"'([^']+)'(?:: |, )Box\((?:[^()]*\(([\d, ]+)\)[^()]*|([\d, ]+))\)",
        str(space.get("spaces", "")),
    )
    shapes = [re.findall(r"\d+", one or other) for _, one, other in inputs]
    if len(shapes) > 1 and len(shapes[0]) != 3:
        raise CheckpointError(
            f"{path}: its observation begins with {inputs[0][0]!r}; this package's state begins"
            " with the image's features"
        )
    own = space.get("_shape", space.get("shape", ""))
    shape: Sequence[str] = shapes[0] if shapes else re.findall(r"\d+", str(own))
    return int(shape[-1]) if len(shape) == 3 else None


def _rescale_pixels(source: Source) -> None:
    """Fold the scale of pixels, [0, 1] in SB3 and [-1, 1] here, into the first layer.

    With x = 2 p - 1 a convolution of p, W p + b, is (W / 2) x + (b + sum(W) / 2), exactly so
    because nothing is padded.
    """
    for name, cnn in source.networks.items():
        if "_cnn" in name:
            half = cnn["conv1.weight"] / 2
            cnn["conv1.bias"] = cnn["conv1.bias"] + half.sum(dim=(1, 2, 3))
            cnn["conv1.weight"] = half
    for name in ("actor_cnn", "critic_cnn"):
        if source.moments.get(name):
            for kind in ("weight", "bias"):
                source.moments[name].pop(f"conv1.{kind}", None)
            source.notes.append(f"{name}: conv1 rescaled to this package's pixels, -1 to 1")


def _note_actions(source: Source, data: Mapping[str, Any]) -> None:
    space = data.get("action_space") or {}
    low, high = (_numbers(space.get(name)) for name in ("low", "high"))
    if set(low) != {-1.0} or set(high) != {1.0}:
        source.notes.append(
            f"actions: the source's space is {space.get('low')} to {space.get('high')}; actions"
            " here are the scaled ones, -1 to 1, that its networks compute with"
        )


def _numbers(text: object) -> list[float]:
    return [float(item) for item in re.findall(r"-?\d+(?:\.\d*)?(?:e[+-]?\d+)?", str(text))]
