# SPDX-License-Identifier: Apache-2.0
import array
import math

import numpy as np
import pytest
from carla_msgs.msg import CarlaEgoVehicleControl
from hypothesis import given
from hypothesis import strategies as st
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from td3_driver.driving.messages.decoding import control_of, pose_of, stamp_ns
from td3_driver.driving.messages.encoding import set_control
from td3_driver.driving.messages.pictures import ImageError, pixels
from td3_driver.driving.messages.synchronisation import (
    PICTURES_KEPT,
    CameraMatcher,
    StampMatcher,
)
from td3_driver.driving.types import Control, Pose
from td3_driver.ros.conversions import pose_message, stamp_of
from td3_driver.ros.names import EgoTopics


def image(pixels: np.ndarray, encoding: str, padding: int = 0) -> Image:
    height, width = pixels.shape[:2]
    rows = np.pad(pixels.reshape(height, -1), ((0, 0), (0, padding)))
    message = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.astype(np.uint8).tobytes())
    return message


@pytest.mark.parametrize(("encoding", "channels"), [("bgra8", 4), ("bgr8", 3), ("mono8", 1)])
@pytest.mark.parametrize("padding", [0, 5])
def test_pixels_are_what_was_sent(encoding: str, channels: int, padding: int) -> None:
    shape = (7, 9) if channels == 1 else (7, 9, channels)
    sent = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(pixels(image(sent, encoding, padding)), sent)


def test_rgb_becomes_bgr() -> None:
    sent = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    assert np.array_equal(pixels(image(sent, "rgb8")), sent[:, :, ::-1])


def test_images_that_cannot_be_read_are_refused_with_the_reason() -> None:
    good = np.zeros((4, 5, 4), np.uint8)
    with pytest.raises(ImageError, match=r"32FC1.*bgra8"):
        pixels(image(good, "32FC1"))
    short = image(good, "bgra8")
    short.data = array.array("B", bytes(10))
    with pytest.raises(ImageError, match="10 bytes"):
        pixels(short)
    with pytest.raises(ImageError, match="0 rows"):
        pixels(Image(encoding="bgra8"))


@given(yaw=st.floats(-math.pi, math.pi), x=st.floats(-1e4, 1e4), y=st.floats(-1e4, 1e4))
def test_poses_survive_the_way_there_and_back(yaw: float, x: float, y: float) -> None:
    back = pose_of(pose_message(Pose(x, y, yaw, 1.0)))
    assert (back.x_m, back.y_m, back.z_m) == (x, y, 1.0)
    assert math.cos(back.yaw_rad - yaw) == pytest.approx(1.0, abs=1e-12)


@given(time_ns=st.integers(0, 2**31 * 10**9 - 1))
def test_stamps_are_exact(time_ns: int) -> None:
    assert stamp_ns(stamp_of(time_ns)) == time_ns


def test_a_command_has_carla_s_sign() -> None:
    control = Control(throttle=0.25, steer=-0.5, brake=0.0)
    message = CarlaEgoVehicleControl()
    set_control(message, control)
    assert (message.throttle, message.steer, message.brake) == (0.25, -0.5, 0.0)
    assert control_of(message) == control


def stamped(kind: type, nanosec: int) -> Image | Odometry:
    message = kind()
    message.header.stamp.nanosec = nanosec
    return message


def test_pairs_are_found_by_stamp_in_any_order() -> None:
    matcher = StampMatcher()
    assert matcher.image(stamped(Image, 1)) is None
    pair = matcher.odometry(stamped(Odometry, 1))
    assert pair is not None
    assert isinstance(pair[0], Image)
    assert matcher.odometry(stamped(Odometry, 2)) is None
    assert matcher.image(stamped(Image, 3)) is None
    assert matcher.image(stamped(Image, 2)) is not None
    assert matcher.odometry(stamped(Odometry, 3)) is None  # older ones were dropped with the pair


def test_unmatched_messages_do_not_pile_up() -> None:
    matcher = StampMatcher()
    for nanosec in range(1000):
        assert matcher.image(stamped(Image, nanosec)) is None
    assert matcher.odometry(stamped(Odometry, 5)) is None
    assert matcher.odometry(stamped(Odometry, 995)) is not None


def test_topic_names_are_checked() -> None:
    assert EgoTopics("hero", "cam", "control").image == "/carla/hero/cam/image"
    with pytest.raises(ValueError, match="he ro"):
        EgoTopics("he ro", "cam", "control")


def test_pictures_of_one_stamp_come_together_and_drop_those_before() -> None:
    cameras = CameraMatcher(3)
    early, left, right, front = (stamped(Image, nanosec) for nanosec in (1, 2, 2, 2))
    assert cameras.image(0, early) is None
    assert cameras.image(2, right) is None
    assert cameras.image(0, front) is None
    together = cameras.image(1, left)
    assert together is not None
    assert together.images == (front, left, right)
    assert together.header is front.header
    assert cameras.image(1, stamped(Image, 1)) is None  # the others of that stamp are gone
    assert cameras.image(2, stamped(Image, 1)) is None
    assert cameras.image(0, stamped(Image, 1)) is not None  # time began anew


def test_pictures_that_never_come_together_are_not_kept_for_ever() -> None:
    cameras = CameraMatcher(2)
    for nanosec in range(2 * PICTURES_KEPT):
        assert cameras.image(0, stamped(Image, nanosec)) is None
    assert cameras.image(1, stamped(Image, 0)) is None
    assert cameras.image(1, stamped(Image, 2 * PICTURES_KEPT - 1)) is not None
