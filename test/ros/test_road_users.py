# SPDX-License-Identifier: Apache-2.0
"""Road users read from a message's bytes are those that rclpy's reading of it has."""

from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from derived_object_msgs.msg import Object, ObjectArray
from geometry_msgs.msg import Accel, Point, Point32, Polygon, Pose, Quaternion, Twist, Vector3
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from shape_msgs.msg import SolidPrimitive
from std_msgs.msg import Header

from td3_driver.bags.types import typestore
from td3_driver.driving.messages import object_arrays
from td3_driver.driving.messages.decoding import road_users, stamp_ns
from td3_driver.driving.road_users import RoadUsers
from td3_driver.ros.road_users import read

KIND = "derived_object_msgs/msg/ObjectArray"
STORE = typestore()
Told = tuple[int, RoadUsers]

numbers = st.floats() | st.sampled_from([0.0, 1.0, 1e7])
bytes_ = st.integers(0, 255)
whole = st.integers(0, 2**32 - 1)
times = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=whole)
headers = st.builds(Header, stamp=times, frame_id=st.sampled_from(["map", "map", "", "a frame"]))
vectors = st.builds(Vector3, x=numbers, y=numbers, z=numbers)
corners = st.builds(Point32, x=st.floats(width=32))
polygons = st.builds(Polygon, points=st.just([]) | st.lists(corners, max_size=3))
poses = st.builds(
    Pose,
    position=st.builds(Point, x=numbers, y=numbers, z=numbers),
    orientation=st.builds(Quaternion, x=numbers, y=numbers, z=numbers, w=numbers),
)
shapes = st.builds(
    SolidPrimitive,
    type=bytes_,
    dimensions=st.lists(numbers, min_size=3, max_size=3) | st.lists(numbers, max_size=3),
    polygon=polygons,
)
objects = st.builds(
    Object,
    header=headers,
    id=whole,
    detection_level=bytes_,
    object_classified=st.booleans(),
    pose=poses,
    twist=st.builds(Twist, linear=vectors, angular=vectors),
    accel=st.builds(Accel, linear=vectors, angular=vectors),
    polygon=polygons,
    shape=shapes,
    classification=st.sampled_from([4, 6]) | bytes_,
    classification_certainty=bytes_,
    classification_age=whole,
)
arrays = st.builds(ObjectArray, header=headers, objects=st.lists(objects, max_size=2))


def box(actor_id: int) -> Object:
    """As the bridge has it."""
    made = Object(id=actor_id, header=Header(frame_id="map"), classification=6)
    made.pose.position.x, made.pose.orientation.w = 10.0 * actor_id, 1.0
    made.shape = SolidPrimitive(type=SolidPrimitive.BOX, dimensions=[4.0, 2.0, 1.5])
    return made


def traffic(count: int) -> ObjectArray:
    header = Header(frame_id="map", stamp=Time(sec=3, nanosec=50_000_000))
    return ObjectArray(header=header, objects=[box(actor_id) for actor_id in range(count)])


def by_rclpy(data: bytes) -> Told:
    message: Any = deserialize_message(data, ObjectArray)
    return stamp_ns(message.header.stamp), road_users(message)


def assert_same(found: Told, expected: Told) -> None:
    assert found[0] == expected[0]
    for column, wanted in zip(astuple(found[1]), astuple(expected[1]), strict=True):
        assert column.dtype == wanted.dtype
        np.testing.assert_array_equal(column, wanted)


@pytest.mark.parametrize("count", [0, 1, 2, 20])
def test_traffic_is_read_as_a_table(count: int) -> None:
    data = serialize_message(traffic(count))
    told = object_arrays.read(data)
    assert told is not None
    assert len(told[1].poses) == count
    assert_same(told, by_rclpy(data))


@given(message=arrays)
@settings(max_examples=30)
def test_any_message_is_read_as_rclpy_reads_it(message: ObjectArray) -> None:
    data = serialize_message(message)
    assert_same(read(data), by_rclpy(data))


def test_the_other_byte_order_is_read_too() -> None:
    data = serialize_message(traffic(2))
    turned = bytes(
        STORE.serialize_cdr(STORE.deserialize_cdr(data, KIND), KIND, little_endian=False)
    )
    assert turned[:2] == b"\0\0"
    assert_same(read(turned), by_rclpy(data))


@given(cut=st.integers(0, 511))
@settings(max_examples=30)
def test_bytes_that_end_early_are_refused_in_one_line(cut: int) -> None:
    data = serialize_message(traffic(20))[:cut]
    with pytest.raises(ValueError, match=f"^{cut} bytes that are no ObjectArray$"):
        read(data)


@given(at=st.integers(0, 24 + 2 * 232 - 1), byte=bytes_)
def test_a_wrong_byte_is_read_as_rclpy_reads_it(at: int, byte: int) -> None:
    data = bytearray(serialize_message(traffic(2)))
    data[at] = byte
    try:
        expected = by_rclpy(bytes(data))
    except RuntimeError:
        with pytest.raises(ValueError, match="no ObjectArray"):
            read(bytes(data))
    else:
        assert_same(read(bytes(data)), expected)
