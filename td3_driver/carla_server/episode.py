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
    LightActor,
    Sensor,
    SignActor,
    VehicleActor,
    WalkerActor,
    upright_box,
)
from td3_driver.carla_server.attributes import AttributeType
from td3_driver.carla_server.axes import (
    carla_pose,
    composed,
    pose6,
    world_pose,
)
from td3_driver.carla_server.blueprints import Blueprint
from td3_driver.carla_server.crowd import Crowd
from td3_driver.carla_server.descriptions import checked
from td3_driver.carla_server.sensors import cameras, events
from td3_driver.carla_server.sensors.geography import Geography
from td3_driver.carla_server.sensors.inertial import gnss, imu
from td3_driver.carla_server.sensors.moment import Moment
from td3_driver.carla_server.streams import Streams
from td3_driver.carla_server.structures import (
    ActorDescription,
    AttributeValue,
    BoundingBox,
    CallError,
    Rotation,
    Transform,
    Vector3D,
    WeatherParameters,
)
from td3_driver.carla_server.tags import TRAFFIC_LIGHT, TRAFFIC_SIGN, tags_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.world.bodies.boxes import Body
from td3_driver.world.bodies.vehicle import MASS_KG
from td3_driver.world.camera.weather import look_of_weather
from td3_driver.world.scene import OccupiedError, Scene
from td3_driver.world.traffic_lights import TrafficLights, TriggerBox

LARGEST_STEP_S = 0.1  # of the physics; a longer tick is made of several
MOST_ACTORS = 5000
_GREY_BGR = (115.0, 118.0, 120.0)
_STREAMLESS = {"sensor.other.lane_invasion"}  # the client computes it by itself


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

    Raises:
        WorldConfigError: the map has no room for the others, or no lane to start on.
        ValueError: its roads lie too far apart to be drawn.
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
        )
        self.lights = TrafficLights(road_map)
        self.actors: dict[int, Actor] = {}
        self.set_weather(WeatherParameters())
        self._geography = Geography(road_map.opendrive)
        self._ids = ids
        self._streams = streams
        self._sensors: dict[int, Sensor] = {}
        nobody = ActorDescription(0, "spectator", [])
        self.spectator = self._add(Actor(id=next(ids), description=nobody))
        self._add_signals()
        self._crowd = Crowd(self.scene, ids)
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
        actor.parent_id, actor.relative = parent_id, relative
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
        if actor is None or actor is self.spectator or isinstance(actor, CrowdActor):
            return False
        del self.actors[actor_id]
        self._sensors.pop(actor_id, None)
        if isinstance(actor, Sensor) and actor.stream_id is not None:
            self._streams.close(actor.stream_id)
        self.scene.remove(actor_id)
        return True

    def close(self) -> None:
        """End all streams."""
        for sensor in self._sensors.values():
            if sensor.stream_id is not None:
                self._streams.close(sensor.stream_id)

    def put(self, actor: Actor, transform: Transform) -> None:
        """Move an actor; of an attached one it is the place on its parent."""
        pose = pose6(transform)
        if actor.parent_id and actor.parent_id in self.actors and actor.relative is not None:
            actor.relative = pose
            actor.pose = composed(self.actors[actor.parent_id].pose, pose)
        elif isinstance(actor, VehicleActor):
            actor.car.place(world_pose(pose))
            actor.refresh()
        elif isinstance(actor, WalkerActor):
            actor.walker.pose = world_pose(pose)
            actor.refresh()
        elif not isinstance(actor, CrowdActor):  # those the world moves by itself
            actor.pose = pose

    def step(self, delta_s: float, moment: Moment) -> None:
        """Simulate a tick; collisions are told at once, before the tick's state."""
        count = max(1, math.ceil(delta_s / LARGEST_STEP_S - 1e-9))
        told = []
        for _ in range(count):
            told += self.scene.step(delta_s / count)
            self.lights.step(delta_s / count)
        self._refresh_crowd()
        for actor in self.actors.values():
            actor.refresh()
        for actor in self.actors.values():  # after those that carry them
            if actor.relative is not None and actor.parent_id in self.actors:
                actor.pose = composed(self.actors[actor.parent_id].pose, actor.relative)
        for event in told:
            of, other = (self._by_body(key) for key in (event.actor_id, event.other_actor_id))
            if of is not None:
                self._tell_collision(of, other or events.STILL, event.impulse, moment)

    def state(self) -> Iterator[bytes]:
        """All actors as a tick's state has them."""
        return (actor.state() for actor in self.actors.values())

    def sense(self, moment: Moment, *, render: bool) -> None:
        """Send what all sensors sense that somebody listens to."""
        for sensor in self._sensors.values():
            if sensor.stream_id is None or not self._streams.heard(sensor.stream_id):
                continue
            if sensor.period_s > 0.0:
                if moment.elapsed_s + 1e-9 < sensor.due_s:
                    continue
                sensor.due_s = moment.elapsed_s + sensor.period_s
            parent = self.actors.get(sensor.parent_id)
            if (row := cameras.ROWS.get(sensor.kind)) is not None:
                if render:
                    seen = cameras.picture(sensor, parent, self.scene, self.look)
                    self._send(sensor, moment, row, *seen)
            elif sensor.kind == "sensor.other.imu":
                self._send(sensor, moment, wire.IMU, imu(sensor, parent or sensor))
            elif sensor.kind == "sensor.other.gnss":
                self._send(sensor, moment, wire.GNSS, gnss(sensor, self._geography))
            elif sensor.kind == "sensor.other.obstacle" and parent is not None:
                found = events.obstacle(sensor, parent, self.scene)
                if found is not None:
                    other = self._by_body(found[0]) or events.STILL
                    message = events.obstacle_seen(parent, other, found[1])
                    self._send(sensor, moment, wire.OBSTACLE, message)

    def _send(self, sensor: Sensor, moment: Moment, row: int, *parts: bytes) -> None:
        if sensor.stream_id is not None:
            self._streams.publish(sensor.stream_id, moment.header(row, sensor.pose), *parts)

    def _tell_collision(
        self, of: Actor, other: Actor, impulse: wire.Triple, moment: Moment
    ) -> None:
        for sensor in self._sensors.values():
            if sensor.kind == "sensor.other.collision" and sensor.parent_id == of.id:
                message = events.collision(of, other, impulse)
                self._send(sensor, moment, wire.COLLISION, message)

    def _by_body(self, key: int) -> Actor | None:
        return self.actors.get(self._crowd.actor_id(key) or key)

    def _add(self, actor: Actor) -> Actor:
        actor.box = BoundingBox(
            actor.box.location, actor.box.extent, actor.box.rotation, actor.id
        )
        self.actors[actor.id] = actor
        if isinstance(actor, Sensor):
            self._sensors[actor.id] = actor
        return actor

    def _made(
        self,
        actor_id: int,
        description: ActorDescription,
        blueprint: Blueprint,
        pose: wire.Pose6,
    ) -> Actor:
        kind, box, tags = description.id, blueprint.box, tags_of(blueprint)
        if box is None:
            if kind.startswith("sensor."):
                return self._made_sensor(actor_id, description, pose)
            return Actor(id=actor_id, description=description, pose=pose, tags=tags)
        size_m = box.length_m, box.width_m, box.height_m
        common: dict[str, Any] = {
            "id": actor_id,
            "description": description,
            "pose": pose,
            "box": upright_box(*size_m, box.center_z_m),
            "tags": tags,
        }
        if kind.startswith("vehicle."):
            body = Body(*size_m, blueprint.mass_kg or MASS_KG, _color_bgr(description))
            car = self.scene.add_car(actor_id, world_pose(pose), body)
            vehicle = VehicleActor(**common, car=car)
            vehicle.refresh()
            return vehicle
        if kind.startswith("walker."):
            walker = self.scene.add_walker(actor_id, world_pose(pose), size_m)
            person = WalkerActor(**common, walker=walker)
            person.refresh()
            return person
        self.scene.add_prop(actor_id, world_pose(pose), size_m)
        return Actor(**common)

    def _made_sensor(
        self,
        actor_id: int,
        description: ActorDescription,
        pose: wire.Pose6,
    ) -> Sensor:
        period_s = description.number("sensor_tick", 0.0)
        if period_s < 0.0:
            raise CallError(f"{description.id}: sensor_tick {period_s:g}; expected 0 s or more")
        if description.id == "sensor.other.obstacle":
            events.check_obstacle(description)
        elif description.id in cameras.ROWS:
            self._check_camera(description)
        sensor = Sensor(id=actor_id, description=description, pose=pose, period_s=period_s)
        if description.id not in _STREAMLESS:
            sensor.stream_id = self._streams.open()
            sensor.token = self._streams.token(sensor.stream_id)
        return sensor

    def _check_camera(self, description: ActorDescription) -> None:
        pixels = cameras.Lens.of(description).pixels
        others = sum(
            cameras.Lens.of(sensor.description).pixels
            for sensor in self._sensors.values()
            if sensor.kind in cameras.ROWS
        )
        if others + pixels > cameras.MOST_PIXELS:
            raise CallError(
                f"{description.id}: {pixels} pixels, and {others} of other cameras; expected at"
                f" most {cameras.MOST_PIXELS} of all together"
            )

    def _add_signals(self) -> None:
        for index, light in enumerate(self.lights.lights):
            self._add(
                LightActor(
                    id=next(self._ids),
                    description=_signal("traffic.traffic_light"),
                    pose=carla_pose(light.pose),
                    box=_trigger(light.trigger.relative_to(light.pose)),
                    tags=TRAFFIC_LIGHT,
                    lights=self.lights,
                    index=index,
                    sign_id=light.signal_id,
                )
            )
        for sign in self.lights.signs:
            self._add(
                SignActor(
                    id=next(self._ids),
                    description=_signal(sign.kind),
                    pose=carla_pose(sign.pose),
                    box=_trigger(sign.trigger.relative_to(sign.pose)),
                    tags=TRAFFIC_SIGN,
                    sign_id=sign.signal_id,
                )
            )

    def _refresh_crowd(self) -> None:
        come, gone = self._crowd.refresh()
        for actor_id in gone:
            self.actors.pop(actor_id, None)
        for actor in come:
            self._add(actor)


def _signal(kind: str) -> ActorDescription:
    return ActorDescription(0, kind, [AttributeValue("role_name", AttributeType.STRING, "")])


def _trigger(box: TriggerBox) -> BoundingBox:
    """Where a light or sign holds, relative to it."""
    x, y, z = box.center_m
    extent = Vector3D(*box.half_m)
    return BoundingBox(Vector3D(x, -y, z), extent, Rotation(yaw=-math.degrees(box.yaw_rad)))


def _color_bgr(description: ActorDescription) -> tuple[float, float, float]:
    """The colour attribute, `r,g,b`; grey if it has none."""
    parts = description.text("color").split(",")
    if len(parts) != 3 or not all(part.strip().isdigit() for part in parts):
        return _GREY_BGR
    red, green, blue = (min(float(part), 255.0) for part in parts)
    return blue, green, red
