# SPDX-License-Identifier: Apache-2.0
"""What the bridge publishes in a tick, in its order: the clock, then actors and sensors.

Actors and sensors publish in the order in which carla_spawn_objects creates them: the world's own
sensors, the car, and the sensors on it in the order of the objects file. `world_node` publishes
these messages, and `evaluate --record` writes them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

import numpy as np

from td3_driver.bridge_twin import objects_file as objects
from td3_driver.bridge_twin.messages import EGO_ID, TickMessages, sensor_ids
from td3_driver.driving.messages import topics
from td3_driver.driving.messages.encoding import Messages
from td3_driver.driving.messages.topics import Topic, topic_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import NO_LIGHTS
from td3_driver.world.camera.shutter import Shutter
from td3_driver.world.simulation import Tick, WorldConfig
from td3_driver.world.traffic_lights import TrafficLights

# A topic, and what makes the message or its bytes.
Publication = tuple[Topic, Callable[[], Any]]
_OfTick = Callable[[Tick], Iterator[Publication]]


class Publications:
    """The topics and messages of the world, of one car, and of the sensors on it.

    Args:
        messages: makes the messages, of rclpy's classes or of those for a bag.
        car: the car and its sensors.
        config: the world's step and cameras.
        road_map: the world's roads.

    Attributes:
        topics: all topics that are published.
        on_demand: those of them whose messages cost too much while nobody listens: pictures of the
            cameras beside the first.
    """

    def __init__(
        self, messages: Messages, car: objects.Car, config: WorldConfig, road_map: RoadMap
    ) -> None:
        self._road_map = road_map
        self._messages = TickMessages(messages, car.role_name, config)
        self.topics: list[Topic] = []
        self.on_demand: set[Topic] = set()
        self._beside = [sensor.id for sensor in car.cameras()[1:]]
        self._clock, self._tf = self._add(topics.CLOCK), self._add(topics.TF)
        self._world_info = self._add(topics.WORLD_INFO)
        self._vehicle_info = self._add(f"/carla/{car.role_name}/vehicle_info")
        self._ego_present = True
        makers = {
            objects.TRAFFIC_LIGHTS: self._traffic_lights,
            objects.COLLISION: self._collision,
            objects.LANE_INVASION: self._lane_invasion,
            objects.OBJECTS: self._objects,
            objects.TRANSFORM: self._transform,
            objects.ODOMETRY: self._odometry,
            objects.SPEEDOMETER: self._speedometer,
            objects.CAMERA: self._camera,
        }

        def of_sensors(attached: bool, prefix: str) -> list[tuple[int, _OfTick]]:
            return [
                (actor_id, makers[sensor.type](f"{prefix}/{sensor.id}", sensor))
                for actor_id, sensor in sensor_ids(car).items()
                if sensor.attached == attached and sensor.type in makers
            ]

        self._actors = [
            *of_sensors(False, "/carla"),
            (EGO_ID, self._vehicle_status(f"/carla/{car.role_name}/vehicle_status")),
            *of_sensors(True, f"/carla/{car.role_name}"),
        ]

    def once(self) -> Iterator[Publication]:
        """The latched messages, from before the first tick."""
        yield self._world_info, partial(self._messages.world_info, self._road_map)
        yield self._vehicle_info, self._messages.vehicle_info

    def of_tick(self, tick: Tick, present: Collection[int]) -> Iterator[Publication]:
        """Everything of a tick, from the actors whose ids are `present`."""
        self._ego_present = EGO_ID in present
        yield self._clock, partial(self._messages.clock, tick)
        for actor_id, of_tick in self._actors:
            if actor_id in present:
                yield from of_tick(tick)

    def _add(self, name: str, kind: str = "") -> Topic:
        """Add a topic; users name sensors, so its name need not end in its `kind`."""
        topic = topic_of(name, kind)
        self.topics.append(topic)
        return topic

    def _vehicle_status(self, name: str) -> _OfTick:
        topic = self._add(name)
        return lambda tick: iter([(topic, partial(self._messages.status, tick))])

    def _traffic_lights(self, name: str, _: objects.Sensor) -> _OfTick:
        """Where the lights are when the sensor begins, and what they show when that changes."""
        info = self._add(f"{name}/info", "traffic_lights/info")
        status = self._add(f"{name}/status", "traffic_lights/status")
        last_frame, told = -1, NO_LIGHTS

        def of_tick(tick: Tick) -> Iterator[Publication]:
            nonlocal last_frame, told
            begins, last_frame = tick.frame != last_frame + 1, tick.frame
            if begins and len(tick.lights):
                lights = TrafficLights(self._road_map).lights
                yield info, partial(self._messages.lights_info, lights)
            if len(tick.lights) and (begins or not np.array_equal(tick.lights, told)):
                told = tick.lights
                yield status, partial(self._messages.lights_status, told)

        return of_tick

    def _transform(self, _: str, __: objects.Sensor) -> _OfTick:
        return lambda tick: iter([(self._tf, partial(self._messages.ego_transform, tick))])

    def _place(self, tick: Tick, sensor: objects.Sensor) -> Publication:
        """The pose of a sensor, published before what the sensor measures."""
        return self._tf, partial(self._messages.sensor_transform, tick, sensor)

    def _odometry(self, name: str, _: objects.Sensor) -> _OfTick:
        topic = self._add(name, "odometry")
        return lambda tick: iter([(topic, partial(self._messages.odometry, tick))])

    def _speedometer(self, name: str, _: objects.Sensor) -> _OfTick:
        topic = self._add(name, "speedometer")
        return lambda tick: iter([(topic, partial(self._messages.speedometer, tick))])

    def _collision(self, name: str, sensor: objects.Sensor) -> _OfTick:
        topic = self._add(name, "collision")

        def of_tick(tick: Tick) -> Iterator[Publication]:
            for collision in tick.collisions:
                yield self._place(tick, sensor)
                yield topic, partial(self._messages.collision, tick, collision, sensor.id)

        return of_tick

    def _lane_invasion(self, name: str, sensor: objects.Sensor) -> _OfTick:
        topic = self._add(name, "lane_invasion")

        def of_tick(tick: Tick) -> Iterator[Publication]:
            if tick.lane_invasions:
                yield self._place(tick, sensor)
                yield topic, partial(self._messages.lane_invasion, tick, sensor.id)

        return of_tick

    def _objects(self, name: str, sensor: objects.Sensor) -> _OfTick:
        """The road users: with the car, while it is present, if the sensor is not on the car."""
        topic = self._add(name, "objects")

        def of_tick(tick: Tick) -> Iterator[Publication]:
            with_ego = not sensor.attached and self._ego_present
            yield topic, partial(self._messages.objects, tick, with_ego=with_ego)

        return of_tick

    def _camera(self, name: str, sensor: objects.Sensor) -> _OfTick:
        camera_info, image = self._add(f"{name}/camera_info"), self._add(f"{name}/image")
        shutter = Shutter(objects.picture_of(sensor).sensor_tick_s)
        take: Callable[[Tick, str], Any] = self._messages.image
        if sensor.id in self._beside:
            take = partial(self._messages.image_beside, camera=self._beside.index(sensor.id))
            self.on_demand.add(image)

        def of_tick(tick: Tick) -> Iterator[Publication]:
            if shutter.opens(tick.stamp_ns):
                yield self._place(tick, sensor)
                yield camera_info, partial(self._messages.camera_info, tick, sensor.id)
                yield image, partial(take, tick, sensor.id)

        return of_tick
