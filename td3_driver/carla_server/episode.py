# SPDX-License-Identifier: Apache-2.0
"""An episode: one town from when it is loaded until the next one is, with all its actors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from td3_driver.carla_server import wire
from td3_driver.carla_server.actors import (
    Actor,
    CrowdActor,
    PropActor,
    VehicleActor,
    WalkerActor,
    upright_box,
)
from td3_driver.carla_server.axes import (
    composed,
    pose6,
    world_pose,
)
from td3_driver.carla_server.crowd import Crowd
from td3_driver.carla_server.library.blueprints import Blueprint
from td3_driver.carla_server.library.descriptions import checked
from td3_driver.carla_server.sensors.moment import Moment
from td3_driver.carla_server.sensors.sensing import Sensing
from td3_driver.carla_server.signs import Signs
from td3_driver.carla_server.streams import Streams
from td3_driver.carla_server.structures import (
    ActorDescription,
    BoundingBox,
    CallError,
    Transform,
    WeatherParameters,
)
from td3_driver.carla_server.tags import class_of, tags
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.vehicle import MASS_KG
from td3_driver.world.camera.weather import look_of_weather
from td3_driver.world.scene import OccupiedError, Scene, spawn_poses_on

LARGEST_STEP_S = 0.1  # of the physics; a longer tick is made of several
MOST_ACTORS = 5000
_GREY_BGR = (115.0, 118.0, 120.0)


@dataclass(frozen=True)
class Surroundings:
    """What else is in each town."""

    seed: int = 0
    traffic: int = 0
    pedestrians: int = 0
    scenery: bool = False


class Episode:
    """A town and everything in it that has an id.

    Args:
        number: which episode of the server this is.
        road_map: the town.
        surroundings: what else is in it.
        ids: gives actors their ids, which are never given again.
        streams: where sensors are heard.

    Attributes:
        actors: all of them by id, in order of creation.
        spawn_poses: on the lanes that CARLA's maps have for driving, which are not all that a car
            may use here.

    Raises:
        ValueError: the map has no room for the others, or its roads lie too far apart to be drawn.
    """

    def __init__(
        self,
        number: int,
        road_map: RoadMap,
        surroundings: Surroundings,
        ids: Iterator[int],
        streams: Streams,
    ) -> None:
        self.number = number
        self.road_map = road_map
        self.scene = Scene(
            road_map,
            surroundings.seed,
            traffic=surroundings.traffic,
            pedestrians=surroundings.pedestrians,
            scenery=surroundings.scenery,
            lights=True,
        )
        lanes = [lane for _, lane in road_map.lane_graph.nodes(data="lane")]
        self.spawn_poses = spawn_poses_on([lane for lane in lanes if lane.kind == "driving"])
        assert self.scene.lights is not None
        self.lights = self.scene.lights
        self.actors: dict[int, Actor] = {}
        self.set_weather(WeatherParameters())
        self._ids = ids
        self._crowd = Crowd(self.scene, ids)
        self._sensing = Sensing(self.scene, self.actors, self._crowd, streams)
        self._vehicles: dict[int, VehicleActor] = {}
        nobody = ActorDescription(0, "spectator", [])
        self.spectator = self._add(Actor(id=next(ids), description=nobody))
        self._signs = Signs(self.lights, ids)
        for sign in self._signs.actors:
            self._add(sign)
        self._refresh_crowd()

    def set_weather(self, weather: WeatherParameters) -> None:
        """Change the light, at once."""
        self.weather = weather
        self.look = look_of_weather(
            weather.cloudiness,
            weather.precipitation,
            weather.precipitation_deposits,
            weather.wetness,
            weather.fog_density,
            weather.fog_distance,
            weather.sun_azimuth_angle,
            weather.sun_altitude_angle,
        )

    def spawn(
        self, description: ActorDescription, transform: Transform, parent_id: int = 0
    ) -> Actor:
        """Put an actor into the world; `transform` is relative to a parent.

        Raises:
            CallError: its place is occupied, its kind or its parent is unknown, or this server
                cannot do what it is for.
        """
        if len(self.actors) >= MOST_ACTORS:
            raise CallError(f"there are {len(self.actors)} actors, as many as there may be")
        blueprint, description = checked(description)
        if not blueprint.simulated:
            raise CallError(
                f"{description.id}: not simulated by this server (td3_driver's embedded world)"
            )
        pose, relative = pose6(transform), None
        if parent_id:
            pose, relative = composed(self.actor(parent_id).pose, pose), pose
        actor_id = next(self._ids)
        try:
            actor = self._made(actor_id, description, blueprint, pose)
        except OccupiedError as error:
            raise CallError("Spawn failed because of collision at spawn position") from error
        if relative is not None:
            actor.parent_id, actor.relative = parent_id, relative
            actor.attach()
        return self._add(actor)

    def actor(self, actor_id: int) -> Actor:
        """An actor by its id.

        Raises:
            CallError: there is none.
        """
        actor = self.actors.get(actor_id)
        if actor is None:
            raise CallError(f"unable to find actor {actor_id}: actor not found")
        return actor

    def destroy(self, actor_id: int) -> bool:
        """Take an actor out of the world, and its stream; what is attached to it stays."""
        actor = self.actors.get(actor_id)
        if actor is None or actor is self.spectator:
            return False
        del self.actors[actor_id]
        self._vehicles.pop(actor_id, None)
        self._sensing.destroy(actor_id)
        if isinstance(actor, CrowdActor):
            self._crowd.destroy(actor)
        else:
            self.scene.remove(actor_id)
        return True

    def close(self) -> None:
        """End all streams."""
        self._sensing.close()

    def put(self, actor: Actor, transform: Transform) -> None:
        """Move an actor; of an attached one it is the place on its parent."""
        pose = pose6(transform)
        parent = self.actors.get(actor.parent_id)
        if actor.relative is not None and parent is not None:
            actor.relative = pose
            pose = composed(parent.pose, pose)
        actor.move(pose)

    def step(self, delta_s: float, moment: Moment) -> None:
        """Simulate a tick; collisions are told at once, before the tick's state."""
        count = max(1, math.ceil(delta_s / LARGEST_STEP_S - 1e-9))
        told = []
        for vehicle in self._vehicles.values():
            vehicle.start_tick()
        for _ in range(count):
            told += self.scene.step(delta_s / count)
        self._refresh_crowd()
        for actor in self.actors.values():
            actor.refresh()
        for actor in self.actors.values():  # after those that carry them
            parent = self.actors.get(actor.parent_id)
            if actor.relative is not None and parent is not None:
                actor.move(composed(parent.pose, actor.relative))
        self._signs.notice(list(self._vehicles.values()))
        for event in told:
            of, other = (self._by_body(key) for key in (event.actor_id, event.other_actor_id))
            if of is not None:
                self._sensing.tell_collision(of, other, event.impulse, moment)

    def state(self) -> Iterator[bytes]:
        """All actors as a tick's state has them."""
        return (actor.state() for actor in self.actors.values())

    def sense(self, moment: Moment, *, render: bool) -> None:
        """Send what all sensors sense that somebody listens to."""
        self._sensing.sense(moment, self.look, render=render)

    def _by_body(self, key: int) -> Actor | None:
        return self.actors.get(self._crowd.actor_id(key))

    def _add(self, actor: Actor) -> Actor:
        actor.box = BoundingBox(
            actor.box.location, actor.box.extent, actor.box.rotation, actor.id
        )
        self.actors[actor.id] = actor
        if isinstance(actor, VehicleActor):
            self._vehicles[actor.id] = actor
        return actor

    def _made(
        self,
        actor_id: int,
        description: ActorDescription,
        blueprint: Blueprint,
        pose: wire.Pose6,
    ) -> Actor:
        kind, box, shown = description.id, blueprint.box, class_of(blueprint)
        if box is None:
            if kind.startswith("sensor."):
                return self._sensing.make(actor_id, description, pose)
            return Actor(id=actor_id, description=description, pose=pose)
        size_m = box.length_m, box.width_m, box.height_m
        common: dict[str, Any] = {
            "id": actor_id,
            "description": description,
            "pose": pose,
            "box": upright_box(*size_m, box.center_z_m),
            "tags": tags(shown),
        }
        if kind.startswith("vehicle."):
            mass_kg = blueprint.mass_kg or MASS_KG
            body = Body(*size_m, mass_kg, _color_bgr(description), shown)
            car = self.scene.add_car(actor_id, world_pose(pose), body)
            vehicle = VehicleActor(**common, car=car)
            vehicle.refresh()
            return vehicle
        if kind.startswith("walker."):
            walker = self.scene.add_walker(actor_id, world_pose(pose), size_m)
            person = WalkerActor(**common, walker=walker)
            person.refresh()
            return person
        return PropActor(**common, prop=self.scene.add_prop(actor_id, world_pose(pose), size_m))

    def _refresh_crowd(self) -> None:
        come, gone = self._crowd.refresh()
        for actor_id in gone:
            self.actors.pop(actor_id, None)
        for actor in come:
            self._add(actor)


def _color_bgr(description: ActorDescription) -> tuple[float, float, float]:
    """The colour attribute, `r,g,b`; grey if it has none."""
    parts = description.text("color").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        return _GREY_BGR
    red, green, blue = (min(float(part), 255.0) for part in parts)
    return blue, green, red
