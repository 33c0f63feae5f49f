# SPDX-License-Identifier: Apache-2.0
"""What a car can do wrong, and all that is known of a moment in which it may."""

from __future__ import annotations

import enum
from typing import NamedTuple

from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.types import NO_LIGHTS, EgoState, Lights


class Kind(str, enum.Enum):
    """The kinds of infractions, named as in the CARLA leaderboard's results."""

    PEDESTRIAN = "collisions_pedestrian"
    VEHICLE = "collisions_vehicle"
    LAYOUT = "collisions_layout"
    RED_LIGHT = "red_light"
    STOP_SIGN = "stop_infraction"
    OUTSIDE = "outside_route_lanes"
    DEVIATION = "route_dev"
    TIME_OUT = "route_timeout"
    BLOCKED = "vehicle_blocked"
    SLOW = "min_speed_infractions"
    SCENARIO = "scenario_timeouts"
    EMERGENCY = "yield_emergency_vehicle_infractions"


COLLISIONS = (Kind.PEDESTRIAN, Kind.VEHICLE, Kind.LAYOUT)


class Infraction(NamedTuple):
    """One infraction.

    Attributes:
        kind: what it was.
        x_m, y_m: where the car was, ROS map frame.
        share: how much of it there was, in [0, 1]: of `OUTSIDE` the share of the driven route, of
            `SLOW` what the car lacked of the others' speed; else 1.
    """

    kind: Kind
    x_m: float
    y_m: float
    share: float = 1.0


class Impact(NamedTuple):
    """A collision of the car, as its sensor tells of it.

    Attributes:
        other_id: the number of the other actor; 0 of the world's still parts.
        impulse_ns: magnitude of the impulse on the car, N s.
    """

    other_id: int
    impulse_ns: float

    def kind(self, users: RoadUsers) -> Kind:
        """What was hit: who is none of the road users around is a part of the town."""
        found = users.walking[users.actor_ids == self.other_id]
        if not self.other_id or not len(found):
            return Kind.LAYOUT
        return Kind.PEDESTRIAN if found[0] else Kind.VEHICLE


UNKNOWN = Impact(0, 0.0)  # of whom nothing was told


class Moment(NamedTuple):
    """What is known of the moment at the end of a step.

    Attributes:
        ego: the car.
        users: the other road users.
        lights: what the map's traffic lights show; empty if nobody tells.
        impacts: the car's collisions during the step.
    """

    ego: EgoState
    users: RoadUsers = NOBODY
    lights: Lights = NO_LIGHTS
    impacts: tuple[Impact, ...] = ()
