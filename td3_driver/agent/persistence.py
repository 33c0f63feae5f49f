# SPDX-License-Identifier: Apache-2.0
"""An agent into a checkpoint file and out of one.

What is in a checkpoint is in snapshot.py, how it lies on the disk in checkpoint.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from td3_driver.checkpoints import checkpoint
from td3_driver.agent import snapshot
from td3_driver.checkpoints.checkpoint import CheckpointError

if TYPE_CHECKING:
    from td3_driver.agent.td3 import TD3Agent

_LOG = logging.getLogger(__name__)


def save(agent: TD3Agent, filepath: str | Path, run: Mapping[str, Any] | None) -> None:
    """See `TD3Agent.save_checkpoint`."""
    checkpoint.write(filepath, agent.checkpoint_payload(run))
    _log_components(agent, "saved")
    _LOG.info("Checkpoint saved to %s (update %d)", filepath, agent.total_it)


def load(agent: TD3Agent, filepath: str | Path) -> None:
    """See `TD3Agent.load_checkpoint`."""
    payload = checkpoint.read(filepath)
    try:
        agent.restore(payload)
    except CheckpointError as error:
        raise CheckpointError(f"{filepath}: {error}") from None
    _log_components(agent, "restored")
    _LOG.info("Checkpoint loaded from %s (update %d)", filepath, agent.total_it)


def build(kind: type[TD3Agent], filepath: str | Path, device: str | torch.device) -> TD3Agent:
    """See `TD3Agent.from_checkpoint`."""
    payload = checkpoint.read(filepath)
    dimensions: dict[str, Any] = {name: payload.get(name) for name in snapshot.DIMENSIONS}
    try:
        agent = kind(**dimensions, config=payload.get("config"), device=device)
        agent.restore(payload)
    except (CheckpointError, TypeError, ValueError) as error:
        raise CheckpointError(f"{filepath}: {error}") from None
    return agent


def _log_components(agent: TD3Agent, done: str) -> None:
    for key, component in snapshot.components(agent):
        if component is not None:
            _LOG.info("  %s %s", key, done)
