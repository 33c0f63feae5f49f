# SPDX-License-Identifier: Apache-2.0
"""The bridge's objects.json: what is read, and what a wrong file is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from td3_driver.world.objects_file import (
    CAMERA,
    CameraPicture,
    ObjectsFileError,
    default_car,
    picture_of,
    read_car,
)

ROOT = Path(__file__).resolve().parents[2]
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
    assert shipped == default_car("ego_vehicle", "rgb_front", "control", picture)


def test_what_is_not_simulated_is_named(tmp_path: Path) -> None:
    second = {"type": CAMERA, "id": "rgb_view"}
    content = objects(second, FRONT, {"type": "sensor.other.gnss", "id": "gnss"})
    content["objects"].append({"type": "sensor.pseudo.traffic_lights", "id": "lights"})
    content["objects"].append({"type": "sensor.pseudo.objects", "id": "all"})
    car = read_car(written(tmp_path, content), "ego_vehicle", "rgb_front")
    assert car.left_out == (
        "sensor.pseudo.traffic_lights/lights", f"{CAMERA}/rgb_view", "sensor.other.gnss/gnss",
    )  # fmt: skip
    assert [(sensor.id, sensor.attached) for sensor in car.sensors] == [
        ("all", False), ("rgb_front", True),
    ]  # fmt: skip
    assert picture_of(car.camera()) == CameraPicture(800, 600, 90.0)  # CARLA's blueprint


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "not the bridge's format"),
        ({"cars": []}, "not the bridge's format (KeyError: 'objects')"),
        ({"objects": [{"id": "ego_vehicle"}]}, "not the bridge's format (KeyError: 'type')"),
        (objects(FRONT, role="hero"), "no vehicle with the id 'ego_vehicle'; there is hero"),
        (objects(), "0 sensor.camera.rgb with the id 'rgb_front'; expected one"),
        (objects(FRONT, FRONT), "2 sensor.camera.rgb with the id 'rgb_front'"),
        (objects({**FRONT, "spawn_point": {"yaw": 90}}), "looks along the car"),
        (objects({**FRONT, "spawn_point": {"west": 1}}), "not the bridge's format (TypeError"),
        (objects({**FRONT, "fov": "wide"}), "image_size_x, image_size_y or fov is no number"),
        (objects({**FRONT, "sensor_tick": 0.5}), "sensor_tick 0.5; expected 0"),
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
