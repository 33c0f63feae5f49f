# SPDX-License-Identifier: Apache-2.0
"""The learning agent: networks, TD3, replay and checkpoints. No ROS, no simulator."""

from td3_driver.agent.checkpoint import CheckpointError
from td3_driver.agent.config import AgentConfig
from td3_driver.agent.replay import Replay
from td3_driver.agent.td3 import TD3Agent

__all__ = ["AgentConfig", "CheckpointError", "Replay", "TD3Agent"]
