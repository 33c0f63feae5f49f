# SPDX-License-Identifier: Apache-2.0
"""Records drives of the embedded world as bags (MCAP) that `ros2 bag` and `replay` read.

The messages are those that `world_node` and `driver_node` send for the same ticks, under the same
names; written from plain values, so that no ROS is needed. Times are the world's: the same drive
gives the same bytes.
"""

from __future__ import annotations

import math
from types import TracebackType
from typing import Any

import numpy as np
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Writer

from td3_driver.bags.types import typestore
from td3_driver.bags.writing import quality
from td3_driver.driving.road_map import RoadMap
from td3_driver.driving.route import Route
from td3_driver.driving.types import Control
from td3_driver.world.simulation import Tick

ROLE = "/carla/ego_vehicle"
IMAGE = f"{ROLE}/rgb_front/image"
_TYPES = {
    "/carla/world_info": "carla_msgs/msg/CarlaWorldInfo",
    "/td3_driver/route": "nav_msgs/msg/Path",
    f"{ROLE}/collision": "carla_msgs/msg/CarlaCollisionEvent",
    f"{ROLE}/objects": "derived_object_msgs/msg/ObjectArray",
    f"{ROLE}/odometry": "nav_msgs/msg/Odometry",
    f"{ROLE}/vehicle_status": "carla_msgs/msg/CarlaEgoVehicleStatus",
    IMAGE: "sensor_msgs/msg/Image",
    f"{ROLE}/vehicle_control_cmd": "carla_msgs/msg/CarlaEgoVehicleControl",
}
LATCHED = ("/carla/world_info", "/td3_driver/route")


class DriveRecorder:
    """Writes the ticks of one car; use it in a `with` statement.

    Args:
        writer: an opened, empty bag; closed at the end.
        road_map: what `/carla/world_info` says.
    """

    def __init__(self, writer: Writer, road_map: RoadMap) -> None:
        self._writer = writer
        self._store = typestore()
        self._new = self._store.types
        self._connections: dict[str, Connection] = {
            topic: writer.add_connection(
                topic,
                kind,
                typestore=self._store,
                offered_qos_profiles=[quality(latched=topic in LATCHED)],
            )
            for topic, kind in _TYPES.items()
        }
        self._road_map: RoadMap | None = road_map

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
        time_ns = tick.stamp_ns
        if self._road_map is not None:  # latched: it was there before
            info = self._message(
                "/carla/world_info",
                map_name=self._road_map.name,
                opendrive=self._road_map.opendrive,
            )
            self._write("/carla/world_info", time_ns, info)
            self._road_map = None
        for collision in tick.collisions:
            x, y, z = collision.impulse
            event = self._message(
                f"{ROLE}/collision",
                header=self._header(time_ns, "ego_vehicle/collision"),
                other_actor_id=collision.other_actor_id,
                normal_impulse=self._vector(x, -y, z),  # CARLA's axes, as the bridge leaves them
            )
            self._write(f"{ROLE}/collision", time_ns, event)
        self._write(f"{ROLE}/objects", time_ns, self._objects(tick))
        self._write(f"{ROLE}/odometry", time_ns, self._odometry(tick))
        self._write(f"{ROLE}/vehicle_status", time_ns, self._status(tick))
        self._write(IMAGE, time_ns, self._image(tick))

    def command(self, time_ns: int, control: Control) -> None:
        """The command that answers the frame of that stamp."""
        topic = f"{ROLE}/vehicle_control_cmd"
        self._write(topic, time_ns, self._control(self._header(time_ns, ""), control))

    def route(self, time_ns: int, route: Route) -> None:
        """The route of the episode that begins with the frame of that stamp."""
        header = self._header(time_ns, "map")
        poses = [
            self._new["geometry_msgs/msg/PoseStamped"](header=header, pose=self._pose(x_m, y_m))
            for x_m, y_m in route.points_m.tolist()
        ]
        path = self._message("/td3_driver/route", header=header, poses=poses)
        self._write("/td3_driver/route", time_ns, path)

    def _write(self, topic: str, time_ns: int, message: Any) -> None:
        data = self._store.serialize_cdr(message, _TYPES[topic])
        self._writer.write(self._connections[topic], time_ns, data)

    def _message(self, topic: str, **fields: Any) -> Any:
        return self._new[_TYPES[topic]](**fields)

    def _header(self, time_ns: int, frame_id: str) -> Any:
        stamp = self._new["builtin_interfaces/msg/Time"](
            sec=time_ns // 1_000_000_000, nanosec=time_ns % 1_000_000_000
        )
        return self._new["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def _vector(self, x: float, y: float, z: float) -> Any:
        return self._new["geometry_msgs/msg/Vector3"](x=x, y=y, z=z)

    def _quaternion(self, yaw_rad: float) -> Any:
        return self._new["geometry_msgs/msg/Quaternion"](
            x=0.0, y=0.0, z=math.sin(0.5 * yaw_rad), w=math.cos(0.5 * yaw_rad)
        )

    def _pose(self, x_m: float, y_m: float, z_m: float = 0.0, yaw_rad: float = 0.0) -> Any:
        return self._new["geometry_msgs/msg/Pose"](
            position=self._new["geometry_msgs/msg/Point"](x=x_m, y=y_m, z=z_m),
            orientation=self._quaternion(yaw_rad),
        )

    def _objects(self, tick: Tick) -> Any:
        """As much of `/carla/<role>/objects` as driving looks at: poses, boxes, velocities."""
        header, others = self._header(tick.stamp_ns, "map"), tick.others
        columns = (others.actor_ids, others.poses, others.sizes_m, others.velocities_mps)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        objects = [self._object(header, *row) for row in rows]
        return self._message(f"{ROLE}/objects", header=header, objects=objects)

    def _object(
        self,
        header: Any,
        actor_id: int,
        pose: list[float],
        size_m: list[float],
        velocity_mps: list[float],
    ) -> Any:
        new: dict[str, Any] = dict(self._new)
        kind, box = new["derived_object_msgs/msg/Object"], new["shape_msgs/msg/SolidPrimitive"]
        still, (x_m, y_m, yaw_rad) = self._vector(0.0, 0.0, 0.0), pose
        return kind(
            header=header,
            id=actor_id,
            detection_level=kind.OBJECT_DETECTED,
            object_classified=False,
            pose=self._pose(x_m, y_m, 0.0, yaw_rad),
            twist=new["geometry_msgs/msg/Twist"](
                linear=self._vector(velocity_mps[0], velocity_mps[1], 0.0), angular=still
            ),
            accel=new["geometry_msgs/msg/Accel"](linear=still, angular=still),
            polygon=new["geometry_msgs/msg/Polygon"](points=[]),
            shape=box(
                type=box.BOX,
                dimensions=np.array(size_m),
                polygon=new["geometry_msgs/msg/Polygon"](points=[]),
            ),
            classification=kind.CLASSIFICATION_UNKNOWN,
            classification_certainty=0,
            classification_age=0,
        )

    def _odometry(self, tick: Tick) -> Any:
        ego, pose = tick.ego, tick.ego.pose
        twist = self._new["geometry_msgs/msg/Twist"](
            linear=self._vector(ego.speed_mps, ego.lateral_speed_mps, 0.0),
            angular=self._vector(0.0, 0.0, ego.yaw_rate_radps),
        )
        unknown = np.zeros(36)
        return self._message(
            f"{ROLE}/odometry",
            header=self._header(tick.stamp_ns, "map"),
            child_frame_id="ego_vehicle",
            pose=self._new["geometry_msgs/msg/PoseWithCovariance"](
                pose=self._pose(pose.x_m, pose.y_m, pose.z_m, pose.yaw_rad), covariance=unknown
            ),
            twist=self._new["geometry_msgs/msg/TwistWithCovariance"](
                twist=twist, covariance=unknown
            ),
        )

    def _status(self, tick: Tick) -> Any:
        still = self._vector(0.0, 0.0, 0.0)
        return self._message(
            f"{ROLE}/vehicle_status",
            header=self._header(tick.stamp_ns, "map"),
            velocity=math.hypot(tick.ego.speed_mps, tick.ego.lateral_speed_mps),
            acceleration=self._new["geometry_msgs/msg/Accel"](
                linear=self._vector(*tick.acceleration_map), angular=still
            ),
            orientation=self._quaternion(tick.ego.pose.yaw_rad),
            control=self._control(self._header(0, ""), tick.control),
        )

    def _control(self, header: Any, control: Control) -> Any:
        return self._new["carla_msgs/msg/CarlaEgoVehicleControl"](
            header=header,
            throttle=control.throttle,
            steer=control.steer,
            brake=control.brake,
            hand_brake=control.hand_brake,
            reverse=control.reverse,
            gear=0,
            manual_gear_shift=False,
        )

    def _image(self, tick: Tick) -> Any:
        height, width, channels = tick.image.shape
        return self._message(
            IMAGE,
            header=self._header(tick.stamp_ns, "ego_vehicle/rgb_front"),
            height=height,
            width=width,
            encoding="bgra8",
            is_bigendian=0,
            step=width * channels,
            data=tick.image.reshape(-1),
        )
