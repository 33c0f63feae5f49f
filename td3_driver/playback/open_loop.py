# SPDX-License-Identifier: Apache-2.0
"""What a policy would have done in each frame of a recorded drive.

Open loop: the car goes where the recorded driver took it, whatever the policy answers. This shows
how the policy's actions differ from those driven, how steady they are, how long they took and what
its critics think of them. It does not show where the policy would have driven; there is no return.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from td3_driver.agent.judgement import values_of
from td3_driver.bags.reading import BagError
from td3_driver.bags.topics import TopicNames
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.route import FloatArray, Route
from td3_driver.driving.safety import ACTION_DIM, safe_action
from td3_driver.online.trained import Greedy
from td3_driver.playback.drive_log import DriveLog
from td3_driver.playback.drives import Drives, Step
from td3_driver.playback.progress import Progress
from td3_driver.playback.recording import ReadOptions, open_recording

SHOWN = 10
SHOWN_WIDTH_PX = 480
APART_S = 1.0  # between two frames that are shown, at least
_CURVATURE_M = np.array([-4.0, 0.0, 4.0, 8.0, 12.0])


class Row(NamedTuple):
    """A frame in numbers; NaN where what was driven is not known.

    Actions are in [-1, 1]: `steer` and `drive` of the policy, `driven_*` of the recorded driver.
    `q` is the smaller of both critics' values of the policy's action, `q_gap` the difference of
    both values, `q_driven` is `q` of the driven action. `curvature` is that of the route ahead,
    1/m, left positive. Positions are in the ROS map frame.
    """

    stamp_s: float
    episode: float
    steer: float
    drive: float
    driven_steer: float
    driven_drive: float
    q: float
    q_gap: float
    q_driven: float
    speed_mps: float
    curvature: float
    x_m: float
    y_m: float
    latency_s: float

    @property
    def difference(self) -> float:
        """|steer - driven_steer| + |drive - driven_drive|."""
        return abs(self.steer - self.driven_steer) + abs(self.drive - self.driven_drive)


@dataclass(frozen=True)
class Shown:
    """A frame to show in the report, with its picture scaled down, BGR."""

    row: Row
    picture: NDArray[np.uint8]

    @property
    def worth(self) -> float:
        """How much it is worth showing: `difference`, or `q_gap` without a driven action."""
        return self.row.q_gap if np.isnan(self.row.difference) else self.row.difference


@dataclass(frozen=True)
class Playback:
    """The result of a playback: a column for each field of `Row`, and what was counted."""

    topics: TopicNames
    log: DriveLog
    rows: dict[str, FloatArray]
    counts: dict[str, int]
    gaps_ns: list[tuple[int, int]]
    shown: list[Shown]
    routes: list[Route]
    warnings: list[str]


@dataclass
class _Watch:
    """Collects the frames that are worth showing most, none within `APART_S` of another."""

    kept: list[Shown] = field(default_factory=list)

    def look(self, row: Row, pixels: NDArray[np.uint8]) -> None:
        """Offer a frame; of frames too close in time the one worth most is kept."""
        near = [one for one in self.kept if abs(one.row.stamp_s - row.stamp_s) < APART_S]
        full = self.kept[-1:] if len(self.kept) == SHOWN else []
        beaten = near or full
        worth = Shown(row, pixels).worth
        if any(worth <= one.worth for one in beaten):
            return
        self.kept = [one for one in self.kept if one not in beaten]
        self.kept.append(Shown(row, _small(pixels)))
        self.kept.sort(key=lambda one: -one.worth)


def play_back(
    path: Path,
    policy: Greedy,
    config: DrivingConfig,
    reading: ReadOptions,
    progress: Progress,
) -> Playback:
    """Ask a policy for its action in each frame of a bag.

    Args:
        path: the bag.
        policy: the policy and its critics.
        config: how driving is judged and commanded.
        reading: how to read it.
        progress: told how far the reading is.

    Raises:
        FileNotFoundError, BagError: the bag cannot be used.
    """
    with open_recording(path, reading, progress) as recording:
        bag, topics, log = recording.bag, recording.topics, recording.log
        drives = Drives(bag, topics, log, config, progress)
        watch, columns, routes = _Watch(), _Columns(), list[Route]()
        for taken in drives:
            if taken.outcome is None:
                routes.append(taken.situation.route)
            if taken.outcome is None or not taken.outcome.ended:
                row = _row(taken, policy, len(routes) - 1)
                columns.add(row)
                watch.look(row, taken.pixels)
        _check(path, drives, columns)
        return Playback(
            topics=topics,
            log=log,
            rows=columns.arrays(),
            counts=dict(drives.counts),
            gaps_ns=drives.gaps_ns,
            shown=watch.kept,
            routes=routes,
            warnings=bag.warnings,
        )


def _check(path: Path, drives: Drives, columns: _Columns) -> None:
    counts = drives.counts
    if not counts["frames"]:
        raise BagError(f"bag {path}: {drives.why_no_frame()}")
    if not columns.count:
        raise BagError(
            f"bag {path}: {counts['frames']} frames, but no stretch of driving among them: the car"
            " stands, or is never on the road"
        )


class _Columns:
    """Collects rows as plain numbers."""

    def __init__(self) -> None:
        self.count = 0
        self._blocks: list[FloatArray] = []
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        self.count += 1
        self._rows.append(row)
        if len(self._rows) == 4096:
            self._pack()

    def _pack(self) -> None:
        self._blocks.append(np.array(self._rows, np.float64).reshape(-1, len(Row._fields)))
        self._rows.clear()

    def arrays(self) -> dict[str, FloatArray]:
        self._pack()
        return dict(zip(Row._fields, np.concatenate(self._blocks).T, strict=True))


def _row(step: Step, policy: Greedy, episode: int) -> Row:
    situation = step.situation
    started_s = time.perf_counter()
    action = safe_action(policy.act(situation))
    latency_s = time.perf_counter() - started_s
    driven = step.action if step.action is not None else np.full(ACTION_DIM, np.nan, np.float32)
    seen = situation.observation
    judged = values_of(policy.agent, seen.image, seen.stored, (action, driven))
    (q, q_gap), (q_driven, _) = judged
    ego = situation.ego
    return Row(
        stamp_s=ego.stamp_ns * 1e-9,
        episode=float(episode),
        steer=float(action[0]),
        drive=float(action[1]),
        driven_steer=float(driven[0]),
        driven_drive=float(driven[1]),
        q=q,
        q_gap=q_gap,
        q_driven=q_driven,
        speed_mps=ego.speed_mps,
        curvature=_curvature(situation.route, situation.place.s_m),
        x_m=ego.pose.x_m,
        y_m=ego.pose.y_m,
        latency_s=latency_s,
    )


def _curvature(route: Route, s_m: float) -> float:
    """Mean curvature of a route around a place, -4 m to 12 m from it, 1/m, left positive."""
    at_m = s_m + _CURVATURE_M
    at_m = at_m[at_m >= 0.0]  # before its start a route has no direction
    steps = np.diff(route.points_at(at_m), axis=0)
    headings = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
    return float(headings[-1] - headings[0]) / float(at_m[-2] - at_m[0])


def _small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A BGR copy, at most `SHOWN_WIDTH_PX` wide."""
    scale = min(SHOWN_WIDTH_PX / pixels.shape[1], 1.0)
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if small.ndim == 2:
        small = cv2.cvtColor(small, cv2.COLOR_GRAY2BGR)
    return np.ascontiguousarray(small[:, :, :3], dtype=np.uint8)
