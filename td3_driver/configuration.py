# SPDX-License-Identifier: Apache-2.0
"""Presets and configuration files: YAML in, validated dataclasses out."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import yaml

from td3_driver.agent.config import AgentConfig
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.view import Mount
from td3_driver.share import preset_names, share_directory

T = TypeVar("T")


class ConfigurationError(ValueError):
    """A preset or configuration file cannot be used; the message names the file and the key."""


@dataclass(frozen=True)
class Configuration:
    """The settings that a preset decides: the agent's, and those of driving and judging."""

    agent: AgentConfig = field(default_factory=AgentConfig)
    driving: DrivingConfig = field(default_factory=DrivingConfig)

    def to_mapping(self) -> dict[str, Any]:
        """Return the settings as plain Python types, as a checkpoint holds them."""
        return {"agent": self.agent.to_mapping(), "driving": self.driving.to_mapping()}


def load_configuration(
    preset: str,
    overrides: str | Path | Mapping[str, Any] | None = None,
    *,
    blind: bool = False,
) -> Configuration:
    """Load a preset and apply a user's YAML file, or what it holds; `blind`: black pictures.

    Raises:
        ConfigurationError: unknown preset, unreadable file, unknown key or bad value.
    """
    if preset not in preset_names():
        raise ConfigurationError(
            f"preset {preset!r}: no such preset; there are {', '.join(preset_names())}"
        )
    merged = _preset(preset)
    source = f"preset {preset}"
    if isinstance(overrides, Mapping):
        merged = _merge(merged, overrides)
        source = f"preset {preset} and what is laid over it"
    elif overrides:
        merged = _merge(merged, _read(Path(overrides)))
        source = f"config {overrides}"
    if blind:
        merged = _merge(merged, {"driving": {"view": {"blind": True}}})
    return configuration_from(merged, source)


def configuration_from(mapping: Mapping[str, Any], source: str) -> Configuration:
    """Build and check a configuration; `source` names its origin in messages."""
    _refuse_unknown(mapping, {"agent", "driving"}, source)
    driving = _dataclass_from(DrivingConfig, mapping.get("driving") or {}, f"{source}: driving")
    channels, size, _ = driving.spaces.image_shape
    given = mapping.get("agent") or {}
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{source}: agent: expected a mapping, got {given!r}")
    try:
        agent = AgentConfig.from_mapping({"image_channels": channels, "image_size": size, **given})
    except ValueError as error:
        raise ConfigurationError(f"{source}: agent: {error}") from error
    if (agent.image_channels, agent.image_size) != (channels, size):
        raise ConfigurationError(
            f"{source}: agent: image_channels {agent.image_channels} and image_size"
            f" {agent.image_size} do not fit; with driving.view: size_px {driving.view.size_px},"
            f" colour {driving.view.colour}, cameras {max(len(driving.view.cameras), 1)} a driver"
            f" sees image_channels {channels} and image_size {size}: leave both out, or give these"
        )
    privileged = len(driving.spaces.privileged)
    if agent.privileged not in (0, privileged):
        raise ConfigurationError(
            f"{source}: agent: privileged {agent.privileged} does not fit; with driving:"
            f" privileged_critic {str(driving.privileged_critic).lower()}, advised"
            f" {str(driving.advised).lower()} it is {privileged}"
        )
    factors, elements = len(agent.vector_scale), driving.spaces.row[1]
    if factors not in (0, elements):
        raise ConfigurationError(
            f"{source}: agent: vector_scale has {factors} factors, but with driving: end_to_end"
            f" {str(driving.end_to_end).lower()}, regulations {str(driving.regulations).lower()},"
            f" privileged_critic {str(driving.privileged_critic).lower()}, advised"
            f" {str(driving.advised).lower()} the vector has {elements} elements; give one factor"
            " each, or none"
        )
    if agent.advised and not driving.advised:
        raise ConfigurationError(
            f"{source}: agent: advised true does not fit; set driving: advised, which it follows"
        )
    return Configuration(replace(agent, privileged=privileged, advised=driving.advised), driving)


def _preset(name: str) -> dict[str, Any]:
    """Return a preset's settings on top of those of the preset that it extends."""
    own = _read(share_directory() / "config" / "presets" / f"{name}.yaml")
    base = own.pop("extends", None)
    return _merge(_preset(base), own) if base else own


def _read(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_bytes())  # which obeys a byte-order mark
    except OSError as error:
        raise ConfigurationError(f"config {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        reason = str(error).replace("\n", " ")
        raise ConfigurationError(f"config {path}: not YAML: {reason}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(f"config {path}: expected a mapping with agent: and driving:")
    return content


def _merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        old = merged.get(key)
        both = isinstance(old, dict) and isinstance(value, Mapping)
        merged[key] = _merge(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _dataclass_from(cls: type[T], mapping: Any, where: str) -> T:
    if not isinstance(mapping, Mapping):
        raise ConfigurationError(f"{where}: expected a mapping, got {mapping!r}")
    hints = typing.get_type_hints(cls)
    _refuse_unknown(mapping, set(hints), where)
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        kind = hints[key]
        if kind == tuple[Mount, ...]:
            values[key] = _mounts(value, f"{where}.{key}")
        elif dataclasses.is_dataclass(kind):
            values[key] = _dataclass_from(kind, value, f"{where}.{key}")  # type: ignore[arg-type]
        else:
            values[key] = _scalar(kind, value, f"{where}.{key}")
    try:
        return cls(**values)
    except ValueError as error:  # values that contradict each other
        raise ConfigurationError(f"{where}: {error}") from error


def _mounts(listed: Any, where: str) -> tuple[Mount, ...]:
    """Return the cameras of a list, in which a camera may be its id alone."""
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        raise ConfigurationError(
            f"{where}: {listed!r} is no list of cameras; expected [rgb_front, {{id: rgb_left,"
            " yaw_deg: 60}]"
        )
    mounts = []
    for number, entry in enumerate(listed):
        given = {"id": entry} if isinstance(entry, str) else entry
        if not isinstance(given, Mapping) or not isinstance(given.get("id"), str):
            raise ConfigurationError(f"{where}[{number}]: {entry!r} has no id of a camera")
        known = {item.name for item in dataclasses.fields(Mount)}
        _refuse_unknown(given, known, f"{where}[{number}]")
        place: dict[str, Any] = {name: value for name, value in given.items() if name != "id"}
        for name, value in place.items():
            number_given = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number_given or not math.isfinite(value):
                raise ConfigurationError(f"{where}[{number}].{name}: {value!r} is not a number")
        numbers = {name: float(value) for name, value in place.items()}
        try:
            mounts.append(Mount(given["id"], **numbers))
        except ValueError as error:
            raise ConfigurationError(f"{where}[{number}]: {error}") from error
    return tuple(mounts)


def _scalar(kind: Any, value: Any, where: str) -> float | int | bool | str:
    if words := typing.get_args(kind):  # a Literal
        if not isinstance(value, str) or value not in words:
            raise ConfigurationError(f"{where}: {value!r} is not {' or '.join(words)}")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise ConfigurationError(f"{where}: {value!r} is not true or false")
        return value
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed):
        raise ConfigurationError(f"{where}: {value!r} is not a {kind.__name__}")
    if not math.isfinite(value) or value < 0:
        raise ConfigurationError(f"{where}: {value!r} is out of range; it must be >= 0")
    return int(value) if kind is int else float(value)


def _refuse_unknown(mapping: Mapping[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(str(key) for key in set(mapping) - known)
    if unknown:
        raise ConfigurationError(
            f"{where}: unknown key {', '.join(unknown)}; known are {', '.join(sorted(known))}"
        )
