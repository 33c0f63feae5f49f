# SPDX-License-Identifier: Apache-2.0
"""The message types equal the bridge's: same names, fields, order, and the same type hash."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import rclpy
from carla_msgs import msg, srv
from derived_object_msgs.msg import Object, ObjectArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.topic_endpoint_info import TopicEndpointInfo
from tf2_msgs.msg import TFMessage

from td3_driver.driving.types import LightState

DOCUMENT = Path(__file__).resolve().parents[1] / "data" / "bridge" / "carla_bridge.md"
HEADER = "std_msgs/Header"


def documented() -> dict[str, list[tuple[str, str]]]:
    """Fields in order, by type, as section 2 of the document lists them."""
    section = DOCUMENT.read_text().split("## 2 Messages")[1].split("## 3")[0]
    types = {}
    for name, text in re.findall(r"\*\*(\w+)\*\*[^:]*: (.*)", section):
        parts = [] if "→" not in text else [text.split("→")[1]]
        types[name] = fields(text.split("→")[0])
        if parts:
            types[f"{name}_Response"] = fields(parts[0])
    return types


def fields(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    kind = ""
    for part in re.split(r"[;,]", re.sub(r"\([^)]*\)|\[[0-9−,]+\]", "", text)):
        words = part.split()
        if words == ["H"]:
            found.append((HEADER, "header"))
        elif len(words) == 2:
            kind = words[0]
            found.append((kind, words[1]))
        elif len(words) == 1 and kind:
            found.append((kind, words[0]))
    return [(kind, name) for kind, name in found if "=" not in name]


def generated(cls: type) -> list[tuple[str, str]]:
    pairs = []
    for name, kind in cls.get_fields_and_field_types().items():
        plain = kind.replace("sequence<", "").replace(">", "[]") if "sequence" in kind else kind
        plain = {"float": "float32", "boolean": "bool"}.get(plain, plain)
        pairs.append((plain.replace("carla_msgs/", ""), name))
    return pairs


MESSAGES = [
    "CarlaEgoVehicleControl", "CarlaEgoVehicleStatus", "CarlaEgoVehicleInfo",
    "CarlaEgoVehicleInfoWheel", "CarlaCollisionEvent", "CarlaLaneInvasionEvent", "CarlaStatus",
    "CarlaControl", "CarlaWorldInfo",
]  # fmt: skip
SERVICES = ["SpawnObject", "DestroyObject", "GetBlueprints"]


@pytest.mark.parametrize("name", MESSAGES)
def test_fields_of_messages_are_the_document_s(name: str) -> None:
    expected = documented()[name]
    assert expected
    assert generated(getattr(msg, name)) == expected


@pytest.mark.parametrize("name", SERVICES)
def test_fields_of_services_are_the_document_s(name: str) -> None:
    service = getattr(srv, name)
    assert generated(service.Request) == documented()[name]
    assert generated(service.Response) == documented()[f"{name}_Response"]


def test_constants() -> None:
    assert (msg.CarlaControl.PLAY, msg.CarlaControl.PAUSE, msg.CarlaControl.STEP_ONCE) == (0, 1, 2)
    lane = msg.CarlaLaneInvasionEvent
    assert lane.LANE_MARKING_OTHER == 0
    assert (lane.LANE_MARKING_BROKEN, lane.LANE_MARKING_SOLID) == (1, 2)


# astuff_sensor_msgs, derived_object_msgs 4.0.0: msg/Object.msg and msg/ObjectArray.msg.
OBJECT_FIELDS = [
    (HEADER, "header"), ("uint32", "id"), ("uint8", "detection_level"),
    ("bool", "object_classified"), ("geometry_msgs/Pose", "pose"),
    ("geometry_msgs/Twist", "twist"), ("geometry_msgs/Accel", "accel"),
    ("geometry_msgs/Polygon", "polygon"), ("shape_msgs/SolidPrimitive", "shape"),
    ("uint8", "classification"), ("uint8", "classification_certainty"),
    ("uint32", "classification_age"),
]  # fmt: skip
OBJECT_CLASSES = [
    "UNKNOWN", "UNKNOWN_SMALL", "UNKNOWN_MEDIUM", "UNKNOWN_BIG", "PEDESTRIAN", "BIKE", "CAR",
    "TRUCK", "MOTORCYCLE", "OTHER_VEHICLE", "BARRIER", "SIGN",
]  # fmt: skip


def test_objects() -> None:
    assert generated(Object) == OBJECT_FIELDS
    assert generated(ObjectArray) == [
        (HEADER, "header"), ("derived_object_msgs/Object[]", "objects"),
    ]  # fmt: skip
    assert (Object.OBJECT_DETECTED, Object.OBJECT_TRACKED) == (0, 1)
    numbers = [getattr(Object, f"CLASSIFICATION_{name}") for name in OBJECT_CLASSES]
    assert numbers == list(range(12))


def test_transforms() -> None:
    """ros2/geometry2, tf2_msgs: msg/TFMessage.msg."""
    assert generated(TFMessage) == [("geometry_msgs/TransformStamped[]", "transforms")]


# ros-carla-msgs 081fdcd: msg/CarlaTrafficLight*.msg and msg/CarlaBoundingBox.msg.
LIGHTS = {
    "CarlaTrafficLightStatus": [("uint32", "id"), ("uint8", "state")],
    "CarlaTrafficLightStatusList": [("CarlaTrafficLightStatus[]", "traffic_lights")],
    "CarlaTrafficLightInfo": [
        ("uint32", "id"), ("geometry_msgs/Pose", "transform"),
        ("CarlaBoundingBox", "trigger_volume"),
    ],
    "CarlaTrafficLightInfoList": [("CarlaTrafficLightInfo[]", "traffic_lights")],
    "CarlaBoundingBox": [("geometry_msgs/Vector3", "center"), ("geometry_msgs/Vector3", "size")],
}  # fmt: skip


@pytest.mark.parametrize("name", LIGHTS)
def test_traffic_lights(name: str) -> None:
    assert generated(getattr(msg, name)) == LIGHTS[name]


def test_states_of_traffic_lights() -> None:
    """They are the numbers of CARLA's own, which `LightState` has."""
    for state in LightState:
        assert getattr(msg.CarlaTrafficLightStatus, state.name) == state


PUBLISHER = """
import sys, rclpy
from carla_msgs import msg
rclpy.init()
node = rclpy.create_node("other")
publishers = [
    node.create_publisher(getattr(msg, name), "hash/" + name, 1) for name in sys.argv[1:]
]
print("ready", flush=True)
sys.stdin.read()
"""


def test_two_processes_agree_on_the_type_hashes() -> None:
    """Endpoints with other hashes are other types; this compares what discovery carries."""
    if not hasattr(TopicEndpointInfo, "topic_type_hash"):
        pytest.skip("Humble's types have no hashes")
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("this", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    ours = [node.create_publisher(getattr(msg, name), "ours/" + name, 1) for name in MESSAGES]
    other = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, *MESSAGES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "ready"
        for name in MESSAGES:
            theirs = []
            for _ in range(200):
                theirs = node.get_publishers_info_by_topic(f"/hash/{name}")
                if theirs:
                    break
                executor.spin_once(timeout_sec=0.05)
            own = node.get_publishers_info_by_topic(f"/ours/{name}")
            assert len(theirs) == len(own) == 1, name
            assert theirs[0].topic_type == f"carla_msgs/msg/{name}"
            assert theirs[0].topic_type_hash == own[0].topic_type_hash
            assert any(theirs[0].topic_type_hash.value)
        assert len(ours) == len(MESSAGES)
    finally:
        other.kill()
        other.wait()
        executor.shutdown()
        node.destroy_node()
        context.try_shutdown()
