# SPDX-License-Identifier: Apache-2.0
"""Counts collisions: a contact lasts many steps, and is one collision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from td3_driver.driving.judging.infractions import Kind, Moment

_REMEMBERED_S, _FORGOTTEN_M = 5.0, 5.0


@dataclass(frozen=True)
class Merging:
    """Which contacts belong to a collision that was counted.

    Those with the same actor within 5 s, and those near the place of one, until the car is 5 m
    away from it: `CollisionTest` of carla-simulator/scenario_runner
    (srunner/scenariomanager/scenarioatomics/atomic_criteria.py).

    Attributes:
        near_m: how near.
        slowest_mps: below this speed of the car a contact is the other's fault.
    """

    near_m: float
    slowest_mps: float = 0.0


class MergedCollisions:
    """Counts collisions as the CARLA leaderboard does."""

    def __init__(self, merging: Merging) -> None:
        self._merging = merging
        self._places_m: list[tuple[float, float]] = []
        self._last_id, self._counted_ns = 0, 0

    def step(self, moment: Moment) -> list[Kind]:
        """Return the collisions that are counted in this step."""
        pose, now_ns = moment.ego.pose, moment.ego.stamp_ns
        at_m = pose.x_m, pose.y_m
        self._places_m = [
            place_m for place_m in self._places_m if math.dist(at_m, place_m) <= _FORGOTTEN_M
        ]
        if (now_ns - self._counted_ns) * 1e-9 > _REMEMBERED_S:
            self._last_id = 0
        found = []
        slow = moment.ego.ground_speed_mps < self._merging.slowest_mps
        for impact in () if slow else moment.impacts:
            again = impact.other_id == self._last_id != 0
            if again or any(
                math.dist(at_m, place_m) <= self._merging.near_m for place_m in self._places_m
            ):
                continue
            found.append(impact.kind(moment.users))
            self._places_m.append(at_m)
            self._counted_ns, self._last_id = now_ns, impact.other_id or self._last_id
        return found


class HardCollisions:
    """Counts contacts whose impulses of one step and kind of body add up to more than allowed.

    Args:
        allowed_ns: the impulse that is no collision yet, by kind, N s.
    """

    def __init__(self, allowed_ns: Mapping[Kind, float]) -> None:
        self._allowed_ns = allowed_ns

    def step(self, moment: Moment) -> list[Kind]:
        """Return the collisions that are counted in this step."""
        felt_ns: Counter[Kind] = Counter()
        for impact in moment.impacts:
            felt_ns[impact.kind(moment.users)] += impact.impulse_ns  # type: ignore[assignment]
        return [kind for kind, impulse in felt_ns.items() if impulse > self._allowed_ns[kind]]


class LastingCollisions:
    """Counts a contact that lasts once more every few seconds, for each kind of body.

    Args:
        every_s: how often, s.
    """

    def __init__(self, every_s: float) -> None:
        self._every_ns = round(every_s * 1e9)
        self._counted_ns: dict[Kind, int] = {}

    def step(self, moment: Moment) -> list[Kind]:
        """Return the collisions that are counted in this step."""
        now_ns = moment.ego.stamp_ns
        kinds = dict.fromkeys(impact.kind(moment.users) for impact in moment.impacts)
        found = [
            kind
            for kind in kinds
            if now_ns - self._counted_ns.get(kind, -self._every_ns) >= self._every_ns
        ]
        self._counted_ns.update(dict.fromkeys(found, now_ns))
        return found


class AllContacts:
    """Counts whoever is touched in a step: for rules by which the first contact ends the drive."""

    def step(self, moment: Moment) -> list[Kind]:
        """Return the collisions that are counted in this step."""
        touched = {impact.other_id: impact.kind(moment.users) for impact in moment.impacts}
        return list(touched.values())
