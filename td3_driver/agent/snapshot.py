# SPDX-License-Identifier: Apache-2.0
"""An agent's whole state as plain data: taking it, and restoring all of it or nothing.

Networks, targets (they lag, so they are no copies), Adam moments, counters, settings and random
states: with these, training continues bit for bit as if it had not been interrupted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from td3_driver.agent.config import ARCHITECTURE, AgentConfig
from td3_driver.agent.exploration import Exploration
from td3_driver.checkpoints.checkpoint import FORMAT_VERSION, CheckpointError
from td3_driver.checkpoints.provenance import provenance

NETWORKS = ("actor", "critic", "actor_cnn", "critic_cnn")

# Settings and counters that the agent carries as attributes of the same name.
HYPERPARAMETERS = ("discount", "tau", "policy_freq", "policy_noise", "noise_clip")
COUNTERS = ("total_it", "env_steps", "episodes")
DIMENSIONS = ("state_dim", "action_dim", "max_action", "use_dict_buffer")

# All that a complete checkpoint has, beside the agent's components.
KEYS = (
    *(*COUNTERS, *HYPERPARAMETERS, *DIMENSIONS),
    *("config", "rng_state", "provenance", "run", "replay"),
)


class Stateful(Protocol):
    """The attributes that an agent's state consists of, beside those in the tables above."""

    algorithm: ClassVar[str]
    components: ClassVar[tuple[str, ...]]
    config: AgentConfig
    action_dim: int
    sampler: np.random.Generator
    noise_generator: torch.Generator
    exploration: Exploration


def take(agent: Stateful, run: Mapping[str, Any]) -> dict[str, Any]:
    """Copy an agent's state into a checkpoint's payload.

    Args:
        agent: The agent.
        run: Plain data of the caller's, saved under the key `run`.
    """
    live: dict[str, Any] = {"format_version": FORMAT_VERSION, "config": agent.config.to_mapping()}
    for name in (*DIMENSIONS, *HYPERPARAMETERS, *COUNTERS):
        live[name] = getattr(agent, name)
    for key, component in components(agent):
        live[key] = None if component is None else component.state_dict()
    live["rng_state"] = {
        "sampler": agent.sampler.bit_generator.state,
        "torch": agent.noise_generator.get_state(),
        "exploration": agent.exploration.state(),
    }
    live["provenance"] = provenance()
    live["replay"] = None  # set by the caller that saves a replay beside the checkpoint
    live["run"] = dict(run)
    return _copied(live)  # type: ignore[no-any-return]


def _copied(value: Any) -> Any:
    """Return a copy that shares no tensor, more cheaply than `copy.deepcopy`."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        return {key: _copied(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_copied(entry) for entry in value)
    return value


def components(
    agent: Stateful,
) -> Iterator[tuple[str, nn.Module | torch.optim.Optimizer | None]]:
    """Yield every network, target and optimizer (None if the agent has none) with its key."""
    for name in agent.components:
        yield key_of(name), getattr(agent, name)


def key_of(component: str) -> str:
    """Return a component's key in a checkpoint."""
    return f"{component}_state_dict"


def algorithm_of(payload: Mapping[str, Any]) -> str:
    """Return the algorithm of a payload; old ones that name none are TD3's."""
    config = payload.get("config")
    default = AgentConfig.algorithm
    return str(config.get("algorithm", default)) if isinstance(config, Mapping) else default


def restore(agent: Stateful, payload: Mapping[str, Any]) -> None:
    """Put a payload into an agent, including its learning settings.

    Raises:
        CheckpointError: If it does not fit, with every reason; the agent is unchanged then.
    """
    problems = mismatches(agent, payload)
    if problems:
        raise CheckpointError(f"checkpoint does not fit this agent: {'; '.join(problems)}")
    # Everything below has been checked, so nothing can fail half-way.
    agent.config = AgentConfig.from_mapping(payload["config"])
    for name in (*HYPERPARAMETERS, *COUNTERS):
        setattr(agent, name, payload[name])
    for key, component in components(agent):
        if isinstance(component, nn.Module):
            component.load_state_dict(payload[key])
        elif component is not None:
            _restore_optimizer(component, payload[key])
    rng = payload["rng_state"]
    agent.sampler.bit_generator.state = rng["sampler"]
    agent.noise_generator.set_state(rng["torch"])
    agent.exploration = Exploration(agent.config, agent.action_dim, seed=0)
    agent.exploration.restore(rng["exploration"])


def with_settings(payload: Mapping[str, Any], config: AgentConfig) -> dict[str, Any]:
    """Return the payload as if it had been saved with other learning settings."""
    changed = {**payload, "config": config.to_mapping()}
    changed |= {name: getattr(config, name) for name in HYPERPARAMETERS}
    for key in payload:
        if key.endswith(key_of("_optimizer")) and isinstance(payload[key], Mapping):
            groups = payload[key].get("param_groups", [])
            rated = [{**group, "lr": config.learning_rate} for group in groups]
            changed[key] = {**payload[key], "param_groups": rated}
    return changed


def mismatches(agent: Stateful, payload: Mapping[str, Any]) -> list[str]:
    """Return every reason why a payload cannot be put into an agent; empty if it can."""
    if (saved := algorithm_of(payload)) != agent.algorithm:
        return [f"config algorithm is {saved}, the agent's is {agent.algorithm}"]
    keys = [key for key, _ in components(agent)]
    keys += [*DIMENSIONS, *HYPERPARAMETERS, *COUNTERS, "config", "rng_state"]
    missing = [f"{key} is missing" for key in keys if key not in payload]
    if missing:
        return missing
    problems = [
        f"{name} is {payload[name]!r}, the agent's is {getattr(agent, name)!r}"
        for name in DIMENSIONS
        if payload[name] != getattr(agent, name)
    ]
    problems += _config_mismatches(agent, payload)
    for key, component in components(agent):
        problems += _component_mismatches(key, component, payload[key])
    return problems + _rng_mismatches(agent, payload["rng_state"])


def _config_mismatches(agent: Stateful, payload: Mapping[str, Any]) -> list[str]:
    try:
        config = AgentConfig.from_mapping(payload["config"])
        settings = {name: payload[name] for name in HYPERPARAMETERS}
        AgentConfig.from_mapping({**config.to_mapping(), **settings})
    except (TypeError, ValueError) as error:
        return [f"config: {error}"]
    problems = [
        f"{name} is {payload[name]!r}, not an integer >= 0"
        for name in COUNTERS
        if type(payload[name]) is not int or payload[name] < 0
    ]
    return problems + [
        f"config {name} is {getattr(config, name)}, the agent's is {getattr(agent.config, name)}"
        for name in ARCHITECTURE
        if getattr(config, name) != getattr(agent.config, name)
    ]


def _component_mismatches(
    key: str, component: nn.Module | torch.optim.Optimizer | None, saved: object
) -> list[str]:
    if component is None:
        return [] if saved is None else [f"{key} is there, but the agent has no images"]
    if not isinstance(saved, Mapping):
        return [f"{key} is {type(saved).__name__}, not a state dict"]
    if isinstance(component, nn.Module):
        return _tensor_mismatches(key, component.state_dict(), saved)
    return _optimizer_mismatches(key, component, saved)


def _tensor_mismatches(
    key: str, expected: Mapping[str, Tensor], saved: Mapping[Any, Any]
) -> list[str]:
    problems = [f"{key}: {name} is unknown" for name in saved if name not in expected]
    for name, tensor in expected.items():
        found = saved.get(name)
        if not isinstance(found, Tensor) or not found.is_floating_point():
            problems.append(f"{key}: {name} is missing")
        elif found.shape != tensor.shape:
            shapes = f"{tuple(found.shape)}, the agent's is {tuple(tensor.shape)}"
            problems.append(f"{key}: {name} has shape {shapes}")
        elif not found.isfinite().all():
            problems.append(f"{key}: {name} holds values that are not finite")
    return problems


def _optimizer_mismatches(
    key: str, optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]
) -> list[str]:
    weights = optimizer.param_groups[0]["params"]
    groups, state = saved.get("param_groups"), saved.get("state")
    if not isinstance(groups, list) or len(groups) != 1 or not isinstance(state, Mapping):
        return [f"{key}: is not the state of an Adam with one parameter group"]
    if not all(isinstance(part, Mapping) for part in (*groups, *state.values())):
        return [f"{key}: is not made of mappings"]
    indices = list(range(len(weights)))
    if groups[0].get("params") != indices or not {*state} <= {*indices}:
        return [f"{key}: is not the state of {len(weights)} parameters"]
    absent = sorted({*optimizer.param_groups[0]} - {*groups[0]})
    problems = [f"{key}: {name} is missing" for name in absent]
    for index, moments in state.items():
        like = weights[index].detach()
        expected = {"step": torch.zeros(()), "exp_avg": like, "exp_avg_sq": like}
        problems += _tensor_mismatches(f"{key}[{index}]", expected, moments)
    return problems


def _rng_mismatches(agent: Stateful, saved: Mapping[str, Any]) -> list[str]:
    """Return why the random states do not fit, by trying them on spare generators."""
    try:
        np.random.PCG64().state = saved["sampler"]
        torch.Generator().set_state(saved["torch"])
        spare = Exploration(AgentConfig(), agent.action_dim, seed=0)
        spare.restore(saved["exploration"])
    except (KeyError, RuntimeError, TypeError, ValueError) as error:
        return [f"rng_state: {type(error).__name__}: {error}"]
    return []


def _restore_optimizer(optimizer: torch.optim.Optimizer, saved: Mapping[str, Any]) -> None:
    group = optimizer.param_groups[0]
    kernels: dict[str, Any] = {name: group[name] for name in ("fused", "foreach")}
    optimizer.load_state_dict(dict(saved))
    group = optimizer.param_groups[0]
    group.update(kernels)  # which kernel runs depends on this machine
    for weight in group["params"]:
        for name, value in optimizer.state.get(weight, {}).items():
            # torch keeps the saved tensors as they are; fused Adam needs the weight's layout.
            own = torch.empty_like(weight if value.shape == weight.shape else value)
            optimizer.state[weight][name] = own.copy_(value)
