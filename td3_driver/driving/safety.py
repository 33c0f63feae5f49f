# SPDX-License-Identifier: Apache-2.0
"""The final check of every action before the car executes it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from td3_driver.driving.reward import Action
from td3_driver.driving.types import Control


@dataclass(frozen=True)
class SafetyConfig:
    """Limits on a policy's commands to the car.

    Attributes:
        max_steer: share of CARLA's full lock that an action of 1 gives. CARLA's cars turn their
            wheels by up to 70 degrees, which no road asks for and no tyre holds at speed.

    Raises:
        ValueError: if it is not in (0, 1].
    """

    max_steer: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.max_steer <= 1.0:
            raise ValueError(f"max_steer: {self.max_steer}; expected more than 0 and at most 1")


# Short names of an action's elements.
ACTION_LAYOUT = {
    "steer": "steer: 1 is max_steer of full lock, to the right",
    "throttle_brake": "throttle (> 0) or brake (< 0)",
}
ACTION_DIM = len(ACTION_LAYOUT)
FULL_BRAKE_ACTION: Action = np.array([0.0, -1.0], np.float32)


def safe_action(action: Action) -> Action:
    """Return the action to execute and store: clipped to [-1, 1], full brake if not finite."""
    if not np.all(np.isfinite(action)):
        return FULL_BRAKE_ACTION.copy()
    return np.clip(action, -1.0, 1.0).astype(np.float32)


def action_of(control: Control, config: SafetyConfig) -> Action:
    """Return the action (2,) nearest to a command; the inverse of `control_of`."""
    steer, drive = control.steer / config.max_steer, control.throttle - control.brake
    return safe_action(np.array([steer, drive], np.float32))


def control_of(action: Action, config: SafetyConfig) -> Control:
    """Return the command for an action (2,): steer (+1 right), throttle (> 0) or brake (< 0)."""
    steer, drive = float(action[0]), float(action[1])
    return Control(
        throttle=max(drive, 0.0), steer=steer * config.max_steer, brake=max(-drive, 0.0)
    )
