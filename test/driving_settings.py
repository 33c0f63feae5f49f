# SPDX-License-Identifier: Apache-2.0
"""Every driving setting with another value, so that one that is added later is met too."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from td3_driver.configuration import configuration_from
from td3_driver.driving.roles import DrivingConfig
from td3_driver.replay.meaning import flat

# What decides which routes are driven and when an episode is cut short.
CIRCUMSTANCES = {
    "driving.episode.route_length_m",
    "driving.episode.route_choices",
    "driving.episode.max_steps",
    "driving.episode.stuck_steps",
}
# Lists as files have them.
LEAVES = flat({"driving": asdict(DrivingConfig())}) | {"driving.view.cameras": []}
EPISODE = "driving.episode."
OTHERS: dict[str, Any] = {
    "driving.view.colour": "rgb",
    "driving.view.cameras": [{"id": "rgb_front", "pitch_deg": 5.0}],
}


def with_other(name: str) -> DrivingConfig:
    """The defaults, but for one setting."""
    value = LEAVES[name]
    other: Any
    if name in OTHERS:
        other = OTHERS[name]
    elif isinstance(value, bool):
        other = not value
    elif isinstance(value, int):
        other = value + 1
    else:
        other = value + type(value)(1) / 4
    for key in reversed(name.split(".")):
        other = {key: other}
    return configuration_from(other, name).driving
