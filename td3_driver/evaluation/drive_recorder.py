# SPDX-License-Identifier: Apache-2.0
"""Records drives of the embedded world as bags (MCAP) that `ros2 bag` and `replay` read.

The messages are those that `world_node` and `driver_node` send for the same ticks, under the same
names and made in the same place (`bridge_twin.publications`, `driving.messages.encoding`); no ROS
is needed. Times are the world's: the same drive gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Writer

from td3_driver.bags.types import BagMessages, typestore
from td3_driver.bags.writing import quality
from td3_driver.bridge_twin.messages import EGO_ID, sensor_ids
from td3_driver.bridge_twin.objects_file import default_car
from td3_driver.bridge_twin.publications import Publication, Publications
from td3_driver.driving.messages import topics
from td3_driver.driving.messages.encoding import new_header, new_path, set_control
from td3_driver.driving.messages.topics import topic_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Control
from td3_driver.world.simulation import Tick, WorldConfig

_EGO = "ego_vehicle"
ROLE = f"/carla/{_EGO}"
IMAGE = f"{ROLE}/{WorldConfig.cameras[0].id}/image"
CONTROL = f"{ROLE}/vehicle_control_cmd"
# Of what is published and sent, that which `replay` reads; and the pictures of further cameras.
RECORDED = {
    name: topic_of(name)
    for name in (
        topics.TF,
        topics.WORLD_INFO,
        topics.LIGHTS_INFO,
        topics.LIGHTS_STATUS,
        topics.ROUTE,
        f"{ROLE}/collision",
        f"{ROLE}/objects",
        f"{ROLE}/odometry",
        f"{ROLE}/vehicle_status",
        IMAGE,
        CONTROL,
    )
}


class DriveRecorder:
    """Writes the ticks, commands and routes of one car to a bag; use it in a `with` statement.

    Args:
        writer: an open, empty bag; closed at the end.
        road_map: the roads, for `/carla/world_info`.
        config: the world's step and cameras.
    """

    def __init__(self, writer: Writer, road_map: RoadMap, config: WorldConfig) -> None:
        self._writer = writer
        self._store = typestore()
        images = (topic_of(f"{ROLE}/{each.id}/image") for each in config.cameras)
        self._recorded = RECORDED | {topic.name: topic for topic in images}
        self._connections: dict[str, Connection] = {
            topic.name: writer.add_connection(
                topic.name,
                topic.type,
                typestore=self._store,
                offered_qos_profiles=[quality(latched=topic.latched)],
            )
            for topic in self._recorded.values()
        }
        self._messages = BagMessages(self._store)
        car = default_car(_EGO, "control", config.cameras)
        self._publications = Publications(self._messages, car, config, road_map)
        self._present = {EGO_ID, *sensor_ids(car)}
        self._begun = False

    def __enter__(self) -> DriveRecorder:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def tick(self, tick: Tick) -> None:
        """Write what the world publishes in a tick."""
        if not self._begun:  # latched: it was there before
            self._write_all(tick.stamp_ns, self._publications.once())
            self._begun = True
        self._write_all(tick.stamp_ns, self._publications.of_tick(tick, self._present))

    def command(self, time_ns: int, control: Control) -> None:
        """Write the command for the frame of that stamp, ns."""
        message = self._messages.new(RECORDED[CONTROL].type)
        message.header = new_header(self._messages, time_ns, "")
        set_control(message, control)
        self._write(CONTROL, time_ns, message)

    def route(self, time_ns: int, route: Route) -> None:
        """Write the route of the episode that begins with the frame of that stamp, ns."""
        header = new_header(self._messages, time_ns, "map")
        path = new_path(self._messages, route.points_m.tolist(), header)
        self._write(topics.ROUTE, time_ns, path)

    def _write_all(self, time_ns: int, publications: Iterable[Publication]) -> None:
        for topic, make in publications:
            if topic.name in self._connections:
                self._write(topic.name, time_ns, make())

    def _write(self, name: str, time_ns: int, message: Any) -> None:
        data = message
        if not isinstance(message, bytes):
            data = self._store.serialize_cdr(message, self._recorded[name].type)
        self._writer.write(self._connections[name], time_ns, data)
