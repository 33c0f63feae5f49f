# SPDX-License-Identifier: Apache-2.0
"""The learning agents, TD3 and SAC: networks, updates, exploration, saved state. No ROS."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from td3_driver.agent.config import AgentConfig
    from td3_driver.agent.td3 import TD3Agent
    from td3_driver.checkpoints.checkpoint import CheckpointError
    from td3_driver.replay.buffer import Replay

__all__ = ["AgentConfig", "CheckpointError", "Replay", "TD3Agent"]

_HOMES = {
    "AgentConfig": "td3_driver.agent.config",
    "CheckpointError": "td3_driver.checkpoints.checkpoint",
    "Replay": "td3_driver.replay.buffer",
    "TD3Agent": "td3_driver.agent.td3",
}


def __getattr__(name: str) -> Any:
    """Import a name on first use: torch takes seconds, and reading a preset does not need it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
