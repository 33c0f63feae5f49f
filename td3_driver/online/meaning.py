# SPDX-License-Identifier: Apache-2.0
"""The settings that define what a driver's stored and learned numbers mean.

Replays and checkpoints carry them. Every setting is among them but those named here, which change
what the car meets and not what a number means. So a setting that is added later is compared until
somebody decides otherwise.
"""

from __future__ import annotations

from td3_driver.driving.roles import DrivingConfig
from td3_driver.replay.meaning import flat

_EPISODE = "driving.episode."
# They decide which routes are driven and when an episode is truncated, which does not end its
# value.
WITHOUT_MEANING = frozenset(
    f"{_EPISODE}{name}" for name in ("route_length_m", "route_choices", "max_steps", "stuck_steps")
)


def of_experience(config: DrivingConfig) -> dict[str, object]:
    """Return what stored transitions mean: observations, actions, rewards and terminations."""
    settings = flat({"driving": config.to_mapping()})
    return {
        **config.spaces.meaning(),
        **{name: value for name, value in settings.items() if name not in WITHOUT_MEANING},
    }


def of_policy(config: DrivingConfig) -> dict[str, object]:
    """Return what a policy's numbers mean: its observations, and the effect of its actions."""
    meaning = of_experience(config)
    return {name: meaning[name] for name in meaning if not name.startswith(_EPISODE)}
