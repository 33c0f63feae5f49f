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

# Calls whose answers the client throws away: that they do nothing is told in the server's log,
# which holds no more than so many lines at once: the first of the many.
UNHEARD = (
    "add_actor_angular_impulse",
    "add_actor_force",
    "apply_ackermann_control_to_vehicle",
    "apply_ackermann_controller_settings",
)


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
    town.run_client("surface", "check")
    for name in UNHEARD:
        town.program.wait_for(f"{name}: not simulated by this server")


@pytest.fixture(scope="module")
def busy_town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    file = tmp_path_factory.mktemp("maps") / "busy_streets.xodr"
    file.write_text(lit_streets(1))
    serving = Serving("--map", str(file), "--traffic", "6", "--pedestrians", "5")
    yield serving
    assert serving.stop() == 0
    assert "Traceback" not in serving.program.output


@pytest.mark.parametrize(("function", "counts"), [("actors", ("6", "5")), ("struck", ())])
def test_crowd(busy_town: Serving, function: str, counts: tuple[str, ...]) -> None:
    busy_town.run_client("crowd", function, *counts)
