# SPDX-License-Identifier: Apache-2.0
"""The world's own traffic and pedestrians as actors."""

from __future__ import annotations

import math
from collections.abc import Iterator

from td3_driver.carla_server.actors import Actor, CrowdActor, upright_box
from td3_driver.carla_server.library.attributes import AttributeType
from td3_driver.carla_server.library.blueprints import LIBRARY, Blueprint, Box
from td3_driver.carla_server.library.descriptions import checked
from td3_driver.carla_server.structures import ActorDescription, AttributeValue
from td3_driver.carla_server.tags import class_of, tags
from td3_driver.world.bodies.boxes import Bodies, Body
from td3_driver.world.bodies.shapes import PERSON_LENGTH_M
from td3_driver.world.scene import Scene

_ROLE = "autopilot"


class Crowd:
    """Keeps an actor for each road user whom the world moves by itself.

    They have numbers of their own in the world, which come again; an actor's id does not.
    """

    def __init__(self, scene: Scene, ids: Iterator[int]) -> None:
        self._scene = scene
        self._ids = ids
        self._actors: dict[int, CrowdActor] = {}

    def actor_id(self, key: int) -> int:
        """The id of the actor that has a body of the scene, by the body's."""
        actor = self._actors.get(key)
        return key if actor is None else actor.id

    def destroy(self, actor: CrowdActor) -> None:
        """Take an actor out of the world."""
        self._scene.remove(actor.key)
        del self._actors[actor.key]

    def refresh(self) -> tuple[list[Actor], list[int]]:
        """Follow the world; returns the actors that have come, and the ids of those gone."""
        bodies = self._scene.others.bodies()
        keys = bodies.actor_ids.tolist()
        there = set(keys)
        left = [self._actors.pop(key).id for key in [*self._actors] if key not in there]
        come: list[Actor] = []
        ground = self._scene.terrain.under_all(bodies.poses)
        for row, key in enumerate(keys):
            actor = self._actors.get(key)
            if actor is None:
                actor = self._actors[key] = self._new(key, bodies, row)
                come.append(actor)
            x, y, yaw = bodies.poses[row].tolist()
            z = ground[row].z_m + (actor.box.extent.z if actor.kind.startswith("walker.") else 0.0)
            pitch = -math.degrees(ground[row].pitch_rad)
            actor.pose = (x, -y, z, pitch, -math.degrees(yaw), 0.0)
            east, north = bodies.velocities_mps[row].tolist()
            actor.velocity_now = (east, -north, 0.0)
            east, north = bodies.accelerations_mps2[row].tolist()
            actor.acceleration_now = (east, -north, 0.0)
            actor.turning_now = (0.0, 0.0, -math.degrees(bodies.yaw_rates_radps[row]))
        return come, left

    def _new(self, key: int, bodies: Bodies, row: int) -> CrowdActor:
        length, width, height = bodies.sizes_m[row].tolist()
        walks = length < PERSON_LENGTH_M
        blueprint = _nearest("walker." if walks else "vehicle.", length, height)
        color = ",".join(f"{part:.0f}" for part in bodies.colors_bgr[row, ::-1])
        said = [
            AttributeValue("role_name", AttributeType.STRING, _ROLE),
            AttributeValue("color", AttributeType.COLOR, color),
        ]
        _, described = checked(ActorDescription(blueprint.definition.uid, blueprint.id, said))
        box = upright_box(length, width, height, 0.0 if walks else height / 2.0)
        return CrowdActor(
            id=next(self._ids),
            key=key,
            body=Body(length, width, height, float(bodies.masses_kg[row])),
            description=described,
            box=box,
            tags=tags(class_of(blueprint)),
        )


def _nearest(prefix: str, length_m: float, height_m: float) -> Blueprint:
    """The blueprint of a kind whose box is the most similar."""

    def difference(blueprint: Blueprint) -> float:
        box = blueprint.box
        assert isinstance(box, Box)
        return abs(box.length_m - length_m) + abs(box.height_m - height_m)

    kind = [blueprint for name, blueprint in LIBRARY.items() if name.startswith(prefix)]
    return min(kind, key=difference)
