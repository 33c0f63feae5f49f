# SPDX-License-Identifier: Apache-2.0
"""The bridge's services to spawn and destroy objects, as far as launch files call them.

The car and its sensors exist from the start; spawning one of them returns its id. A destroyed one
publishes nothing until it is spawned again; this is how clients of the bridge reset a car that
they do not move by `set_transform`. Any other vehicle is parked where it is spawned, as CARLA's is
without a driver.
"""

from __future__ import annotations

from contextlib import suppress
from fnmatch import fnmatch

import numpy as np
from carla_msgs.srv import DestroyObject, GetBlueprints, SpawnObject
from rclpy.node import Node

from td3_driver.bridge_twin import objects_file as objects
from td3_driver.bridge_twin.messages import EGO_ID, sensor_ids, turned
from td3_driver.driving.messages.decoding import pose_of
from td3_driver.driving.types import LARGEST_M, Pose
from td3_driver.ros import names
from td3_driver.text import shown
from td3_driver.world.scene import OccupiedError
from td3_driver.world.simulation import Simulation

MOST_ACTORS = 1000
LONGEST_PATTERN = 200
_SAME = 1e-6  # of the cosine of half an angle: 0.2 degrees
_DRAWS = 50  # of a random place, until one is free


class SpawnError(ValueError):
    """An object cannot be spawned; the text is the service's `error_string`."""


class ActorServices:
    """Serves spawn_object, destroy_object and get_blueprints; `present` has all actors' ids."""

    def __init__(self, node: Node, car: objects.Car, simulation: Simulation) -> None:
        self._node = node
        self._car = car
        self._simulation = simulation
        self._sensors = sensor_ids(car)
        self._rng = np.random.default_rng(simulation.config.seed)
        self.present = {EGO_ID, *self._sensors}
        node.create_service(SpawnObject, names.SPAWN_OBJECT, self._on_spawn)
        node.create_service(DestroyObject, names.DESTROY_OBJECT, self._on_destroy)
        node.create_service(GetBlueprints, names.GET_BLUEPRINTS, self._on_get_blueprints)

    def _on_spawn(
        self, request: SpawnObject.Request, response: SpawnObject.Response
    ) -> SpawnObject.Response:
        try:
            if request.type.startswith("vehicle."):
                own = request.id == self._car.role_name
                response.id = self._spawn_car(request) if own else self._park(request)
            else:
                response.id = self._spawn_sensor(request)
        except SpawnError as error:
            kind = shown(request.type)
            self._node.get_logger().warning(f"Error spawning object '{kind}': {shown(str(error))}")
            response.id, response.error_string = -1, str(error)
        else:
            self.present.add(response.id)
        return response

    def _on_destroy(
        self, request: DestroyObject.Request, response: DestroyObject.Response
    ) -> DestroyObject.Response:
        response.success = request.id in self.present
        self.present.discard(request.id)
        if request.id == EGO_ID:  # what is attached goes with its parent
            self.present -= {id_ for id_, sensor in self._sensors.items() if sensor.attached}
        self._simulation.take_away(request.id)
        return response

    def _on_get_blueprints(
        self, request: GetBlueprints.Request, response: GetBlueprints.Response
    ) -> GetBlueprints.Response:
        known = (objects.VEHICLE, *objects.SENSOR_TYPES)
        response.blueprints = sorted(
            name for name in known if ".pseudo." in name or _matches(name, request.filter or "*")
        )
        return response

    def _spawn_car(self, request: SpawnObject.Request) -> int:
        self._tell_model(request)
        if not request.random_pose or EGO_ID not in self.present:
            pose = self._pose_of(request)
            self._simulation.set_target_velocity(0.0)
            self._simulation.reset_pose(pose)
        return EGO_ID

    def _park(self, request: SpawnObject.Request) -> int:
        """Park a vehicle at the given pose, or at a random one where the car could start.

        Their number is limited, since each slows down every tick.
        """
        if len(self.present) >= MOST_ACTORS:
            raise SpawnError(f"{len(self.present)} actors are there, as many as there may be")
        self._tell_model(request)
        for _ in range(_DRAWS if request.random_pose else 1):
            with suppress(OccupiedError):
                return self._simulation.park(self._pose_of(request))
        raise SpawnError("Spawn failed because of collision at spawn position")

    def _pose_of(self, request: SpawnObject.Request) -> Pose:
        if request.random_pose:
            return self._simulation.spawn_pose(self._rng)
        pose = pose_of(request.transform)
        numbers = (pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad)
        if not all(abs(number) < LARGEST_M for number in numbers):
            raise SpawnError(f"transform {pose}: expected finite numbers below {LARGEST_M:g}")
        return pose

    def _tell_model(self, request: SpawnObject.Request) -> None:
        if not _matches(objects.VEHICLE, request.type):
            kind = shown(request.type)
            self._node.get_logger().warning(f"{kind}: simulated as {objects.VEHICLE}")

    def _spawn_sensor(self, request: SpawnObject.Request) -> int:
        if request.attach_to and request.attach_to not in self.present:
            raise SpawnError(f"Parent actor {request.attach_to} not found")
        for actor_id, sensor in self._sensors.items():
            parent = EGO_ID if sensor.attached else 0
            known = sensor.type, sensor.id, parent
            if known == (request.type, request.id, request.attach_to):
                if sensor.type == objects.CAMERA:
                    _check_camera(sensor, request)
                return actor_id
        there = ", ".join(sensor.id for sensor in self._sensors.values() if sensor.attached)
        where = f"on actor {request.attach_to}" if request.attach_to else "in the world"
        raise SpawnError(f"'{request.id}' {where} is not simulated; the car carries {there}")


def _matches(name: str, pattern: str) -> bool:
    """Match a pattern as the bridge does, but refuse long ones, which could take minutes."""
    return len(pattern) <= LONGEST_PATTERN and fnmatch(name, pattern)


def _check_camera(sensor: objects.Sensor, request: SpawnObject.Request) -> None:
    """Refuse a camera with other attributes: the camera is made once and cannot change."""
    attributes = {attribute.key: attribute.value for attribute in request.attributes}
    at = request.transform.position
    wanted = objects.Sensor(
        request.type, request.id, objects.Mounting(at.x, at.y, at.z), attributes
    )
    try:
        same_picture = objects.picture_of(wanted) == objects.picture_of(sensor)
    except objects.ObjectsFileError as error:
        raise SpawnError(str(error)) from error
    here, there = wanted.mounting, sensor.mounting
    q = request.transform.orientation
    asked = np.array([q.x, q.y, q.z, q.w])
    along = abs(asked @ turned(there, optical=False))  # 1: the same direction
    same_direction = not asked.any() or along > (1.0 - _SAME) * np.linalg.norm(asked)
    same_place = (here.x, here.y, here.z) == (there.x, there.y, there.z)
    if not (same_picture and same_place and same_direction):
        picture = objects.picture_of(sensor)
        raise SpawnError(
            f"camera {sensor.id}: the world started with {picture.width_px}x{picture.height_px}"
            f" px, fov {picture.fov_deg:g}, sensor_tick {picture.sensor_tick_s:g},"
            f" at ({there.x:g}, {there.y:g}, {there.z:g}) m, roll {there.roll:g}, pitch"
            f" {there.pitch:g}, yaw {there.yaw:g} degrees; give world_node the same"
            " objects_definition_file"
        )
