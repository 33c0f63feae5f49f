# SPDX-License-Identifier: Apache-2.0
"""The content of another program's checkpoint under this package's names."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from td3_driver.agent.config import AgentConfig
from td3_driver.checkpoints.checkpoint import CheckpointError
from td3_driver.interchange.importing import recognition

# No file says its strides. These are of Mnih et al. 2015, which both peers with a CNN use.
STRIDES = (4, 2, 1)


@dataclass
class Source:
    """The parts of an agent that a foreign checkpoint has.

    Attributes:
        origin: Program and version, as text.
        dimensions: state_dim, action_dim, max_action, use_dict_buffer.
        config: Known settings of `AgentConfig`.
        networks: State dicts by name (`actor`, `actor_target`, ...).
        groups: Settings of Adam by network.
        moments: State of Adam by network and parameter name.
        counters: Those of env_steps, episodes and total_it that are known.
        notes: A line for each part that is lacking or could not be represented.
    """

    origin: str
    dimensions: dict[str, Any]
    config: dict[str, Any]
    networks: dict[str, dict[str, Tensor]]
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    moments: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def take_optimizer(self, which: str, saved: object, names: Sequence[str | None]) -> None:
        """Distribute the state of one Adam to the networks that it trained.

        Args:
            which: The optimizer's name, for messages.
            saved: The optimizer's state dict.
            names: "<network>.<parameter>" for each of its parameters; None for one that this
                package does not have.
        """
        group = _adam_group(saved, len(names))
        if isinstance(group, str) or not isinstance(saved, Mapping):
            self.notes.append(f"{which}: {group}, not taken over")
            return
        for index, name in enumerate(names):
            if name is not None:
                network, _, parameter = name.partition(".")
                self.groups[network] = group
                if index in saved["state"]:
                    self.moments.setdefault(network, {})[parameter] = saved["state"][index]


def _adam_group(saved: object, count: int) -> dict[str, Any] | str:
    """The settings of an Adam over `count` parameters, or the reason why it is not one."""
    if not isinstance(saved, Mapping) or not {"state", "param_groups"} <= {*saved}:
        return "is no optimizer's state"
    groups = saved["param_groups"]
    if len(groups) != 1 or groups[0].get("params") != list(range(count)):
        return f"is not of one group of {count} parameters"
    group: dict[str, Any] = groups[0]
    if not {"lr", "betas", "eps", "weight_decay"} <= {*group}:
        return "is no Adam"
    if group.get("amsgrad") or group.get("maximize"):
        return "is an Adam with amsgrad or maximize"
    return group


def load(path: Path, file: Path | BinaryIO) -> Any:
    """Read tensors and plain data; `path` names the file in messages.

    Raises:
        CheckpointError: If it is damaged, or could not be read without running code in it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of older pickles, before they are refused
            return torch.load(file, map_location="cpu", weights_only=True)
    # Parsers meet foreign data in every way: no narrower type covers them.
    except Exception as error:
        with file.open("rb") if isinstance(file, Path) else file as opened:
            raise CheckpointError(recognition.unreadable(path, opened, error)) from error


def renamed(
    path: Path, state: Any, names: Mapping[str, str | None], what: str
) -> dict[str, Tensor]:
    """A state dict with new names, without the entries whose new name is None.

    Args:
        path: The file, for messages.
        state: The state dict of the source.
        names: New name of each layer or tensor, by its longest known prefix.
        what: The network, for messages.

    Raises:
        CheckpointError: If it holds something without a new name.
    """
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path}: {what} is {type(state).__name__}, not a state dict")
    found = {}
    for key, tensor in state.items():
        layer, _, kind = str(key).rpartition(".")
        if layer not in names or not isinstance(tensor, Tensor):
            hint = " (of a normalisation?)" if getattr(tensor, "ndim", 0) == 1 else ""
            raise CheckpointError(
                f"{path}: {what} has {key}, which this package does not know{hint}"
            )
        if not tensor.is_floating_point() or tensor.layout is not torch.strided:
            raise CheckpointError(
                f"{path}: {what}'s {key} is of {tensor.dtype}, {tensor.layout}; expected plain"
                " floating-point numbers"
            )
        new = names[layer]
        if new is not None:
            found[f"{new}.{kind}"] = tensor
    return found


def conv_config(path: Path, cnn: Mapping[str, Tensor]) -> dict[str, Any]:
    """Settings for a CNN of `conv1`, `conv2`, `conv3` and `fc`, and the image it takes.

    Raises:
        CheckpointError: If no square image fits the layers.
    """
    try:
        weights = [cnn[f"conv{index}.weight"] for index in range(1, len(STRIDES) + 1)]
        features, flat = cnn["fc.weight"].shape
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"{path}: its CNN is not conv1, conv2, conv3, fc") from error
    layers = [
        [weight.shape[0], weight.shape[2], stride]
        for weight, stride in zip(weights, STRIDES, strict=True)
    ]
    side = math.isqrt(flat // layers[-1][0])
    base = {"conv_layers": layers, "cnn_features": features}
    base["image_channels"] = weights[0].shape[1]
    # What an agent has unless told otherwise, if that fits; else the smallest that does.
    for size in (AgentConfig().image_size, *range(8, 512)):
        try:
            config = AgentConfig.from_mapping({**base, "image_size": size})
        except ValueError:
            continue
        if config.conv_output_side() == side and side * side * layers[-1][0] == flat:
            return {**base, "image_size": size}
    raise CheckpointError(f"{path}: no image size fits its CNN, whose fc takes {flat} inputs")
