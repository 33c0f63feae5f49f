# SPDX-License-Identifier: Apache-2.0
"""Events: collisions, and obstacles ahead."""

from __future__ import annotations

import math
from typing import Any

import msgpack
import numpy as np

from td3_driver.carla_server.actors import Actor, Sensor
from td3_driver.carla_server.axes import carla_vector, world_pose
from td3_driver.carla_server.structures import ActorDescription, CallError
from td3_driver.carla_server.tags import tags
from td3_driver.carla_server.wire import Triple
from td3_driver.world.bodies.boxes import box_corners, penetration
from td3_driver.world.bodies.vehicle import place
from td3_driver.world.ground.surface import OBSTACLE
from td3_driver.world.scene import Scene
from td3_driver.world.semantic_class import SemanticClass

_STEP_M = 0.1
_THINNEST_M = 0.001  # a radius of 0 is a line
_FURTHEST_M = 1000.0

# The hedges and walls, which have no actor of their own.
STILL = Actor(
    id=0,
    description=ActorDescription(0, "static.vegetation", []),
    tags=tags(SemanticClass.VEGETATION),
)


def collision(of: Actor, other: Actor, impulse: Triple) -> bytes:
    """What a collision sensor tells; `impulse` on the actor, kg m/s, the world's map frame."""
    x, y, z = carla_vector(impulse)
    return _packed([of.encoded(), other.encoded(), [x, y, z]])


def check_obstacle(description: ActorDescription) -> None:
    """Refuse an obstacle sensor that looks too far.

    Raises:
        CallError: its distance or radius is none.
    """
    for name in ("distance", "hit_radius"):
        value_m = description.number(name, 1.0)
        if not 0.0 <= value_m <= _FURTHEST_M:
            raise CallError(
                f"{description.id}: {name} {value_m:g}; expected 0 to {_FURTHEST_M:g} m"
            )


def obstacle(sensor: Sensor, parent: Actor, scene: Scene) -> tuple[int, float] | None:
    """What is nearest ahead of an obstacle sensor: its id (0: the world's still parts), and m.

    Looked for in a strip of the sensor's `hit_radius` to both sides, `distance` far.
    """
    number = sensor.description.number
    reach_m, radius_m = number("distance", 5.0), max(number("hit_radius", 0.5), _THINNEST_M)
    pose = world_pose(sensor.pose)
    nearest: tuple[int, float] | None = None
    bodies = scene.bodies(without=(parent.body_id,))
    if len(bodies.actor_ids) and reach_m > 0.0:
        middle = place(np.array([(reach_m / 2.0, 0.0)]), pose)[0]
        strip = np.array([(*middle, pose.yaw_rad)])
        corners = box_corners(strip, np.array([(reach_m, 2.0 * radius_m)]))[0]
        ahead = np.array([math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)])
        for actor_id, others in zip(bodies.actor_ids.tolist(), bodies.corners(), strict=True):
            if penetration(corners, others) is None:
                continue
            distance_m = float(((others - (pose.x_m, pose.y_m)) @ ahead).min())
            if nearest is None or distance_m < nearest[1]:
                nearest = actor_id, max(distance_m, 0.0)
    if sensor.description.text("only_dynamics", "false").lower() != "true":
        along = np.arange(0.0, reach_m, _STEP_M)
        points = place(np.stack([along, np.zeros_like(along)], axis=1), pose)
        solid = np.flatnonzero(scene.surface.class_at(points) == OBSTACLE)
        if len(solid) and (nearest is None or along[solid[0]] < nearest[1]):
            nearest = 0, float(along[solid[0]])
    return nearest


def obstacle_seen(of: Actor, other: Actor, distance_m: float) -> bytes:
    """What an obstacle sensor tells."""
    return _packed([of.encoded(), other.encoded(), distance_m])


def _packed(value: Any) -> bytes:
    packed: bytes = msgpack.packb(value)
    return packed
