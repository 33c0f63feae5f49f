# SPDX-License-Identifier: Apache-2.0
"""The file of a fleet's bridges: what is wrong in it is said in a line."""

from __future__ import annotations

from pathlib import Path

import pytest

from td3_driver.fleet.bridges import Bridge, BridgesError, read_bridges


def test_what_is_not_given_is_the_usual(tmp_path: Path) -> None:
    file = tmp_path / "bridges.yaml"
    file.write_text(
        "bridges:\n- {domain: 11, start: [bash, carla.sh], town: Town03, host: one, port: 2002}\n"
        "- domain: 12\n"
    )
    one, other = read_bridges(file)
    assert one == Bridge(11, host="one", port=2002, town="Town03", start=("bash", "carla.sh"))
    assert str(one) == "one:2002, Town03 in ROS domain 11"
    assert other == Bridge(12)
    assert (other.role_name, other.camera, other.stepping) == (
        "ego_vehicle", "rgb_front", "lockstep",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "expected bridges: and a list of them"),
        ("bridges: 3", "expected bridges: and a list of them"),
        ("bridges: []", "expected bridges: and a list of them"),
        ("bridges: [3]", "bridge 1: expected settings, as domain: 11"),
        ("bridges: [{}]", "bridge 1: domain: None; expected a number from 0 to 232"),
        ("bridges: [{domain: true}]", "domain: True; expected a number from 0 to 232"),
        ("bridges: [{domain: 1}, {domain: 233}]", "bridge 2: domain: 233; expected"),
        ("bridges: [{domain: 1, port: 0.5}]", "port: 0.5; expected a number from 0 to 65535"),
        ("bridges: [{domain: 1, roll: 2}]", "roll: no such setting; there are domain, role_name"),
        ("bridges: [{domain: 1, start: carla.sh}]", "start: expected the words of a command"),
        ("bridges: [{domain: 1, start: [3]}]", "start: expected the words of a command"),
        ("bridges: [{domain: 1, town: 3}]", "town: 3 is no text"),
        ("bridges: [{domain: 1, stepping: slow}]", "stepping: 'slow'; expected lockstep or"),
        ("bridges: [{domain: 1}, {domain: 1}]", "two have the same domain and role_name"),
        ("bridges: [", "not YAML"),
    ],
)
def test_a_mistake_is_said_in_a_line(content: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "bridges.yaml"
    file.write_text(content)
    with pytest.raises(BridgesError) as refused:
        read_bridges(file)
    assert str(refused.value).startswith(f"--bridges {file}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BridgesError, match="No such file"):
        read_bridges(tmp_path / "nowhere.yaml")
