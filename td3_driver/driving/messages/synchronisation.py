# SPDX-License-Identifier: Apache-2.0
"""Where the car was when a picture was taken, from odometry with stamps of its own."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass, replace
from typing import Generic, Literal, TypeVar, get_args

from td3_driver.driving.continuity import furthest_m
from td3_driver.driving.types import EgoState, Pose, wrap_angle

Mode = Literal["exact", "nearest", "interpolate"]
MODES: tuple[Mode, ...] = get_args(Mode)
# Odometry of 10 Hz and more; at 10 m/s the nearest one is up to half a metre away then.
TOLERANCE_S = 0.1
# Odometry that is lost on the way comes again after 3 s, while a bag plays on.
PICTURES_KEPT = 100
ODOMETRIES_KEPT = 400  # two seconds at 200 Hz: pictures take long to be exposed and sent

Picture = TypeVar("Picture")


@dataclass(frozen=True)
class Paired(Generic[Picture]):
    """A picture, the car at its time, and whether that is an odometry of the very same stamp."""

    picture: Picture
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


class Pairing(Generic[Picture]):
    """Pictures and odometry as they come, each with stamps of its own.

    A picture waits for the first odometry that is not older than itself. Without one within the
    tolerance it gets none: nothing is guessed ahead, and the next picture is as good.

    Args:
        mode: nearest or interpolate.
        tolerance_ns: see `Sync`.
    """

    def __init__(self, mode: Mode, tolerance_ns: int) -> None:
        self.mode, self._tolerance_ns = mode, tolerance_ns
        self._egos: list[EgoState] = []  # by stamp
        self._waiting: dict[int, Picture] = {}  # by stamp, in the order of arrival

    def picture(self, time_ns: int, picture: Picture) -> list[Paired[Picture]]:
        """What this picture completes, the older first."""
        if self._waiting and time_ns < max(self._waiting):
            self._waiting.clear()  # time began anew
        self._waiting[time_ns] = picture
        while len(self._waiting) > PICTURES_KEPT:
            del self._waiting[next(iter(self._waiting))]
        return self._complete()

    def odometry(self, ego: EgoState) -> list[Paired[Picture]]:
        """What this odometry completes, the older first."""
        if self._egos and ego.stamp_ns <= self._egos[-1].stamp_ns - self._tolerance_ns:
            self._egos.clear()  # time began anew
        bisect.insort(self._egos, ego, key=lambda known: known.stamp_ns)
        del self._egos[:-ODOMETRIES_KEPT]
        return self._complete()

    def drop(self, until_ns: int) -> None:
        """Pictures up to that time are not waited for any longer."""
        self._waiting = {t: picture for t, picture in self._waiting.items() if t > until_ns}

    def _complete(self) -> list[Paired[Picture]]:
        completed: list[Paired[Picture]] = []
        for time_ns in sorted(self._waiting):
            place = bisect.bisect_left(self._egos, time_ns, key=lambda ego: ego.stamp_ns)
            if place == len(self._egos):
                break
            picture = self._waiting.pop(time_ns)
            before = self._egos[place - 1] if place else None
            after = self._egos[place]
            ego = at(time_ns, before, after, self.mode, self._tolerance_ns)
            if ego is not None:
                completed.append(Paired(picture, ego, exact=after.stamp_ns == time_ns))
        return completed
