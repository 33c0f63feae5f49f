# SPDX-License-Identifier: Apache-2.0
"""What is spawned and destroyed by the bridge's services."""

from __future__ import annotations

import math

import pytest
from diagnostic_msgs.msg import KeyValue
from geometry_msgs.msg import Pose

from td3_driver.driving.routes.road_map import RoadMap, pose_of
from td3_driver.ros.conversions import pose_message

from ..places import further
from .client import IMAGE, ROLE, Client


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
    mounted.orientation.y, mounted.orientation.w = math.sin(0.1), math.cos(0.1)
    turned = client.call(
        spawn, type="sensor.camera.rgb", id="front", attach_to=car.id, transform=mounted,
        attributes=[KeyValue(key=key, value=value) for key, value in picture],
    )  # fmt: skip
    assert turned.id == -1
    assert "pitch 0, yaw 0 degrees" in turned.error_string
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
    images = client.count(IMAGE)
    for more in (1, 2, 3):  # of the frame before it may be on its way
        client.command(brake=1.0)
        client.until(lambda more=more: client.count(IMAGE) >= images + more)
    before = client.count(f"{ROLE}/odometry")
    assert client.stamp(f"{ROLE}/odometry") < client.stamp(IMAGE)
    call = client.call(spawn, type="sensor.pseudo.odom", id="odometry", attach_to=car.id)
    assert call.id == others["odometry"]
    client.command(brake=1.0)
    client.until(lambda: client.count(f"{ROLE}/odometry") > before)


def test_another_vehicle_stands_where_it_is_spawned(placed: Client, open_place: Pose) -> None:
    """Told, seen, run into, and taken away; nothing is spawned where it stands."""
    spawn, objects, collisions = "/carla/spawn_object", f"{ROLE}/objects", f"{ROLE}/collision"
    road_map = RoadMap(placed.last("/carla/world_info").opendrive, "map")
    here = road_map.places.lane_at(open_place.position.x, open_place.position.y)
    assert here is not None
    on_lane, ahead = (
        pose_message(pose_of(at)) for at in (here, further(road_map, here, 9.0))
    )
    placed.place(on_lane)
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
    placed.place(on_lane)
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
