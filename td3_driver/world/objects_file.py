# SPDX-License-Identifier: Apache-2.0
"""The bridge's `objects.json`: which car is the ego, and what it carries.

The format is that of carla_spawn_objects: metres, degrees, right-handed axes (pitch positive looks
down); every further key of a sensor is an attribute of CARLA's blueprint.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from td3_driver.driving.types import Pose

VEHICLE = "vehicle.tesla.model3"
CAMERA = "sensor.camera.rgb"
ODOMETRY = "sensor.pseudo.odom"
SPEEDOMETER = "sensor.pseudo.speedometer"
COLLISION = "sensor.other.collision"
LANE_INVASION = "sensor.other.lane_invasion"
OBJECTS = "sensor.pseudo.objects"
CONTROL = "actor.pseudo.control"
SENSOR_TYPES = (COLLISION, LANE_INVASION, OBJECTS, ODOMETRY, SPEEDOMETER, CAMERA, CONTROL)

# Of CARLA's camera blueprint.
_CAMERA_DEFAULTS = {"image_size_x": "800", "image_size_y": "600", "fov": "90.0"}


class ObjectsFileError(ValueError):
    """An objects file that describes no car of ours."""


@dataclass(frozen=True)
class Mounting:
    """Where a sensor sits in the car's frame: metres (forward, left, up) and degrees."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    roll: float = 0.0
    pitch: float = 0.0
    yaw: float = 0.0


@dataclass(frozen=True)
class Sensor:
    """A sensor or pseudo actor; `id` is the last part of its topics.

    One that is not `attached` to the car belongs to the whole world.
    """

    type: str
    id: str
    mounting: Mounting = Mounting()
    attributes: Mapping[str, str] = field(default_factory=dict)
    attached: bool = True


@dataclass(frozen=True)
class CameraPicture:
    """What a camera's attributes ask for: pixels, and the horizontal angle of view."""

    width_px: int
    height_px: int
    fov_deg: float


@dataclass(frozen=True)
class Car:
    """The ego: its role, the sensors in the order in which they publish, where it starts.

    `left_out` names, as `type/id`, what the file asks for and this world does not simulate.
    """

    role_name: str
    sensors: tuple[Sensor, ...]
    spawn: Pose | None = None
    left_out: tuple[str, ...] = ()

    def camera(self) -> Sensor:
        """The car's one camera."""
        return next(sensor for sensor in self.sensors if sensor.type == CAMERA)

    def control_id(self) -> str | None:
        """The id of the pseudo actor that moves the car, if there is one."""
        return next((sensor.id for sensor in self.sensors if sensor.type == CONTROL), None)


def default_car(role_name: str, camera: str, control_id: str, picture: CameraPicture) -> Car:
    """The car of `config/ego_vehicle.json`, with the camera's picture as asked for."""
    attributes = {
        "image_size_x": str(picture.width_px),
        "image_size_y": str(picture.height_px),
        "fov": str(picture.fov_deg),
    }
    sensors = (
        Sensor(OBJECTS, "objects", attached=False),
        Sensor(COLLISION, "collision"),
        Sensor(LANE_INVASION, "lane_invasion"),
        Sensor(OBJECTS, "objects"),
        Sensor(ODOMETRY, "odometry"),
        Sensor(SPEEDOMETER, "speedometer"),
        Sensor(CAMERA, camera, Mounting(x=1.6, z=1.5), attributes),
        Sensor(CONTROL, control_id),
    )
    return Car(role_name, sensors)


def read_car(path: Path, role_name: str, camera: str) -> Car:
    """The vehicle with this role from a file, with the one camera that is simulated.

    Raises:
        FileNotFoundError: there is no such file.
        ObjectsFileError: the file does not hold such a car.
    """
    if not path.is_file():
        raise FileNotFoundError(f"objects file {path}: no such file; expected the bridge's JSON")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))["objects"]
        vehicles = [entry for entry in entries if entry["type"].startswith("vehicle.")]
        car = next((entry for entry in vehicles if entry["id"] == role_name), None)
        if car is None:
            roles = ", ".join(entry["id"] for entry in vehicles) or "no vehicle"
            raise ObjectsFileError(f"no vehicle with the id {role_name!r}; there is {roles}")
        rest = [entry for entry in entries if entry is not car]
        world = [_sensor(entry, attached=False) for entry in rest if entry["type"] == OBJECTS]
        carried = [_sensor(entry) for entry in car.get("sensors", [])]
        sensors = tuple(sensor for sensor in world + carried if _simulated(sensor, camera))
        cameras = [sensor for sensor in sensors if sensor.type == CAMERA]
        if len(cameras) != 1:
            raise ObjectsFileError(f"{len(cameras)} {CAMERA} with the id {camera!r}; expected one")
        _check_camera(cameras[0])
        others = [f"{entry['type']}/{entry['id']}" for entry in rest if entry["type"] != OBJECTS]
        others += [f"{s.type}/{s.id}" for s in carried if s not in sensors]
        return Car(role_name, sensors, _spawn(car), tuple(others))
    except ObjectsFileError as error:
        raise ObjectsFileError(f"objects file {path}: {error}") from error
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ObjectsFileError(
            f"objects file {path}: not the bridge's format ({type(error).__name__}: {error});"
            ' expected {"objects": [{"type": "vehicle...", "id": ..., "sensors": [...]}]}'
        ) from error


def picture_of(camera: Sensor) -> CameraPicture:
    """A camera's picture, with the blueprint's values where it says nothing.

    Raises:
        ObjectsFileError: an attribute is not a number.
    """
    given = {**_CAMERA_DEFAULTS, **camera.attributes}
    try:
        return CameraPicture(
            int(given["image_size_x"]), int(given["image_size_y"]), float(given["fov"])
        )
    except ValueError as error:
        raise ObjectsFileError(
            f"camera {camera.id}: image_size_x, image_size_y or fov is no number ({error})"
        ) from error


def _simulated(sensor: Sensor, camera: str) -> bool:
    return sensor.type in SENSOR_TYPES and (sensor.type != CAMERA or sensor.id == camera)


def _sensor(entry: Mapping[str, Any], *, attached: bool = True) -> Sensor:
    named = ("type", "id", "spawn_point")
    attributes = {key: str(value) for key, value in entry.items() if key not in named}
    return Sensor(entry["type"], entry["id"], _mounting(entry), attributes, attached)


def _mounting(entry: Mapping[str, Any]) -> Mounting:
    return Mounting(**{key: float(value) for key, value in entry.get("spawn_point", {}).items()})


def _spawn(car: Mapping[str, Any]) -> Pose | None:
    if "spawn_point" not in car:
        return None
    at = _mounting(car)
    return Pose(at.x, at.y, math.radians(at.yaw), at.z)


def _check_camera(camera: Sensor) -> None:
    picture_of(camera)
    if camera.mounting.roll or camera.mounting.yaw:
        raise ObjectsFileError(
            f"camera {camera.id}: roll {camera.mounting.roll:g}, yaw {camera.mounting.yaw:g};"
            " the embedded world's camera looks along the car, expected 0 for both"
        )
    if float(camera.attributes.get("sensor_tick", 0.0)):
        raise ObjectsFileError(
            f"camera {camera.id}: sensor_tick {camera.attributes['sensor_tick']};"
            " expected 0, a picture every tick"
        )
