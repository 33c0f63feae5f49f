# SPDX-License-Identifier: Apache-2.0
"""world_node's own ways over real DDS: its modes, the objects file, and that it repeats."""

import json
import math
import random
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from carla_msgs.msg import CarlaEgoVehicleControl
from geometry_msgs.msg import Pose, Twist
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image

from td3_driver.driving.messages.decoding import yaw_of
from td3_driver.driving.messages.pictures import pixels
from td3_driver.driving.types import Control
from td3_driver.ros.conversions import stamp_of
from td3_driver.world.camera.camera import CameraConfig
from td3_driver.world.roads.generation import DEFAULT_DIFFICULTY, training_roads
from td3_driver.world.simulation import Simulation, WorldConfig

from .client import (
    EVENTS,
    IMAGE,
    PER_TICK,
    ROLE,
    STEP_NS,
    Client,
    World,
    axes_of,
    number_of,
    stamp_of_raw,
)

CONTROL = f"{ROLE}/vehicle_control_cmd"


def test_without_waiting_the_world_runs_freely_and_holds_the_last_command() -> None:
    parameters = "synchronous_mode_wait_for_vehicle_control_command:=false"
    with World(parameters) as world, Client() as client:
        client.connect((CONTROL,))
        for _ in range(3):
            client.command(throttle=1.0)
        first = client.count(IMAGE)

        def freely() -> bool:
            """A hundred frames at twice the pace of real time; also a busy machine comes to it."""
            sent_ns = client.sent_ns[IMAGE][first:]
            return len(sent_ns) > 100 and sent_ns[-1] - sent_ns[-101] < 100 * STEP_NS / 2

        client.until(freely)
        assert client.last("/carla/status").synchronous_mode
        assert client.last("vehicle_status").control.throttle == 1.0
        assert "Unexpected" not in world.output


def test_without_synchronous_mode_the_world_keeps_real_time() -> None:
    with World("synchronous_mode:=false") as world, Client() as client:
        client.connect((CONTROL,))
        first = client.count(IMAGE)
        client.command(throttle=1.0)
        client.command(throttle=1.0)
        client.until(lambda: client.count(IMAGE) > first + 30)
        gaps_ns = np.diff(client.sent_ns[IMAGE][first:])
        assert np.median(gaps_ns) > 0.8 * STEP_NS
        assert not client.last("/carla/status").synchronous_mode
        assert client.last("vehicle_status").control.throttle == 1.0
        assert client.node.count_subscribers("/carla/control") == 0
        assert "Unexpected" not in world.output


def test_surplus_commands_are_told_and_end_the_next_wait() -> None:
    """So patient that nothing else brings a second frame; its ticks take longer than a command."""
    slow = ("control_patience_s:=60.0", "image_width:=640", "image_height:=480")
    with World(*slow) as world, Client() as client:
        client.connect((CONTROL,))
        seen = client.frame()
        for _ in range(50):
            client.command(brake=1.0)
        client.until(lambda: client.frame() >= seen + 2)
        named = "Unexpected vehicle control command; the car is commanded by /"
        client.until(lambda: named in world.output)
        assert world.output.count("Unexpected") < 25, "not each is told"


def test_late_commands_can_be_left_out() -> None:
    parameters = ("control_patience_s:=60.0", "ignore_late_commands:=true")
    with World(*parameters) as world, Client() as client:
        client.until(lambda: client.publishers[CONTROL].get_subscription_count() == 1)

        def command(stamp_ns: int, throttle: float) -> None:
            message = CarlaEgoVehicleControl(throttle=throttle)
            message.header.stamp = stamp_of(stamp_ns)
            client.publish("vehicle_control_cmd", message)

        def obeyed(throttle: float) -> bool:
            client.until(lambda: client.frame() >= 0)
            return client.last("vehicle_status").control.throttle == throttle

        def drives() -> bool:
            command(10**18, 0.25)  # a driver's last brake has the wall clock's time
            client.spin_for(0.1)
            return obeyed(0.25)

        client.until(drives)
        command(10**18, 0.375)
        client.until(lambda: obeyed(0.375))  # and so all before it
        seen = client.stamp(IMAGE)
        command(seen - STEP_NS, 1.0)
        client.spin_for(0.5)
        assert client.stamp(IMAGE) == seen
        command(seen, 0.5)
        client.until(lambda: obeyed(0.5))
        assert client.stamp(IMAGE) == seen + STEP_NS
    assert "1 late" in world.output


def test_objects_file(tmp_path: Path) -> None:
    """The bridge's format: ids become topics, the camera's attributes its picture."""
    camera = {
        "type": "sensor.camera.rgb", "id": "front", "image_size_x": 96, "image_size_y": "64",
        "spawn_point": {"x": 2.0, "y": -0.4, "z": 2.4, "pitch": 10.0}, "fov": 70.0,
    }  # fmt: skip
    lidar = {"type": "sensor.lidar.ray_cast", "id": "lidar"}
    odometry = {"type": "sensor.pseudo.odom", "id": "odom"}
    car = {
        "type": "vehicle.tesla.model3", "id": "hero", "sensors": [camera, lidar, odometry],
        "spawn_point": {"x": 3.0, "y": -4.0, "z": 0.5, "roll": 0, "pitch": 0, "yaw": 90.0},
    }  # fmt: skip
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"objects": [car]}))
    odom = f"{ROLE}/odom"
    with World(f"objects_definition_file:={file}") as world, Client({odom: Odometry}) as client:
        client.connect((CONTROL,))
        client.until(lambda: client.count(odom) > 1)
        image, info = client.last("front/image"), client.last("front/camera_info")
        assert (image.width, image.height) == (96, 64)
        assert info.k[0] == pytest.approx(96 / (2 * math.tan(math.radians(35.0))))
        at = client.last(odom).pose.pose
        assert (at.position.x, at.position.y) == pytest.approx((3.0, -4.0), abs=0.01)
        assert yaw_of(at.orientation) == pytest.approx(math.pi / 2)
        client.until(lambda: bool(client.transforms()))
        (camera,) = client.transforms().values()  # of the car the file has no sensor.pseudo.tf
        assert (camera.header.frame_id, camera.child_frame_id) == ("hero", "hero/front")
        to = camera.transform.translation
        assert (to.x, to.y, to.z) == (2.0, -0.4, 2.4)
        cos, sin = math.cos(math.radians(10.0)), math.sin(math.radians(10.0))
        right, down, ahead = axes_of(camera.transform.rotation)
        assert right == pytest.approx((0.0, -1.0, 0.0))
        assert down == pytest.approx((-sin, 0.0, -cos))
        assert ahead == pytest.approx((cos, 0.0, -sin))
        assert not client.count(f"{ROLE}/speedometer")  # the file has none
        assert client.node.count_publishers(f"{ROLE}/collision") == 0
        assert client.node.count_subscribers(f"{ROLE}/control/set_transform") == 0
        client.until(lambda: "not simulated: sensor.lidar.ray_cast/lidar" in world.output)


def test_each_camera_of_a_file_publishes_what_it_sees(tmp_path: Path) -> None:
    """Its own picture, intrinsics and pose, of the same ticks as the front one's."""
    front = {
        "type": "sensor.camera.rgb", "id": "front", "image_size_x": 64, "image_size_y": 48,
        "spawn_point": {"x": 1.6, "z": 1.5}, "fov": 90.0,
    }  # fmt: skip
    left = {
        **front, "id": "left", "image_size_x": 80, "image_size_y": 60, "fov": 60.0,
        "spawn_point": {"x": 1.0, "y": 0.6, "z": 1.4, "yaw": 90.0},
    }  # fmt: skip
    car = {"type": "vehicle.tesla.model3", "id": "hero", "sensors": [left, front]}
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"objects": [car]}))
    image, info = f"{ROLE}/left/image", f"{ROLE}/left/camera_info"
    extra = {image: Image, info: CameraInfo}
    with World(f"objects_definition_file:={file}", "seed:=5") as world, Client(extra) as client:
        client.connect((CONTROL,))
        client.until(lambda: client.count(image) > 2 and client.count(info) > 2)
        client.until(lambda: client.stamp(image) == client.stamp(IMAGE))
        picture, ahead, intrinsics = client.last(image), client.last(IMAGE), client.last(info)
        assert (picture.width, picture.height) == (80, 60)
        assert picture.header.frame_id == "hero/left"
        assert intrinsics.k[0] == pytest.approx(80 / (2 * math.tan(math.radians(30.0))))
        roads = training_roads(5, DEFAULT_DIFFICULTY)
        for message, camera in (
            (ahead, CameraConfig(width_px=64, height_px=48)),
            (picture, CameraConfig("left", 80, 60, 60.0, 1.0, 0.6, 1.4, yaw_deg=90.0)),
        ):
            seen, config = pixels(message), WorldConfig(seed=5, cameras=(camera,))
            assert np.array_equal(seen, Simulation(config, roads).step(Control()).image)
        client.until(lambda: len(client.transforms()) > 1)
        (at,) = (
            each for each in client.transforms().values() if each.child_frame_id == "hero/left"
        )
        _, _, looks = axes_of(at.transform.rotation)
        assert looks == pytest.approx((0.0, 1.0, 0.0), abs=1e-6)
    assert "not simulated" not in world.output


def test_a_user_s_mistake_is_one_line() -> None:
    parameter = "objects_definition_file:=/no/such.json"
    done = subprocess.run(
        [sys.executable, "-m", "td3_driver.bridge_twin.world_node", "--ros-args", "-p", parameter],
        capture_output=True, text=True, timeout=240.0, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: objects file /no/such.json: no such file")
    assert len(done.stderr.strip().splitlines()) == 1


FIRST_COMPARED = 15  # until then discovery decides which frames a client sees
FRAMES = 320


def drive_and_hash() -> dict[str, str]:
    """SHA-256 of the serialized messages of each topic over a drive with commands by frame."""
    everything = ("traffic:=5", "pedestrians:=2", "scenery:=true", "appearance:=random")
    with World("control_patience_s:=60.0", "seed:=5", *everything), Client() as client:
        client.until(lambda: client.frame() >= 0)
        client.until(lambda: client.node.count_subscribers(CONTROL) == 1)
        assert client.frame() < FIRST_COMPARED
        while client.frame() < FRAMES:
            frame = client.frame()
            give(client, frame)
            client.until(lambda frame=frame: client.frame() > frame)
            assert client.frame() == frame + 1  # one command, one tick
        digests = {}
        for topic in PER_TICK:
            assert client.count(topic) >= FRAMES - FIRST_COMPARED
            compared = client.raw[topic][-(FRAMES - FIRST_COMPARED) :]
            digests[topic] = sha256(b"".join(compared)).hexdigest()
        assert len(set(client.raw[IMAGE])) > 200  # the car was on its way
        client.answer(5, brake=1.0)  # by then the events of the frames before have come
        for topic in EVENTS:
            events = [raw for raw in client.raw[topic] if number_of(stamp_of_raw(raw)) <= FRAMES]
            assert events, topic
            digests[topic] = sha256(b"".join(events)).hexdigest()
        return digests


def give(client: Client, frame: int) -> None:
    """The commands of a frame: first none that moves the car, then a drive off the road."""
    if frame < FIRST_COMPARED:
        return client.command()
    rng = random.Random(frame)
    if frame == 200:
        client.publish("control/set_target_velocity", Twist())
        client.publish("control/set_transform", Pose())
    throttle, steer = rng.uniform(0.5, 1.0), rng.uniform(-0.3, 0.2)
    return client.publish(
        "vehicle_control_cmd", CarlaEgoVehicleControl(throttle=throttle, steer=steer)
    )


def test_the_same_commands_give_the_same_bytes_on_every_topic() -> None:
    assert drive_and_hash() == drive_and_hash()
