# SPDX-License-Identifier: Apache-2.0
"""A drive without its pictures: all that must be known of a bag before its frames are looked at.

A bag is read twice, because an observation looks ahead along a route, and where the route was not
recorded it is the one that was driven. This first reading keeps about 100 bytes a frame,
and 56 for each vehicle beside the car.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.bags.reading import Bag, BagError, Recorded
from td3_driver.bags.topics import TopicNames
from td3_driver.driving.decoding import control_of, ego_state, road_users, route_of, stamp_ns
from td3_driver.driving.road_map import RoadMap, RoadMapError
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.route import FloatArray, Route
from td3_driver.driving.types import Control, EgoState, Pose
from td3_driver.evaluation.progress import Progress

_STATE = 7  # numbers of an EgoState but its stamp
_CONTROL = 5


@dataclass
class _Columns:
    """Rows of numbers with a stamp, 8 bytes each."""

    width: int
    stamps_ns: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, time_ns: int, *row: float) -> None:
        self.stamps_ns.append(time_ns)
        self.values.extend(row)

    def sorted(self) -> tuple[NDArray[np.int64], FloatArray]:
        """By stamp, of equal ones the last."""
        stamps_ns = np.frombuffer(self.stamps_ns, np.int64)[::-1]
        rows = np.frombuffer(self.values, np.float64).reshape(-1, self.width)[::-1]
        unique_ns, where = np.unique(stamps_ns, return_index=True)
        return unique_ns, rows[where]


@dataclass(frozen=True)
class DriveLog:
    """See the module.

    Attributes:
        stamps_ns: (N,) int64, of the odometry, rising, each once.
        states: (N, 7) float64: x, y, yaw, z, speed, lateral speed, yaw rate; see `EgoState`.
        controls: (N, 5) float64: throttle, steer, brake, hand brake, reverse: what was commanded
            at that frame, NaN where nothing tells.
        collisions_ns: stamps of collisions, rising.
        users: who else was on the road, by stamp.
        routes: what our driver drove, by the stamp of its first frame; empty where not recorded.
        road_map: the roads, or None.
        notes: what the bag lacks, a line each.
    """

    stamps_ns: NDArray[np.int64]
    states: FloatArray
    controls: FloatArray
    collisions_ns: list[int]
    users: dict[int, RoadUsers]
    routes: dict[int, Route]
    road_map: RoadMap | None
    notes: list[str]

    def index_of(self, time_ns: int) -> int | None:
        """The row with this stamp."""
        index = int(np.searchsorted(self.stamps_ns, time_ns))
        found = index < len(self.stamps_ns) and self.stamps_ns[index] == time_ns
        return index if found else None

    def ego(self, index: int) -> EgoState:
        """The car in a row."""
        x_m, y_m, yaw_rad, z_m, *motion = self.states[index].tolist()
        return EgoState(int(self.stamps_ns[index]), Pose(x_m, y_m, yaw_rad, z_m), *motion)

    def control(self, index: int) -> Control | None:
        """What was commanded in a row, if anything tells."""
        row = self.controls[index]
        if np.isnan(row[0]):
            return None
        throttle, steer, brake, hand_brake, reverse = row.tolist()
        return Control(throttle, steer, brake, bool(hand_brake), bool(reverse))

    def users_at(self, time_ns: int) -> RoadUsers:
        """Who else was on the road at that stamp, as far as the bag tells."""
        return self.users.get(time_ns, NOBODY)

    def collided(self, after_ns: int, until_ns: int) -> bool:
        """A collision has its stamp in (after, until]."""
        first = bisect_left(self.collisions_ns, after_ns + 1)
        return first < len(self.collisions_ns) and self.collisions_ns[first] <= until_ns


def read_log(bag: Bag, topics: TopicNames, progress: Progress) -> DriveLog:
    """Read a bag's drive; `progress` is stepped with each odometry.

    Raises:
        BagError: there is no odometry in it, or what it has of a map is none.
    """
    reading = _Reading(bag, topics, progress)
    names = (name for part, name in topics.to_mapping().items() if part != "image")
    for item in bag.messages(*(name for name in names if name is not None)):
        reading.take(item)
    return reading.log()


class _Reading:
    """Collects what `read_log` reads."""

    def __init__(self, bag: Bag, topics: TopicNames, progress: Progress) -> None:
        self._bag, self._topics, self._progress = bag, topics, progress
        self._odometry, self._recorded = _Columns(_STATE), _Columns(1)
        self._answers, self._timed, self._applied = (_Columns(_CONTROL) for _ in range(3))
        self._collisions_ns: list[int] = []
        self._users: dict[int, RoadUsers] = {}
        self._routes: dict[int, Route] = {}
        self._road_map: RoadMap | None = None
        self._takers = {
            topics.odometry: self._take_odometry,
            topics.control: self._take_control,
            topics.status: self._take_status,
            topics.world_info: self._take_world_info,
            topics.collision: self._take_collision,
            topics.route: self._take_route,
            topics.objects: self._take_objects,
        }

    def take(self, item: Recorded) -> None:
        self._takers[item.topic](item)

    def log(self) -> DriveLog:
        stamps_ns, states = self._odometry.sorted()
        if not len(stamps_ns):
            raise BagError(f"bag {self._bag.path}: no message on {self._topics.odometry}")
        controls, note = self._controls(stamps_ns)
        notes = [note] if note else []
        if self._road_map is None:
            notes.append(
                "no carla_msgs/CarlaWorldInfo: the drive itself serves as the middle of the road"
            )
        return DriveLog(
            stamps_ns,
            states,
            controls,
            sorted(self._collisions_ns),
            self._users,
            self._routes,
            self._road_map,
            notes,
        )

    def _take_odometry(self, item: Recorded) -> None:
        ego = ego_state(item.message)
        pose = ego.pose
        row = (pose.x_m, pose.y_m, pose.yaw_rad, pose.z_m)
        motion = (ego.speed_mps, ego.lateral_speed_mps, ego.yaw_rate_radps)
        self._odometry.add(ego.stamp_ns, *row, *motion)
        self._recorded.add(ego.stamp_ns, item.time_ns)
        self._progress.step()

    def _take_control(self, item: Recorded) -> None:
        row = _row(item.message)
        self._answers.add(stamp_ns(item.message.header.stamp), *row)
        self._timed.add(item.time_ns, *row)

    def _take_status(self, item: Recorded) -> None:
        self._applied.add(stamp_ns(item.message.header.stamp), *_row(item.message.control))

    def _take_world_info(self, item: Recorded) -> None:
        try:
            self._road_map = RoadMap(item.message.opendrive, item.message.map_name)
        except RoadMapError as error:
            raise BagError(f"bag {self._bag.path}: {item.topic}: {error}") from error

    def _take_collision(self, item: Recorded) -> None:
        self._collisions_ns.append(stamp_ns(item.message.header.stamp))

    def _take_objects(self, item: Recorded) -> None:
        users = road_users(item.message)
        if len(users.poses):
            self._users[stamp_ns(item.message.header.stamp)] = users

    def _take_route(self, item: Recorded) -> None:
        try:
            self._routes[stamp_ns(item.message.header.stamp)] = route_of(item.message)
        except ValueError as error:
            raise BagError(f"bag {self._bag.path}: {item.topic}: {error}") from error

    def _controls(self, stamps_ns: NDArray[np.int64]) -> tuple[FloatArray, str]:
        """The command at each frame, and a note on where it is from if not from its topic."""
        nothing = np.full((len(stamps_ns), _CONTROL), np.nan)
        answered_ns, answers = self._answers.sorted()
        if len(answered_ns):
            exact = _exactly(stamps_ns, answered_ns, answers)
            if np.mean(np.isnan(exact[:, 0])) < 0.5:
                return exact, ""  # each command bears the stamp of the frame that it answers
            return self._latest(stamps_ns), ""
        applied_ns, applied = self._applied.sorted()
        if not len(applied_ns):
            return nothing, "no command topic and no vehicle_status: what was driven is not known"
        # The status tells what was applied in the step that led to it: the frame's before.
        nothing[:-1] = _exactly(stamps_ns, applied_ns, applied)[1:]
        return nothing, "no command topic: what was driven is taken from vehicle_status"

    def _latest(self, stamps_ns: NDArray[np.int64]) -> FloatArray:
        """The command that was newest when the next frame was recorded."""
        _, recorded = self._recorded.sorted()
        given_ns, commands = self._timed.sorted()
        ends_ns = np.append(recorded[1:, 0], np.inf)
        newest = np.searchsorted(given_ns, ends_ns, side="right") - 1
        return np.where(newest[:, None] >= 0, commands[np.maximum(newest, 0)], np.nan)


def _exactly(
    stamps_ns: NDArray[np.int64], given_ns: NDArray[np.int64], rows: FloatArray
) -> FloatArray:
    """The rows of these stamps, NaN where there is none."""
    where = np.minimum(np.searchsorted(given_ns, stamps_ns), len(given_ns) - 1)
    return np.where((given_ns[where] == stamps_ns)[:, None], rows[where], np.nan)


def _row(message: Any) -> Iterable[float]:
    control = control_of(message)
    return (
        control.throttle,
        control.steer,
        control.brake,
        float(control.hand_brake),
        float(control.reverse),
    )
