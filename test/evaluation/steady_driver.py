# SPDX-License-Identifier: Apache-2.0
"""Checkpoints whose policy is known without learning."""

from pathlib import Path

import numpy as np
import torch

from td3_driver.agent import TD3Agent
from td3_driver.configuration import load_configuration


def steady_driver(path: Path, action: tuple[float, float]) -> Path:
    """A checkpoint whose actor gives nearly the same action always, each part in (-1, 1)."""
    agent = TD3Agent(87, 2, config=load_configuration("default").agent, seed=1)
    weights = agent.actor.state_dict()
    bias = list(weights)[-1]
    weights[bias] = torch.tensor(np.arctanh(action), dtype=torch.float32)
    agent.actor.load_state_dict(weights)
    agent.env_steps = int(path.stem.removeprefix("td3_"))
    agent.save_checkpoint(str(path))
    return path
