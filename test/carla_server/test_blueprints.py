# SPDX-License-Identifier: Apache-2.0
"""The blueprint library: its form on the wire, its attributes, and the bodies of what it names."""

import json
import math
from pathlib import Path

import msgpack
import pytest

from td3_driver.carla_server.library.attributes import Attribute, AttributeType
from td3_driver.carla_server.library.blueprints import LIBRARY, Blueprint, definitions
from td3_driver.world.bodies.vehicle import HEIGHT_M, LENGTH_M, MASS_KG, WIDTH_M

BLUEPRINTS = list(LIBRARY.values())
OBJECTS = Path(__file__).resolve().parents[2] / "config" / "ego_vehicle.json"
# The sensors of the bridge's own objects.json, and the attributes that it sets.
OF_THE_BRIDGE = {
    "sensor.camera.rgb": "image_size_x image_size_y fov",
    "sensor.camera.semantic_segmentation": "image_size_x image_size_y fov",
    "sensor.camera.depth": "image_size_x image_size_y fov",
    "sensor.camera.dvs": "image_size_x image_size_y fov positive_threshold negative_threshold "
    "sigma_positive_threshold sigma_negative_threshold use_log log_eps",
    "sensor.lidar.ray_cast": "range channels points_per_second upper_fov lower_fov "
    "rotation_frequency noise_stddev",
    "sensor.lidar.ray_cast_semantic": "range channels points_per_second upper_fov lower_fov "
    "rotation_frequency",
    "sensor.other.radar": "horizontal_fov vertical_fov points_per_second range",
    "sensor.other.gnss": "noise_alt_stddev noise_lat_stddev noise_lon_stddev noise_alt_bias "
    "noise_lat_bias noise_lon_bias",
    "sensor.other.imu": "noise_accel_stddev_x noise_accel_stddev_y noise_accel_stddev_z "
    "noise_gyro_stddev_x noise_gyro_stddev_y noise_gyro_stddev_z noise_gyro_bias_x "
    "noise_gyro_bias_y noise_gyro_bias_z",
    "sensor.other.collision": "",
    "sensor.other.lane_invasion": "",
}


def check_text(kind: AttributeType, text: str) -> None:
    if kind is AttributeType.BOOL:
        assert text in ("true", "false")
    elif kind is AttributeType.INT:
        int(text)
    elif kind is AttributeType.FLOAT:
        assert math.isfinite(float(text))
    elif kind is AttributeType.COLOR:
        channels = [int(part) for part in text.split(",")]
        assert len(channels) == 3
        assert all(0 <= channel <= 255 for channel in channels)


def settable(blueprint: Blueprint) -> dict[str, Attribute]:
    return {a.id: a for a in blueprint.definition.attributes if a.is_modifiable}


def test_on_the_wire() -> None:
    """Arrays in CARLA's order; enums are integers."""
    sent = msgpack.unpackb(msgpack.packb(definitions()))
    assert len(sent) == len(BLUEPRINTS)
    uid, name, tags, attributes = sent[0]
    assert (uid, name, tags) == (1, "vehicle.audi.a2", "vehicle,audi,a2")
    assert ["base_type", 4, "car", [], False, False] in attributes
    roles = ["autopilot", "scenario", "ego_vehicle"]
    assert ["role_name", 4, "autopilot", roles, True, False] in attributes


def test_nothing_is_there_twice() -> None:
    """Clients keep blueprints and attributes by name, and the server finds them by number."""
    found = definitions()
    assert len({definition.id for definition in found}) == len(found)
    assert sorted(definition.uid for definition in found) == list(range(1, len(found) + 1))
    for definition in found:
        names = [attribute.id for attribute in definition.attributes]
        assert len(set(names)) == len(names), definition.id


def test_texts_are_of_their_types() -> None:
    for blueprint in BLUEPRINTS:
        definition = blueprint.definition
        assert definition.tags.split(",") == definition.id.split(".")
        for attribute in definition.attributes:
            for text in (attribute.value, *attribute.recommended_values):
                check_text(attribute.type, text)
            first = attribute.recommended_values[:1]
            assert first == ([attribute.value] if attribute.is_modifiable else [])
        assert "role_name" in settable(blueprint)


def test_vehicles_and_pedestrians_are_those_of_0_9_16() -> None:
    vehicles = [b for b in BLUEPRINTS if b.id.startswith("vehicle.")]
    assert len(vehicles) == 41
    fixed = "object_type base_type special_type number_of_wheels generation has_lights"
    for vehicle in vehicles:
        assert vehicle.values.keys() >= {*fixed.split(), "has_dynamic_doors"}
        assert not settable(vehicle).keys() & set(fixed.split())
        assert settable(vehicle).keys() >= {"role_name", "sticky_control", "terramechanics"}
        assert vehicle.mass_kg
        assert vehicle.box
        assert vehicle.box.center_z_m == vehicle.box.height_m / 2.0
        two_wheeled = vehicle.base_type in ("bicycle", "motorcycle")
        assert vehicle.values["number_of_wheels"] == ("2" if two_wheeled else "4")
        assert ("driver_id" in settable(vehicle)) >= two_wheeled
    walkers = [b for b in BLUEPRINTS if b.id.startswith("walker.pedestrian.")]
    assert [b.id[-4:] for b in walkers] == [f"{number:04d}" for number in range(1, 53)]
    for walker in walkers:
        assert len(settable(walker)["speed"].recommended_values) == 3  # stands, walks, runs
        assert settable(walker).keys() >= {"is_invincible", "use_wheelchair"}
        assert walker.box
        assert (walker.values["age"] == "child") == (walker.box.height_m < 1.5)


def test_the_model_3_is_the_world_s_car() -> None:
    blueprint = LIBRARY["vehicle.tesla.model3"]
    assert blueprint.box == (LENGTH_M, WIDTH_M, HEIGHT_M, HEIGHT_M / 2.0)
    assert blueprint.mass_kg == MASS_KG


@pytest.mark.parametrize("name", OF_THE_BRIDGE)
def test_what_the_bridge_sets_can_be_set(name: str) -> None:
    assert settable(LIBRARY[name]).keys() >= {"role_name", *OF_THE_BRIDGE[name].split()}


def test_what_our_objects_file_sets_can_be_set() -> None:
    (*_, vehicle) = json.loads(OBJECTS.read_text())["objects"]
    for told in (vehicle, *vehicle["sensors"]):
        if ".pseudo." in told["type"]:
            continue  # the bridge's own, which no server knows
        blueprint = LIBRARY[told["type"]]
        assert blueprint.simulated
        own = told.keys() - {"type", "id", "spawn_point", "sensors", "attributes"}
        assert settable(blueprint).keys() >= own


def test_what_is_not_simulated_can_be_found() -> None:
    """A client may look for it; spawning it is refused by name."""
    missing = {blueprint.id for blueprint in BLUEPRINTS if not blueprint.simulated}
    assert missing >= {"sensor.lidar.ray_cast", "sensor.other.radar", "sensor.camera.dvs"}
    there = {b.id for b in BLUEPRINTS if b.id.startswith("sensor.")} - missing
    assert there == {
        "sensor.camera.rgb", "sensor.camera.depth", "sensor.camera.semantic_segmentation",
        "sensor.other.collision", "sensor.other.lane_invasion", "sensor.other.gnss",
        "sensor.other.imu", "sensor.other.obstacle",
    }  # fmt: skip
