# SPDX-License-Identifier: Apache-2.0
"""What belongs to a tick, in whichever order its messages come; DDS keeps none between topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from builtin_interfaces.msg import Time
from carla_msgs.msg import (
    CarlaEgoVehicleControl,
    CarlaEgoVehicleStatus,
    CarlaTrafficLightStatus,
    CarlaTrafficLightStatusList,
)
from derived_object_msgs.msg import Object, ObjectArray
from nav_msgs.msg import Odometry
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros.driver.intake import Intake, Sighting
from td3_driver.ros.names import EgoTopics
from td3_driver.ros.versions import SENT_NS, TELLS_MESSAGE_INFO

from ..carla_server.lit_streets import lit_streets
from ..driving.test_light_matching import told

TICK_NS = 50_000_000


class Delivery:
    """In place of DDS: a test says which message comes next."""

    def __init__(self) -> None:
        self._callbacks: dict[type, Callable[..., None]] = {}
        self._raw: set[type] = set()

    def listen(
        self, kind: type, topic: str, callback: Callable[..., None], qos: object, raw: bool = False
    ) -> None:
        self._callbacks[kind] = callback
        if raw:
            self._raw.add(kind)

    def alarm(self, callback: Callable[[], None]) -> Callable[[float], None]:
        return lambda after_s: None

    def come(self, message: Any) -> None:
        callback = self._callbacks[type(message)]
        if type(message) in self._raw:
            callback(serialize_message(message))
        elif not isinstance(message, Image | Odometry):
            callback(message)
        elif TELLS_MESSAGE_INFO:
            callback(message, {SENT_NS: 0})
        else:
            callback._callback(message, {SENT_NS: 0})  # type: ignore[attr-defined]


def header(tick: int) -> Header:
    return Header(stamp=Time(nanosec=tick * TICK_NS))


def status(tick: int, throttle: float) -> CarlaEgoVehicleStatus:
    control = CarlaEgoVehicleControl(throttle=throttle)
    return CarlaEgoVehicleStatus(header=header(tick), control=control)


def test_a_tick_that_was_overtaken_keeps_its_own_control_and_road_users() -> None:
    """As of a bridge that did not wait: the next tick is there before this one's picture."""
    delivery, seen = Delivery(), list[Sighting]()
    intake = Intake(
        delivery, EgoTopics("hero", "front", "control"), True, Sync("exact"), print,  # type: ignore[arg-type]
        seen.append, users=True, obeyed=True,
    )  # fmt: skip
    intake.begin()
    for message in (status(1, 0.1), ObjectArray(header=header(1)), Odometry(header=header(1)),
                    Image(header=header(1))):  # fmt: skip
        delivery.come(message)
    car = Object(id=7, shape=SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[4.0, 2.0, 1.5]))
    ahead = ObjectArray(header=header(3), objects=[car])
    for message in (status(2, 0.2), ObjectArray(header=header(2)), Odometry(header=header(2)),
                    status(3, 0.3), ahead, Image(header=header(2)), Odometry(header=header(3)),
                    Image(header=header(3))):  # fmt: skip
        delivery.come(message)
    throttles = [sighting.executed and round(sighting.executed.throttle, 3) for sighting in seen]
    assert throttles == [0.1, 0.2, 0.3]
    assert [len(sighting.users.poses) for sighting in seen] == [0, 0, 1]


def test_lights_are_those_told_last_and_before_the_driver_was_active() -> None:
    """They are latched, and told when one changes, before the odometry of that tick."""
    delivery, seen = Delivery(), list[Sighting]()
    intake = Intake(
        delivery, EgoTopics("hero", "front", "control"), True, Sync("exact"), print,  # type: ignore[arg-type]
        seen.append, users=False,
    )  # fmt: skip
    town = RoadMap(lit_streets(0), "lit")

    def shown(state: int) -> CarlaTrafficLightStatusList:
        return CarlaTrafficLightStatusList(
            traffic_lights=[CarlaTrafficLightStatus(id=700, state=state)]
        )

    delivery.come(told(town))
    delivery.come(shown(2))
    intake.lights.set_map(town)
    intake.begin()
    for message in (Odometry(header=header(1)), Image(header=header(1)), Image(header=header(2)),
                    shown(1), Odometry(header=header(2))):  # fmt: skip
        delivery.come(message)
    assert [sighting.lights.tolist()[:2] for sighting in seen] == [[2, 4], [1, 4]]
