# SPDX-License-Identifier: Apache-2.0
"""The traffic lights and signs of a town as actors, and which of them a vehicle is at."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from td3_driver.carla_server.actors import Actor, LightActor, SignActor, VehicleActor
from td3_driver.carla_server.axes import carla_pose
from td3_driver.carla_server.library.attributes import AttributeType
from td3_driver.carla_server.structures import (
    ActorDescription,
    AttributeValue,
    BoundingBox,
    Rotation,
    Vector3D,
)
from td3_driver.carla_server.tags import tags
from td3_driver.world.semantic_class import SemanticClass
from td3_driver.world.traffic_lights import TrafficLights, TriggerBox

_KMH_PER_MPS = 3.6


class Signs:
    """All lights and signs of a town.

    Args:
        lights: the town's.
        ids: gives actors their ids.
    """

    def __init__(self, lights: TrafficLights, ids: Iterator[int]) -> None:
        self._lights = lights
        self._light_actors = [
            LightActor(
                id=next(ids),
                description=_described("traffic.traffic_light"),
                pose=carla_pose(light.pose),
                box=_box(light.trigger.relative_to(light.pose)),
                tags=tags(SemanticClass.TRAFFIC_LIGHT),
                lights=lights,
                index=index,
                sign_id=light.signal_id,
            )
            for index, light in enumerate(lights.lights)
        ]
        self._sign_actors = [
            SignActor(
                id=next(ids),
                description=_described(sign.kind),
                pose=carla_pose(sign.pose),
                box=_box(sign.trigger.relative_to(sign.pose)),
                tags=tags(SemanticClass.TRAFFIC_SIGNS),
                sign_id=sign.signal_id,
            )
            for sign in lights.signs
        ]

    @property
    def actors(self) -> list[Actor]:
        """Lights, then signs."""
        return [*self._light_actors, *self._sign_actors]

    def notice(self, vehicles: Sequence[VehicleActor]) -> None:
        """Let vehicles know at which light they are, and which speed a sign that they pass allows.

        CARLA's traffic manager stops by this.
        """
        if not vehicles:
            return
        footprints_m = np.array([vehicle.car.footprint() for vehicle in vehicles])
        if self._light_actors:
            at = self._lights.lights_at(footprints_m)
            for vehicle, index in zip(vehicles, at, strict=True):
                vehicle.light = None if index is None else self._light_actors[index]
        if self._sign_actors:
            at = self._lights.signs_at(footprints_m)
            for vehicle, index in zip(vehicles, at, strict=True):
                limit = None if index is None else self._lights.signs[index].speed_limit_mps
                if limit is not None:
                    vehicle.speed_limit_kmh = limit * _KMH_PER_MPS


def _described(kind: str) -> ActorDescription:
    return ActorDescription(0, kind, [AttributeValue("role_name", AttributeType.STRING, "")])


def _box(trigger: TriggerBox) -> BoundingBox:
    """Where a light or sign holds, relative to it."""
    x, y, z = trigger.center_m
    extent = Vector3D(*trigger.half_m)
    return BoundingBox(Vector3D(x, -y, z), extent, Rotation(yaw=-math.degrees(trigger.yaw_rad)))
