# SPDX-License-Identifier: Apache-2.0
"""Crossings and roundabouts between the ends of streets, with scenariogeneration's creator.

Every movement of every lane gets a connecting road of its own (OpenDRIVE 1.4, 5.3.9). Traffic
drives on the right. Everything is in the map frame, metres and radians.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from scenariogeneration import xodr

from td3_driver.driving.types import wrap_angle
from td3_driver.world.roads.bounds import LANE_WIDTH_M
from td3_driver.world.roads.opendrive import mark, paint

# CARLA takes a link for one to a junction where no road has that id.
_FIRST_JUNCTION_ID = 10_000
_STRAIGHT_ON_RAD = math.radians(40.0)
_RING_RADIUS_M = 16.0  # of the ring's inner edge
_RING_ARM_RAD = math.radians(32.0)  # half of what an arm's junction takes of the ring


@dataclass(frozen=True)
class Arm:
    """An end of a street at a place, where streets meet.

    Attributes:
        road: the street.
        at_start: whether the street begins here; else it ends here.
        x_m, y_m: end of its reference line.
        inward_rad: direction from there into the place.
        lanes: number of lanes each way.
    """

    road: xodr.Road
    at_start: bool
    x_m: float
    y_m: float
    inward_rad: float
    lanes: int

    @property
    def contact(self) -> xodr.ContactPoint:
        """OpenDRIVE's name of this end of the street."""
        return xodr.ContactPoint.start if self.at_start else xodr.ContactPoint.end

    @property
    def link(self) -> str:
        """OpenDRIVE's name of the street's link to the place."""
        return "predecessor" if self.at_start else "successor"

    def incoming(self, lane: int) -> int:
        """OpenDRIVE's id of a lane towards the place, counted from 0, the innermost."""
        return lane + 1 if self.at_start else -(lane + 1)

    def outgoing(self, lane: int) -> int:
        """OpenDRIVE's id of a lane away from the place, counted from 0, the innermost."""
        return -self.incoming(lane)


def join(one: Arm, other: Arm) -> None:
    """Link two streets at the ends where they meet."""
    for arm, neighbour in ((one, other), (other, one)):
        add = arm.road.add_predecessor if arm.at_start else arm.road.add_successor
        add(xodr.ElementType.road, neighbour.road.id, neighbour.contact)


class Junctions:
    """Adds junctions to a document.

    Args:
        document: has the streets, at the latest when its roads are adjusted.
        first_road_id: road ids are free from here on.
        lane_width_m: of all lanes.
    """

    def __init__(
        self, document: xodr.OpenDrive, first_road_id: int, lane_width_m: float = LANE_WIDTH_M
    ) -> None:
        self._document = document
        self._lane_width_m = lane_width_m
        self._next_road_id = first_road_id
        self._next_id = _FIRST_JUNCTION_ID

    def add_crossing(self, arms: list[Arm]) -> None:
        """Connect each of three or four arms with every other."""
        movements = [
            (start.road.id, end.road.id, start.incoming(here), end.outgoing(there))
            for start, end in itertools.permutations(arms, 2)
            for here, there in _lane_pairs(start, end)
        ]
        self._add(arms, movements)

    def add_roundabout(self, middle_m: tuple[float, float], arms: list[Arm]) -> None:
        """Connect arms by a ring of one lane, driven anticlockwise."""

        def angle(arm: Arm) -> float:
            return math.atan2(arm.y_m - middle_m[1], arm.x_m - middle_m[0])

        arms = sorted(arms, key=angle)
        pieces = [
            self._ring_piece(middle_m, angle(arm), angle(following))
            for arm, following in zip(arms, [*arms[1:], arms[0]], strict=True)
        ]
        for arm, (_, before), (after, _) in zip(
            arms, [pieces[-1], *pieces[:-1]], pieces, strict=True
        ):
            ring_in, ring_out = before.road.id, after.road.id
            movements = [(ring_in, ring_out, -1, -1)]
            for lane in range(arm.lanes):
                movements.append((arm.road.id, ring_out, arm.incoming(lane), -1))
                movements.append((ring_in, arm.road.id, -1, arm.outgoing(lane)))
            through = self._add([arm, before, after], movements)[0]
            # The creator's curves begin and end straight, but the ring is to be a circle.
            through.planview = xodr.PlanView()
            through.planview.add_geometry(_ring_arc(2.0 * _RING_ARM_RAD))

    def _ring_piece(
        self, middle_m: tuple[float, float], from_rad: float, to_rad: float
    ) -> tuple[Arm, Arm]:
        """The ring between two arms, as the arms of its two junctions."""
        begin_rad = from_rad + _RING_ARM_RAD
        sweep_rad = (to_rad - from_rad) % (2.0 * math.pi) - 2.0 * _RING_ARM_RAD
        road = xodr.create_road(
            [_ring_arc(sweep_rad)],
            id=self._next_road_id,
            left_lanes=0,
            right_lanes=1,
            lane_width=self._lane_width_m,
            center_road_mark=mark(xodr.RoadMarkType.solid, xodr.RoadMarkColor.white),
        )
        self._next_road_id += 1
        paint(road)
        ends = []
        for at_start, at_rad in ((True, begin_rad), (False, begin_rad + sweep_rad)):
            x_m = middle_m[0] + _RING_RADIUS_M * math.cos(at_rad)
            y_m = middle_m[1] + _RING_RADIUS_M * math.sin(at_rad)
            inward_rad = at_rad + (-0.5 if at_start else 0.5) * math.pi
            ends.append(Arm(road, at_start, x_m, y_m, inward_rad, lanes=1))
        road.planview.set_start_point(ends[0].x_m, ends[0].y_m, begin_rad + 0.5 * math.pi)
        self._document.add_road(road)
        return ends[0], ends[1]

    def _add(self, arms: list[Arm], movements: list[tuple[int, int, int, int]]) -> list[xodr.Road]:
        """A junction with a connecting road for each (from road, to road, from lane, to lane)."""
        creator = xodr.CommonJunctionCreator(
            self._next_id, f"junction_{self._next_id}", startnum=self._next_road_id
        )
        for arm in arms:
            creator.add_incoming_road_cartesian_geometry(
                arm.road, arm.x_m, arm.y_m, arm.inward_rad, arm.link
            )
        for movement in movements:
            creator.add_connection(*movement)
        self._document.add_junction_creator(creator)
        self._next_id += 1
        self._next_road_id = creator.startnum
        return list(creator.get_connecting_roads())


def _ring_arc(sweep_rad: float) -> xodr.Arc:
    return xodr.Arc(1.0 / _RING_RADIUS_M, length=_RING_RADIUS_M * sweep_rad)


def _lane_pairs(start: Arm, end: Arm) -> list[tuple[int, int]]:
    """Pairs of a lane of one arm and the lane of another that it leads into.

    Lanes are counted from 0, the innermost. Left turns are made from the innermost lane, right
    turns from the outermost, and every lane goes straight on, so that none begins or ends in the
    junction.
    """
    turn_rad = _turn(start, end)
    if abs(turn_rad) < _STRAIGHT_ON_RAD:
        shared = {(lane, min(lane, end.lanes - 1)) for lane in range(start.lanes)}
        return sorted(shared | {(min(lane, start.lanes - 1), lane) for lane in range(end.lanes)})
    if turn_rad > 0.0:
        return [(0, 0)]
    return [(start.lanes - 1, end.lanes - 1)]


def _turn(start: Arm, end: Arm) -> float:
    """The change of direction from one arm into another, left positive."""
    return wrap_angle(end.inward_rad + math.pi - start.inward_rad)
