# SPDX-License-Identifier: Apache-2.0
"""What the numbers mean that a driver stores and learns, for the files that carry them.

A setting belongs to it unless it is named here as one that changes what is met, not what a number
says. So a setting that is added later is compared until somebody decides otherwise.
"""

from __future__ import annotations

from dataclasses import asdict

from td3_driver.driving.roles import DrivingConfig
from td3_driver.replay.meaning import flat

_EPISODE = "driving.episode."
# Which routes are driven, and when an episode is cut short, which is no end of its value.
WITHOUT_MEANING = frozenset(
    f"{_EPISODE}{name}" for name in ("route_length_m", "route_choices", "max_steps", "stuck_steps")
)


def of_experience(config: DrivingConfig) -> dict[str, object]:
    """What stored transitions mean: observations, actions, rewards and terminations."""
    settings = flat({"driving": asdict(config)})
    return {
        **config.spaces.meaning(),
        **{name: value for name, value in settings.items() if name not in WITHOUT_MEANING},
    }


def of_policy(config: DrivingConfig) -> dict[str, object]:
    """What a policy's numbers mean: what it sees, and what its actions do."""
    meaning = of_experience(config)
    return {name: meaning[name] for name in meaning if not name.startswith(_EPISODE)}
