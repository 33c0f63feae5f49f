# SPDX-License-Identifier: Apache-2.0
"""The frames of a bag: each picture with the odometry of its time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from td3_driver.bags.topics import TopicNames
from td3_driver.driving.messages.synchronisation import Mode, Sync, at
from td3_driver.driving.routes.route import FloatArray
from td3_driver.driving.types import EgoState, Pose
from td3_driver.playback.columns import Clock, Columns, Stamps, Table

_MOST = 0.5  # of the pictures have odometry of their stamp: the stamps are those of one clock tick


@dataclass(frozen=True)
class Frames:
    """The times at which a bag has frames, and the state of the car at each.

    Attributes:
        mode: how pictures get their odometry.
        tolerance_s: see `Sync`; None where stamps are exact.
        clock: which time of a message counts, its stamp or its time of recording.
        table: states of the car by time, columns as in `row_of`. With exact stamps a row for
            each odometry, else one for each picture that has odometry.
        unmatched: number of odometries that belong to no picture.
        notes: decisions that were made while matching, a line each.
        no_frame: the reason to give if no picture turns out to have odometry.
    """

    mode: Mode
    tolerance_s: float | None
    clock: Clock
    table: Table
    unmatched: int
    notes: list[str]
    no_frame: str

    @property
    def times_ns(self) -> list[int]:
        """The times of `table`, ns."""
        times_ns: list[int] = self.table.times_ns.tolist()
        return times_ns

    @property
    def tolerance_ns(self) -> int:
        """`tolerance_s` in nanoseconds; 0 where stamps are exact."""
        return round((self.tolerance_s or 0.0) * 1e9)

    def to_mapping(self) -> dict[str, Any]:
        """How pictures and odometry were matched, as in metrics.json."""
        return {"mode": self.mode, "tolerance_s": self.tolerance_s, "stamps": self.clock}


def ego_of(time_ns: int, row: FloatArray) -> EgoState:
    """The state of the car that a row holds; the inverse of `row_of`."""
    x_m, y_m, yaw_rad, z_m, *motion = row.tolist()
    return EgoState(int(time_ns), Pose(x_m, y_m, yaw_rad, z_m), *motion)


def row_of(ego: EgoState) -> tuple[float, ...]:
    """A state of the car as a row: x, y (m), yaw (rad), z (m), speeds (m/s), yaw rate (rad/s)."""
    pose = ego.pose
    motion = (ego.speed_mps, ego.lateral_speed_mps, ego.yaw_rate_radps)
    return (pose.x_m, pose.y_m, pose.yaw_rad, pose.z_m, *motion)


def frames(images: Columns, odometry: Columns, topics: TopicNames, sync: Sync) -> Frames:
    """Match pictures with odometry.

    Args:
        images: the times of the pictures.
        odometry: states of the car, see `row_of`; at least one.
        topics: the names of both topics, for notes.
        sync: which odometry a picture gets.
    """
    clock, note = _clock(images, odometry, topics)
    notes = [note] if note else []
    cars, pictures = odometry.by(clock), images.by(clock)
    exact = np.isin(cars.times_ns, pictures.times_ns)
    count = len(pictures.times_ns)
    mode = sync.mode or ("exact" if exact.sum() >= _MOST * count else "interpolate")
    if mode == "exact":
        no_frame = (
            f"none of {count} images on {topics.image} has the stamp of one of {len(exact)}"
            f" messages on {topics.odometry}; --sync interpolate does without"
            if count
            else f"no message on {topics.image}; choose another with --image"
        )
        return Frames("exact", None, clock, cars, int(np.sum(~exact)), notes, no_frame)
    table, used = _at_pictures(cars, pictures, mode, sync.tolerance_ns)
    within = f"{sync.tolerance_s:g} s"
    notes.append(
        f"images and odometry have stamps of their own: {_DONE[mode]} the image's time for"
        f" {len(table.times_ns)} of {count} images (--sync {mode}, --tolerance {within[:-2]})"
    )
    no_frame = (
        f"none of {count} images on {topics.image} ({_span(pictures)}) has odometry on"
        f" {topics.odometry} ({_span(cars)}) within {within}"
        f"{' before and after it' if mode == 'interpolate' else ''}; see --tolerance"
    )
    unmatched = len(used) - int(used.sum())
    return Frames(mode, sync.tolerance_s, clock, table, unmatched, notes, no_frame)


_DONE = {
    "interpolate": "odometry is interpolated to",
    "nearest": "odometry is the nearest to",
}


def _at_pictures(
    cars: Table, pictures: Table, mode: Mode, tolerance_ns: int
) -> tuple[Table, np.ndarray[Any, np.dtype[np.bool_]]]:
    """A row for each picture that has odometry, and which odometries were of use."""
    used = np.zeros(len(cars.times_ns), bool)
    kept, rows = [], []
    afters = np.searchsorted(cars.times_ns, pictures.times_ns)
    for number, (time_ns, after) in enumerate(zip(pictures.times_ns, afters, strict=True)):
        near = [i for i in (after - 1, after) if 0 <= i < len(used)]
        egos = {i: ego_of(cars.times_ns[i], cars.rows[i]) for i in near}
        found = at(int(time_ns), egos.get(after - 1), egos.get(after), mode, tolerance_ns)
        if found is None:
            continue
        kept.append(number)
        rows.append(row_of(found))
        if mode == "nearest":
            near = [min(near, key=lambda i: abs(int(cars.times_ns[i]) - int(time_ns)))]
        used[near] = True
    values = np.array(rows, np.float64).reshape(-1, cars.rows.shape[1])
    return Table(pictures.times_ns[kept], values, pictures.recorded_ns[kept]), used


def _clock(images: Columns, odometry: Columns, topics: TopicNames) -> tuple[Clock, str]:
    """Stamps count, but where there are none, or where they are not of one clock."""
    names = (topics.image, topics.odometry)
    ours, theirs = (columns.times_ns("header") for columns in (images, odometry))
    for name, times_ns in zip(names, (ours, theirs), strict=True):
        if len(times_ns) and not times_ns.any():
            return "bag", f"all stamps on {name} are 0: the bag's own times count"
        if len(times_ns) > 1 and np.ptp(times_ns) == 0:
            return "bag", f"all stamps on {name} are the same: the bag's own times count"
    if len(ours) and not _overlap(ours, theirs):
        ours, theirs = (columns.times_ns("bag") for columns in (images, odometry))
        if _overlap(ours, theirs):
            return "bag", (
                f"stamps on {names[0]} and {names[1]} are of different clocks:"
                " the bag's own times count"
            )
    return "header", ""


def _overlap(one: Stamps, other: Stamps) -> bool:
    return bool(one.min() <= other.max() and other.min() <= one.max())


def _span(table: Table) -> str:
    if not len(table.times_ns):
        return "never"
    return f"{table.times_ns[0] * 1e-9:.3f} to {table.times_ns[-1] * 1e-9:.3f} s"
