# SPDX-License-Identifier: Apache-2.0
"""What must be read of a recorded drive before its pictures: states, commands, map, routes.

A bag is read twice, because an observation looks ahead along a route, and where the route was not
recorded it is the one that was driven. This first reading keeps about 100 bytes a frame,
and 56 for each vehicle beside the car.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from td3_driver.bags.reading import Bag, BagError, Recorded
from td3_driver.bags.topics import TopicNames
from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.messages.decoding import (
    control_of,
    ego_state,
    light_places,
    light_states,
    road_users,
    route_of,
    stamp_ns,
)
from td3_driver.driving.messages.light_matching import SeenLights
from td3_driver.driving.messages.synchronisation import Sync
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.routes.road_map import RoadMap, RoadMapError
from td3_driver.driving.routes.route import FloatArray, Route
from td3_driver.driving.types import NO_LIGHTS, Control, EgoState, Lights
from td3_driver.playback.columns import Clock, Columns, Stamps, Table
from td3_driver.playback.frames import Frames, ego_of, frames, row_of
from td3_driver.playback.progress import Progress

_STATE = 7  # numbers of an EgoState but its stamp
_CONTROL = 5
Kept = TypeVar("Kept")
_Timed = list[tuple[int, int, Kept]]  # header's stamp, time of recording, what there was


@dataclass(frozen=True)
class DriveLog:
    """A recorded drive without its pictures.

    Attributes:
        frames: the N times at which there may be frames, and the state of the car at each.
        controls: (N, 5) float64: throttle, steer, brake, hand brake and reverse commanded at
            each of these times; NaN where the bag has no command.
        collisions_ns: times of collisions, rising.
        users: the other road users by time, ns.
        lights: what the map's traffic lights show from a time of recording on, ns, rising. The
            bridge says it before the odometry of the same tick, without a stamp.
        routes: the routes that `driver_node` drove, by the time of their first frame, ns; empty
            where they were not recorded.
        road_map: the roads, or None.
        notes: what the bag lacks and what was decided, a line each.
    """

    frames: Frames
    controls: FloatArray
    collisions_ns: list[int]
    users: dict[int, RoadUsers]
    lights: list[tuple[int, Lights]]
    routes: dict[int, Route]
    road_map: RoadMap | None
    notes: list[str]

    @property
    def stamps_ns(self) -> Stamps:
        """(N,) the times at which there may be frames, ns, rising, each once."""
        return self.frames.table.times_ns

    @property
    def states(self) -> FloatArray:
        """(N, 7) the states of the car at these times; columns as in `frames.row_of`."""
        return self.frames.table.rows

    def time_ns(self, item: Recorded) -> int:
        """The time that counts of a message with a header, ns; see `Frames.clock`."""
        return _time_ns(item) if self.frames.clock == "header" else item.time_ns

    def index_of(self, time_ns: int) -> int | None:
        """The row of this time, or None."""
        index = int(np.searchsorted(self.stamps_ns, time_ns))
        found = index < len(self.stamps_ns) and self.stamps_ns[index] == time_ns
        return index if found else None

    def ego(self, index: int) -> EgoState:
        """The state of the car in a row."""
        return ego_of(self.stamps_ns[index], self.states[index])

    def control(self, index: int) -> Control | None:
        """The command in a row, or None where the bag has none."""
        row = self.controls[index]
        if np.isnan(row[0]):
            return None
        throttle, steer, brake, hand_brake, reverse = row.tolist()
        return Control(throttle, steer, brake, bool(hand_brake), bool(reverse))

    def users_at(self, time_ns: int) -> RoadUsers:
        """The other road users at a time, ns; none where the bag does not tell."""
        return self.users.get(time_ns, NOBODY)

    def lights_at(self, index: int) -> Lights:
        """What the traffic lights show in a row; empty where the bag does not tell."""
        recorded_ns = int(self.frames.table.recorded_ns[index])
        told = bisect_right(self.lights, recorded_ns, key=lambda one: one[0])
        return self.lights[told - 1][1] if told else NO_LIGHTS

    def collided(self, after_ns: int, until_ns: int) -> bool:
        """Whether the bag has a collision later than `after_ns` and not later than `until_ns`."""
        first = bisect_left(self.collisions_ns, after_ns + 1)
        return first < len(self.collisions_ns) and self.collisions_ns[first] <= until_ns


def read_log(bag: Bag, topics: TopicNames, sync: Sync, progress: Progress) -> DriveLog:
    """Read a drive but for its pictures; `progress` is stepped with each odometry.

    Raises:
        BagError: the bag has no odometry, or its map cannot be read.
    """
    reading = _LogReader(bag, topics, progress)
    names = (name for name in topics.to_mapping().values() if name is not None)
    for item in bag.messages(*names):
        reading.take(item)
    return reading.log(sync)


class _LogReader:
    """Collects the messages of a bag for `read_log`."""

    def __init__(self, bag: Bag, topics: TopicNames, progress: Progress) -> None:
        self._bag, self._topics, self._progress = bag, topics, progress
        self._images, self._odometry = Columns(0), Columns(_STATE)
        self._commands, self._applied = Columns(_CONTROL), Columns(_CONTROL)
        self._collisions: _Timed[None] = []
        self._users: _Timed[RoadUsers] = []
        self._lights: list[tuple[int, Callable[[SeenLights], None]]] = []
        self._routes: _Timed[Route] = []
        self._road_map: RoadMap | None = None
        self._takers = {
            topics.image: self._take_image,
            topics.odometry: self._take_odometry,
            topics.control: self._take_control,
            topics.status: self._take_status,
            topics.world_info: self._take_world_info,
            topics.collision: self._take_collision,
            topics.route: self._take_route,
            topics.objects: self._take_objects,
            topics.lights_info: self._take_lights_info,
            topics.lights_status: self._take_lights_status,
        }

    def take(self, item: Recorded) -> None:
        try:
            self._takers[item.topic](item)
        except (AttributeError, TypeError) as error:  # a bag may define a type as it likes
            self._bag.leave_out(item, f"its fields are not those of the type: {error}")

    def log(self, sync: Sync) -> DriveLog:
        if not self._odometry.values:
            topic = self._topics.odometry
            why = self._bag.why_left_out(topic)
            why = f"{why}; no other is of use" if why else f"no message on {topic}"
            raise BagError(f"bag {self._bag.path}: {why}; choose another with --odometry")
        found = frames(self._images, self._odometry, self._topics, sync)
        controls, note = self._controls(found)
        notes = [*found.notes, *([note] if note else [])]
        if self._road_map is None:
            notes.append(
                "no carla_msgs/CarlaWorldInfo: the drive itself serves as the middle of the road"
            )
        return DriveLog(
            found,
            controls,
            sorted(_by(found.clock, self._collisions)),
            self._users_of(found),
            self._lights_shown(),
            self._routes_of(found),
            self._road_map,
            notes,
        )

    def _take_image(self, item: Recorded) -> None:
        self._images.add(_time_ns(item), item.time_ns)

    def _take_odometry(self, item: Recorded) -> None:
        self._progress.step()
        ego = ego_state(item.message)
        if ego.plausible:
            self._odometry.add(ego.stamp_ns, item.time_ns, *row_of(ego))
        else:
            why = "not a car's place and speed" if ego.finite else "not finite"
            no_direction = math.isnan(ego.pose.yaw_rad)
            why = "no orientation (all 0, or no numbers)" if no_direction else why
            self._bag.leave_out(item, why)

    def _take_control(self, item: Recorded) -> None:
        self._take_row(self._commands, item, item.message)

    def _take_status(self, item: Recorded) -> None:
        self._take_row(self._applied, item, item.message.control)

    def _take_row(self, columns: Columns, item: Recorded, message: Any) -> None:
        row = _row(message)
        if all(map(math.isfinite, row)):
            columns.add(_time_ns(item), item.time_ns, *row)
        else:
            self._bag.leave_out(item, "not finite")

    def _take_world_info(self, item: Recorded) -> None:
        try:
            self._road_map = RoadMap(item.message.opendrive, item.message.map_name)
        except RoadMapError as error:
            raise BagError(f"bag {self._bag.path}: {item.topic}: {error}") from error

    def _take_collision(self, item: Recorded) -> None:
        self._collisions.append((_time_ns(item), item.time_ns, None))

    def _take_objects(self, item: Recorded) -> None:
        users = road_users(item.message)
        if len(users.poses):
            self._users.append((_time_ns(item), item.time_ns, users))

    def _take_lights_info(self, item: Recorded) -> None:
        places = light_places(item.message)
        self._lights.append((item.time_ns, lambda seen: seen.place(places)))

    def _take_lights_status(self, item: Recorded) -> None:
        states = light_states(item.message)
        self._lights.append((item.time_ns, lambda seen: seen.show(states)))

    def _take_route(self, item: Recorded) -> None:
        try:
            self._routes.append((_time_ns(item), item.time_ns, route_of(item.message)))
        except ValueError as error:
            raise BagError(f"bag {self._bag.path}: {item}: {error}") from error

    def _users_of(self, found: Frames) -> dict[int, RoadUsers]:
        """The road users at each frame; where stamps are not exact, those nearest in time."""
        users = _by(found.clock, self._users)
        if found.mode == "exact":
            return users
        told_ns = np.array(sorted(users), np.int64)
        near = ((t, _nearest(told_ns, t, found.tolerance_ns)) for t in found.times_ns)
        return {t: users[told] for t, told in near if told is not None}

    def _lights_shown(self) -> list[tuple[int, Lights]]:
        """What the map's lights show from each message about them on."""
        if self._road_map is None:
            return []
        seen, shown = SeenLights(), []
        seen.set_map(self._road_map)
        for time_ns, take_in in self._lights:
            take_in(seen)
            shown.append((time_ns, seen.shown))
        return shown

    def _routes_of(self, found: Frames) -> dict[int, Route]:
        """The routes by their first frames; where stamps are not exact, the nearest in time."""
        routes = _by(found.clock, self._routes)
        if found.mode == "exact":
            return routes
        frames_ns = found.table.times_ns
        near = ((_nearest(frames_ns, t, found.tolerance_ns), route) for t, route in routes.items())
        return {t: route for t, route in near if t is not None}

    def _controls(self, found: Frames) -> tuple[FloatArray, str]:
        """The command at each frame, and a note on its source if that is another topic."""
        table = found.table
        nothing = np.full((len(table.times_ns), _CONTROL), np.nan)
        if self._commands.values:
            exact = self._commands.by(found.clock).exactly(table.times_ns)
            if np.mean(np.isnan(exact[:, 0])) < 0.5:
                return exact, ""  # each command bears the stamp of the frame that it answers
            return self._latest(table), ""
        if not self._applied.values:
            return nothing, "no command topic and no vehicle_status: what was driven is not known"
        # The status tells what was applied in the step that led to it: the frame's before.
        applied, ends_ns = self._applied.by(found.clock), table.times_ns[1:]
        exact = applied.exactly(ends_ns)
        own = len(ends_ns) > 0 and np.mean(np.isnan(exact[:, 0])) > 0.5
        nothing[:-1] = applied.newest(ends_ns, GAP_NS) if own else exact
        return nothing, "no command topic: what was driven is taken from vehicle_status"

    def _latest(self, table: Table) -> FloatArray:
        """The last command that was recorded before the next frame was."""
        ends_ns = np.append(table.recorded_ns[1:], np.iinfo(np.int64).max)
        return self._commands.by("bag").newest(ends_ns)


def _nearest(times_ns: Stamps, time_ns: int, tolerance_ns: int) -> int | None:
    """The nearest of some rising times, ns; None if it is further off than the tolerance."""
    at = int(np.searchsorted(times_ns, time_ns))
    near_ns: list[int] = times_ns[max(at - 1, 0) : at + 1].tolist()
    nearest_ns = min(near_ns, key=lambda t: abs(t - time_ns), default=None)
    if nearest_ns is None or abs(nearest_ns - time_ns) > tolerance_ns:
        return None
    return nearest_ns


def _time_ns(item: Recorded) -> int:
    return stamp_ns(item.message.header.stamp)


def _by(clock: Clock, kept: _Timed[Kept]) -> dict[int, Kept]:
    return {header if clock == "header" else recorded: one for header, recorded, one in kept}


def _row(message: Any) -> tuple[float, ...]:
    control = control_of(message)
    return (
        control.throttle,
        control.steer,
        control.brake,
        float(control.hand_brake),
        float(control.reverse),
    )
