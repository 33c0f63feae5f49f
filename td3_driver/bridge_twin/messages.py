# SPDX-License-Identifier: Apache-2.0
"""Builds the messages that the CARLA bridge would publish for a tick of the embedded world.

Fields, frames and signs follow carla_ros_bridge (`odom_sensor.py`, `camera.py`, `ego_vehicle.py`,
`collision_sensor.py`, `lane_invasion_sensor.py`, `traffic.py`): map frame right-handed, odometry
twist in the body frame, collision impulse in CARLA's own left-handed axes.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from td3_driver.bridge_twin.objects import objects_of
from td3_driver.bridge_twin.objects_file import CAMERA, VEHICLE, Car, Mounting, Sensor
from td3_driver.driving.messages.encoding import (
    Messages,
    new_header,
    new_transform,
    numbers,
    set_control,
    set_pose,
    set_stamp,
    turn,
)
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.types import Lights
from td3_driver.world.bodies import powertrain
from td3_driver.world.bodies.vehicle import MASS_KG
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.scene import Collision
from td3_driver.world.simulation import Tick, WorldConfig
from td3_driver.world.traffic_lights import TrafficLight

EGO_ID = 1
_FIRST_SENSOR_ID = 10_000  # where the bridge's own ids begin
_FIRST_LIGHT_ID = 1_000_000  # above those of all that moves or is spawned
MAP_FRAME = "map"
# From x ahead, y left, z up to a picture's x right, y down, z ahead.
_OPTICAL = (-0.5, 0.5, -0.5, 0.5)

_Quaternion = tuple[float, float, float, float]  # x, y, z, w


def sensor_ids(car: Car) -> dict[int, Sensor]:
    """The sensors and pseudo actors of a car and of its world by their actor ids."""
    return dict(enumerate(car.sensors, start=_FIRST_SENSOR_ID))


class TickMessages:
    """Builds the messages of one car; the frame_id of a sensor is `<role>/<its id>`.

    Args:
        messages: makes the messages, of rclpy's classes or of those for a bag.
        role_name: role name of the car.
        config: the world's step and cameras.
    """

    def __init__(self, messages: Messages, role_name: str, config: WorldConfig) -> None:
        self._messages = messages
        self._role = role_name
        self._fixed_delta_s = config.fixed_delta_s
        self._camera_infos = {each.id: _camera_info(messages, each) for each in config.cameras}

    def carla_status(self, frame: int, *, synchronous_mode: bool, running: bool) -> Any:
        """carla_msgs/CarlaStatus: CARLA's count of frames, and whether the world runs."""
        message = self._messages.new("carla_msgs/msg/CarlaStatus")
        message.frame, message.fixed_delta_seconds = frame, self._fixed_delta_s
        message.synchronous_mode, message.synchronous_mode_running = synchronous_mode, running
        return message

    def clock(self, tick: Tick) -> Any:
        """rosgraph_msgs/Clock: simulated time."""
        message = self._messages.new("rosgraph_msgs/msg/Clock")
        set_stamp(message.clock, tick.stamp_ns)
        return message

    def world_info(self, road_map: RoadMap) -> Any:
        """carla_msgs/CarlaWorldInfo: the roads; published once."""
        message = self._messages.new("carla_msgs/msg/CarlaWorldInfo")
        message.map_name, message.opendrive = road_map.name, road_map.opendrive
        return message

    def odometry(self, tick: Tick) -> Any:
        """nav_msgs/Odometry: pose in the map frame, twist in the body frame."""
        ego = tick.ego
        message = self._messages.new("nav_msgs/msg/Odometry")
        message.header, message.child_frame_id = self._header(tick, MAP_FRAME), self._role
        set_pose(message.pose.pose, ego.pose, tick.pitch_rad)
        message.twist.twist.linear.x = ego.speed_mps
        message.twist.twist.linear.y = ego.lateral_speed_mps
        message.twist.twist.angular.z = ego.yaw_rate_radps
        return message

    def ego_transform(self, tick: Tick) -> Any:
        """tf2_msgs/TFMessage: the pose of the car in the map frame, as in `odometry`."""
        header = self._header(tick, MAP_FRAME)
        message, transform = new_transform(self._messages, header, self._role)
        translation, pose = transform.translation, tick.ego.pose
        translation.x, translation.y, translation.z = pose.x_m, pose.y_m, pose.z_m
        turn(transform.rotation, pose.yaw_rad, tick.pitch_rad)
        return message

    def sensor_transform(self, tick: Tick, sensor: Sensor) -> Any:
        """tf2_msgs/TFMessage: the pose of a sensor on the car; for a camera the optical frame."""
        header = self._header(tick, self._role)
        message, transform = new_transform(self._messages, header, f"{self._role}/{sensor.id}")
        at, translation, rotation = sensor.mounting, transform.translation, transform.rotation
        translation.x, translation.y, translation.z = at.x, at.y, at.z
        quaternion = turned(at, optical=sensor.type == CAMERA)
        rotation.x, rotation.y, rotation.z, rotation.w = quaternion
        return message

    def speedometer(self, tick: Tick) -> Any:
        """std_msgs/Float32: speed forwards, m/s."""
        message = self._messages.new("std_msgs/msg/Float32")
        message.data = tick.ego.speed_mps
        return message

    def status(self, tick: Tick) -> Any:
        """carla_msgs/CarlaEgoVehicleStatus: absolute speed, acceleration in the map frame, and the
        applied command.
        """
        message = self._messages.new("carla_msgs/msg/CarlaEgoVehicleStatus")
        message.header = self._header(tick, MAP_FRAME)
        message.velocity = math.hypot(tick.ego.speed_mps, tick.ego.lateral_speed_mps)
        linear = message.acceleration.linear
        linear.x, linear.y, linear.z = tick.acceleration_map
        turn(message.orientation, tick.ego.pose.yaw_rad, tick.pitch_rad)
        set_control(message.control, tick.control)  # whose header the bridge leaves empty
        return message

    def image(self, tick: Tick, sensor: str) -> Any:
        """sensor_msgs/Image, bgra8, as CARLA's camera delivers it."""
        return self._image(tick, sensor, tick.image)

    def image_beside(self, tick: Tick, sensor: str, camera: int) -> Any:
        """sensor_msgs/Image of a camera beside the first, by its number in `Tick.beside`."""
        return self._image(tick, sensor, tick.beside[camera]())

    def _image(self, tick: Tick, sensor: str, picture: npt.NDArray[np.uint8]) -> Any:
        height, width, channels = picture.shape
        message = self._messages.new("sensor_msgs/msg/Image")
        message.header = self._sensor_header(tick, sensor)
        message.height, message.width, message.encoding = height, width, "bgra8"
        message.step = width * channels
        message.data = self._messages.sequence(picture.reshape(-1))
        return message

    def camera_info(self, tick: Tick, sensor: str) -> Any:
        """sensor_msgs/CameraInfo: the intrinsics of a camera, with the image's header."""
        message = self._camera_infos[sensor]
        message.header = self._sensor_header(tick, sensor)
        return message

    def collision(self, tick: Tick, collision: Collision, sensor: str) -> Any:
        """carla_msgs/CarlaCollisionEvent: the impulse is in CARLA's axes, y to the right, because
        the bridge does not flip it.
        """
        message = self._messages.new("carla_msgs/msg/CarlaCollisionEvent")
        message.header = self._sensor_header(tick, sensor)
        message.other_actor_id = collision.other_actor_id
        impulse = message.normal_impulse
        impulse.x, impulse.y, impulse.z = collision.impulse
        impulse.y = -impulse.y
        return message

    def lane_invasion(self, tick: Tick, sensor: str) -> Any:
        """carla_msgs/CarlaLaneInvasionEvent: the kinds of crossed markings, in CARLA's numbers."""
        message = self._messages.new("carla_msgs/msg/CarlaLaneInvasionEvent")
        message.header = self._sensor_header(tick, sensor)
        crossed = np.array(tick.lane_invasions, np.int32)
        message.crossed_lane_markings = self._messages.sequence(crossed)
        return message

    def objects(self, tick: Tick, *, with_ego: bool) -> bytes:
        """derived_object_msgs/ObjectArray, serialized: all road users."""
        return objects_of(tick, EGO_ID if with_ego else None)

    def lights_info(self, lights: Iterable[TrafficLight]) -> Any:
        """carla_msgs/CarlaTrafficLightInfoList: places in the map, and the boxes in which vehicles
        are at the lights, in the lights' own frames.
        """
        message = self._messages.new("carla_msgs/msg/CarlaTrafficLightInfoList")
        for number, light in enumerate(lights):
            info = self._messages.new("carla_msgs/msg/CarlaTrafficLightInfo")
            info.id = _FIRST_LIGHT_ID + number
            set_pose(info.transform, light.pose)
            box = light.trigger.relative_to(light.pose)
            center, size = info.trigger_volume.center, info.trigger_volume.size
            center.x, center.y, center.z = box.center_m
            size.x, size.y, size.z = (2.0 * half_m for half_m in box.half_m)
            message.traffic_lights.append(info)
        return message

    def lights_status(self, lights: Lights) -> Any:
        """carla_msgs/CarlaTrafficLightStatusList: what all lights show."""
        message = self._messages.new("carla_msgs/msg/CarlaTrafficLightStatusList")
        for number, state in enumerate(lights.tolist()):
            status = self._messages.new("carla_msgs/msg/CarlaTrafficLightStatus")
            status.id, status.state = _FIRST_LIGHT_ID + number, state
            message.traffic_lights.append(status)
        return message

    def vehicle_info(self) -> Any:
        """carla_msgs/CarlaEgoVehicleInfo: the car; published once."""
        message = self._messages.new("carla_msgs/msg/CarlaEgoVehicleInfo")
        message.id, message.type, message.rolename = EGO_ID, VEHICLE, self._role
        message.max_rpm, message.moi = powertrain.MAX_RPM, powertrain.ENGINE_INERTIA_KGM2
        message.damping_rate_full_throttle = powertrain.DAMPING_FULL_THROTTLE
        message.damping_rate_zero_throttle_clutch_engaged = powertrain.DAMPING_CLUTCH_ENGAGED
        message.damping_rate_zero_throttle_clutch_disengaged = powertrain.DAMPING_CLUTCH_DISENGAGED
        message.use_gear_autobox, message.gear_switch_time = True, powertrain.GEAR_SWITCH_TIME_S
        message.clutch_strength, message.mass = powertrain.CLUTCH_STRENGTH, MASS_KG
        message.drag_coefficient = powertrain.DRAG_COEFFICIENT
        # The bridge does not turn it into ROS' axes.
        ahead_m, left_m, up_m = powertrain.CENTRE_OF_MASS_M
        centre = message.center_of_mass
        centre.x, centre.y, centre.z = ahead_m, -left_m, up_m
        message.wheels.extend(map(self._wheel, powertrain.WHEELS))
        return message

    def _wheel(self, wheel: powertrain.Wheel) -> Any:
        """carla_msgs/CarlaEgoVehicleInfoWheel; the bridge hands CARLA's centimetres of the radius
        on, and turns the place into the car's frame, m.
        """
        message = self._messages.new("carla_msgs/msg/CarlaEgoVehicleInfoWheel")
        message.tire_friction, message.damping_rate = wheel.friction, wheel.damping
        message.max_steer_angle, message.radius = wheel.max_steer_rad, 100.0 * wheel.radius_m
        message.max_brake_torque = wheel.max_brake_nm
        message.max_handbrake_torque = wheel.max_handbrake_nm
        position = message.position
        position.x, position.y, position.z = wheel.position_m
        return message

    def _sensor_header(self, tick: Tick, sensor: str) -> Any:
        return self._header(tick, f"{self._role}/{sensor}")

    def _header(self, tick: Tick, frame_id: str) -> Any:
        return new_header(self._messages, tick.stamp_ns, frame_id)


@functools.cache
def turned(at: Mounting, *, optical: bool) -> _Quaternion:
    """The rotation of a sensor's frame in the car's frame; of the optical frame if `optical`."""
    roll, pitch, yaw = (math.radians(angle) / 2.0 for angle in (at.roll, at.pitch, at.yaw))
    found = (0.0, 0.0, math.sin(yaw), math.cos(yaw))
    for then in (
        (0.0, math.sin(pitch), 0.0, math.cos(pitch)),
        (math.sin(roll), 0.0, 0.0, math.cos(roll)),
    ):
        found = _product(found, then)
    return _product(found, _OPTICAL) if optical else found


def _product(a: _Quaternion, b: _Quaternion) -> _Quaternion:
    """The product of two quaternions: the rotation by b, then by a."""
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


def _camera_info(messages: Messages, camera: CameraConfig) -> Any:
    """The intrinsics, as in the bridge's `camera.py`: fx = fy = W / (2 tan(fov / 2))."""
    width, height = camera.width_px, camera.height_px
    focal_px = width / (2.0 * math.tan(math.radians(camera.fov_deg) / 2.0))
    cx, cy = width / 2.0, height / 2.0
    message = messages.new("sensor_msgs/msg/CameraInfo")
    message.width, message.height, message.distortion_model = width, height, "plumb_bob"
    message.d = messages.sequence(np.zeros(5))
    message.k = numbers(focal_px, 0.0, cx, 0.0, focal_px, cy, 0.0, 0.0, 1.0)
    message.r = numbers(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    message.p = numbers(focal_px, 0.0, cx, 0.0, 0.0, focal_px, cy, 0.0, 0.0, 0.0, 1.0, 0.0)
    return message
