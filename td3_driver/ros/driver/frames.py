# SPDX-License-Identifier: Apache-2.0
"""Images and odometry put together: of the same stamp, or, with stamps of their own, in time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image

from td3_driver.driving.messages.synchronisation import (
    ODOMETRIES_KEPT,
    PICTURES_KEPT,
    Mode,
    Paired,
    Pairing,
    Sync,
)
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.types import Control
from td3_driver.ros.conversions import ego_state, odometry_message, stamp_ns, stamp_of

# So many more images for which odometry came before and after, but none of their stamp, than
# images that had some.
_OWN_STAMPS = 5

Pair = tuple[Image, Odometry]
Message = TypeVar("Message", Image, Odometry)


@dataclass(frozen=True)
class Sighting:
    """All that is known of one tick.

    Attributes:
        image, odometry: of the same stamp, the odometry interpolated where need be.
        sent_ns: wall clock at which the image was published, ns.
        executed: what the car did in the step that led here; None where that is not yet told.
        human, users: see `Driver.observe`.
    """

    image: Image
    odometry: Odometry
    sent_ns: int
    executed: Control | None
    human: Control | None
    users: RoadUsers


class FrameMatcher:
    """Pairs of the same stamp; one drops all that came before its two messages."""

    def __init__(self) -> None:
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._odometries: OrderedDict[int, Odometry] = OrderedDict()

    def image(self, message: Image) -> Pair | None:
        """The pair that this image completes, if any."""
        odometry = _taken(self._odometries, stamp_ns(message.header.stamp))
        if odometry is None:
            _keep(self._images, message, PICTURES_KEPT)
            return None
        self._images.clear()
        return message, odometry

    def odometry(self, message: Odometry) -> Pair | None:
        """The pair that this odometry completes, if any."""
        image = _taken(self._images, stamp_ns(message.header.stamp))
        if image is None:
            # Small, and quicker than pictures are: more so than ten where a recording is played.
            _keep(self._odometries, message, ODOMETRIES_KEPT)
            return None
        self._odometries.clear()
        return image, message


def _taken(waiting: OrderedDict[int, Message], time_ns: int) -> Message | None:
    """The message of that stamp, and those that came before it are gone."""
    if time_ns not in waiting:
        return None
    while True:
        first_ns, message = waiting.popitem(last=False)
        if first_ns == time_ns:
            return message


def _keep(waiting: OrderedDict[int, Message], message: Message, kept: int) -> None:
    time_ns = stamp_ns(message.header.stamp)
    waiting.pop(time_ns, None)
    waiting[time_ns] = message
    while len(waiting) > kept:
        waiting.popitem(last=False)


class Frames:
    """Pairs as `Sync` wants them.

    Without a mode they are those of the same stamp, until it shows that there are none: then
    odometry is interpolated. Where stamps are 0, messages count from when they were sent.

    Args:
        sync: how.
        tell: told when that is found out, a line.

    Attributes:
        own_stamps: images and odometry have stamps of their own, or none.
    """

    def __init__(self, sync: Sync, tell: Callable[[str], None]) -> None:
        self.own_stamps = sync.mode in ("nearest", "interpolate")
        self._sync, self._tell = sync, tell
        self._exact = FrameMatcher()
        mode: Mode = "nearest" if sync.mode == "nearest" else "interpolate"
        self._pairing: Pairing[Image] = Pairing(mode, sync.tolerance_ns)
        self._lone = 0  # images that were shown to have no odometry of their stamp, less others
        self._unstamped = False
        self._zeros = {Image: 0, Odometry: 0}
        self._like = Odometry()

    def image(self, message: Image, sent_ns: int) -> list[Pair]:
        """The pairs that this image completes, the older first.

        Args:
            message: the image.
            sent_ns: wall clock at which it was published, ns.
        """
        self._stamp(message, sent_ns)
        exact = None if self.own_stamps else self._exact.image(message)
        if exact is not None:
            return self._of_one_stamp(exact)
        if self._sync.mode == "exact":
            return []
        return self._in_time(self._pairing.picture(stamp_ns(message.header.stamp), message))

    def odometry(self, message: Odometry, sent_ns: int) -> list[Pair]:
        """The pairs that this odometry completes, the older first."""
        self._stamp(message, sent_ns)
        self._like = message
        if self._sync.mode == "exact":
            exact = self._exact.odometry(message)
            return [exact] if exact is not None else []
        exact = None if self.own_stamps else self._exact.odometry(message)
        if exact is not None:  # before it is known: it belongs to what is shown to be exact
            self._pairing.drop(stamp_ns(exact[0].header.stamp))
        found = self._in_time(self._pairing.odometry(ego_state(message)))
        return self._of_one_stamp(exact) if exact is not None else found

    def _of_one_stamp(self, pair: Pair) -> list[Pair]:
        self._lone = max(self._lone - 1, 0)
        self._pairing.drop(stamp_ns(pair[0].header.stamp))
        return [pair]

    def _in_time(self, completed: list[Paired[Image]]) -> list[Pair]:
        if not self.own_stamps:
            self._lone += sum(not one.exact for one in completed)
            if self._lone < _OWN_STAMPS:
                return []
            self._own("images and odometry have stamps of their own: odometry is interpolated")
        return [(one.picture, odometry_message(one.ego, self._like)) for one in completed]

    def _own(self, reason: str) -> None:
        self.own_stamps = True
        within = f"within {self._sync.tolerance_s:g} s"
        self._tell(f"{reason} to the image's time, {within} (sync, sync_tolerance_s)")

    def _stamp(self, message: Image | Odometry, sent_ns: int) -> None:
        """Stamps of 0 tell nothing; one alone may be the world's first tick."""
        if self._sync.mode == "exact":
            return
        zero = stamp_ns(message.header.stamp) == 0
        self._zeros[type(message)] = self._zeros[type(message)] + 1 if zero else 0
        if not self._unstamped and self._zeros[type(message)] > 1:
            self._unstamped = True
            self._pairing = Pairing(self._pairing.mode, self._sync.tolerance_ns)
            self._own("stamps are 0, messages count from when they were sent; odometry is brought")
        if self._unstamped:
            message.header.stamp = stamp_of(sent_ns)
