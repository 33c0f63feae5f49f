# SPDX-License-Identifier: Apache-2.0
"""CARLA's own client, unmodified: what it calls, and what it hears.

Each check is a function of `clients/`, in a process of its own: the wheel keeps the GIL.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .lit_streets import lit_streets
from .serving import MAPS, Serving

CHECKS = {
    "episodes": "settings asynchronous other_worlds own_roads",
    "places": "town blueprints",
    "spawning": "one_place attached_goes_along destroyed in_a_batch spectator props",
    "driving": "controls turning given_velocities put_somewhere physics_control falling",
    "walking": "led by_itself run_over",
    "cameras": "rgb depth semantic moments weather",
    "sensing": "imu gnss collision obstacle lane_invasion refused",
    "traffic": "manager lights turns at_a_light",
}


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Streets with traffic lights, and two further maps."""
    folder: Path = tmp_path_factory.mktemp("maps")
    file = folder / "lit_streets.xodr"
    file.write_text(lit_streets(0))
    for other in ("plain.xodr", "circle.xodr"):
        (folder / other).write_text((MAPS / other).read_text())
    serving = Serving("--map", str(file))
    yield serving
    assert serving.stop() == 0
    assert "Traceback" not in serving.program.output


@pytest.mark.parametrize(
    ("module", "function"),
    [(module, function) for module, names in CHECKS.items() for function in names.split()],
)
def test_client(town: Serving, module: str, function: str) -> None:
    town.run_client(module, function)


def test_every_method(town: Serving) -> None:
    """Each works, is the client's own affair, or is refused by name."""
    unheard = town.run_client("surface", "check").split()
    assert unheard
    town.program.wait_for("'get_names_of_all_objects', which this server does not have")
