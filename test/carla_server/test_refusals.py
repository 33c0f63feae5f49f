# SPDX-License-Identifier: Apache-2.0
"""What is refused, in a line that says why, and what is left as it was."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from td3_driver.carla_server.episode import MOST_ACTORS
from td3_driver.carla_server.log import Log

from .serving import MAPS
from .stranger import NOWHERE, Stranger

FAR = """<?xml version="1.0"?><OpenDRIVE><header revMajor="1" revMinor="4"/>{roads}</OpenDRIVE>"""
ROAD = """<road id="{id}" length="50" junction="-1"><planView><geometry s="0" x="{x}" y="0"
 hdg="0" length="50"><line/></geometry></planView><lanes><laneSection s="0"><center><lane id="0"
 type="none"/></center><right><lane id="-1" type="driving"><width sOffset="0" a="3.5" b="0" c="0"
 d="0"/></lane></right></laneSection></lanes></road>"""
BOMB = """<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">{}]>
 <OpenDRIVE>&j;</OpenDRIVE>"""


def far_apart() -> str:
    """Two roads, half a million metres from each other."""
    return FAR.format(roads=ROAD.format(id=1, x=0) + ROAD.format(id=2, x=500_000))


def xml_bomb() -> str:
    """Few letters of XML that stand for ten billion."""
    names = "abcdefghij"
    entities = (f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in itertools.pairwise(names))
    return BOMB.format("".join(entities))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    folder = tmp_path_factory.mktemp("maps")
    town = folder / "circle.xodr"
    town.write_bytes((MAPS / "circle.xodr").read_bytes())
    (folder / "broken.xodr").write_text("<OpenDRIVE><road>")
    (folder / "binary.xodr").write_bytes(bytes(range(256)) * 100)
    (folder / "far.xodr").write_text(far_apart())
    (folder / "folder.xodr").mkdir()
    (folder.parent / "outside.xodr").write_bytes((MAPS / "plain.xodr").read_bytes())
    return Stranger(town, folder)


@pytest.mark.parametrize(
    "name",
    [
        "nowhere", "broken", "binary", "far", "folder", "../outside", "../outside.xodr",
        "/etc/passwd", "../../../../../../etc/passwd", "circle.xodr", "circle\0", "/", "..",
        "OpenDriveMap",
    ],
)  # fmt: skip
def test_a_map_that_cannot_be_entered_leaves_the_episode_as_it_is(
    stranger: Stranger, name: str
) -> None:
    before, actors = stranger.value("get_episode_info"), stranger.ids()
    refusal = stranger.refusal("load_new_episode", name, True, 0)
    assert "map" in refusal
    assert "\n" not in refusal
    assert "root:" not in refusal
    stranger.server.tick()
    assert stranger.value("get_episode_info") == before
    assert set(actors) <= set(stranger.ids())


@pytest.mark.parametrize(
    "document", ["", "garbage", "<OpenDRIVE/>", "../circle.xodr", xml_bomb(), far_apart()]
)
def test_roads_that_are_none_leave_the_episode_as_it_is(
    stranger: Stranger, document: str
) -> None:
    before = stranger.value("get_episode_info")
    stranger.value("copy_opendrive_to_file", document, [])
    assert "map OpenDriveMap" in stranger.refusal("load_new_episode", "OpenDriveMap", True, 0)
    assert stranger.value("get_episode_info") == before


@pytest.mark.parametrize("delta_s", [-0.05, 1e-9, 5e-324, 1.5, 1e6])
def test_a_step_that_is_none_leaves_the_settings(stranger: Stranger, delta_s: float) -> None:
    before = stranger.value("get_episode_settings")
    settings = [True, False, [True, delta_s]]
    assert "fixed_delta_seconds" in stranger.refusal("set_episode_settings", settings)
    assert stranger.value("get_episode_settings") == before


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("sensor.camera.rgb", "image_size_x", "0"),
        ("sensor.camera.rgb", "image_size_y", "4097"),
        ("sensor.camera.depth", "image_size_x", "1e400"),
        ("sensor.camera.rgb", "fov", "180"),
        ("sensor.camera.rgb", "fov", "1e-9"),
        ("sensor.camera.semantic_segmentation", "fov", "nan"),
        ("sensor.camera.rgb", "sensor_tick", "-1"),
        ("sensor.other.imu", "noise_gyro_bias_x", "much"),
        ("sensor.other.imu", "noise_seed", "9" * 400),
        ("sensor.other.gnss", "noise_lat_stddev", "inf"),
        ("sensor.other.obstacle", "distance", "9999999"),
        ("sensor.other.obstacle", "only_dynamics", "perhaps"),
        ("vehicle.tesla.model3", "color", "red"),
        ("vehicle.tesla.model3", "color", "300,0,0"),
        ("vehicle.tesla.model3", "role_name", "x" * 100_000),
        ("vehicle.tesla.model3", "role_name", "\udcff"),
    ],
)
def test_an_attribute_that_no_sensor_or_car_can_have_is_named(
    stranger: Stranger, kind: str, name: str, value: str
) -> None:
    before = stranger.ids()
    described = [1, kind, [[name, 4, value]]]
    refusal = stranger.refusal("spawn_actor", described, NOWHERE)
    assert name in refusal or "UTF-8" in refusal
    assert stranger.ids() == before


def test_other_clients_are_told_of_known_attributes_alone(stranger: Stranger) -> None:
    described = [2**32 - 1, "sensor.other.imu", [["sensor_tick", 250, "0.5"], ["x" * 50, 4, "y"]]]
    imu = stranger.value("spawn_actor", described, NOWHERE)
    (seen,) = stranger.value("get_actors_by_id", [imu[0]] * 1000)
    assert seen == imu
    attributes = {name: (kind, value) for name, kind, value in seen[2][2]}
    assert attributes["sensor_tick"] == (3, "0.5")
    assert "x" * 50 not in attributes
    stranger.value("destroy_actor", imu[0])


def test_cameras_have_so_many_pixels_together(stranger: Stranger) -> None:
    large = {"image_size_x": 4096, "image_size_y": 4096}
    cameras = [stranger.spawn("sensor.camera.rgb", **large) for _ in range(4)]
    described = [1, "sensor.camera.rgb", [["image_size_x", 2, "1"], ["image_size_y", 2, "1"]]]
    assert "pixels" in stranger.refusal("spawn_actor", described, NOWHERE)
    for camera in cameras:
        stranger.value("destroy_actor", camera)
    tiny = stranger.spawn("sensor.camera.rgb", image_size_x=1, image_size_y=1)
    stranger.value("destroy_actor", tiny)


def test_there_is_room_for_so_many_actors(stranger: Stranger) -> None:
    spawn = [[0, [[1, "controller.ai.walker", []], NOWHERE, [False]]]]
    answers = stranger.call("apply_batch", [spawn] * (MOST_ACTORS + 10), False)
    made = [answer[1] for [answer] in answers if answer[0] == 1]
    assert MOST_ACTORS - 50 < len(made) < MOST_ACTORS
    assert "as many as there may be" in answers[-1][0][1][0]
    stranger.server.tick()
    stranger.call("apply_batch", [[[1, [actor_id]]] for actor_id in made], False)


def _family(stranger: Stranger) -> list[int]:
    at = stranger.value("get_map_info")[1][0]
    car = stranger.spawn("vehicle.tesla.model3", at)
    camera = stranger.spawn("sensor.camera.rgb", parent=car)
    imu = stranger.spawn("sensor.other.imu", parent=camera)
    return [car, camera, imu]


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_what_belongs_together_may_be_destroyed_in_any_order(
    stranger: Stranger, order: tuple[int, ...]
) -> None:
    family = _family(stranger)
    for index in order:
        assert stranger.value("destroy_actor", family[index]) is True
        assert str(family[index]) in stranger.refusal("destroy_actor", family[index])
        stranger.server.tick()
    assert not set(family) & set(stranger.ids())
    for name, *arguments in (
        ["apply_control_to_vehicle", [0.0] * 3],
        ["set_actor_transform", NOWHERE],
        ["get_physics_control"],
    ):
        assert str(family[0]) in stranger.refusal(name, family[0], *arguments)


def test_everybody_is_destroyed_or_stays_and_the_world_goes_on(stranger: Stranger) -> None:
    for actor_id in stranger.ids():
        stranger.call("destroy_actor", actor_id)
        stranger.server.tick()
    assert stranger.value("get_spectator")[0] in stranger.ids()


def test_numbers_of_an_old_episode_are_nobodys(stranger: Stranger) -> None:
    old = [*_family(stranger), *stranger.ids()]
    stranger.value("load_new_episode", "Carla/Maps/circle", True, 0)
    assert not set(old) & set(stranger.ids())
    assert stranger.value("get_actors_by_id", old) == []
    assert str(old[0]) in stranger.refusal("destroy_actor", old[0])


def test_each_command_of_a_batch_has_its_answer(stranger: Stranger) -> None:
    at = stranger.value("get_map_info")[1][0]
    car: Any = [1, "vehicle.tesla.model3", []]
    nested = [0, [car, NOWHERE, [False], 0, "", []]]
    commands = [
        [[0, [car, at, [False], 0, "", [[2, [0, [1.0, 0.0, 0.0]]], nested, [99, []], 5]]]],
        [[1, []]], [[1, [2**64 - 1]]], [[99, []]], [[-1, []]], [], 7, None, [[]], [[0, []]],
        [[1]], {"a": 1}, [[2, [1, None]]],
    ]  # fmt: skip
    answers = stranger.call("apply_batch", commands, True)
    assert [answer[0] for [answer] in answers] == [1] + [0] * (len(commands) - 1)
    assert stranger.value("destroy_actor", answers[0][0][1]) is True


def test_the_log_counts_what_is_too_much(capfd: pytest.CaptureFixture[str]) -> None:
    now_s = [0.0]
    log = Log(lambda: now_s[0])
    for number in range(100_000):
        log.say(f"line {number}")
        try:
            raise KeyError(number)
        except KeyError:
            log.failed("a call")
    said, traces = capfd.readouterr()
    assert said.count("line") == traces.count("Traceback") == 10
    now_s[0] = 11.0
    log.say("later")
    said, _ = capfd.readouterr()
    assert said.splitlines() == [
        "[carla_server] 199980 messages were left out", "[carla_server] later",
    ]  # fmt: skip
