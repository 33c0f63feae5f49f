# SPDX-License-Identifier: Apache-2.0
"""Seeded road networks for training and evaluation, written as OpenDRIVE, by difficulty."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.roads.bounds import Loop, Network

RoadDifficulty = Loop | Network

# Seeds of generated roads by what is driven there.
_SEEDS = {
    Purpose.TRAINING: range(1_000_000),
    Purpose.TUNING: range(1_000_000, 2_000_000),
    Purpose.SELECTION: range(2_000_000, 3_000_000),
    Purpose.EVALUATION: range(3_000_000, 4_000_000),
}
_MOST_DRAWS = 10_000
DEFAULT_DIFFICULTY = "easy"
DIFFICULTIES: dict[str, RoadDifficulty] = {
    "easy": Loop(
        corners=(5, 8),
        distance_m=(70.0, 160.0),
        radius_m=(15.0, 60.0),
        spiral_m=(8.0, 20.0),
        length_m=(500.0, 1000.0),
    ),
    "curvy": Loop(
        corners=(8, 12),
        distance_m=(90.0, 220.0),
        radius_m=(9.0, 30.0),
        spiral_m=(5.0, 10.0),
        length_m=(800.0, 1600.0),
    ),
    "town": Network(
        columns=(3, 4), rows=(3, 3), spacing_m=85.0, shift_m=14.0, lanes=1, roundabouts=0.0
    ),
    "city": Network(
        columns=(3, 3), rows=(3, 3), spacing_m=110.0, shift_m=16.0, lanes=2, roundabouts=0.4
    ),
    "varied": Network(
        columns=(3, 3),
        rows=(3, 3),
        spacing_m=110.0,
        shift_m=16.0,
        lanes=2,
        roundabouts=0.4,
        lane_width_m=(3.0, 4.0),
        varied_paint=True,
    ),
}


def road_seed(purpose: Purpose, number: int) -> int:
    """The seed of the generated roads number `number`, counted from 0, of a purpose.

    Raises:
        ValueError: the purpose has no roads of that number.
    """
    seeds = _SEEDS[purpose]
    if not 0 <= number < len(seeds):
        raise ValueError(
            f"generated road {number} for {purpose.value}: expected 0 to {len(seeds) - 1}"
        )
    return seeds[number]


def training_roads(number: int, difficulty: str = DEFAULT_DIFFICULTY) -> RoadMap:
    """The roads that a world has where it is given no map.

    Raises:
        ValueError: there is no such difficulty, or no such road.
    """
    seed = road_seed(Purpose.TRAINING, number)
    return RoadMap(generate_opendrive(seed, difficulty), f"generated_{difficulty}_{seed}")


def roads_of(named: Sequence[str], number: int, difficulty: str) -> RoadMap:
    """The roads of a world: those that are named, side by side.

    Args:
        named: OpenDRIVE files, and difficulties, which stand for generated roads: those numbered
            `number`, `number + 1` and so on. Empty: generated ones of `difficulty`.
        number: see `training_roads`.
        difficulty: see `training_roads`.

    Raises:
        ValueError, OSError: a file is no road network.
    """
    numbers = itertools.count(number)
    maps = [
        training_roads(next(numbers), name) if name in DIFFICULTIES else RoadMap.from_file(name)
        for name in named or (difficulty,)
    ]
    return maps[0] if len(maps) == 1 else RoadMap.side_by_side(maps)


def generate_opendrive(seed: int, difficulty: str | RoadDifficulty = DEFAULT_DIFFICULTY) -> str:
    """Roads without dead ends; the same arguments give the same text on every machine.

    One 3.5 m lane each way, a broken yellow centre line, solid white edge lines, and:

    - easy: a closed road of 500 to 1000 m with left and right bends of at least 15 m radius;
    - curvy: 800 to 1600 m, more bends, of at least 9 m radius;
    - town: winding streets between T junctions and crossroads;
    - city: the same with one or two lanes each way and with roundabouts;
    - varied: city with lanes of 3 to 4 m, and streets with other lines or none at their edges.

    Args:
        seed: any integer.
        difficulty: one of `DIFFICULTIES`, or bounds of your own.

    Returns:
        An OpenDRIVE document.

    Raises:
        ValueError: there is no such difficulty, or no drivable roads are found within the bounds.
    """
    # Imported here: scenariogeneration takes half a second, and a world with a map needs none.
    from td3_driver.world.roads.loops import draw_loop
    from td3_driver.world.roads.networks import draw_network

    if isinstance(difficulty, str):
        if difficulty not in DIFFICULTIES:
            raise ValueError(
                f"difficulty {difficulty!r}: no such difficulty; choose from "
                f"{', '.join(DIFFICULTIES)}"
            )
        difficulty = DIFFICULTIES[difficulty]
    rng = random.Random(seed)
    for _ in range(_MOST_DRAWS):
        if isinstance(difficulty, Loop):
            text = draw_loop(rng, difficulty, f"loop_{seed}")
        else:
            text = draw_network(rng, difficulty, f"network_{seed}")
        if text is not None:
            return text
    raise ValueError(f"roads: none within {difficulty} in {_MOST_DRAWS} draws; widen its bounds")
