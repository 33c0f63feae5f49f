# SPDX-License-Identifier: Apache-2.0
"""What an actor says of itself is what is in the world: its class, its place, its parent's."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from td3_driver.carla_server.actors import Actor, CrowdActor, Sensor
from td3_driver.carla_server.sensors import cameras, events
from td3_driver.world.semantic_class import SemanticClass

from .serving import MAPS
from .stranger import Stranger

BEHIND = [[-8.0, 0.0, 3.0], [-15.0, 0.0, 0.0]]
DOWN = [[0.0, 0.0, 6.0], [-90.0, 0.0, 0.0]]
SMALL = {"image_size_x": 64, "image_size_y": 48}


@pytest.fixture(scope="module")
def town() -> Stranger:
    return Stranger(MAPS / "circle.xodr")


@pytest.fixture
def stranger(town: Stranger) -> Iterator[Stranger]:
    town.value("set_episode_settings", [True, False, [True, 0.05]])
    before = set(town.ids())
    yield town
    for actor_id in set(town.ids()) - before:
        town.call("destroy_actor", actor_id)


def first_place(stranger: Stranger) -> Any:
    return stranger.value("get_map_info")[1][0]


def actor(stranger: Stranger, actor_id: int) -> Actor:
    return stranger.server.episode.actors[actor_id]


def seen(stranger: Stranger, camera_id: int) -> set[int]:
    """The tags in the picture of a semantic camera."""
    episode, camera = stranger.server.episode, actor(stranger, camera_id)
    assert isinstance(camera, Sensor)
    parent = episode.actors.get(camera.parent_id)
    _, pixels = cameras.picture(camera, parent, episode.scene, episode.look)
    return set(pixels[2::4])


def of_the_crowd(stranger: Stranger) -> CrowdActor:
    stranger.server.tick()
    return next(
        found
        for found in stranger.server.episode.actors.values()
        if isinstance(found, CrowdActor) and found.kind.startswith("vehicle.")
    )


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("tesla.model3", SemanticClass.CAR),
        ("carlamotors.firetruck", SemanticClass.TRUCK),
        ("mitsubishi.fusorosa", SemanticClass.BUS),
        ("kawasaki.ninja", SemanticClass.MOTORCYCLE),
        ("bh.crossbike", SemanticClass.BICYCLE),
    ],
)
def test_a_vehicle_is_seen_as_its_tags_say(
    stranger: Stranger, kind: str, shown: SemanticClass
) -> None:
    vehicle = stranger.spawn(f"vehicle.{kind}", first_place(stranger))
    assert actor(stranger, vehicle).tags == bytes([shown])
    semantic = "sensor.camera.semantic_segmentation"
    behind = stranger.spawn(semantic, BEHIND, parent=vehicle, **SMALL)
    vehicles = range(SemanticClass.CAR, SemanticClass.BICYCLE + 1)
    assert seen(stranger, behind).intersection(vehicles) == {shown}
    above = stranger.spawn(semantic, DOWN, parent=vehicle, **SMALL)
    assert not seen(stranger, above).intersection(vehicles)


def test_a_prop_that_is_moved_is_there(stranger: Stranger) -> None:
    prop = stranger.spawn("static.prop.container", first_place(stranger))
    stranger.value("set_actor_transform", prop, [[12.0, -3.0, 0.5], [0.0, 90.0, 0.0]])
    stranger.server.tick()
    pose = stranger.server.episode.scene.props[prop].pose
    assert (pose.x_m, pose.y_m, pose.z_m) == (12.0, 3.0, 0.5)
    assert pose.yaw_rad == pytest.approx(-np.pi / 2.0)
    assert actor(stranger, prop).pose == (12.0, -3.0, 0.5, 0.0, 90.0, 0.0)


def test_a_prop_on_a_car_goes_with_it_and_stops_nobody(stranger: Stranger) -> None:
    car = stranger.spawn("vehicle.tesla.model3", first_place(stranger))
    load = stranger.spawn("static.prop.box01", [[1.0, 0.0, 1.0], [0.0] * 3], parent=car)
    stranger.value("apply_control_to_vehicle", car, [1.0, 0.0, 0.0])
    start = actor(stranger, car).pose
    for _ in range(40):
        stranger.server.tick()
    there = actor(stranger, car).pose
    assert np.hypot(*np.subtract(there[:2], start[:2])) > 4.0
    pose = stranger.server.episode.scene.props[load].pose
    assert np.hypot(pose.x_m - there[0], -pose.y_m - there[1]) == pytest.approx(1.0, abs=0.01)


def test_a_prop_on_a_vehicle_of_the_traffic_does_not_stop_it(stranger: Stranger) -> None:
    vehicle = of_the_crowd(stranger)
    stranger.spawn("static.prop.box01", [[5.0, 0.0, 0.0], [0.0] * 3], parent=vehicle.id)
    for _ in range(100):
        stranger.server.tick()
    assert np.hypot(*vehicle.velocity[:2]) > 1.0


def test_a_vehicle_that_is_carried_stays_where_it_is_put(stranger: Stranger) -> None:
    truck = stranger.spawn("vehicle.carlamotors.firetruck", first_place(stranger))
    carried = stranger.spawn(
        "vehicle.vespa.zx125", [[-8.0, 0.0, 0.0], [0.0] * 3], parent=truck
    )
    stranger.value("apply_control_to_vehicle", truck, [1.0, 0.0, 0.0])
    for _ in range(40):
        stranger.server.tick()
    apart = np.subtract(actor(stranger, truck).pose[:2], actor(stranger, carried).pose[:2])
    assert np.hypot(*apart) == pytest.approx(8.0, abs=0.01)
    pose = stranger.server.episode.scene.cars[carried].pose
    assert (pose.x_m, -pose.y_m) == pytest.approx(actor(stranger, carried).pose[:2])


def test_sensors_on_traffic_do_not_sense_it(stranger: Stranger) -> None:
    """Its body has another number than the actor; there is no other vehicle."""
    vehicle = of_the_crowd(stranger)
    camera = stranger.spawn(
        "sensor.camera.semantic_segmentation", DOWN, parent=vehicle.id, **SMALL
    )
    assert SemanticClass.CAR not in seen(stranger, camera)
    ahead = actor(stranger, stranger.spawn("sensor.other.obstacle", parent=vehicle.id))
    assert isinstance(ahead, Sensor)
    found = events.obstacle(ahead, vehicle, stranger.server.episode.scene)
    assert found is None or found[0] != vehicle.body_id


@pytest.mark.parametrize("radius_m", [0.0, 0.5])
def test_an_obstacle_is_seen_along_a_line_or_a_strip(
    stranger: Stranger, radius_m: float
) -> None:
    car = stranger.spawn("vehicle.tesla.model3", first_place(stranger))
    block = stranger.spawn("static.prop.container", [[8.0, 0.0, 0.0], [0.0] * 3], parent=car)
    settings = {"distance": 20.0, "hit_radius": radius_m}
    ahead = actor(stranger, stranger.spawn("sensor.other.obstacle", parent=car, **settings))
    assert isinstance(ahead, Sensor)
    found = events.obstacle(ahead, actor(stranger, car), stranger.server.episode.scene)
    assert found == (block, pytest.approx(8.0 - 1.93 / 2.0))


def test_traffic_has_all_the_attributes_of_its_kind(stranger: Stranger) -> None:
    vehicle = of_the_crowd(stranger)
    assert vehicle.description.text("role_name") == "autopilot"
    assert vehicle.description.text("number_of_wheels") == "4"
    body = stranger.server.episode.scene.others.bodies()
    (row,) = np.flatnonzero(body.actor_ids == vehicle.body_id)
    red, green, blue = map(int, vehicle.description.text("color").split(","))
    assert (blue, green, red) == pytest.approx(tuple(body.colors_bgr[row]), abs=0.5)


def test_a_spawned_actor_is_told_of_whatever_follows(stranger: Stranger) -> None:
    """As CARLA does: else nobody knew of it."""
    described: Any = [1, "vehicle.tesla.model3", []]
    force, drive = [[11, [0, [1.0, 0.0, 0.0]]]], [[2, [0, [0.5, 0.0, 0.0]]]]
    spawn = [[0, [described, first_place(stranger), [False], 0, "", [force, drive]]]]
    ((answer,),) = stranger.call("apply_batch", [spawn], False)
    assert answer[0] == 1
    assert stranger.server.episode.actor(answer[1]).control.throttle == 0.5  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("command", "gear"),
    [
        ([1.0, 0.0, 0.0], 1),
        ([1.0, 0.0, 0.0, False, True], -1),
        ([1.0, 0.0, 0.0, False, False, True, 3], 3),
        ([1.0, 0.0, 0.0, False, False, True, -1], -1),
    ],
)
def test_the_gear_that_is_told_is_that_of_the_drive(
    stranger: Stranger, command: list[Any], gear: int
) -> None:
    """In the state, whose client reads a car's control there, and in the telemetry."""
    car = stranger.spawn("vehicle.tesla.model3", first_place(stranger))
    stranger.value("apply_control_to_vehicle", car, command)
    for _ in range(40):
        stranger.server.tick()
    _, backwards, _, told = struct.unpack_from("<3?i", actor(stranger, car).state(), 65 + 12)
    assert (told, backwards) == (gear, gear < 0)
    assert stranger.value("get_telemetry_data", car)[5] == gear
    yaw_rad = np.radians(actor(stranger, car).pose[4])
    ahead = np.dot(actor(stranger, car).velocity[:2], (np.cos(yaw_rad), np.sin(yaw_rad)))
    assert np.sign(ahead) == np.sign(gear)


def test_numbers_that_other_clients_cannot_read_are_refused(stranger: Stranger) -> None:
    car = stranger.spawn("vehicle.tesla.model3", first_place(stranger))
    assert "state" in stranger.refusal("set_vehicle_light_state", car, [2**32])
    settings = [True, False, [True, 0.05], True, 0.01, 2**31]
    assert "2147483647" in stranger.refusal("set_episode_settings", settings)
    assert [[0, ["4294967296; expected 0 to 4294967295"]]] in stranger.call(
        "apply_batch", [[[18, [car, 2**32]]]], False
    )
    for address in (["127.0.0.1", 70000], ["x" * 1000, 8000], ["\udcff", 8000], ["127.0.0.1"], 7):
        assert "add_traffic_manager" in stranger.refusal("add_traffic_manager_running", address)


@pytest.mark.parametrize(
    ("delta_s", "tick_s", "every"),
    [(0.01, 0.1, 10), (0.02, 0.1, 5), (0.04, 0.2, 5), (0.05, 0.1, 2)],
)
def test_a_sensor_senses_as_often_as_it_is_told(
    stranger: Stranger, monkeypatch: pytest.MonkeyPatch, delta_s: float, tick_s: float, every: int
) -> None:
    """A step is a float: ten of 0.01 s are less than 0.1 s."""
    stranger.value("set_episode_settings", [True, False, [True, delta_s]])
    imu = actor(stranger, stranger.spawn("sensor.other.imu", sensor_tick=tick_s))
    assert isinstance(imu, Sensor)
    streams, sent = stranger.server.streams, []
    monkeypatch.setattr(streams, "heard", lambda stream_id: stream_id == imu.stream_id)
    monkeypatch.setattr(streams, "publish", lambda *_: sent.append(stranger.server.frame))
    for _ in range(4 * every):
        stranger.server.tick()
    assert np.diff(sent).tolist() == [every] * 3
