# SPDX-License-Identifier: Apache-2.0
"""The messages of one tick, put together: same stamp, any order of arrival."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.types import Control
from td3_driver.ros.conversions import stamp_ns

UNMATCHED_KEPT = 10


@dataclass(frozen=True)
class Sighting:
    """All that is known of one tick.

    Attributes:
        image, odometry: of the same stamp.
        sent_ns: wall clock at which the image was published, ns.
        human, users: see `Driver.observe`.
    """

    image: Image
    odometry: Odometry
    sent_ns: int
    human: Control | None
    users: RoadUsers


class FrameMatcher:
    """Keeps what has no partner yet; a pair drops everything older than itself."""

    def __init__(self) -> None:
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._odometries: OrderedDict[int, Odometry] = OrderedDict()

    def image(self, message: Image) -> tuple[Image, Odometry] | None:
        """The pair that this image completes, if any."""
        odometry = self._odometries.get(stamp_ns(message.header.stamp))
        if odometry is None:
            _keep(self._images, message)
            return None
        self._clear()
        return message, odometry

    def odometry(self, message: Odometry) -> tuple[Image, Odometry] | None:
        """The pair that this odometry completes, if any."""
        image = self._images.get(stamp_ns(message.header.stamp))
        if image is None:
            _keep(self._odometries, message)
            return None
        self._clear()
        return image, message

    def _clear(self) -> None:
        self._images.clear()
        self._odometries.clear()


def _keep(waiting: OrderedDict[int, Image] | OrderedDict[int, Odometry], message: object) -> None:
    waiting[stamp_ns(message.header.stamp)] = message  # type: ignore[attr-defined]
    while len(waiting) > UNMATCHED_KEPT:
        waiting.popitem(last=False)
