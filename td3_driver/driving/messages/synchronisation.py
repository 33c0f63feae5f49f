# SPDX-License-Identifier: Apache-2.0
"""The state of the car at the time of a picture: pictures and odometry put together.

Both have the same stamps, or stamps of their own; then odometry is interpolated. Only fields are
read: messages may come from rclpy or from a bag.
"""

from __future__ import annotations

import bisect
import math
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from td3_driver.driving.continuity import furthest_m
from td3_driver.driving.messages.decoding import ego_state, stamp_ns
from td3_driver.driving.messages.encoding import odometry_like, set_stamp
from td3_driver.driving.types import EgoState, Pose, wrap_angle

Mode = Literal["exact", "nearest", "interpolate"]
MODES: tuple[Mode, ...] = get_args(Mode)
# Enough for odometry of 10 Hz, whose nearest is then up to half a metre away at 10 m/s.
TOLERANCE_S = 0.1
# Lost odometry is sent again after 3 s, while a bag plays on.
PICTURES_KEPT = 100
ODOMETRIES_KEPT = 400  # 2 s at 200 Hz: pictures take long to be exposed and sent
# Surplus of images with odometry before and after but none of their stamp over images with some of
# their stamp, from which on stamps are taken to differ.
_OWN_STAMPS = 5

Pair = tuple[Any, Any]  # sensor_msgs/Image, nav_msgs/Odometry


@dataclass(frozen=True)
class Paired:
    """A picture, the car's state at its time, and whether an odometry had the same stamp."""

    picture: Any
    ego: EgoState
    exact: bool


@dataclass(frozen=True)
class Sync:
    """The way in which pictures are paired with odometry.

    Attributes:
        mode: exact: odometry of the same stamp; nearest: the nearest in time; interpolate: between
            the one before and the one after; None: exact if stamps agree, else interpolate.
        tolerance_s: largest distance in time of the nearest one, or of each of both neighbours, s.
    """

    mode: Mode | None = None
    tolerance_s: float = TOLERANCE_S

    @property
    def tolerance_ns(self) -> int:
        """The tolerance in nanoseconds."""
        return round(self.tolerance_s * 1e9)


AUTOMATIC = Sync()


def interpolated(before: EgoState, after: EgoState, time_ns: int) -> EgoState:
    """Interpolate all numbers linearly in time, the heading the short way round.

    Args:
        before, after: with stamps `before.stamp_ns <= time_ns <= after.stamp_ns`, not the same.
        time_ns: stamp of the result.
    """
    if time_ns == before.stamp_ns:
        return before
    if time_ns == after.stamp_ns:
        return after
    share = (time_ns - before.stamp_ns) / (after.stamp_ns - before.stamp_ns)

    def between(one: float, other: float) -> float:
        return one + share * (other - one)

    turned_rad = wrap_angle(after.pose.yaw_rad - before.pose.yaw_rad)
    return EgoState(
        time_ns,
        Pose(
            between(before.pose.x_m, after.pose.x_m),
            between(before.pose.y_m, after.pose.y_m),
            wrap_angle(before.pose.yaw_rad + share * turned_rad),
            between(before.pose.z_m, after.pose.z_m),
        ),
        between(before.speed_mps, after.speed_mps),
        between(before.lateral_speed_mps, after.lateral_speed_mps),
        between(before.yaw_rate_radps, after.yaw_rate_radps),
    )


def driven(before: EgoState, after: EgoState) -> bool:
    """Whether the car was driven from one state to the other, not moved there."""
    moved_m = math.dist((before.pose.x_m, before.pose.y_m), (after.pose.x_m, after.pose.y_m))
    fastest_mps = max(math.hypot(ego.speed_mps, ego.lateral_speed_mps) for ego in (before, after))
    elapsed_s = (after.stamp_ns - before.stamp_ns) * 1e-9
    return not moved_m > furthest_m(fastest_mps, elapsed_s)  # NaN does not count as moved


def at(
    time_ns: int, before: EgoState | None, after: EgoState | None, mode: Mode, tolerance_ns: int
) -> EgoState | None:
    """Return the car's state at a picture's time, with its stamp; None if that is not known.

    Args:
        time_ns: stamp of the picture.
        before: the last odometry at that time or earlier, or None.
        after: the first odometry at that time or later, or None.
        mode: see `Sync`.
        tolerance_ns: see `Sync`.
    """
    for ego in (before, after):
        if ego is not None and ego.stamp_ns == time_ns:
            return ego
    near = [
        ego
        for ego in (before, after)
        if ego is not None and abs(ego.stamp_ns - time_ns) <= tolerance_ns
    ]
    if mode == "exact" or not near:
        return None
    if mode == "nearest":
        nearest = min(near, key=lambda ego: abs(ego.stamp_ns - time_ns))
        return replace(nearest, stamp_ns=time_ns)
    if before is None or after is None or len(near) < 2 or not driven(before, after):
        return None
    return interpolated(before, after, time_ns)


@dataclass(frozen=True)
class PicturesTogether:
    """Image messages of one stamp, the first camera's first; they are paired as one picture."""

    images: tuple[Any, ...]

    @property
    def header(self) -> Any:
        """The header of the first camera's."""
        return self.images[0].header


class CameraMatcher:
    """Puts together the image messages of several cameras that have the same stamp.

    A stamp of which all are there drops those that came before it.

    Args:
        cameras: number of cameras.
    """

    def __init__(self, cameras: int) -> None:
        self._cameras = cameras
        self._waiting: OrderedDict[int, dict[int, Any]] = OrderedDict()

    def image(self, camera: int, message: Any) -> PicturesTogether | None:
        """Take in an image of a camera, by its number; return the pictures that it completes."""
        time_ns = stamp_ns(message.header.stamp)
        images = self._waiting.setdefault(time_ns, {})
        images[camera] = message
        if len(images) == self._cameras:
            _taken(self._waiting, time_ns)
            return PicturesTogether(tuple(images[number] for number in range(self._cameras)))
        while len(self._waiting) > PICTURES_KEPT:
            self._waiting.popitem(last=False)
        return None


class StampMatcher:
    """Pairs messages of the same stamp; each pair drops all messages that came before its two."""

    def __init__(self) -> None:
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._odometries: OrderedDict[int, Any] = OrderedDict()

    def image(self, message: Any) -> Pair | None:
        """Take in an image; return the pair that it completes, if any."""
        odometry = _taken(self._odometries, stamp_ns(message.header.stamp))
        if odometry is None:
            _keep(self._images, message, PICTURES_KEPT)
            return None
        self._images.clear()
        return message, odometry

    def odometry(self, message: Any) -> Pair | None:
        """Take in an odometry; return the pair that it completes, if any."""
        image = _taken(self._images, stamp_ns(message.header.stamp))
        if image is None:
            # Odometry is small and quicker than pictures: more than ten ahead where a bag is
            # played.
            _keep(self._odometries, message, ODOMETRIES_KEPT)
            return None
        self._odometries.clear()
        return image, message


def _taken(waiting: OrderedDict[int, Any], time_ns: int) -> Any:
    """Remove and return the message of a stamp, or None; drop those before it."""
    if time_ns not in waiting:
        return None
    while True:
        first_ns, message = waiting.popitem(last=False)
        if first_ns == time_ns:
            return message


def _keep(waiting: OrderedDict[int, Any], message: Any, kept: int) -> None:
    time_ns = stamp_ns(message.header.stamp)
    waiting.pop(time_ns, None)
    waiting[time_ns] = message
    while len(waiting) > kept:
        waiting.popitem(last=False)


class TimeMatcher:
    """Pairs pictures and odometry in time, each with stamps of their own.

    A picture waits for the first odometry that is not older than itself. Without one within the
    tolerance it is dropped: nothing is extrapolated, and the next picture is as good.

    Args:
        mode: nearest or interpolate.
        tolerance_ns: see `Sync`.
    """

    def __init__(self, mode: Mode, tolerance_ns: int) -> None:
        self._mode, self._tolerance_ns = mode, tolerance_ns
        self._egos: list[EgoState] = []  # by stamp
        self._waiting: dict[int, Any] = {}  # by stamp, in the order of arrival

    def picture(self, time_ns: int, picture: Any) -> list[Paired]:
        """Take in a picture; return what it completes, oldest first."""
        if self._waiting and time_ns < max(self._waiting):
            self._waiting.clear()  # time jumped back
        self._waiting[time_ns] = picture
        while len(self._waiting) > PICTURES_KEPT:
            del self._waiting[next(iter(self._waiting))]
        return self._complete()

    def odometry(self, ego: EgoState) -> list[Paired]:
        """Take in an odometry; return the pictures that it completes, oldest first."""
        if self._egos and ego.stamp_ns <= self._egos[-1].stamp_ns - self._tolerance_ns:
            self._egos.clear()  # time jumped back
        bisect.insort(self._egos, ego, key=lambda known: known.stamp_ns)
        del self._egos[:-ODOMETRIES_KEPT]
        return self._complete()

    def drop(self, until_ns: int) -> None:
        """Stop waiting for pictures up to a stamp, ns."""
        self._waiting = {t: picture for t, picture in self._waiting.items() if t > until_ns}

    def _complete(self) -> list[Paired]:
        completed: list[Paired] = []
        for time_ns in sorted(self._waiting):
            place = bisect.bisect_left(self._egos, time_ns, key=lambda ego: ego.stamp_ns)
            if place == len(self._egos):
                break
            picture = self._waiting.pop(time_ns)
            before = self._egos[place - 1] if place else None
            after = self._egos[place]
            ego = at(time_ns, before, after, self._mode, self._tolerance_ns)
            if ego is not None:
                completed.append(Paired(picture, ego, exact=after.stamp_ns == time_ns))
        return completed


class Pairing:
    """Pairs image and odometry messages as they come, as `Sync` says.

    Without a mode messages of the same stamp are paired, until it turns out that there are none:
    then odometry is interpolated. Messages with stamps of 0 get the time at which they were sent.

    Args:
        sync: how to pair.
        tell: called with a line when own stamps, or stamps of 0, are found.

    Attributes:
        own_stamps: images and odometry have different stamps, or none.
    """

    def __init__(self, sync: Sync, tell: Callable[[str], None]) -> None:
        self.own_stamps = sync.mode in ("nearest", "interpolate")
        self._sync, self._tell = sync, tell
        self._of_stamp = StampMatcher()
        self._in_time = self._time_matcher()
        self._lone = 0  # images without odometry of their stamp, less those with
        self._unstamped = False
        self._zeros = {"image": 0, "odometry": 0}  # stamps of 0 in a row
        self._like: Any = None  # the newest odometry

    def _time_matcher(self) -> TimeMatcher:
        mode: Mode = "nearest" if self._sync.mode == "nearest" else "interpolate"
        return TimeMatcher(mode, self._sync.tolerance_ns)

    def image(self, message: Any, sent_ns: int) -> list[Pair]:
        """Take in an image; return the pairs that it completes, oldest first.

        Args:
            message: the image; its stamp is set where stamps are 0.
            sent_ns: wall clock at which it was published, ns.
        """
        self._stamp("image", message, sent_ns)
        exact = None if self.own_stamps else self._of_stamp.image(message)
        if exact is not None:
            return self._of_one_stamp(exact)
        if self._sync.mode == "exact":
            return []
        return self._completed(self._in_time.picture(stamp_ns(message.header.stamp), message))

    def odometry(self, message: Any, sent_ns: int) -> list[Pair]:
        """Take in an odometry; return the pairs that it completes, oldest first."""
        self._stamp("odometry", message, sent_ns)
        self._like = message
        if self._sync.mode == "exact":
            exact = self._of_stamp.odometry(message)
            return [exact] if exact is not None else []
        exact = None if self.own_stamps else self._of_stamp.odometry(message)
        if exact is not None:  # first, so that its picture is not completed twice
            self._in_time.drop(stamp_ns(exact[0].header.stamp))
        found = self._completed(self._in_time.odometry(ego_state(message)))
        return self._of_one_stamp(exact) if exact is not None else found

    def _of_one_stamp(self, pair: Pair) -> list[Pair]:
        self._lone = max(self._lone - 1, 0)
        self._in_time.drop(stamp_ns(pair[0].header.stamp))
        return [pair]

    def _completed(self, completed: list[Paired]) -> list[Pair]:
        if not self.own_stamps:
            self._lone += sum(not one.exact for one in completed)
            if self._lone < _OWN_STAMPS:
                return []
            self._own("images and odometry have stamps of their own: odometry is interpolated")
        return [(one.picture, odometry_like(self._like, one.ego)) for one in completed]

    def _own(self, reason: str) -> None:
        self.own_stamps = True
        within = f"within {self._sync.tolerance_s:g} s"
        self._tell(f"{reason} to the image's time, {within} (sync, sync_tolerance_s)")

    def _stamp(self, kind: str, message: Any, sent_ns: int) -> None:
        """Set a stamp of 0 to the sending time; a single one may be the world's first tick."""
        if self._sync.mode == "exact":
            return
        zero = stamp_ns(message.header.stamp) == 0
        self._zeros[kind] = self._zeros[kind] + 1 if zero else 0
        if not self._unstamped and self._zeros[kind] > 1:
            self._unstamped = True
            self._in_time = self._time_matcher()
            self._own("stamps are 0, messages count from when they were sent; odometry is brought")
        if self._unstamped:
            set_stamp(message.header.stamp, sent_ns)
