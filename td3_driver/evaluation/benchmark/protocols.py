# SPDX-License-Identifier: Apache-2.0
"""Two driving benchmarks of CARLA: what they ask, and what their papers measured.

CoRL2017: Dosovitskiy et al., "CARLA: An Open Urban Driving Simulator", CoRL 2017,
arXiv:1711.03938. NoCrash: Codevilla et al., "Exploring the Limitations of Behavior Cloning for
Autonomous Driving", ICCV 2019, arXiv:1904.08980. What the papers leave open is as in their
authors' code for CARLA 0.8.4, by which their numbers were measured (carla-simulator/
driving-benchmarks and felipecode/coiltraine): vehicles, pedestrians, and the time of NoCrash. For
CoRL2017 the paper's time counts; the code has 10 s more. The port to CARLA 0.9 of the same code
has more pedestrians (125 and 400, 100 and 300), and no results to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from td3_driver.driving.judging.rules import CORL_2017 as CORL2017_RULES
from td3_driver.driving.judging.rules import NOCRASH as NOCRASH_RULES
from td3_driver.driving.judging.rules import Rules
from td3_driver.driving.routes.route_files import Weather

TOWNS = ("Town01", "Town02")
"""CARLA's names of the training town and of the new one, in both benchmarks."""

_NOON = Weather(
    cloudiness=5.0,
    fog_density=2.0,
    fog_distance_m=0.75,
    sun_azimuth_deg=-1.0,
    sun_altitude_deg=45.0,
)
_WET = replace(_NOON, precipitation_deposits=50.0, fog_density=3.0)
_SUNSET = replace(_NOON, sun_altitude_deg=15.0)
WEATHERS = MappingProxyType(
    {
        "ClearNoon": _NOON,
        "WetNoon": _WET,
        "WetCloudyNoon": replace(_WET, cloudiness=60.0),
        "HardRainNoon": replace(
            _NOON,
            cloudiness=100.0,
            precipitation=100.0,
            precipitation_deposits=90.0,
            fog_density=7.0,
        ),
        "ClearSunset": _SUNSET,
        "WetSunset": replace(_SUNSET, precipitation_deposits=50.0),
        "SoftRainSunset": replace(
            _SUNSET, cloudiness=20.0, precipitation=30.0, precipitation_deposits=50.0
        ),
    }
)
"""CARLA 0.9's `WeatherParameters` of the benchmarks' weathers, by name."""


@dataclass(frozen=True)
class Condition:
    """Where a benchmark is driven: in which of two towns, in which of two sets of weathers."""

    title: str
    new_town: bool
    new_weather: bool


CONDITIONS = (
    Condition("training conditions", new_town=False, new_weather=False),
    Condition("new town", new_town=True, new_weather=False),
    Condition("new weather", new_town=False, new_weather=True),
    Condition("new town & weather", new_town=True, new_weather=True),
)
"""In the order of the papers' tables."""


@dataclass(frozen=True)
class Task:
    """One row of a benchmark's table.

    Attributes:
        name: its name on the command line.
        title: its name in the paper.
        vehicles, pedestrians: how many are about in the training town, and in the new one.
        turns: how many turns a route has, at least and at most; None: any number.
    """

    name: str
    title: str
    vehicles: tuple[int, int] = (0, 0)
    pedestrians: tuple[int, int] = (0, 0)
    turns: tuple[int, int] | None = None

    def fits(self, turns: int) -> bool:
        """Whether a route with so many turns belongs to this task."""
        return self.turns is None or self.turns[0] <= turns <= self.turns[1]


@dataclass(frozen=True)
class Protocol:
    """A benchmark.

    Attributes:
        name: its name on the command line.
        title: its name in the paper.
        paper: who measured the published numbers.
        tasks: the table's rows.
        rules: what ends a drive, and how it succeeds.
        success: the same in words.
        weathers: CARLA's names of the weathers of training, and of the new ones.
        methods: what the paper compares.
        published: success in % by the titles of condition and task, for each method; "" where we
            have found no source.
        remarks: what else the numbers need to be read.
    """

    name: str
    title: str
    paper: str
    tasks: tuple[Task, ...]
    rules: Rules
    success: str
    weathers: tuple[tuple[str, ...], tuple[str, ...]]
    methods: tuple[str, ...]
    published: Mapping[str, Mapping[str, Sequence[str]]]
    remarks: tuple[str, ...]

    @property
    def task_names(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(task.name for task in self.tasks)

    @property
    def all_weathers(self) -> tuple[str, ...]:
        """The names of all weathers."""
        training, new = self.weathers
        return training + new


_LONG = 1_000_000  # turns: as many as there may be

CORL2017 = Protocol(
    name="corl2017",
    title="CoRL2017",
    paper="Dosovitskiy et al. 2017",
    tasks=(
        Task("straight", "Straight", turns=(0, 0)),
        Task("one_turn", "One turn", turns=(1, 1)),
        Task("navigation", "Navigation", turns=(2, _LONG)),
        Task("nav_dynamic", "Nav. dynamic", (20, 15), (50, 50), turns=(2, _LONG)),
    ),
    rules=CORL2017_RULES,
    success="A drive succeeds that comes within 2 m of its goal in the time of its route at"
    " 10 km/h; collisions are counted and end nothing.",
    weathers=(
        ("ClearNoon", "WetNoon", "HardRainNoon", "ClearSunset"),
        ("WetCloudyNoon", "SoftRainSunset"),
    ),
    methods=("MP", "IL", "RL"),
    published=MappingProxyType(
        {  # Table 1
            "training conditions": {
                "Straight": ("98", "95", "89"),
                "One turn": ("82", "89", "34"),
                "Navigation": ("80", "86", "14"),
                "Nav. dynamic": ("77", "83", "7"),
            },
            "new town": {
                "Straight": ("92", "97", "74"),
                "One turn": ("61", "59", "12"),
                "Navigation": ("24", "40", "3"),
                "Nav. dynamic": ("24", "38", "2"),
            },
            "new weather": {
                "Straight": ("100", "98", "86"),
                "One turn": ("95", "90", "16"),
                "Navigation": ("94", "84", "2"),
                "Nav. dynamic": ("89", "82", "2"),
            },
            "new town & weather": {
                "Straight": ("50", "80", "68"),
                "One turn": ("50", "48", "20"),
                "Navigation": ("47", "44", "6"),
                "Nav. dynamic": ("44", "42", "4"),
            },
        }
    ),
    remarks=(
        "A route without a turn is a straight one here, one with two turns or more a navigation;"
        " the paper's navigations go from anywhere to anywhere.",
    ),
)

NOCRASH = Protocol(
    name="nocrash",
    title="NoCrash",
    paper="Codevilla et al. 2019",
    tasks=(
        Task("empty", "Empty"),
        Task("regular", "Regular", (20, 15), (50, 50)),
        Task("dense", "Dense", (100, 70), (250, 150)),
    ),
    rules=NOCRASH_RULES,
    success="A drive succeeds that comes within 2 m of its goal in the time of its route at 5 km/h"
    " and 20 s, without a collision of more than 200 N s, of 150 with a pedestrian.",
    weathers=(
        ("ClearNoon", "WetNoon", "HardRainNoon", "ClearSunset"),
        ("WetSunset", "SoftRainSunset"),
    ),
    methods=("CIL", "CAL", "MT", "CILR", "CILRS"),
    published=MappingProxyType(
        {
            # Table 2
            "training conditions": {
                "Empty": ("79 ± 1", "81 ± 1", "84 ± 1", "92 ± 1", "97 ± 2"),
                "Regular": ("60 ± 1", "73 ± 2", "54 ± 2", "72 ± 5", "83 ± 0"),
                "Dense": ("21 ± 2", "42 ± 3", "13 ± 4", "28 ± 1", "42 ± 2"),
            },
            "new town & weather": {
                "Empty": ("24 ± 1", "25 ± 3", "57 ± 0", "66 ± 2", "90 ± 2"),
                "Regular": ("13 ± 2", "14 ± 2", "32 ± 2", "54 ± 2", "56 ± 2"),
                "Dense": ("2 ± 0", "10 ± 0", "14 ± 2", "13 ± 4", "24 ± 8"),
            },
            # Their Table 5, as Zhao et al. quote it ("SAM: Squeeze-and-Mimic Networks for
            # Conditional Visual Driving Policy Learning", CoRL 2020, Tables 1 and 24).
            "new town": {
                "Empty": ("48 ± 3", "36 ± 6", "41 ± 3", "", "66 ± 2"),
                "Regular": ("27 ± 1", "26 ± 2", "22 ± 0", "", "49 ± 5"),
                "Dense": ("10 ± 2", "9 ± 1", "7 ± 1", "", "23 ± 1"),
            },
            "new weather": {
                "Empty": ("83 ± 2", "85 ± 2", "58 ± 2", "", "96 ± 1"),
                "Regular": ("55 ± 5", "68 ± 5", "40 ± 6", "", "77 ± 1"),
                "Dense": ("13 ± 4", "33 ± 2", "7 ± 2", "", "47 ± 5"),
            },
        }
    ),
    remarks=(
        "Lights crossed on red do not count as failures. In CARLA, CILRS crossed 47 % of them on"
        " red in training conditions and 64 % in the new town & weather (empty).",
    ),
)

PROTOCOLS = {protocol.name: protocol for protocol in (NOCRASH, CORL2017)}
"""By name."""
