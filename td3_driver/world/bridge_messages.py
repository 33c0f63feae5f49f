# SPDX-License-Identifier: Apache-2.0
"""A tick of the embedded world as the messages that the CARLA bridge publishes for it.

Fields, frames and signs follow carla_ros_bridge (`odom_sensor.py`, `camera.py`, `ego_vehicle.py`,
`collision_sensor.py`, `lane_invasion_sensor.py`): map frame right-handed, odometry twist in the
body frame, collision impulse in CARLA's own left-handed axes.
"""

from __future__ import annotations

import array
import math

from builtin_interfaces.msg import Time
from carla_msgs.msg import (
    CarlaCollisionEvent,
    CarlaEgoVehicleInfo,
    CarlaEgoVehicleInfoWheel,
    CarlaEgoVehicleStatus,
    CarlaLaneInvasionEvent,
)
from derived_object_msgs.msg import ObjectArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

from td3_driver.driving.turning import MAX_WHEEL_RAD, WHEELBASE_M
from td3_driver.ros.conversions import control_message, pose_message, stamp_of
from td3_driver.world.bridge_objects import ObjectArrays, turn
from td3_driver.world.objects_file import VEHICLE, Car, Sensor
from td3_driver.world.simulation import Collision, Tick, WorldConfig
from td3_driver.world.vehicle import MASS_KG

EGO_ID = 1
_FIRST_SENSOR_ID = 10_000  # where the bridge's own ids begin
MAP_FRAME = "map"


def sensor_ids(car: Car) -> dict[int, Sensor]:
    """The actor ids of the sensors and pseudo actors of a car and of its world."""
    return dict(enumerate(car.sensors, start=_FIRST_SENSOR_ID))


class TickMessages:
    """Builds the messages of one car; a sensor's frame is `<role>/<its id>`."""

    def __init__(self, role_name: str, config: WorldConfig) -> None:
        self._role = role_name
        self._camera_info = _camera_info(config)
        self._objects = ObjectArrays(EGO_ID)

    def odometry(self, tick: Tick) -> Odometry:
        """Pose in the map frame, twist in the body frame."""
        ego = tick.ego
        message = Odometry(header=_header(tick, MAP_FRAME), child_frame_id=self._role)
        message.pose.pose = pose_message(ego.pose)
        turn(message.pose.pose.orientation, ego.pose.yaw_rad, tick.pitch_rad)
        message.twist.twist.linear.x = ego.speed_mps
        message.twist.twist.linear.y = ego.lateral_speed_mps
        message.twist.twist.angular.z = ego.yaw_rate_radps
        return message

    def status(self, tick: Tick) -> CarlaEgoVehicleStatus:
        """Speed without a sign, acceleration in the map frame, the command as applied."""
        message = CarlaEgoVehicleStatus(header=_header(tick, MAP_FRAME))
        message.velocity = math.hypot(tick.ego.speed_mps, tick.ego.lateral_speed_mps)
        linear = message.acceleration.linear
        linear.x, linear.y, linear.z = tick.acceleration_map
        turn(message.orientation, tick.ego.pose.yaw_rad, tick.pitch_rad)
        message.control = control_message(tick.control, Time())  # the bridge leaves it empty
        return message

    def image(self, tick: Tick, sensor: str) -> Image:
        """bgra8, as CARLA's camera delivers it."""
        height, width, channels = tick.image.shape
        message = Image(header=self._header(tick, sensor))
        message.height, message.width, message.encoding = height, width, "bgra8"
        message.step = width * channels
        # array.array takes rclpy's fast path; bytes would be checked element by element.
        message.data = array.array("B", tick.image.tobytes())
        return message

    def camera_info(self, tick: Tick, sensor: str) -> CameraInfo:
        """The pinhole of the camera, with the image's header."""
        self._camera_info.header = self._header(tick, sensor)
        return self._camera_info

    def collision(self, tick: Tick, collision: Collision, sensor: str) -> CarlaCollisionEvent:
        """The impulse in CARLA's axes: y to the right, not flipped by the bridge."""
        header = self._header(tick, sensor)
        message = CarlaCollisionEvent(header=header, other_actor_id=collision.other_actor_id)
        impulse = message.normal_impulse
        impulse.x, impulse.y, impulse.z = collision.impulse
        impulse.y = -impulse.y
        return message

    def lane_invasion(self, tick: Tick, sensor: str) -> CarlaLaneInvasionEvent:
        """The crossed markings, in CARLA's numbers."""
        return CarlaLaneInvasionEvent(
            header=self._header(tick, sensor), crossed_lane_markings=list(tick.lane_invasions)
        )

    def objects(self, tick: Tick, *, with_ego: bool) -> ObjectArray:
        """Everybody on the road; good until the next call."""
        header = _header(tick, MAP_FRAME)
        objects = self._objects.everybody if with_ego else self._objects.others
        return objects(tick, header)

    def vehicle_info(self) -> CarlaEgoVehicleInfo:
        """The car, once."""
        corners = [(x, y) for x in (0.5, -0.5) for y in (0.8, -0.8)]
        message = CarlaEgoVehicleInfo(id=EGO_ID, type=VEHICLE, rolename=self._role)
        message.mass = MASS_KG
        for x, y in corners:
            wheel = CarlaEgoVehicleInfoWheel(max_steer_angle=MAX_WHEEL_RAD if x > 0 else 0.0)
            wheel.position.x, wheel.position.y = x * WHEELBASE_M, y
            message.wheels.append(wheel)
        return message

    def _header(self, tick: Tick, sensor: str) -> Header:
        return _header(tick, f"{self._role}/{sensor}")


def _header(tick: Tick, frame_id: str) -> Header:
    return Header(stamp=stamp_of(tick.stamp_ns), frame_id=frame_id)


def _camera_info(config: WorldConfig) -> CameraInfo:
    """`camera.py` of the bridge: fx = fy = W / (2 tan(fov / 2)), no distortion."""
    width, height = config.image_width, config.image_height
    focal_px = width / (2.0 * math.tan(math.radians(config.fov_deg) / 2.0))
    cx, cy = width / 2.0, height / 2.0
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [focal_px, 0.0, cx, 0.0, focal_px, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal_px, 0.0, cx, 0.0, 0.0, focal_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message
