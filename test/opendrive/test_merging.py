# SPDX-License-Identifier: Apache-2.0
"""Maps side by side: nothing of them is lost, mixed up, or driven where it was left out."""

from __future__ import annotations

import re
from pathlib import Path

import carla
import numpy as np
import pytest

from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.driving.routes.routing import random_route
from td3_driver.opendrive.elements import OpenDriveError
from td3_driver.opendrive.merging import Part, merge
from td3_driver.world.roads.generation import generate_opendrive, roads_of

NAMES = ["city", "town", "varied", "city"]


@pytest.fixture(scope="module")
def apart() -> list[RoadMap]:
    return [roads_of([name], 7 + place, "easy") for place, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def together() -> RoadMap:
    return roads_of(NAMES, 7, "easy")


def corner(road_map: RoadMap) -> np.ndarray:
    outlines = [lane.outline_m for lane in road_map.lanes.values()]
    return np.concatenate(outlines).min(axis=0)


def test_every_lane_is_there_once_moved_and_leads_where_it_did(
    apart: list[RoadMap], together: RoadMap
) -> None:
    assert not together.notes
    found = list(together.lanes.values())
    assert len(found) == sum(len(road_map.lanes) for road_map in apart)
    shifts = []
    for road_map in apart:
        mine, found = found[: len(road_map.lanes)], found[len(road_map.lanes) :]
        shift = mine[0].line_m[0] - next(iter(road_map.lanes.values())).line_m[0]
        shifts.append(tuple(np.round(shift, 3)))
        for lane, own in zip(mine, road_map.lanes.values(), strict=True):
            np.testing.assert_allclose(lane.line_m, own.line_m + shift, atol=1e-6)
            assert together.own_id(lane.key.road_id) == own.key.road_id
            for line, its in zip(lane.left_lines, own.left_lines, strict=True):
                assert line._replace(begin_m=its.begin_m, end_m=its.end_m) == its
                assert line.end_m == pytest.approx(its.end_m)
            after = [
                (together.own_id(key.road_id), *key[1:])
                for key in together.lane_graph.successors(lane.key)
            ]
            assert after == [tuple(key) for key in road_map.lane_graph.successors(own.key)]
    assert shifts[0] == (0.0, 0.0)
    assert len(set(shifts)) == len(NAMES)


def test_they_keep_apart(apart: list[RoadMap], together: RoadMap) -> None:
    outlines = [
        np.concatenate([lane.outline_m for lane in together.lanes.values()][begin:end])
        for begin, end in zip(
            np.cumsum([0, *(len(road_map.lanes) for road_map in apart[:-1])]),
            np.cumsum([len(road_map.lanes) for road_map in apart]),
            strict=True,
        )
    ]
    for place, one in enumerate(outlines):
        for other in outlines[:place]:
            between = np.maximum(one.min(0) - other.max(0), other.min(0) - one.max(0))
            assert between.max() >= 99.0


def test_carla_reads_the_same(apart: list[RoadMap], together: RoadMap) -> None:
    def ways(road_map: RoadMap) -> int:
        return len(carla.Map("merged", road_map.opendrive).get_topology())

    assert ways(together) == sum(map(ways, apart))


def test_no_route_leads_from_one_to_another_and_each_is_driven(together: RoadMap) -> None:
    rng = np.random.default_rng(0)
    begins = np.array([random_route(together, rng, 300.0).points_m[[0, -1]] for _ in range(60)])
    assert np.hypot(*(begins[:, 0] - begins[:, 1]).T).max() < 300.0
    middle = begins[:, 0].mean(axis=0)
    quarters = {tuple(point > middle) for point in begins[:, 0]}
    assert len(quarters) == len(NAMES)


TOWNS = Path(__file__).resolve().parents[1] / "data" / "maps"


@pytest.mark.parametrize(
    ("beside", "ids"),
    [
        ("city", "as they are"),
        ("easy", "text"),
        ("easy", "long"),
        (str(TOWNS / "plain.xodr"), "as they are"),
    ],
)
def test_a_drive_for_each_purpose_starts_where_it_does_without_others(
    beside: str, ids: str
) -> None:
    """A policy that learned on several maps is judged on one of them."""
    opendrive = generate_opendrive(8, "town")
    if ids != "as they are":
        named = re.sub(
            r'(?<=[ <]road id=")(?=[0-9])', "r" if ids == "text" else "90000", opendrive
        )
        for key in ("elementId", "incomingRoad", "connectingRoad"):
            named = re.sub(rf'(?<={key}=")(?=[0-9])', "r" if ids == "text" else "90000", named)
        opendrive = named
    alone = RoadMap(opendrive, "alone")
    together = RoadMap.side_by_side([roads_of([beside], 3, "easy"), alone])
    moved = [lane for key, lane in together.lanes.items() if together.part_of(key.road_id) == 1]
    shift = moved[0].line_m[0] - next(iter(alone.lanes.values())).line_m[0]

    def starts(road_map: RoadMap, purpose: Purpose, shift: np.ndarray) -> set[tuple[float, ...]]:
        """All of them, nearly."""
        rng = np.random.default_rng(0)
        routes = [random_route(road_map, rng, 10.0, purpose) for _ in range(500)]
        return {tuple(np.round(route.points_m[0] - shift, 1) + 0.0) for route in routes}

    for purpose in (Purpose.EVALUATION, Purpose.SELECTION):
        judged = starts(alone, purpose, np.zeros(2))
        assert not judged & starts(together, Purpose.TRAINING, shift)
        assert judged & starts(together, purpose, shift)


SIGNALS = """<OpenDRIVE><header revMajor="1" revMinor="4" north="9" name="n"/>
<road id="a" length="50" junction="-1"><planView><geometry s="0" x="0" y="0" hdg="0" length="50">
<line/></geometry></planView><lanes><laneSection s="0"><center><lane id="0" type="none"/></center>
<right><lane id="-1" type="driving"><width sOffset="0" a="3.5" b="0" c="0" d="0"/></lane></right>
</laneSection></lanes><signals><signal id="1" s="40" t="-4" type="1000001" dynamic="yes"
orientation="+"/></signals></road><controller id="1"><control signalId="1"/></controller>
</OpenDRIVE>"""


def test_lights_keep_their_controllers_and_ids_that_are_no_numbers_stay_apart() -> None:
    merged = RoadMap(merge([Part(SIGNALS), Part(SIGNALS, north_m=200.0)]), "merged")
    assert not merged.notes
    assert len(merged.lanes) == len(merged.signals) == 2
    lights = [light.record.signal_id for light in merged.lights]
    assert len(set(lights)) == 2
    assert [controller.signals for controller in merged.controllers] == [(one,) for one in lights]
    assert "north" not in merged.opendrive


def test_a_road_that_cannot_be_read_is_left_out_as_alone() -> None:
    broken = SIGNALS.replace('x="0"', 'x="inf"').replace('id="a"', 'id="b"')
    road = broken[broken.index("<road") : broken.index("<controller")]
    both = SIGNALS.replace("<controller", f"{road}<controller")
    assert len(RoadMap(both, "alone").lanes) == 1
    merged = RoadMap(merge([Part(SIGNALS), Part(both, north_m=200.0)]), "merged")
    assert len(merged.lanes) == 2
    assert len(merged.notes) == 1


def test_numbers_stay_such_as_carla_takes() -> None:
    """An object with a long id makes no road's longer."""
    text = generate_opendrive(8, "town")
    road_end = text.index("</road>")
    with_object = f'{text[:road_end]}<objects><object id="5123456789"/></objects>{text[road_end:]}'
    merged = merge([Part(text), Part(with_object, north_m=900.0)])
    assert len(carla.Map("m", merged).get_topology()) == 2 * len(
        carla.Map("m", text).get_topology()
    )
    with pytest.raises(RoadMapError, match="too long a number"):
        RoadMap.side_by_side([RoadMap(text.replace('id="1"', 'id="812345678"'), "a")] * 3)


def test_what_is_no_map_is_said() -> None:
    with pytest.raises(OpenDriveError, match="expected <OpenDRIVE>"):
        merge([Part(generate_opendrive(0)), Part("<kml/>")])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        roads_of(["city", "nowhere.xodr"], 0, "easy")
