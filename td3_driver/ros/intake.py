# SPDX-License-Identifier: Apache-2.0
"""What comes in from the world: frames put together, and who has fallen silent."""

from __future__ import annotations

import time
from collections.abc import Callable

from carla_msgs.msg import CarlaEgoVehicleStatus
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Bool

from td3_driver.driving.types import Control
from td3_driver.ros import names
from td3_driver.ros.conversions import control_of, stamp_ns
from td3_driver.ros.frames import FrameMatcher
from td3_driver.ros.wires import Wires

# In real time the newest frame wins; what waited longer is overwritten by DDS, not queued.
_NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)

OnFrame = Callable[[Image, Odometry, int, Control | None], None]


class Intake:
    """Pairs image and odometry by stamp and, while a human drives, waits for what he did.

    Args:
        wires: makes the subscriptions, in the order in which they are to be served.
        topics: of the car.
        lockstep: every frame counts; else the newest.
        on_frame: takes image, odometry, the wall clock at which the image was published (ns), and
            while a human drives the control that the car executed up to this frame.

    Attributes:
        active: what comes in is looked at; else it is dropped.
        override: a human drives.
        image_s, odometry_s, frame_s: when the last of each came, as of time.monotonic.
        lone: the newest image or odometry that has no partner yet.
    """

    def __init__(
        self, wires: Wires, topics: names.EgoTopics, lockstep: bool, on_frame: OnFrame
    ) -> None:
        self.active = False
        self.override = False
        self.image_s = self.odometry_s = self.frame_s = time.monotonic()
        self.lone: Image | Odometry | None = None
        self._on_frame = on_frame
        self._matcher = FrameMatcher()
        self._sent_ns = 0
        self._held: tuple[Image, Odometry] | None = None
        self._status: CarlaEgoVehicleStatus | None = None
        frames = names.VOLATILE_10 if lockstep else _NEWEST
        wires.listen(Bool, topics.manual_override, self._on_override, names.LATCHED_1)
        status = topics.of("vehicle_status")
        wires.listen(CarlaEgoVehicleStatus, status, self._on_status, names.VOLATILE_10)
        wires.listen(Odometry, topics.of("odometry"), self._on_odometry, frames)
        wires.listen(Image, topics.image, self._on_image, frames)

    def begin(self) -> None:
        """Look at what comes in from now on."""
        self._matcher = FrameMatcher()
        self._held = self.lone = None
        self.image_s = self.odometry_s = self.frame_s = time.monotonic()
        self.active = True

    def _on_override(self, message: Bool) -> None:
        self.override = message.data

    def _on_image(self, message: Image, info: dict[str, int]) -> None:
        if not self.active:
            return
        self.image_s = time.monotonic()
        self._sent_ns = info["source_timestamp"]
        self.lone = message
        if pair := self._matcher.image(message):
            self._pair(*pair)

    def _on_odometry(self, message: Odometry) -> None:
        if not self.active:
            return
        self.odometry_s = time.monotonic()
        self.lone = message
        if pair := self._matcher.odometry(message):
            self._pair(*pair)

    def _on_status(self, message: CarlaEgoVehicleStatus) -> None:
        self._status = message
        if self._held and self._knows_what_was_done(self._held[1]):
            self._release()

    def _pair(self, image: Image, odometry: Odometry) -> None:
        self.frame_s = time.monotonic()
        self.lone = None
        self._release()  # a frame still held gets no status of its own any more
        self._held = image, odometry
        if not self.override or self._knows_what_was_done(odometry):
            self._release()

    def _knows_what_was_done(self, odometry: Odometry) -> bool:
        status = self._status
        return status is not None and stamp_ns(status.header.stamp) >= stamp_ns(
            odometry.header.stamp
        )

    def _release(self) -> None:
        if self._held is None:
            return
        (image, odometry), self._held = self._held, None
        if not self.override:
            self._on_frame(image, odometry, self._sent_ns, None)
        elif self._status is not None:
            self._on_frame(image, odometry, self._sent_ns, control_of(self._status.control))
