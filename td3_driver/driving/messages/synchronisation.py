# SPDX-License-Identifier: Apache-2.0
"""Where the car was when a picture was taken: pictures and odometry put together.

They have the same stamp, or stamps of their own; then odometry is interpolated. Works on the
fields alone: a message may come from rclpy or from a bag.
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
# Odometry of 10 Hz and more; at 10 m/s the nearest one is up to half a metre away then.
TOLERANCE_S = 0.1
# Odometry that is lost on the way comes again after 3 s, while a bag plays on.
PICTURES_KEPT = 100
ODOMETRIES_KEPT = 400  # two seconds at 200 Hz: pictures take long to be exposed and sent
# So many more images for which odometry came before and after, but none of their stamp, than
# images that had some.
_OWN_STAMPS = 5

Pair = tuple[Any, Any]  # sensor_msgs/Image, nav_msgs/Odometry


@dataclass(frozen=True)
class Paired:
    """A picture, the car at its time, and whether that is an odometry of the very same stamp."""

    picture: Any
    ego: EgoState
    exact: bool


@dataclass(frozen=True)
class Sync:
    """How a picture gets its odometry.

    Attributes:
        mode: exact: of the same stamp; nearest: the nearest one; interpolate: between the one
            before and the one after; None: exact where that fits, else interpolate.
        tolerance_s: how far in time the nearest one, or each of both neighbours, may be.
    """

    mode: Mode | None = None
    tolerance_s: float = TOLERANCE_S

    @property
    def tolerance_ns(self) -> int:
        """The tolerance in nanoseconds."""
        return round(self.tolerance_s * 1e9)


AUTOMATIC = Sync()


def interpolated(before: EgoState, after: EgoState, time_ns: int) -> EgoState:
    """The car between two instants: all numbers linear in time, the heading the short way round.

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
    """The car was driven from one to the other, not put there."""
    moved_m = math.dist((before.pose.x_m, before.pose.y_m), (after.pose.x_m, after.pose.y_m))
    fastest_mps = max(math.hypot(ego.speed_mps, ego.lateral_speed_mps) for ego in (before, after))
    elapsed_s = (after.stamp_ns - before.stamp_ns) * 1e-9
    return not moved_m > furthest_m(fastest_mps, elapsed_s)  # what is no number was not moved


def at(
    time_ns: int, before: EgoState | None, after: EgoState | None, mode: Mode, tolerance_ns: int
) -> EgoState | None:
    """The car at a picture's time, with the picture's stamp; None where that is not known.

    Args:
        time_ns: the picture's.
        before: the last odometry of that time or earlier, None if there is none.
        after: the first one of that time or later.
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


class StampMatcher:
    """Pairs of the same stamp; one drops all that came before its two messages."""

    def __init__(self) -> None:
        self._images: OrderedDict[int, Any] = OrderedDict()
        self._odometries: OrderedDict[int, Any] = OrderedDict()

    def image(self, message: Any) -> Pair | None:
        """The pair that this image completes, if any."""
        odometry = _taken(self._odometries, stamp_ns(message.header.stamp))
        if odometry is None:
            _keep(self._images, message, PICTURES_KEPT)
            return None
        self._images.clear()
        return message, odometry

    def odometry(self, message: Any) -> Pair | None:
        """The pair that this odometry completes, if any."""
        image = _taken(self._images, stamp_ns(message.header.stamp))
        if image is None:
            # Small, and quicker than pictures are: more so than ten where a recording is played.
            _keep(self._odometries, message, ODOMETRIES_KEPT)
            return None
        self._odometries.clear()
        return image, message


def _taken(waiting: OrderedDict[int, Any], time_ns: int) -> Any:
    """The message of that stamp, and those that came before it are gone; None if there is none."""
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
    """Pictures and odometry as they come, each with stamps of its own.

    A picture waits for the first odometry that is not older than itself. Without one within the
    tolerance it gets none: nothing is guessed ahead, and the next picture is as good.

    Args:
        mode: nearest or interpolate.
        tolerance_ns: see `Sync`.
    """

    def __init__(self, mode: Mode, tolerance_ns: int) -> None:
        self._mode, self._tolerance_ns = mode, tolerance_ns
        self._egos: list[EgoState] = []  # by stamp
        self._waiting: dict[int, Any] = {}  # by stamp, in the order of arrival

    def picture(self, time_ns: int, picture: Any) -> list[Paired]:
        """What this picture completes, the older first."""
        if self._waiting and time_ns < max(self._waiting):
            self._waiting.clear()  # time began anew
        self._waiting[time_ns] = picture
        while len(self._waiting) > PICTURES_KEPT:
            del self._waiting[next(iter(self._waiting))]
        return self._complete()

    def odometry(self, ego: EgoState) -> list[Paired]:
        """What this odometry completes, the older first."""
        if self._egos and ego.stamp_ns <= self._egos[-1].stamp_ns - self._tolerance_ns:
            self._egos.clear()  # time began anew
        bisect.insort(self._egos, ego, key=lambda known: known.stamp_ns)
        del self._egos[:-ODOMETRIES_KEPT]
        return self._complete()

    def drop(self, until_ns: int) -> None:
        """Pictures up to that time are not waited for any longer."""
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
    """Messages of pictures and odometry as they come, put together as `Sync` wants it.

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
        self._of_stamp = StampMatcher()
        self._in_time = self._time_matcher()
        self._lone = 0  # images that were shown to have no odometry of their stamp, less others
        self._unstamped = False
        self._zeros = {"image": 0, "odometry": 0}  # stamps of 0 in a row
        self._like: Any = None  # the newest odometry

    def _time_matcher(self) -> TimeMatcher:
        mode: Mode = "nearest" if self._sync.mode == "nearest" else "interpolate"
        return TimeMatcher(mode, self._sync.tolerance_ns)

    def image(self, message: Any, sent_ns: int) -> list[Pair]:
        """The pairs that this image completes, the older first.

        Args:
            message: the image; given a stamp, where stamps are 0.
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
        """The pairs that this odometry completes, the older first."""
        self._stamp("odometry", message, sent_ns)
        self._like = message
        if self._sync.mode == "exact":
            exact = self._of_stamp.odometry(message)
            return [exact] if exact is not None else []
        exact = None if self.own_stamps else self._of_stamp.odometry(message)
        if exact is not None:  # before it is known: it belongs to what is shown to be exact
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
        """Stamps of 0 tell nothing; one alone may be the world's first tick."""
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
