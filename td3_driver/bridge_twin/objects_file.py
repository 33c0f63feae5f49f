# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the bridge's `objects.json`: the ego car and its sensors.

The format is that of carla_spawn_objects: metres, degrees, right-handed axes (pitch positive looks
down); every further key of a sensor is an attribute of CARLA's blueprint.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from td3_driver.driving.types import Pose
from td3_driver.driving.view import Mount, ViewConfig
from td3_driver.world.camera.camera import CameraConfig

VEHICLE = "vehicle.tesla.model3"
CAMERA = "sensor.camera.rgb"
ODOMETRY = "sensor.pseudo.odom"
TRANSFORM = "sensor.pseudo.tf"
SPEEDOMETER = "sensor.pseudo.speedometer"
COLLISION = "sensor.other.collision"
LANE_INVASION = "sensor.other.lane_invasion"
OBJECTS = "sensor.pseudo.objects"
TRAFFIC_LIGHTS = "sensor.pseudo.traffic_lights"
CONTROL = "actor.pseudo.control"
SENSOR_TYPES = (
    TRAFFIC_LIGHTS, COLLISION, LANE_INVASION, OBJECTS, TRANSFORM, ODOMETRY, SPEEDOMETER, CAMERA,
    CONTROL,
)  # fmt: skip
_OF_THE_WORLD = (TRAFFIC_LIGHTS, OBJECTS)  # what a sensor on no car may be

# Of CARLA's camera blueprint.
_CAMERA_DEFAULTS = {
    "image_size_x": "800", "image_size_y": "600", "fov": "90.0", "sensor_tick": "0.0",
}  # fmt: skip
# Of an entry itself; its other keys are attributes of CARLA's blueprint. `attributes` of a car are
# what TUMFTM's fork of the bridge asks for.
_ENTRY_KEYS = ("type", "id", "spawn_point", "sensors", "role_name", "attributes")
_AXES = ("x", "y", "z", "roll", "pitch", "yaw")
_FORMAT = '{"objects": [{"type": "vehicle...", "id": ..., "sensors": [...]}]}'


class ObjectsFileError(ValueError):
    """An objects file cannot be used."""


@dataclass(frozen=True)
class Mounting:
    """The pose of a sensor in the car's frame: metres (forward, left, up) and degrees.

    Turned by roll, pitch, yaw in this order, about the car's axes.
    """

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """A sensor or pseudo actor; `id` is the last part of its topic, or the one before.

    A sensor that is not `attached` to the car belongs to the whole world.
    """

    type: str
    id: str
    mounting: Mounting = Mounting()
    attributes: Mapping[str, str] = field(default_factory=dict)
    attached: bool = True


@dataclass(frozen=True)
class CameraPicture:
    """The size of a camera's pictures, its horizontal angle of view, and its rate.

    `sensor_tick_s` is the simulated time between pictures; at or below the world's step, every
    tick brings one.
    """

    width_px: int
    height_px: int
    fov_deg: float
    sensor_tick_s: float = 0.0


@dataclass(frozen=True)
class Car:
    """The ego car: its role name, its sensors in the order of publishing, its starting pose.

    `front` is the id of the camera that looks ahead; other cameras are beside it.
    `left_out` names what the file asks for but this world does not simulate: a sensor as
    `type/id`, an attribute of the car or the camera as `type/id attribute`.
    """

    role_name: str
    sensors: tuple[Sensor, ...]
    front: str
    spawn: Pose | None = None
    left_out: tuple[str, ...] = ()

    def cameras(self) -> tuple[Sensor, ...]:
        """The cameras of the car: the front one, then those beside it in their order."""
        cameras = [sensor for sensor in self.sensors if sensor.type == CAMERA]
        return tuple(sorted(cameras, key=lambda camera: camera.id != self.front))

    def camera(self) -> Sensor:
        """The front camera of the car."""
        return self.cameras()[0]

    def control_id(self) -> str | None:
        """The id of the pseudo actor by which topics move the car; None if there is none."""
        return next((sensor.id for sensor in self.sensors if sensor.type == CONTROL), None)


def default_car(role_name: str, control_id: str, cameras: Sequence[CameraConfig]) -> Car:
    """The car of `config/ego_vehicle.json`, with the cameras as asked for, the front one first.

    That one publishes last of all sensors: who has its picture has the rest.
    It also has `/carla/objects`. The file leaves that out, because with CARLA it costs calls to
    the server for each object and tick; here it costs nothing while nobody listens.
    """
    front, *beside = (_camera(each) for each in cameras)
    sensors = (
        Sensor(TRAFFIC_LIGHTS, "traffic_lights", attached=False),
        Sensor(OBJECTS, "objects", attached=False),
        Sensor(COLLISION, "collision"),
        Sensor(LANE_INVASION, "lane_invasion"),
        Sensor(OBJECTS, "objects"),
        Sensor(TRANSFORM, "tf"),
        Sensor(ODOMETRY, "odometry"),
        Sensor(SPEEDOMETER, "speedometer"),
        *beside,
        front,
        Sensor(CONTROL, control_id),
    )
    return Car(role_name, sensors, front.id)


def _camera(given: CameraConfig) -> Sensor:
    attributes = {
        "image_size_x": str(given.width_px),
        "image_size_y": str(given.height_px),
        "fov": str(given.fov_deg),
    }
    at = (given.x_m, given.y_m, given.z_m, given.roll_deg, given.pitch_deg, given.yaw_deg)
    return Sensor(CAMERA, given.id, Mounting(*at), attributes)


def write_car(
    usual: Path, view: ViewConfig, folder: Path, size_px: tuple[int, int] | None = None
) -> Path:
    """Write an objects file into a folder, its car with a view's cameras; return its path.

    Args:
        usual: the objects file, whose last object is a car with one camera.
        view: where cameras are and how they look.
        folder: where to write it, by the same name.
        size_px: width and height of the pictures, if other than in the file.
    """
    car = json.loads(usual.read_text())
    sensors = car["objects"][-1]["sensors"]
    (number,) = (number for number, sensor in enumerate(sensors) if "fov" in sensor)
    camera = {**sensors[number], "fov": view.fov_deg}
    if size_px is not None:
        camera["image_size_x"], camera["image_size_y"] = size_px
    cameras = [camera]
    if view.cameras:
        # The first camera's last: who has its picture has the rest.
        cameras = [_mounted(camera, mount) for mount in (*view.beside, view.cameras[0])]
    sensors[number : number + 1] = cameras
    file = folder / usual.name
    file.write_text(json.dumps(car, indent=2))
    return file


def _mounted(camera: Mapping[str, Any], mount: Mount) -> dict[str, Any]:
    """Return a camera as an entry of an objects file, at its place on the car."""
    place = dict(zip(("x", "y", "z", "pitch", "yaw"), mount.pose, strict=True))
    return {**camera, "id": mount.id, "spawn_point": {**place, "roll": 0.0}}


def read_car(path: Path, role_name: str, camera: str) -> Car:
    """Read the vehicle with a role name from a file; `camera` is the id of its front camera.

    Both the vehicle's `id` and its attribute `role_name` count as its role name.

    Raises:
        OSError: there is no such file, or it cannot be read.
        ObjectsFileError: the file does not hold such a car.
    """
    if not path.is_file():
        raise FileNotFoundError(f"objects file {path}: no such file; expected the bridge's JSON")
    try:
        return _car(_entries(_parsed(path.read_bytes())), role_name, camera)
    except ObjectsFileError as error:
        raise ObjectsFileError(f"objects file {path}: {error}") from error
    except OSError as error:
        raise OSError(f"objects file {path}: cannot be read: {error.strerror}") from error


def _parsed(content: bytes) -> object:
    """Parse JSON in any Unicode encoding, with or without a byte-order mark."""
    try:
        return json.loads(content)
    except UnicodeDecodeError as error:
        raise ObjectsFileError(
            f"byte {error.start}: not text in UTF-8, UTF-16 or UTF-32"
        ) from error
    except RecursionError as error:
        raise ObjectsFileError("nested too deeply to be the bridge's format") from error
    except json.JSONDecodeError as error:
        what = _what_is_no_json(error.doc, error.pos)
        line = f"line {error.lineno}, column {error.colno}"
        raise ObjectsFileError(f"{line}: {what or f'not JSON: {error.msg}'}") from error


def _what_is_no_json(text: str, at: int) -> str:
    """Name the common mistake in a text that is not JSON; empty if it is none of those known."""
    if not text.strip():
        return f"the file is empty; expected {_FORMAT}"
    if text.startswith(("//", "/*", "#"), at):
        return "a comment; JSON has none, remove it"
    if text.startswith(("}", "]"), at) and text[:at].rstrip().endswith(","):
        return f"a comma before this {text[at]!r}; JSON allows none there, remove it"
    if text.startswith("'", at):
        return "text in single quotes; JSON has double ones"
    return ""


def _entries(content: object) -> list[Mapping[str, Any]]:
    entries = content.get("objects") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ObjectsFileError(f"not the bridge's format: no list of objects; expected {_FORMAT}")
    return [_entry(entry, f"object {number}") for number, entry in enumerate(entries, 1)]


def _entry(entry: object, where: str) -> Mapping[str, Any]:
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise ObjectsFileError(f"{where} has no type; expected {_FORMAT}")
    return entry


def _car(entries: Sequence[Mapping[str, Any]], role_name: str, camera: str) -> Car:
    vehicles = [entry for entry in entries if entry["type"].startswith("vehicle.")]
    named = [entry for entry in vehicles if role_name in _roles(entry)]
    if not named:
        roles = ", ".join(role for entry in vehicles for role in _roles(entry)) or "no vehicle"
        raise ObjectsFileError(f"no vehicle with the id {role_name!r}; there is {roles}")
    car = named[0]
    rest = [entry for entry in entries if entry is not car]
    listed = car.get("sensors") or []
    if not isinstance(listed, list):
        raise ObjectsFileError(f"the sensors of {role_name} are no list")
    carried = [
        _entry(entry, f"sensor {number} of {role_name}") for number, entry in enumerate(listed, 1)
    ]
    asked = [(entry, False) for entry in rest if entry["type"] in _OF_THE_WORLD]
    asked += [(entry, True) for entry in carried if _simulated(entry)]
    sensors = tuple(_sensor(entry, attached=attached) for entry, attached in asked)
    _check_cameras(sensors, carried, camera)
    others = [_name(entry) for entry in rest if entry["type"] not in _OF_THE_WORLD]
    others += [_name(entry) for entry in carried if not _simulated(entry)]
    views = [entry for entry, _ in asked if entry["type"] == CAMERA]
    for entry in (car, *views):
        known = () if entry is car else _CAMERA_DEFAULTS
        unknown = [key for key in entry if key not in (*_ENTRY_KEYS, *known)]
        others += [f"{_name(entry)} {key}" for key in (*unknown, *_attributes(entry))]
    spawn = _mounting(car) if car.get("spawn_point") else None
    start = Pose(spawn.x, spawn.y, math.radians(spawn.yaw), spawn.z) if spawn else None
    return Car(role_name, sensors, camera, start, tuple(others))


def picture_of(camera: Sensor) -> CameraPicture:
    """The picture of a camera; the blueprint's defaults where an attribute is missing.

    Raises:
        ObjectsFileError: an attribute is not a number.
    """
    given = {**_CAMERA_DEFAULTS, **camera.attributes}
    values = {
        name: _number(given[name], f"camera {camera.id}: {name}") for name in _CAMERA_DEFAULTS
    }
    for name in ("image_size_x", "image_size_y"):
        if not values[name].is_integer():
            raise ObjectsFileError(f"camera {camera.id}: {name} {given[name]}; expected pixels")
    if values["sensor_tick"] < 0.0:
        raise ObjectsFileError(
            f"camera {camera.id}: sensor_tick {given['sensor_tick']}; expected the seconds from"
            " picture to picture, 0 for one in each tick"
        )
    width_px, height_px = int(values["image_size_x"]), int(values["image_size_y"])
    return CameraPicture(width_px, height_px, values["fov"], values["sensor_tick"])


def camera_config(camera: Sensor) -> CameraConfig:
    """A camera as the world makes it.

    Raises:
        ObjectsFileError: see `picture_of`.
    """
    picture, at = picture_of(camera), camera.mounting
    size = picture.width_px, picture.height_px, picture.fov_deg
    return CameraConfig(camera.id, *size, at.x, at.y, at.z, at.pitch, at.yaw, at.roll)


def _roles(vehicle: Mapping[str, Any]) -> list[str]:
    return [str(vehicle[key]) for key in ("id", "role_name") if key in vehicle]


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['type']}/{entry['id']}" if "id" in entry else str(entry["type"])


def _simulated(entry: Mapping[str, Any]) -> bool:
    return entry["type"] in SENSOR_TYPES and (entry["type"] != CAMERA or "id" in entry)


def _sensor(entry: Mapping[str, Any], *, attached: bool) -> Sensor:
    if "id" not in entry:
        raise ObjectsFileError(f"a {entry['type']} has no id; expected the last part of its topic")
    attributes = {key: str(value) for key, value in entry.items() if key not in _ENTRY_KEYS}
    return Sensor(entry["type"], str(entry["id"]), _mounting(entry), attributes, attached)


def _attributes(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    given = entry.get("attributes") or {}
    if not isinstance(given, dict):
        raise ObjectsFileError(f"attributes of {_name(entry)}: expected names and values")
    return given


def _mounting(entry: Mapping[str, Any]) -> Mounting:
    """The `spawn_point` of an entry; numbers may be text, as carla_spawn_objects takes them."""
    given = entry.get("spawn_point") or {}
    where = f"spawn_point of {_name(entry)}"
    if not isinstance(given, dict) or not {*given} <= {*_AXES}:
        raise ObjectsFileError(f"{where}: {given}; expected some of {', '.join(_AXES)}")
    return Mounting(**{axis: _number(value, f"{where}: {axis}") for axis, value in given.items()})


def _number(value: object, what: str) -> float:
    """A finite number from a number or a text."""
    with contextlib.suppress(ValueError):
        if not isinstance(value, bool) and isinstance(value, (int, float, str)):
            number = float(value)
            if math.isfinite(number):
                return number
    raise ObjectsFileError(f"{what} {value!r}; expected a number")


def _check_cameras(
    sensors: Sequence[Sensor], carried: Sequence[Mapping[str, Any]], wanted: str
) -> None:
    ids = [sensor.id for sensor in sensors if sensor.type == CAMERA]
    if (found := ids.count(wanted)) != 1:
        known = ", ".join(str(entry.get("id")) for entry in carried if entry["type"] == CAMERA)
        there = f"there is {known}: the parameter camera says which" if known else "there is none"
        raise ObjectsFileError(
            f"{found} {CAMERA} with the id {wanted!r}; expected one, and {there}"
        )
    for sensor in sensors:
        if sensor.type != CAMERA:
            continue
        picture_of(sensor)
        if (found := ids.count(sensor.id)) > 1:
            raise ObjectsFileError(f"{found} {CAMERA} with the id {sensor.id!r}; expected one")
