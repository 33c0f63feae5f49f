# SPDX-License-Identifier: Apache-2.0
"""The bridge's services for objects, as far as launch files call them.

The car and its sensors are there from the start, so spawning one of them finds it. A destroyed
one falls silent until it is spawned again; this is how clients of the bridge reset a car that they
do not move by `set_transform`.
"""

from __future__ import annotations

from fnmatch import fnmatch

import numpy as np
from carla_msgs.srv import DestroyObject, GetBlueprints, SpawnObject
from rclpy.node import Node

from td3_driver.driving.types import Pose
from td3_driver.ros import names
from td3_driver.ros.conversions import pose_of
from td3_driver.world import objects_file as objects
from td3_driver.world.bridge_messages import EGO_ID, sensor_ids
from td3_driver.world.simulation import Simulation


class SpawnError(ValueError):
    """An object that cannot be spawned; the service's `error_string`."""


class ActorServices:
    """Serves spawn_object, destroy_object and get_blueprints; `present` are the actors' ids."""

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
                response.id = self._spawn_vehicle(request)
            else:
                response.id = self._spawn_sensor(request)
        except SpawnError as error:
            self._node.get_logger().warning(f"Error spawning object '{request.type}': {error}")
            response.id, response.error_string = -1, str(error)
        else:
            self.present.add(response.id)
        return response

    def _on_destroy(
        self, request: DestroyObject.Request, response: DestroyObject.Response
    ) -> DestroyObject.Response:
        response.success = request.id in self.present
        # What is attached goes with its parent.
        self.present -= self.present if request.id == EGO_ID else {request.id}
        return response

    def _on_get_blueprints(
        self, request: GetBlueprints.Request, response: GetBlueprints.Response
    ) -> GetBlueprints.Response:
        known = (objects.VEHICLE, *objects.SENSOR_TYPES)
        response.blueprints = sorted(
            name for name in known if ".pseudo." in name or fnmatch(name, request.filter or "*")
        )
        return response

    def _spawn_vehicle(self, request: SpawnObject.Request) -> int:
        if request.id != self._car.role_name:
            raise SpawnError(
                f"'{request.id}' is not the role of this world's car, {self._car.role_name};"
                " other vehicles come by the parameter traffic"
            )
        if not fnmatch(objects.VEHICLE, request.type):
            self._node.get_logger().warning(f"{request.type}: driven as {objects.VEHICLE}")
        if not request.random_pose:
            self._place(pose_of(request.transform))
        elif EGO_ID not in self.present:
            self._place(self._simulation.spawn_pose(self._rng))
        return EGO_ID

    def _place(self, pose: Pose) -> None:
        self._simulation.set_target_velocity(0.0)
        self._simulation.reset_pose(pose)

    def _spawn_sensor(self, request: SpawnObject.Request) -> int:
        for actor_id, sensor in self._sensors.items():
            known = sensor.type, sensor.id, sensor.attached
            if known == (request.type, request.id, request.attach_to != 0):
                if sensor.attached and (
                    request.attach_to != EGO_ID or EGO_ID not in self.present
                ):
                    raise SpawnError(f"Parent actor {request.attach_to} not found")
                if sensor.type == objects.CAMERA:
                    _check_camera(sensor, request)
                return actor_id
        there = ", ".join(sensor.id for sensor in self._sensors.values())
        raise SpawnError(f"'{request.id}' is not simulated; the car carries {there}")


def _check_camera(sensor: objects.Sensor, request: SpawnObject.Request) -> None:
    """The camera is made once; a request for another one must not seem to succeed."""
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
    if not same_picture or (here.x, here.y, here.z) != (there.x, there.y, there.z):
        picture = objects.picture_of(sensor)
        raise SpawnError(
            f"camera {sensor.id}: the world started with {picture.width_px}x{picture.height_px}"
            f" px, fov {picture.fov_deg:g}, at ({there.x:g}, {there.y:g}, {there.z:g}) m; give"
            " world_node the same objects_definition_file"
        )
