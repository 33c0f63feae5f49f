# SPDX-License-Identifier: Apache-2.0
"""What the bridge publishes in a tick, in its order: status, clock, then actors and sensors.

They come in the order of their creation, as carla_spawn_objects creates them: the world's own
sensors, the car, and the sensors on it in the order of the objects file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaEgoVehicleInfo,
    CarlaEgoVehicleStatus,
    CarlaLaneInvasionEvent,
    CarlaStatus,
    CarlaWorldInfo,
)
from derived_object_msgs.msg import ObjectArray
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.publisher import Publisher, PublisherEventCallbacks
from rclpy.qos import QoSProfile
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Float32
from tf2_msgs.msg import TFMessage

from td3_driver.bridge_twin import objects_file as objects
from td3_driver.bridge_twin.messages import EGO_ID, TickMessages, sensor_ids
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros import names
from td3_driver.ros.conversions import MESSAGES
from td3_driver.world.simulation import Tick, WorldConfig

Publish = Callable[[Tick], None]
# By default each publisher brings two event handlers that every wait for a command goes through,
# a tenth of a step in all; of a quality of service that does not match, the subscriber warns.
_NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)


class Shutter:
    """In which ticks a sensor delivers: CARLA's `sensor_tick`, s.

    CARLA keeps the rate: a tick that comes too late for its picture does not put off the next one.
    So 0.125 s among ticks of 0.05 s is a picture every two or three ticks (carla issue 7108).
    """

    def __init__(self, sensor_tick_s: float) -> None:
        self._period_ns = round(sensor_tick_s * 1e9)
        self._due_ns: int | None = None

    def opens(self, stamp_ns: int) -> bool:
        """Whether the tick of this stamp brings a picture."""
        due_ns = stamp_ns if self._due_ns is None else self._due_ns
        if stamp_ns < due_ns:
            return False
        missed = (stamp_ns - due_ns) // self._period_ns if self._period_ns else 0
        self._due_ns = due_ns + (missed + 1) * self._period_ns
        return True


class BridgeTopics:
    """The publishers of the world, of one car, and of the sensors on it."""

    def __init__(
        self, node: Node, car: objects.Car, config: WorldConfig, *, synchronous_mode: bool
    ) -> None:
        self._node = node
        self._role = car.role_name
        self._messages = TickMessages(MESSAGES, car.role_name, config)
        self._state = self._messages.carla_status(
            0, synchronous_mode=synchronous_mode, running=True
        )
        self._status = self._publisher(CarlaStatus, names.STATUS)
        self._clock = self._publisher(Clock, names.CLOCK)
        self._tf = self._publisher(TFMessage, names.TF, names.VOLATILE_600)
        # Latched publishers keep their message only as long as they are there themselves.
        self._world_info = node.create_publisher(
            CarlaWorldInfo, names.WORLD_INFO, names.LATCHED_10
        )
        self._vehicle_info = node.create_publisher(
            CarlaEgoVehicleInfo, f"/carla/{self._role}/vehicle_info", names.LATCHED_10
        )
        self._ego_present = True
        makers = {
            objects.COLLISION: self._collision,
            objects.LANE_INVASION: self._lane_invasion,
            objects.OBJECTS: self._objects,
            objects.TRANSFORM: self._transform,
            objects.ODOMETRY: self._odometry,
            objects.SPEEDOMETER: self._speedometer,
            objects.CAMERA: self._camera,
        }

        def of_sensors(attached: bool, prefix: str) -> list[tuple[int, Publish]]:
            return [
                (actor_id, makers[sensor.type](f"{prefix}/{sensor.id}", sensor))
                for actor_id, sensor in sensor_ids(car).items()
                if sensor.attached == attached and sensor.type in makers
            ]

        self._actors = [
            *of_sensors(False, "/carla"),
            (EGO_ID, self._vehicle_status()),
            *of_sensors(True, f"/carla/{self._role}"),
        ]

    def publish_once(self, road_map: RoadMap) -> None:
        """The latched messages, and the status before the first tick."""
        self._status.publish(self._state)
        self._world_info.publish(self._messages.world_info(road_map))
        self._vehicle_info.publish(self._messages.vehicle_info())

    def publish(self, tick: Tick, present: Collection[int]) -> None:
        """Everything of a tick, from the actors that are present."""
        self._ego_present = EGO_ID in present
        self._state.frame = tick.frame
        self._status.publish(self._state)
        self._clock.publish(self._messages.clock(tick))
        for actor_id, publish in self._actors:
            if actor_id in present:
                publish(tick)

    def set_running(self, running: bool) -> None:
        """Tell of a pause, or of its end."""
        if self._state.synchronous_mode_running != running:
            self._state.synchronous_mode_running = running
            self._status.publish(self._state)

    def _publisher(
        self, kind: type, topic: str, quality: QoSProfile = names.VOLATILE_200
    ) -> Publisher:
        return self._node.create_publisher(kind, topic, quality, event_callbacks=_NO_EVENTS)

    def _vehicle_status(self) -> Publish:
        publisher = self._publisher(CarlaEgoVehicleStatus, f"/carla/{self._role}/vehicle_status")
        return lambda tick: publisher.publish(self._messages.status(tick))

    def _transform(self, _: str, __: objects.Sensor) -> Publish:
        def publish(tick: Tick) -> None:
            if self._tf.get_subscription_count():
                self._tf.publish(self._messages.ego_transform(tick))

        return publish

    def _place(self, tick: Tick, sensor: objects.Sensor) -> None:
        """Where a sensor is, before what it senses."""
        if self._tf.get_subscription_count():
            self._tf.publish(self._messages.sensor_transform(tick, sensor))

    def _odometry(self, topic: str, _: objects.Sensor) -> Publish:
        publisher = self._publisher(Odometry, topic)
        return lambda tick: publisher.publish(self._messages.odometry(tick))

    def _speedometer(self, topic: str, _: objects.Sensor) -> Publish:
        publisher = self._publisher(Float32, topic)
        return lambda tick: publisher.publish(self._messages.speedometer(tick))

    def _collision(self, topic: str, sensor: objects.Sensor) -> Publish:
        publisher = self._publisher(CarlaCollisionEvent, topic)

        def publish(tick: Tick) -> None:
            for collision in tick.collisions:
                self._place(tick, sensor)
                publisher.publish(self._messages.collision(tick, collision, sensor.id))

        return publish

    def _lane_invasion(self, topic: str, sensor: objects.Sensor) -> Publish:
        publisher = self._publisher(CarlaLaneInvasionEvent, topic)

        def publish(tick: Tick) -> None:
            if tick.lane_invasions:
                self._place(tick, sensor)
                publisher.publish(self._messages.lane_invasion(tick, sensor.id))

        return publish

    def _objects(self, topic: str, sensor: objects.Sensor) -> Publish:
        """Only what belongs to the whole world names the car, and only while it is there."""
        publisher = self._publisher(ObjectArray, topic)

        def publish(tick: Tick) -> None:
            if publisher.get_subscription_count():  # twenty objects cost a sixth of a step
                with_ego = not sensor.attached and self._ego_present
                publisher.publish(self._messages.objects(tick, with_ego=with_ego))

        return publish

    def _camera(self, topic: str, sensor: objects.Sensor) -> Publish:
        camera_info = self._publisher(CameraInfo, f"{topic}/camera_info")
        image = self._publisher(Image, f"{topic}/image")
        shutter = Shutter(objects.picture_of(sensor).sensor_tick_s)

        def publish(tick: Tick) -> None:
            if shutter.opens(tick.stamp_ns):
                self._place(tick, sensor)
                camera_info.publish(self._messages.camera_info(tick, sensor.id))
                image.publish(self._messages.image(tick, sensor.id))

        return publish
