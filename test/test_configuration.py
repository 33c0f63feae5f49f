# SPDX-License-Identifier: Apache-2.0
"""A user's YAML over a preset: what no drive could use is said in one line that names it."""

import pytest

from td3_driver.configuration import ConfigurationError, load_configuration


@pytest.mark.parametrize(
    ("overlay", "said"),
    [
        ({"driving": {"episode": {"route_length_m": 0}}}, "route_length_m: 0.0; expected more"),
        ({"driving": {"episode": {"route_choices": 0}}}, "route_choices: 0; expected 1 or more"),
        ({"driving": {"safety": {"max_steer": 0}}}, "max_steer: 0.0; expected more than 0"),
        ({"driving": {"safety": {"max_steer": 1.5}}}, "max_steer: 1.5; expected more than 0"),
        *(
            ({"driving": {"episode": {"reward": {name: 0}}}}, f"{name}: 0.0; expected more")
            for name in ("target_speed_mps", "lane_half_width_m", "brake_mps2")
        ),
        ({"driving": {"episode": {"off_road_m": -1}}}, "off_road_m: -1 is out of range"),
        ({"driving": {"episode": {"off_road": 1}}}, "unknown key off_road"),
    ],
)
def test_a_setting_that_nobody_could_drive_with(overlay: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load_configuration("default", overlay)
