# SPDX-License-Identifier: Apache-2.0
"""The views in config/: RViz and Foxglove's open viewer know all that is in them."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ..viewers import foxglove_layout, rviz_view, wrong_in_foxglove, wrong_in_rviz

View = dict[str, Any]


def test_rviz_knows_all_that_is_in_its_view() -> None:
    assert not [*wrong_in_rviz(rviz_view())]


def test_lichtblick_knows_all_that_is_in_its_layout() -> None:
    assert not [*wrong_in_foxglove(foxglove_layout())]


def displays(view: View) -> list[View]:
    shown: list[View] = view["Visualization Manager"]["Displays"]
    return shown


@pytest.mark.parametrize(
    "spoil",
    [
        lambda view: displays(view)[0].update({"Class": "rviz_default_plugins/Picture"}),
        lambda view: displays(view)[0].update({"Transport Hint": "raw"}),
        lambda view: displays(view)[0]["Topic"].update({"Durability Policy": "Latched"}),
        lambda view: displays(view)[0].update({"Normalize Range": "yes"}),
        lambda view: view["Visualization Manager"]["Views"]["Current"].update({"Scale": 6}),
        lambda view: view["Panels"].append({"Class": "rviz_common/Clock", "Name": "Clock"}),
    ],
)
def test_what_rviz_does_not_know_is_found(spoil: Callable[[View], object]) -> None:
    view = copy.deepcopy(rviz_view())
    spoil(view)
    assert len([*wrong_in_rviz(view)]) == 1


@pytest.mark.parametrize(
    "spoil",
    [
        lambda layout: layout["configById"].update({"Log!log": {}}),
        lambda layout: layout["configById"]["Plot!speed"].update({"title": "Speed"}),
        lambda layout: layout["configById"]["3D!route"].update({"followMode": "follow"}),
        lambda layout: layout["configById"]["Image!camera"]["imageMode"].update({"topic": "/a"}),
    ],
)
def test_what_lichtblick_does_not_know_is_found(spoil: Callable[[View], object]) -> None:
    layout = copy.deepcopy(foxglove_layout())
    spoil(layout)
    assert [*wrong_in_foxglove(layout)]
