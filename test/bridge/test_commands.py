# SPDX-License-Identifier: Apache-2.0
"""What a command does to the embedded world: signs, patience, override, teleports."""

from __future__ import annotations

import math

import numpy as np
import pytest
from carla_msgs.msg import CarlaControl, CarlaEgoVehicleControl
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped, Twist
from nav_msgs.msg import Odometry
from rclpy.serialization import deserialize_message
from std_msgs.msg import Bool

from td3_driver.driving.messages.decoding import yaw_of

from .client import IMAGE, INITIAL_POSE, ROLE, Client, World
from .facts import SIGNS, Sign


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_sign(placed: Client, sign: Sign) -> None:
    placed.answer(30, **sign.control)  # type: ignore[arg-type]
    odometry, status = placed.last("odometry"), placed.last("vehicle_status")
    assert sign.holds(odometry, status), (odometry.twist.twist, status)
    speed = placed.last("speedometer").data
    assert speed == pytest.approx(odometry.twist.twist.linear.x, abs=1e-5)


def test_target_velocity(placed: Client) -> None:
    """Linear in the body frame; angular.z is not flipped, so that positive turns right."""
    twist = Twist()
    twist.linear.x, twist.angular.z = 12.0, 0.3
    placed.publish("control/set_target_velocity", twist)
    placed.answer_until(lambda: placed.last("odometry").twist.twist.linear.x > 11.0)
    moving = placed.last("odometry").twist.twist
    assert moving.linear.x == pytest.approx(12.0, abs=0.5)
    assert moving.angular.z < -0.01


def test_impulse_is_in_carla_s_axes(placed: Client, open_place: Pose) -> None:
    """The car is driven off the road to the left until something stops it."""
    collisions = f"{ROLE}/collision"
    before, lanes_before = placed.count(collisions), placed.count(f"{ROLE}/lane_invasion")
    for _ in range(200):
        placed.answer(1, throttle=1.0, steer=-0.15)
        if placed.count(collisions) > before:
            break
    event = placed.last(collisions)
    assert event.header.frame_id == "hero/collision"
    raw = placed.raw[f"{ROLE}/odometry"]
    (then,) = [
        odometry
        for odometry in (deserialize_message(each, Odometry) for each in raw[-20:])
        if odometry.header.stamp == event.header.stamp
    ]
    yaw = yaw_of(then.pose.pose.orientation)
    x, y = event.normal_impulse.x, -event.normal_impulse.y  # in ROS' axes, against the motion
    assert x * math.cos(yaw) + y * math.sin(yaw) < 0.0
    assert math.hypot(x, y) > 100.0
    placed.until(lambda: placed.count(f"{ROLE}/lane_invasion") > lanes_before)
    crossed = placed.last("lane_invasion")
    assert crossed.header.frame_id == "hero/lane_invasion"
    assert set(crossed.crossed_lane_markings) <= set(range(11))


def test_a_second_of_patience(client: Client) -> None:
    client.answer(1, brake=1.0)
    seen = client.count(IMAGE)
    client.until(lambda: client.count(IMAGE) > seen + 2)
    waits_s = np.diff(client.sent_ns[IMAGE][seen - 1 :]) * 1e-9
    assert waits_s.min() > 0.9
    client.answer(2, brake=1.0)


def test_pause_step_and_play(client: Client) -> None:
    client.answer(1, brake=1.0)
    client.publish("/carla/control", CarlaControl(command=CarlaControl.PAUSE))
    client.command(brake=1.0)
    client.until(lambda: not client.last("/carla/status").synchronous_mode_running)
    client.spin_for(0.1)
    client.until(lambda: client.frame() >= 0)
    paused = client.frame()
    client.spin_for(1.2)  # longer than the patience
    assert client.frame() == paused
    for step in (1, 2):
        client.publish("/carla/control", CarlaControl(command=CarlaControl.STEP_ONCE))
        client.until(lambda step=step: client.frame() == paused + step)
        client.command(brake=1.0)
        client.until(lambda: not client.last("/carla/status").synchronous_mode_running)
    client.publish("/carla/control", CarlaControl(command=CarlaControl.PLAY))
    client.until(lambda: client.last("/carla/status").synchronous_mode_running)
    client.until(lambda: client.frame() > paused + 2)
    client.answer(3, brake=1.0)


def test_manual_override(placed: Client) -> None:
    """Under override only the manual command counts, and target velocities are ignored."""
    placed.publish("vehicle_control_manual_override", Bool(data=True))
    placed.publish("control/set_target_velocity", Twist())
    manual = CarlaEgoVehicleControl(throttle=0.7)
    seen = placed.frame()
    placed.command(brake=1.0)
    placed.publish("vehicle_control_cmd_manual", manual)
    placed.until(lambda: placed.frame() > seen)
    for _ in range(20):
        seen = placed.frame()
        placed.publish("vehicle_control_cmd_manual", manual)
        placed.until(lambda seen=seen: placed.frame() > seen)
    assert placed.last("vehicle_status").control.throttle == pytest.approx(0.7)
    moving = placed.last("odometry").twist.twist.linear.x
    assert moving > 1.0
    placed.publish("control/set_target_velocity", Twist())
    placed.publish("vehicle_control_cmd_manual", manual)
    placed.until(lambda seen=seen: placed.frame() > seen + 1)
    assert placed.last("odometry").twist.twist.linear.x >= moving
    placed.publish("vehicle_control_manual_override", Bool(data=False))
    placed.answer_until(lambda: placed.last("vehicle_status").control.brake == 1.0)


def test_what_is_not_finite_moves_nothing(world: World, placed: Client) -> None:
    """The bridge would hand it on; here it must neither end the world nor move the car."""
    pose, twist = Pose(), Twist()
    pose.position.x = twist.linear.x = math.nan
    placed.publish("control/set_transform", pose)
    placed.publish("control/set_target_velocity", twist)
    before = placed.last("odometry").pose.pose
    placed.answer(1, throttle=math.nan)
    assert placed.last("odometry").pose.pose.position.x == pytest.approx(before.position.x)
    placed.until(lambda: world.output.count("not finite") == 3)


def test_initial_pose(placed: Client, open_place: Pose) -> None:
    """`set_initial_pose` hands it on to `set_transform`, 2 m higher; the car ends on the road."""
    told: list[Pose] = []
    topic = f"{ROLE}/control/set_transform"
    ear = placed.node.create_subscription(Pose, topic, told.append, 10)
    message = PoseWithCovarianceStamped()
    message.pose.pose.position.x = open_place.position.x + 0.5
    message.pose.pose.position.y = open_place.position.y
    message.pose.pose.position.z = 0.25
    message.pose.pose.orientation.w = 1.0

    def there() -> bool:
        at = placed.last("odometry").pose.pose.position
        return bool(at.x == pytest.approx(open_place.position.x + 0.5, abs=0.05))

    def handed_on() -> bool:
        """Who has just begun to listen may miss the first."""
        placed.publish(INITIAL_POSE, message)
        placed.answer(1, brake=1.0)
        return bool(told)

    try:
        placed.until(handed_on)
        placed.answer_until(there)
    finally:
        placed.node.destroy_subscription(ear)
    message.pose.pose.position.z += 2.0
    assert all(pose == message.pose.pose for pose in told)

    def fallen() -> bool:
        at = placed.last("odometry").pose.pose.position
        return bool(at.z == pytest.approx(open_place.position.z, abs=0.01))

    placed.answer_until(fallen, frames=100)
