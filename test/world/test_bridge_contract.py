# SPDX-License-Identifier: Apache-2.0
"""The embedded world as the CARLA bridge's twin: one table of facts, one client, real DDS.

Each fact cites the line of carla_bridge.md that it comes from; a citation that is not there any
more fails as well.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rclpy
from bridge_client import COMMANDS, IMAGE, PER_TICK, ROLE, STEP_NS, UNSTAMPED, Client, World
from carla_msgs.msg import CarlaControl, CarlaEgoVehicleControl
from derived_object_msgs.msg import Object
from diagnostic_msgs.msg import KeyValue
from geometry_msgs.msg import Pose, PoseWithCovarianceStamped, Twist
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Bool

from td3_driver.driving.road_map import RoadMap, pose_of
from td3_driver.ros.conversions import pose_message, yaw_of
from td3_driver.world.world_node import WorldNode

DOCUMENT = Path(__file__).resolve().parents[3] / "shared" / "docs" / "carla_bridge.md"


@dataclass(frozen=True)
class Topic:
    """A fact about a topic; `frame_id` None: no header; `per_tick` None: not one a tick."""

    name: str
    type: str
    source: str
    latched: bool = False
    depth: int = 10
    frame_id: str | None = None
    per_tick: int | None = None
    listens: bool = False  # the bridge subscribes


TOPICS = (
    Topic("/clock", "rosgraph_msgs/msg/Clock", "|`/clock`|rosgraph_msgs/Clock|V10|", per_tick=1),
    Topic(
        "/carla/status", "carla_msgs/msg/CarlaStatus", "|`/carla/status`|CarlaStatus|V10|",
        per_tick=1,
    ),
    Topic(
        "/carla/world_info", "carla_msgs/msg/CarlaWorldInfo",
        "|`/carla/world_info`|CarlaWorldInfo|TL10|once|", latched=True,
    ),
    Topic(
        f"{ROLE}/front/image", "sensor_msgs/msg/Image",
        "|`/carla/R/<cam>/image`|sensor_msgs/Image|V10|", frame_id="hero/front", per_tick=1,
    ),
    Topic(
        f"{ROLE}/front/camera_info", "sensor_msgs/msg/CameraInfo",
        "|`/carla/R/<cam>/camera_info`|CameraInfo|V10|", frame_id="hero/front", per_tick=1,
    ),
    Topic(
        f"{ROLE}/odometry", "nav_msgs/msg/Odometry",
        "|`/carla/R/odometry`|nav_msgs/Odometry|V10|frame `map`", frame_id="map", per_tick=1,
    ),
    Topic(
        f"{ROLE}/vehicle_status", "carla_msgs/msg/CarlaEgoVehicleStatus",
        "|`/carla/R/vehicle_status`|CarlaEgoVehicleStatus|V10|frame `map`|", frame_id="map",
        per_tick=1,
    ),
    Topic(
        f"{ROLE}/vehicle_info", "carla_msgs/msg/CarlaEgoVehicleInfo",
        "|`/carla/R/vehicle_info`|CarlaEgoVehicleInfo|TL10|once per ego object|", latched=True,
    ),
    Topic(
        f"{ROLE}/speedometer", "std_msgs/msg/Float32",
        "|`/carla/R/speedometer`|std_msgs/Float32|V10|", per_tick=1,
    ),
    Topic(
        f"{ROLE}/collision", "carla_msgs/msg/CarlaCollisionEvent",
        "|`/carla/R/collision`|CarlaCollisionEvent|V10|events only; frame `R/collision`",
        frame_id="hero/collision",
    ),
    Topic(
        f"{ROLE}/lane_invasion", "carla_msgs/msg/CarlaLaneInvasionEvent",
        "|`/carla/R/lane_invasion`|CarlaLaneInvasionEvent|V10|events only",
        frame_id="hero/lane_invasion",
    ),
    Topic(
        "/carla/objects", "derived_object_msgs/msg/ObjectArray",
        "|`/carla/objects`, `/carla/R/objects`|derived_object_msgs/ObjectArray|V10|",
        frame_id="map", per_tick=1,
    ),
    Topic(
        f"{ROLE}/objects", "derived_object_msgs/msg/ObjectArray",
        "|`/carla/objects`, `/carla/R/objects`|derived_object_msgs/ObjectArray|V10|",
        frame_id="map", per_tick=1,
    ),
    Topic(
        f"{ROLE}/vehicle_control_cmd", "carla_msgs/msg/CarlaEgoVehicleControl",
        "|`/carla/R/vehicle_control_cmd`, `..._cmd_manual`|CarlaEgoVehicleControl|V10|",
        listens=True,
    ),
    Topic(
        f"{ROLE}/vehicle_control_cmd_manual", "carla_msgs/msg/CarlaEgoVehicleControl",
        "|`/carla/R/vehicle_control_cmd`, `..._cmd_manual`|CarlaEgoVehicleControl|V10|",
        listens=True,
    ),
    Topic(
        f"{ROLE}/vehicle_control_manual_override", "std_msgs/msg/Bool",
        "|`/carla/R/vehicle_control_manual_override`|std_msgs/Bool|**TL1**", latched=True,
        depth=1, listens=True,
    ),
    Topic(
        "/carla/control", "carla_msgs/msg/CarlaControl", "|`/carla/control`|CarlaControl|V10",
        listens=True,
    ),
    Topic(
        f"{ROLE}/control/set_transform", "geometry_msgs/msg/Pose",
        "|`/carla/R/<control_id>/set_transform`|geometry_msgs/Pose|V10|", listens=True,
    ),
    Topic(
        f"{ROLE}/control/set_target_velocity", "geometry_msgs/msg/Twist",
        "|`/carla/R/<control_id>/set_target_velocity`|geometry_msgs/Twist|V10|", listens=True,
    ),
    Topic(
        "/initialpose", "geometry_msgs/msg/PoseWithCovarianceStamped",
        "subscribes to **global `/initialpose`** (PoseWithCovarianceStamped)", listens=True,
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[Client]:
    with Client() as client:
        client.connect()
        yield client


@pytest.fixture(scope="module")
def open_place(client: Client) -> Pose:
    """A place on a lane, facing along the map's x axis."""
    info = client.last("/carla/world_info")
    location = RoadMap(info.opendrive, "map").waypoints(5.0)[0].transform.location
    pose = Pose()
    pose.position.x, pose.position.y, pose.orientation.w = location.x, -location.y, 1.0
    return pose


@pytest.fixture
def placed(client: Client, open_place: Pose) -> Client:
    """The car at rest at the open place, facing along x."""
    place(client, open_place)
    odometry = client.last("odometry")
    assert odometry.pose.pose.position.x == pytest.approx(open_place.position.x, abs=0.05)
    assert yaw_of(odometry.pose.pose.orientation) == pytest.approx(0.0, abs=1e-3)
    assert abs(odometry.twist.twist.linear.x) < 0.01
    return client


def place(client: Client, pose: Pose) -> None:
    client.publish("control/set_target_velocity", Twist())
    client.publish("control/set_transform", pose)
    client.answer(3, brake=1.0)


@pytest.mark.skipif(not DOCUMENT.is_file(), reason=f"the bridge's facts are not at {DOCUMENT}")
def test_every_source_is_a_line_of_the_document() -> None:
    lines = DOCUMENT.read_text().splitlines()
    for source in {*(topic.source for topic in TOPICS), *SOURCES}:
        assert any(source in line for line in lines), source


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_topic(client: Client, topic: Topic) -> None:
    node = client.node
    others = (
        node.get_subscriptions_info_by_topic
        if topic.listens
        else node.get_publishers_info_by_topic
    )(topic.name)
    (endpoint,) = [other for other in others if other.node_name == "carla_ros_bridge"]
    durability = DurabilityPolicy.TRANSIENT_LOCAL if topic.latched else DurabilityPolicy.VOLATILE
    assert endpoint.topic_type == topic.type
    assert endpoint.qos_profile.reliability == ReliabilityPolicy.RELIABLE
    assert endpoint.qos_profile.durability == durability


def test_depths() -> None:
    """Discovery does not carry the depth, so the node's own endpoints are asked for it.

    What is published in each tick may be kept longer than by the bridge: `names.VOLATILE_200`.
    """
    rclpy.init(args=[], domain_id=102)  # out of the other world's hearing
    try:
        node = WorldNode({"role_name": "hero", "camera": "front"})
        endpoints = (*node.publishers, *node.subscriptions)
        depths = {endpoint.topic_name: endpoint.qos_profile.depth for endpoint in endpoints}
        node.destroy_node()
    finally:
        rclpy.shutdown()
    for topic in TOPICS:
        if topic.listens or topic.latched:
            assert depths[topic.name] == topic.depth, topic.name
        assert depths[topic.name] >= topic.depth, topic.name


def test_rate_and_stamps(client: Client) -> None:
    """`Rate: one message per tick`: twenty frames bring 20 of each and not one more."""

    def is_between_ticks() -> bool:
        """Not so where the world, out of patience, has begun the next tick with its status."""
        return bool(client.frame() == client.last("/carla/status").frame)

    client.answer(2)
    client.until(is_between_ticks)
    first, before = client.frame(), {topic: client.count(topic) for topic in client.types}
    client.answer(20)
    once_a_tick = [topic.name for topic in TOPICS if topic.per_tick == 1]
    assert sorted(once_a_tick) == sorted(PER_TICK)
    client.spin_for(0.2)
    client.until(is_between_ticks)
    after = {topic: client.count(topic) for topic in client.types}
    ticks = client.frame() - first  # on a busy machine the world may have lost patience
    assert ticks >= 20
    assert {name: after[name] - before[name] for name in once_a_tick} == dict.fromkeys(
        once_a_tick, ticks
    )
    assert after["/carla/world_info"] == after[f"{ROLE}/vehicle_info"] == 1
    stamped = [name for name in once_a_tick if name not in UNSTAMPED]
    assert {client.stamp(name) for name in stamped} == {(first + ticks) * STEP_NS}
    status = client.last("/carla/status")
    assert (status.frame, status.fixed_delta_seconds) == (first + ticks, pytest.approx(0.05))
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


def test_objects_are_the_car_and_for_the_car_all_others(placed: Client) -> None:
    """`attached version excludes its parent; twist in map frame`; nobody else is here."""
    placed.answer(20, throttle=0.6, steer=0.3)
    assert not placed.last(f"{ROLE}/objects").objects
    (car,) = placed.last("/carla/objects").objects
    odometry = placed.last("odometry")
    assert (car.id, car.header) == (placed.last("vehicle_info").id, odometry.header)
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
    assert RoadMap(info.opendrive, info.map_name).waypoints(5.0)
    car = client.last("vehicle_info")
    assert (car.type, car.rolename) == ("vehicle.tesla.model3", "hero")
    assert car.wheels[0].max_steer_angle == pytest.approx(1.22, abs=0.01)  # rad
    assert [math.copysign(1, wheel.position.y) for wheel in car.wheels] == [1, -1, 1, -1]


Check = Callable[[Client, Any, Any], bool]


@dataclass(frozen=True)
class Sign:
    """A command held for a second and a half from rest, and what has to come of it."""

    name: str
    control: dict[str, float | bool]
    holds: Callable[[Any, Any], bool]  # odometry, vehicle_status
    source: str


SIGNS = (
    Sign(
        "steer +1 is right: a negative yaw rate", {"throttle": 0.6, "steer": 0.3},
        lambda odometry, _: odometry.twist.twist.angular.z < -0.1,
        "**Steer is passed through: +1 = right**",
    ),
    Sign(
        "to the right is towards negative y", {"throttle": 0.6, "steer": 0.3},
        lambda odometry, _: yaw_of(odometry.pose.pose.orientation) < -0.05,
        "pos (x,−y,z); rpy (roll,−pitch,−yaw)",
    ),
    Sign(
        "the twist is in the body frame", {"throttle": 0.6, "steer": -0.3},
        lambda odometry, _: odometry.twist.twist.linear.x > 0.5
        and abs(odometry.twist.twist.linear.y) < 0.3 * odometry.twist.twist.linear.x,
        "Odom `twist.linear`: body frame (FLU)",
    ),
    Sign(
        "status.velocity has no sign", {"throttle": 0.6, "reverse": True},
        lambda odometry, status: odometry.twist.twist.linear.x < -0.3 and status.velocity > 0.3,
        "vehicle_status: velocity=|v|≥0 (3-D)",
    ),
    Sign(
        "acceleration is in the map frame", {"throttle": 0.8},
        lambda _, status: status.acceleration.linear.x > 0.5
        and abs(status.acceleration.linear.y) < 0.1,
        "acceleration in **map** frame, y flipped, angular 0",
    ),
    Sign(
        "control is what was applied, without a header", {"throttle": 0.5, "steer": 0.2},
        lambda _, status: (status.control.throttle, status.control.header.stamp.sec) == (0.5, 0)
        and math.isclose(status.control.steer, 0.2, abs_tol=1e-6),
        "`control` = CARLA get_control(), header empty",
    ),
)  # fmt: skip


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
    placed.answer(1)
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
    yaw = yaw_of(placed.last("odometry").pose.pose.orientation)
    x, y = event.normal_impulse.x, -event.normal_impulse.y  # in ROS' axes, against the motion
    assert x * math.cos(yaw) + y * math.sin(yaw) < 0.0
    assert math.hypot(x, y) > 100.0
    assert placed.count(f"{ROLE}/lane_invasion") > lanes_before
    crossed = placed.last("lane_invasion")
    assert crossed.header.frame_id == "hero/lane_invasion"
    assert set(crossed.crossed_lane_markings) <= set(range(11))


def test_a_second_of_patience(client: Client) -> None:
    client.answer(1, brake=1.0)
    seen, started_s = client.frame(), time.monotonic()
    client.until(lambda: client.frame() > seen, within_s=5.0)
    assert 0.8 < time.monotonic() - started_s < 3.0
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
    placed.spin_for(0.2)
    placed.answer(2, brake=1.0)
    assert placed.last("vehicle_status").control.brake == 1.0


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
    message = PoseWithCovarianceStamped()
    message.pose.pose.position.x = open_place.position.x + 0.5
    message.pose.pose.position.y = open_place.position.y
    message.pose.pose.orientation.w = 1.0
    placed.publish("/initialpose", message)
    placed.answer(3, brake=1.0)
    at = placed.last("odometry").pose.pose.position
    assert at.x == pytest.approx(open_place.position.x + 0.5, abs=0.05)


def test_spawn_objects_of_a_launch_file(client: Client, open_place: Pose) -> None:
    """What carla_spawn_objects calls, in its order, and destroys when it ends."""
    spawn = "/carla/spawn_object"
    car = client.call(spawn, type="vehicle.*", id="hero", transform=open_place)
    assert (car.id > 0, car.error_string) == (True, "")
    assert (
        client.call(spawn, type="vehicle.tesla.model3", id="hero", random_pose=True).id == car.id
    )
    picture = [("image_size_x", "64"), ("image_size_y", "48"), ("fov", "90.0")]
    mounted = Pose()
    mounted.position.x, mounted.position.z = 1.6, 1.5
    camera = client.call(
        spawn, type="sensor.camera.rgb", id="front", attach_to=car.id, transform=mounted,
        attributes=[KeyValue(key=key, value=value) for key, value in picture],
    )  # fmt: skip
    others = {
        name: client.call(spawn, type=kind, id=name, attach_to=car.id).id
        for kind, name in (
            ("sensor.pseudo.objects", "objects"),
            ("sensor.pseudo.odom", "odometry"),
            ("sensor.pseudo.speedometer", "speedometer"),
            ("sensor.other.collision", "collision"),
            ("sensor.other.lane_invasion", "lane_invasion"),
            ("actor.pseudo.control", "control"),
        )
    }
    world = client.call(spawn, type="sensor.pseudo.objects", id="objects")
    ids = {car.id, camera.id, world.id, *others.values()}
    assert len(ids) == 9
    assert min(ids) > 0
    client.answer(2, brake=1.0)
    at = client.last("odometry").pose.pose.position
    assert (at.x, at.y) == pytest.approx((open_place.position.x, open_place.position.y), abs=0.05)

    assert client.call("/carla/destroy_object", id=others["odometry"]).success
    assert not client.call("/carla/destroy_object", id=others["odometry"]).success
    before, images = client.count(f"{ROLE}/odometry"), client.count(IMAGE)
    client.command(brake=1.0)
    client.until(lambda: client.count(IMAGE) > images)
    assert client.count(f"{ROLE}/odometry") == before
    call = client.call(spawn, type="sensor.pseudo.odom", id="odometry", attach_to=car.id)
    assert call.id == others["odometry"]
    client.command(brake=1.0)
    client.until(lambda: client.count(f"{ROLE}/odometry") > before)


def test_another_vehicle_stands_where_it_is_spawned(placed: Client, open_place: Pose) -> None:
    """Told, seen, run into, and taken away; nothing is spawned where it stands."""
    spawn, objects, collisions = "/carla/spawn_object", f"{ROLE}/objects", f"{ROLE}/collision"
    road_map = RoadMap(placed.last("/carla/world_info").opendrive, "map")
    here = road_map.waypoint_at(open_place.position.x, open_place.position.y)
    on_lane, ahead = (pose_message(pose_of(at)) for at in (here, here.next(9.0)[0]))
    place(placed, on_lane)
    request = {"type": "vehicle.audi.tt", "id": "parked", "transform": ahead}
    empty = placed.last("front/image").data
    other = placed.call(spawn, **request)
    assert (other.id > 1, other.error_string) == (True, "")
    placed.answer(2, brake=1.0)
    (there,) = placed.last(objects).objects
    assert (there.id, there.pose.position) == (other.id, ahead.position)
    assert [thing.id for thing in placed.last("/carla/objects").objects] == [1, other.id]
    assert placed.last("front/image").data != empty
    again = placed.call(spawn, **request)
    assert (again.id, again.error_string) == (
        -1, "Spawn failed because of collision at spawn position",
    )  # fmt: skip

    before = placed.count(collisions)
    for _ in range(120):
        placed.answer(1, throttle=1.0)
        if placed.count(collisions) > before:
            break
    assert placed.last(collisions).other_actor_id == other.id
    placed.answer(1, brake=1.0)
    sliding = placed.last(objects).objects[0].twist.linear
    assert math.hypot(sliding.x, sliding.y) > 0.5
    place(placed, on_lane)
    (there,) = placed.last(objects).objects
    assert there.pose.position == ahead.position, "and is put back"

    somewhere = placed.call(spawn, type="vehicle.*", id="parked", random_pose=True)
    placed.answer(2, brake=1.0)
    assert {thing.id for thing in placed.last(objects).objects} == {other.id, somewhere.id}
    for gone in (other, somewhere):
        assert placed.call("/carla/destroy_object", id=gone.id).success
        assert not placed.call("/carla/destroy_object", id=gone.id).success
    placed.answer(2, brake=1.0)
    assert not placed.last(objects).objects
    assert placed.last("front/image").data == empty


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"type": "walker.pedestrian.0001", "id": "walker"}, "is not simulated"),
        ({"type": "sensor.pseudo.odom", "id": "odometry", "attach_to": 77}, "actor 77 not found"),
        ({"type": "sensor.lidar.ray_cast", "id": "lidar", "attach_to": 1}, "is not simulated"),
        (
            {"type": "sensor.camera.rgb", "id": "front", "attach_to": 1},
            "the world started with",  # CARLA's default picture is 800x600
        ),
    ],
)
def test_spawning_anything_else_is_refused(
    client: Client, request_: dict[str, object], reason: str
) -> None:
    answer = client.call("/carla/spawn_object", **request_)
    assert answer.id == -1
    assert reason in answer.error_string


def test_blueprints(client: Client) -> None:
    names = client.call("/carla/get_blueprints", filter="vehicle.*").blueprints
    assert "vehicle.tesla.model3" in names
    assert "sensor.camera.rgb" not in names
    assert "sensor.pseudo.odom" in names  # the bridge adds its own whatever the filter
    assert client.call("/carla/get_blueprints").blueprints == sorted(
        [*(n for n in names if ".pseudo." in n), "vehicle.tesla.model3", "sensor.camera.rgb",
         "sensor.other.collision", "sensor.other.lane_invasion"]
    )  # fmt: skip


SOURCES = (
    *(sign.source for sign in SIGNS),
    "Rate: one message per tick unless `sensor_tick`",
    "published just before image, same header; plumb_bob, d=[0]*5",
    "Order per tick: status, clock, then actors in creation order",
    "vehicles+walkers; attached version excludes its parent; twist in map frame",
    "linear in body frame; angular.z **not sign-flipped**",
    "impulse raw CARLA axes, **not flipped**",
    "block ≤ **1.0 s wall** (VEHICLE_CONTROL_TIMEOUT), warn, continue",
    'extras log "Unexpected vehicle control command" and set the Event',
    "PAUSE blocks the tick thread; STEP_ONCE = one tick, then self-queued PAUSE",
    "Override=false → only `_cmd` is applied; true → only `_cmd_manual`",
    "int32 id (−1=fail); string error_string",
    "Services: `/carla/spawn_object`, `/carla/destroy_object`, `/carla/get_blueprints`.",
    "vehicle_info: max_steer_angle rad; wheel positions vehicle frame, y flipped",
)


def test_the_table_names_every_topic_of_the_client() -> None:
    assert set(COMMANDS) == {topic.name for topic in TOPICS if topic.listens}
