# SPDX-License-Identifier: Apache-2.0
"""The bridge's objects.json: what is read, and what a wrong file is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from td3_driver.bridge_twin.objects_file import (
    CAMERA,
    CameraPicture,
    Mounting,
    ObjectsFileError,
    Sensor,
    camera_config,
    default_car,
    picture_of,
    read_car,
)
from td3_driver.world.camera.camera import CameraConfig

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT / "test" / "data" / "objects_sensor_tick"
FRONT = {"type": CAMERA, "id": "rgb_front", "spawn_point": {"x": 1.6, "z": 1.5}}


def written(folder: Path, content: object) -> Path:
    file = folder / "objects.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def objects(*sensors: dict[str, Any], role: str = "ego_vehicle") -> dict[str, Any]:
    return {"objects": [{"type": "vehicle.audi.tt", "id": role, "sensors": list(sensors)}]}


def test_the_file_that_we_ship_is_the_default_car() -> None:
    shipped = read_car(ROOT / "config" / "ego_vehicle.json", "ego_vehicle", "rgb_front")
    picture = picture_of(shipped.camera())
    assert picture == CameraPicture(320, 240, 90.0)
    front = CameraConfig(width_px=320, height_px=240)
    ours = default_car("ego_vehicle", "control", (front,))
    more = Sensor("sensor.pseudo.objects", "objects", attached=False)
    assert shipped.sensors == tuple(each for each in ours.sensors if each != more)
    assert more in ours.sensors


def test_what_is_not_simulated_is_named(tmp_path: Path) -> None:
    nameless = {"type": CAMERA}
    content = objects(nameless, FRONT, {"type": "sensor.other.gnss", "id": "gnss"})
    content["objects"].append({"type": "sensor.pseudo.actor_list", "id": "actors"})
    content["objects"].append({"type": "sensor.pseudo.traffic_lights", "id": "lights"})
    content["objects"].append({"type": "sensor.pseudo.objects", "id": "all"})
    car = read_car(written(tmp_path, content), "ego_vehicle", "rgb_front")
    assert car.left_out == (
        "sensor.pseudo.actor_list/actors", CAMERA, "sensor.other.gnss/gnss",
    )  # fmt: skip
    assert [(sensor.id, sensor.attached) for sensor in car.sensors] == [
        ("lights", False), ("all", False), ("rgb_front", True),
    ]  # fmt: skip
    assert picture_of(car.camera()) == CameraPicture(800, 600, 90.0)  # CARLA's blueprint


@pytest.mark.parametrize(
    ("name", "sensor_tick_s"), [("bom", 0.0), ("tick_equal", 0.05), ("tick_smaller", 0.02)]
)
def test_files_of_other_hands(name: str, sensor_tick_s: float) -> None:
    """A byte-order mark, a `sensor_tick` up to the tick, and a role besides the id."""
    for role in ("ego_vehicle", "hero"):
        car = read_car(CASES / f"{name}.json", role, "rgb_front")
        assert picture_of(car.camera()) == CameraPicture(320, 240, 90.0, sensor_tick_s)
        assert (car.role_name, car.left_out) == (role, ())
        assert car.spawn is not None
        assert car.spawn.x_m == 85.0


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_any_unicode_is_read(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "objects.json"
    content = objects({**FRONT, "comment": "für vorne"})
    file.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    assert read_car(file, "ego_vehicle", "rgb_front").camera().mounting.x == 1.6


def test_numbers_as_text_and_attributes_of_all_kinds(tmp_path: Path) -> None:
    """As CARLA's own files have them; what a sensor has that is not simulated may be anything."""
    front = {
        **FRONT, "sensor_tick": "0.1", "fov": "110", "image_size_x": "320.0", "gamma": "2.2",
        "spawn_point": {"x": "2.0", "y": "0.0", "z": "2.0", "roll": "0.0", "yaw": "0"},
    }  # fmt: skip
    lidar = {"type": "sensor.lidar.ray_cast", "spawn_point": [1, 2], "range": None}
    content = objects(front, lidar)
    content["objects"][0] |= {"spawn_point": None, "color": "255,0,0", "attributes": {"gear": 1}}
    car = read_car(written(tmp_path, content), "ego_vehicle", "rgb_front")
    assert picture_of(car.camera()) == CameraPicture(320, 600, 110.0, 0.1)
    assert car.camera().mounting == Mounting(2.0, 0.0, 2.0)
    assert car.left_out == (
        "sensor.lidar.ray_cast", "vehicle.audi.tt/ego_vehicle color",
        "vehicle.audi.tt/ego_vehicle gear", f"{CAMERA}/rgb_front gamma",
    )  # fmt: skip


def test_all_cameras_are_simulated_the_front_one_first(tmp_path: Path) -> None:
    left = {
        "type": CAMERA, "id": "rgb_left", "image_size_x": 64, "image_size_y": 48, "fov": 60.0,
        "spawn_point": {"x": 1.0, "y": 0.5, "z": 1.2, "roll": 1.0, "pitch": 5.0, "yaw": 70.0},
    }  # fmt: skip
    car = read_car(written(tmp_path, objects(left, FRONT)), "ego_vehicle", "rgb_front")
    assert [sensor.id for sensor in car.sensors] == ["rgb_left", "rgb_front"]  # as published
    assert [camera.id for camera in car.cameras()] == ["rgb_front", "rgb_left"]
    assert car.camera().id == "rgb_front"
    assert car.left_out == ()
    assert camera_config(car.cameras()[1]) == CameraConfig(
        "rgb_left", 64, 48, 60.0, 1.0, 0.5, 1.2, pitch_deg=5.0, yaw_deg=70.0, roll_deg=1.0
    )


def json_with(change: str) -> str:
    """A sound file with one line of what JSON does not know; line 3 has it."""
    text = json.dumps(objects(FRONT), indent=1)
    lines = text.split("\n")
    lines[2] = lines[2] + change
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "line 1, column 2: not JSON"),
        ("", "line 1, column 1: the file is empty"),
        (json_with(" // the car"), "line 3, column 5: a comment; JSON has none"),
        (json_with(" # the car"), "line 3, column 5: a comment; JSON has none"),
        (json_with(" /* the car */"), "line 3, column 5: a comment; JSON has none"),
        ('{"objects": [\n{},\n]}', "line 3, column 1: a comma before this ']'"),
        ('{"objects": [],\n}', "line 2, column 1: a comma before this '}'"),
        ("{'objects': []}", "line 1, column 2: text in single quotes"),
        ("[" * 100_000, "nested too deeply"),
        ("[]", "not the bridge's format: no list of objects"),
        ({"cars": []}, "not the bridge's format: no list of objects"),
        ({"objects": {}}, "not the bridge's format: no list of objects"),
        ({"objects": [{"id": "ego_vehicle"}]}, "object 1 has no type"),
        (
            {"objects": [{**objects(FRONT)["objects"][0], "attributes": [1]}]},
            "attributes of vehicle.audi.tt/ego_vehicle: expected names and values",
        ),
        ({"objects": [3]}, "object 1 has no type"),
        (objects({"id": "rgb_front"}), "sensor 1 of ego_vehicle has no type"),
        (objects({"type": CAMERA}, FRONT, {"type": "sensor.pseudo.odom"}), "odom has no id"),
        ({"objects": [{"type": "vehicle.audi.tt"}]}, "there is no vehicle"),
        ({"objects": [{"type": "vehicle.a", "id": "ego_vehicle", "sensors": 3}]}, "are no list"),
        (objects({**FRONT, "spawn_point": {"x": "far"}}), "rgb_front: x 'far'; expected a number"),
        (objects({**FRONT, "spawn_point": {"x": True}}), "rgb_front: x True; expected a number"),
        (objects({**FRONT, "spawn_point": {"x": float("nan")}}), "x nan; expected a number"),
        (objects({**FRONT, "image_size_x": 320.5}), "image_size_x 320.5; expected pixels"),
        (objects({**FRONT, "sensor_tick": -0.1}), "sensor_tick -0.1; expected the seconds"),
        (objects({**FRONT, "sensor_tick": "often"}), "sensor_tick 'often'; expected a number"),
        (
            objects({**FRONT, "id": "left"}, {**FRONT, "id": "right"}),
            "and there is left, right: the parameter camera says which",
        ),
        (objects(FRONT, role="hero"), "no vehicle with the id 'ego_vehicle'; there is hero"),
        (objects(), "0 sensor.camera.rgb with the id 'rgb_front'; expected one"),
        (objects(FRONT, FRONT), "2 sensor.camera.rgb with the id 'rgb_front'"),
        (objects(FRONT, *[{"type": CAMERA, "id": "left"}] * 2), "2 sensor.camera.rgb with the id"),
        (objects({**FRONT, "spawn_point": {"west": 1}}), "expected some of x, y, z, roll, pitch"),
        (objects({**FRONT, "fov": "wide"}), "rgb_front: fov 'wide'; expected a number"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path: Path, content: object, reason: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(ObjectsFileError) as caught:
        read_car(file, "ego_vehicle", "rgb_front")
    message = str(caught.value)
    assert message.startswith(f"objects file {file}: ")
    assert reason in message
    assert "\n" not in message


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"objects file .*no such file"):
        read_car(tmp_path / "none.json", "ego_vehicle", "rgb_front")
