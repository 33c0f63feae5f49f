# SPDX-License-Identifier: Apache-2.0
"""The sensors of an episode: making them, and what they send in each tick."""

from __future__ import annotations

from collections.abc import Mapping

from td3_driver.carla_server import wire
from td3_driver.carla_server.actors import Actor, Sensor
from td3_driver.carla_server.crowd import Crowd
from td3_driver.carla_server.sensors import cameras, events
from td3_driver.carla_server.sensors.geography import Geography
from td3_driver.carla_server.sensors.inertial import gnss, imu
from td3_driver.carla_server.sensors.moment import Moment
from td3_driver.carla_server.streams import Streams
from td3_driver.carla_server.structures import ActorDescription, CallError
from td3_driver.world.camera.appearance import Look
from td3_driver.world.camera.shutter import Shutter
from td3_driver.world.scene import Scene

_FLOAT_ERROR = 1e-7  # a little more than that of such a number
_STREAMLESS = {"sensor.other.lane_invasion"}  # the client computes it by itself


class Sensing:
    """Sends what sensors sense to those who listen.

    Args:
        scene: what there is to sense.
        actors: all actors by id.
        crowd: those whom the world moves by itself.
        streams: where sensors are heard.
    """

    def __init__(
        self,
        scene: Scene,
        actors: Mapping[int, Actor],
        crowd: Crowd,
        streams: Streams,
    ) -> None:
        self._scene = scene
        self._actors = actors
        self._crowd = crowd
        self._streams = streams
        self._geography = Geography(scene.road_map.opendrive)
        self._sensors: dict[int, Sensor] = {}

    def make(self, actor_id: int, description: ActorDescription, pose: wire.Pose6) -> Sensor:
        """A sensor, with a stream of its own.

        Raises:
            CallError: its attributes are no such sensor's.
        """
        period_s = description.number("sensor_tick", 0.0)
        if period_s < 0.0:
            raise CallError(f"{description.id}: sensor_tick {period_s:g}; expected 0 s or more")
        if description.id == "sensor.other.obstacle":
            events.check_obstacle(description)
        elif description.id in cameras.ROWS:
            self._check_camera(description)
        sensor = Sensor(id=actor_id, description=description, pose=pose, shutter=Shutter(period_s))
        if description.id not in _STREAMLESS:
            sensor.stream_id = self._streams.open()
            sensor.token = self._streams.token(sensor.stream_id)
        self._sensors[actor_id] = sensor
        return sensor

    def destroy(self, actor_id: int) -> None:
        """End the stream of a sensor, if it is one."""
        sensor = self._sensors.pop(actor_id, None)
        if sensor is not None and sensor.stream_id is not None:
            self._streams.close(sensor.stream_id)

    def close(self) -> None:
        """End all streams."""
        for actor_id in list(self._sensors):
            self.destroy(actor_id)

    def tell_collision(
        self, of: Actor, other: Actor | None, impulse: wire.Triple, moment: Moment
    ) -> None:
        """Send a collision of an actor with another, or with the world's still parts."""
        for sensor in self._sensors.values():
            if sensor.kind == "sensor.other.collision" and sensor.parent_id == of.id:
                message = events.collision(of, other or events.STILL, impulse)
                self._send(sensor, moment, wire.COLLISION, message)

    def sense(self, moment: Moment, look: Look, *, render: bool) -> None:
        """Send what all sensors sense that somebody listens to, in a light."""
        for sensor in self._sensors.values():
            if sensor.stream_id is None or not self._streams.heard(sensor.stream_id):
                continue
            # Steps come in 32 bits: ten of 0.01 s are a little less than 0.1 s.
            if not sensor.shutter.opens(round(1e9 * moment.elapsed_s * (1.0 + _FLOAT_ERROR))):
                continue
            parent = self._actors.get(sensor.parent_id)
            if (row := cameras.ROWS.get(sensor.kind)) is not None:
                if render:
                    seen = cameras.picture(sensor, parent, self._scene, look)
                    self._send(sensor, moment, row, *seen)
            elif sensor.kind == "sensor.other.imu":
                self._send(sensor, moment, wire.IMU, imu(sensor, parent or sensor))
            elif sensor.kind == "sensor.other.gnss":
                self._send(sensor, moment, wire.GNSS, gnss(sensor, self._geography))
            elif sensor.kind == "sensor.other.obstacle" and parent is not None:
                self._look_ahead(sensor, parent, moment)

    def _look_ahead(self, sensor: Sensor, parent: Actor, moment: Moment) -> None:
        found = events.obstacle(sensor, parent, self._scene)
        if found is not None:
            key, distance_m = found
            other = self._actors.get(self._crowd.actor_id(key), events.STILL)
            message = events.obstacle_seen(parent, other, distance_m)
            self._send(sensor, moment, wire.OBSTACLE, message)

    def _send(self, sensor: Sensor, moment: Moment, row: int, *parts: bytes) -> None:
        if sensor.stream_id is not None:
            self._streams.publish(sensor.stream_id, moment.header(row, sensor.pose), *parts)

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
