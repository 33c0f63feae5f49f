# SPDX-License-Identifier: Apache-2.0
"""The embedded world as the CARLA bridge's twin: its topics, and what is in their messages."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import rclpy
from derived_object_msgs.msg import Object
from rcl_interfaces.srv import GetParameters
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from shape_msgs.msg import SolidPrimitive

from td3_driver.bridge_twin.world_node import WorldNode
from td3_driver.driving.messages.decoding import yaw_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros.train.domains import claim

from .client import COMMANDS, IMAGE, PER_TICK, ROLE, STEP_NS, UNSTAMPED, Client, axes_of
from .facts import LIGHTS, SIGNS, SOURCES, TOPICS, Topic

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "bridge" / "carla_bridge.md"


def test_every_source_is_a_line_of_the_document() -> None:
    lines = DOCUMENT.read_text().splitlines()
    for source in {*(fact.source for fact in (*TOPICS, *SIGNS)), *SOURCES}:
        assert any(source in line for line in lines), source


def ends_of_the_world(client: Client, topic: Topic) -> list[TopicEndpointInfo]:
    """Its publishers, or the subscriptions where it listens, as far as they are discovered."""
    node = client.node
    found = (
        node.get_subscriptions_info_by_topic
        if topic.listens
        else node.get_publishers_info_by_topic
    )(topic.name)
    return [end for end in found if end.node_name == topic.node]


@pytest.mark.parametrize("topic", [*TOPICS, *LIGHTS], ids=lambda topic: topic.name)
def test_topic(client: Client, topic: Topic) -> None:
    client.until(lambda: bool(ends_of_the_world(client, topic)))
    ends = ends_of_the_world(client, topic)
    assert len(ends) == 1 or topic.name == "/tf"  # to which each sensor may have its own
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
    for endpoint in ends:
        assert endpoint.topic_type == topic.type
        assert endpoint.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        assert endpoint.qos_profile.durability == durability


def test_depths() -> None:
    """Discovery does not carry the depth, so the node's own endpoints are asked for it.

    What is published in each tick may be kept longer than by the bridge: `names.VOLATILE_200`.
    """
    rclpy.init(args=[], domain_id=claim())  # out of the other world's hearing
    try:
        node = WorldNode({"role_name": "hero", "camera": "front"})
        endpoints = (*node.publishers, *node.subscriptions, *node.initial_pose.subscriptions)
        depths = {endpoint.topic_name: endpoint.qos_profile.depth for endpoint in endpoints}
        node.destroy_node()
    finally:
        rclpy.shutdown()
    for topic in (*TOPICS, *LIGHTS):
        if topic.listens or topic.latched:
            assert depths[topic.name] == topic.depth, topic.name
        assert depths[topic.name] >= topic.depth, topic.name


def test_rate_and_stamps(client: Client) -> None:
    """`Rate: one message per tick`: twenty frames bring 20 of each and not one more."""
    client.answer(2)
    first, counted, first_ns = client.frame(), client.counted(), client.stamp(IMAGE)
    before = {topic: client.count(topic) for topic in client.types}
    client.answer(20)
    once_a_tick = [topic.name for topic in TOPICS if topic.per_tick == 1]
    assert sorted(once_a_tick) == sorted(PER_TICK)
    client.spin_for(0.2)
    client.until(lambda: client.frame() >= 0)  # out of patience the world begins the next one
    after = {topic: client.count(topic) for topic in client.types}
    ticks = client.frame() - first  # on a busy machine the world may have lost patience
    assert ticks >= 20
    assert {name: after[name] - before[name] for name in once_a_tick} == dict.fromkeys(
        once_a_tick, ticks
    )
    assert after["/carla/world_info"] == after[f"{ROLE}/vehicle_info"] == 1
    stamped = [name for name in once_a_tick if name not in UNSTAMPED]
    (stamp_ns,) = {client.stamp(name) for name in stamped}
    # CARLA adds a float up, and the bridge cuts nanoseconds off.
    assert stamp_ns == pytest.approx(first_ns + ticks * STEP_NS, abs=1e3)
    status = client.last("/carla/status")
    assert (status.frame, status.fixed_delta_seconds) == (counted + ticks, pytest.approx(0.05))
    assert status.frame > first + ticks, "CARLA counts on over towns, its time begins anew"
    assert status.synchronous_mode
    assert status.synchronous_mode_running


def test_order_in_a_tick(client: Client) -> None:
    """Status, clock, the world's sensors, the car and its own; camera_info before its image.

    By the times of sending: between topics DDS keeps no order on the way.
    """
    client.answer(2)
    sent = sorted(PER_TICK, key=lambda topic: client.sent_ns[topic][-1])
    leaves = (
        "vehicle_status", "objects", "odometry", "speedometer", "front/camera_info", "front/image",
    )  # fmt: skip
    first = ["/carla/status", "/clock", "/carla/objects"]
    assert sent == [*first, *(f"{ROLE}/{leaf}" for leaf in leaves)]


@pytest.mark.parametrize(
    "topic",
    [topic for topic in TOPICS if topic.frame_id and topic.per_tick],
    ids=lambda topic: topic.name,
)
def test_frame_ids(client: Client, topic: Topic) -> None:
    assert client.last(topic.name).header.frame_id == topic.frame_id


def test_odometry_is_the_car_in_the_map(client: Client) -> None:
    odometry = client.last("odometry")
    assert odometry.child_frame_id == "hero"
    assert not any((*odometry.pose.covariance, *odometry.twist.covariance))


def test_transforms_place_the_car_and_its_camera(placed: Client) -> None:
    """`map→R`, and from there to the picture's axes: x right, y down, z ahead."""
    placed.answer(20, throttle=0.6, steer=0.3)
    both = {"hero", "hero/front"}
    placed.until(lambda: placed.frame() >= 0 and {*placed.transforms()} == both)
    car, camera = (placed.transforms()[frame] for frame in ("hero", "hero/front"))
    assert (car.header.frame_id, camera.header.frame_id) == ("map", "hero")
    odometry = placed.last("odometry")
    assert car.header == odometry.header
    assert yaw_of(car.transform.rotation) < -0.05, "it has not turned"
    at, pose = car.transform, odometry.pose.pose
    for one, other, axes in (
        (at.translation, pose.position, "xyz"), (at.rotation, pose.orientation, "xyzw"),
    ):  # fmt: skip
        assert [getattr(one, axis) for axis in axes] == [getattr(other, axis) for axis in axes]
    at = camera.transform
    assert (at.translation.x, at.translation.y, at.translation.z) == (1.6, 0.0, 1.5)
    right, down, ahead = axes_of(at.rotation)
    assert right == pytest.approx((0.0, -1.0, 0.0))
    assert down == pytest.approx((0.0, 0.0, -1.0))
    assert ahead == pytest.approx((1.0, 0.0, 0.0))


def test_objects_are_the_car_and_for_the_car_all_others(placed: Client) -> None:
    """`attached version excludes its parent; twist in map frame`; nobody else is here."""
    placed.answer(20, throttle=0.6, steer=0.3)
    assert not placed.last(f"{ROLE}/objects").objects
    everybody, odometry = placed.last("/carla/objects"), placed.last("odometry")
    (car,) = everybody.objects  # whose own header may be a tick older
    assert (car.id, everybody.header) == (placed.last("vehicle_info").id, odometry.header)
    assert (car.pose, car.accel) == (
        odometry.pose.pose,
        placed.last("vehicle_status").acceleration,
    )
    assert (car.object_classified, car.classification) == (True, Object.CLASSIFICATION_CAR)
    yaw, body, inmap = yaw_of(car.pose.orientation), odometry.twist.twist, car.twist
    ahead = inmap.linear.x * math.cos(yaw) + inmap.linear.y * math.sin(yaw)
    assert abs(yaw) > 0.01
    assert (ahead, inmap.angular.z) == pytest.approx((body.linear.x, body.angular.z))
    assert (car.shape.type, len(car.shape.dimensions)) == (SolidPrimitive.BOX, 3)


def test_image_and_camera_info(client: Client) -> None:
    image, info = client.last("front/image"), client.last("front/camera_info")
    assert (image.encoding, image.width, image.height, image.step) == ("bgra8", 64, 48, 256)
    assert len(image.data) == 64 * 48 * 4
    assert image.header == info.header
    focal = 64 / (2 * math.tan(90.0 * math.pi / 360.0))
    assert list(info.k) == pytest.approx([focal, 0, 32, 0, focal, 24, 0, 0, 1])
    assert list(info.p) == pytest.approx([focal, 0, 32, 0, 0, focal, 24, 0, 0, 0, 1, 0])
    assert list(info.r) == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert (info.distortion_model, list(info.d)) == ("plumb_bob", [0.0] * 5)


def test_latched_information(client: Client) -> None:
    info = client.last("/carla/world_info")
    assert RoadMap(info.opendrive, info.map_name).lanes
    car = client.last("vehicle_info")
    assert (car.type, car.rolename) == ("vehicle.tesla.model3", "hero")
    of_the_engine = (
        car.max_rpm, car.moi, car.damping_rate_full_throttle,
        car.damping_rate_zero_throttle_clutch_engaged,
        car.damping_rate_zero_throttle_clutch_disengaged, car.gear_switch_time,
        car.clutch_strength, car.mass, car.drag_coefficient,
    )  # fmt: skip
    assert min(of_the_engine) > 0.0
    assert car.use_gear_autobox
    assert car.damping_rate_full_throttle < car.damping_rate_zero_throttle_clutch_disengaged
    assert car.damping_rate_full_throttle < car.damping_rate_zero_throttle_clutch_engaged
    assert (car.center_of_mass.x > 0.0, car.center_of_mass.z < 0.0) == (True, True)
    places = [wheel.position for wheel in car.wheels]
    assert [(math.copysign(1, at.x), math.copysign(1, at.y)) for at in places] == [
        (1, 1), (1, -1), (-1, 1), (-1, -1),
    ]  # fmt: skip
    for wheel in car.wheels:
        front = wheel.position.x > 0.0
        assert wheel.max_steer_angle == pytest.approx(1.22 if front else 0.0, abs=0.01)  # rad
        assert 30.0 < wheel.radius < 40.0, "the bridge hands CARLA's centimetres on"
        assert wheel.position.z == pytest.approx(wheel.radius / 100.0)  # m
        assert min(wheel.tire_friction, wheel.damping_rate, wheel.max_brake_torque) > 0.0
        assert (wheel.max_handbrake_torque > 0.0) == (not front)


def test_initial_pose_is_a_node_of_its_own(client: Client) -> None:
    """Its parameters are those of the car that the world has."""
    mine = client.node.create_client(GetParameters, "/set_initial_pose/get_parameters")
    try:
        client.until(mine.service_is_ready)
        asked = mine.call_async(GetParameters.Request(names=["role_name", "control_id"]))
        client.until(asked.done)
        assert [each.string_value for each in asked.result().values] == ["hero", "control"]
    finally:
        client.node.destroy_client(mine)
    moving = client.node.get_publishers_info_by_topic(f"{ROLE}/control/set_transform")
    assert "set_initial_pose" in [end.node_name for end in moving]


def test_the_table_names_every_topic_of_the_client() -> None:
    assert set(COMMANDS) == {topic.name for topic in TOPICS if topic.listens}
