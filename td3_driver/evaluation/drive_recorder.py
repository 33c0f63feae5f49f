# SPDX-License-Identifier: Apache-2.0
"""Records drives of the embedded world as bags (MCAP) that `ros2 bag` and `replay` read.

The messages are those that `world_node` and `driver_node` send for the same ticks, under the same
names and made in the same place (`world.bridge_messages`, `driving.encoding`); no ROS is needed.
Times are the world's: the same drive gives the same bytes.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2 import Writer

from td3_driver.bags.types import BagMessages, typestore
from td3_driver.bags.writing import quality
from td3_driver.bridge_twin.messages import TickMessages
from td3_driver.bridge_twin.objects_file import CAMERA, COLLISION, LANE_INVASION, Mounting, Sensor
from td3_driver.driving.messages.encoding import new_header, new_path, set_control
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.types import Control
from td3_driver.world.simulation import Tick, WorldConfig

_EGO, _CAMERA = "ego_vehicle", "rgb_front"
ROLE = f"/carla/{_EGO}"
IMAGE = f"{ROLE}/{_CAMERA}/image"
CONTROL = f"{ROLE}/vehicle_control_cmd"
TYPES = {
    "/tf": "tf2_msgs/msg/TFMessage",
    "/carla/world_info": "carla_msgs/msg/CarlaWorldInfo",
    "/td3_driver/route": "nav_msgs/msg/Path",
    f"{ROLE}/collision": "carla_msgs/msg/CarlaCollisionEvent",
    f"{ROLE}/objects": "derived_object_msgs/msg/ObjectArray",
    f"{ROLE}/odometry": "nav_msgs/msg/Odometry",
    f"{ROLE}/vehicle_status": "carla_msgs/msg/CarlaEgoVehicleStatus",
    IMAGE: "sensor_msgs/msg/Image",
    CONTROL: "carla_msgs/msg/CarlaEgoVehicleControl",
}
LATCHED = ("/carla/world_info", "/td3_driver/route")


class DriveRecorder:
    """Writes the ticks of one car; use it in a `with` statement.

    Args:
        writer: an opened, empty bag; closed at the end.
        road_map: what `/carla/world_info` says.
        config: of the world.
    """

    def __init__(self, writer: Writer, road_map: RoadMap, config: WorldConfig) -> None:
        self._writer = writer
        self._store = typestore()
        self._connections: dict[str, Connection] = {
            topic: writer.add_connection(
                topic,
                kind,
                typestore=self._store,
                offered_qos_profiles=[quality(latched=topic in LATCHED)],
            )
            for topic, kind in TYPES.items()
        }
        self._new = BagMessages(self._store)
        self._messages = TickMessages(self._new, _EGO, config)
        self._road_map: RoadMap | None = road_map
        self._collision = Sensor(COLLISION, "collision")
        self._lane_invasion = Sensor(LANE_INVASION, "lane_invasion")
        mounting = Mounting(
            config.camera_x_m, config.camera_y_m, config.camera_z_m, pitch=config.camera_pitch_deg
        )
        self._camera = Sensor(CAMERA, _CAMERA, mounting)

    def __enter__(self) -> DriveRecorder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def tick(self, tick: Tick) -> None:
        """What the world publishes in a tick."""
        time_ns, messages = tick.stamp_ns, self._messages
        if self._road_map is not None:  # latched: it was there before
            self._write("/carla/world_info", time_ns, messages.world_info(self._road_map))
            self._road_map = None
        self._write(f"{ROLE}/vehicle_status", time_ns, messages.status(tick))
        for collision in tick.collisions:
            event = messages.collision(tick, collision, self._collision.id)
            self._place(tick, self._collision)
            self._write(f"{ROLE}/collision", time_ns, event)
        if tick.lane_invasions:
            self._place(tick, self._lane_invasion)
        self._write(f"{ROLE}/objects", time_ns, messages.objects(tick, with_ego=False))
        self._write("/tf", time_ns, messages.ego_transform(tick))
        self._write(f"{ROLE}/odometry", time_ns, messages.odometry(tick))
        self._place(tick, self._camera)
        self._write(IMAGE, time_ns, messages.image(tick, _CAMERA))

    def command(self, time_ns: int, control: Control) -> None:
        """The command that answers the frame of that stamp."""
        message = self._new.new(TYPES[CONTROL])
        message.header = new_header(self._new, time_ns, "")
        set_control(message, control)
        self._write(CONTROL, time_ns, message)

    def route(self, time_ns: int, route: Route) -> None:
        """The route of the episode that begins with the frame of that stamp."""
        header = new_header(self._new, time_ns, "map")
        path = new_path(self._new, route.points_m.tolist(), header)
        self._write("/td3_driver/route", time_ns, path)

    def _place(self, tick: Tick, sensor: Sensor) -> None:
        self._write("/tf", tick.stamp_ns, self._messages.sensor_transform(tick, sensor))

    def _write(self, topic: str, time_ns: int, message: Any) -> None:
        data = self._store.serialize_cdr(message, TYPES[topic])
        self._writer.write(self._connections[topic], time_ns, data)
