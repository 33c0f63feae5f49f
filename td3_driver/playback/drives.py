# SPDX-License-Identifier: Apache-2.0
"""A recorded drive as the driver would have seen it: frame by frame, cut into episodes.

The parts are those of driving: observation, route, reward, ends. Where our own driver drove and
its routes were recorded, episodes begin where they began then, or, where that frame is missing,
with the next. Elsewhere one begins at the first frame, and again after each end, and has no limit
of time. Gaps, teleports and collisions end one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.bags.reading import Bag, BagError
from td3_driver.bags.topics import TopicNames
from td3_driver.driving.continuity import GAP_NS, furthest_m
from td3_driver.driving.episode import Episode, Outcome
from td3_driver.driving.messages.pictures import ImageError, compressed_pixels, pixels
from td3_driver.driving.messages.synchronisation import PICTURES_KEPT
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import DrivingConfig
from td3_driver.driving.routes.map_matching import driven_route
from td3_driver.driving.routes.recorded_routes import RecordedRoutes
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.route import Route
from td3_driver.driving.safety import ACTION_DIM, action_of
from td3_driver.driving.types import Control, EgoState
from td3_driver.driving.view import Picture, ViewConfig, frame_of
from td3_driver.playback.drive_log import DriveLog
from td3_driver.playback.progress import Progress

AFTER_COLLISION_NS = 1_000_000_000
_NO_LIMIT = 2**62


@dataclass(frozen=True)
class Step:
    """One frame of an episode.

    Attributes:
        situation: what the driver would have seen.
        frame: uint8, the newest of the observation, see `frame_of`.
        pixels: the first camera's picture, BGR(A) or grey.
        control: the command that was given at this frame; None where the bag has none.
        action: that command as an action (2,), or None.
        outcome: of the step that led to this frame; None at an episode's first frame. If it ended
            the episode, no action follows.
    """

    situation: Situation
    frame: Picture
    pixels: NDArray[np.uint8]
    control: Control | None
    action: Action | None
    outcome: Outcome | None


class Drives:
    """The steps of a bag, to be iterated over once.

    Args:
        bag: the bag.
        topics: its topics.
        log: what `read_log` read of it.
        config: how driving is judged and commanded.
        progress: stepped with each image.

    Attributes:
        counts: so far: `images`, `frames` (images with odometry), `dropped`
            (frames missing between two others), `outside_episodes` (frames of no episode),
            `episodes`, and how these were cut: `gap`, `teleport`, or an episode's `reason`.
        gaps_ns: stamps before and after each gap.
    """

    def __init__(
        self,
        bag: Bag,
        topics: TopicNames,
        log: DriveLog,
        config: DrivingConfig,
        progress: Progress,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.gaps_ns: list[tuple[int, int]] = []
        self._bag, self._topics, self._log, self._config = bag, topics, log, config
        self._progress = progress
        self._judging = config.episode
        if not log.routes:
            self._judging = replace(self._judging, max_steps=_NO_LIMIT, stuck_steps=_NO_LIMIT)
        self._period_ns = float(np.median(np.diff(log.stamps_ns))) if len(log.stamps_ns) > 1 else 0
        self._jumps = np.flatnonzero(_jumps(log)) + 1
        self._perception = config.perception
        self._images = _images(bag, topics.image, config.view)
        self._episode: Episode | None = None
        self._before: tuple[int, EgoState, Action | None] | None = None  # the frame before
        self._section = _Section(log, self._jumps)
        self._routes = RecordedRoutes()
        for stamp_ns, route in log.routes.items():
            self._routes.add(stamp_ns, route)
        self._not_before_ns = 0

    def why_no_frame(self) -> str:
        """Why the bag has no frame, and what the user can do."""
        if len(self._images) > 1 and self.counts["images"]:
            return f"no moment of which {' and '.join(self._images)} have pictures"
        if why := self._bag.why_left_out(self._topics.image):
            return f"{why}; choose another camera with --image"
        return self._log.frames.no_frame

    def __iter__(self) -> Iterator[Step]:
        for index, (picture, *beside) in self._matched():
            ego, frame = self._log.ego(index), frame_of(picture, self._config.view, beside)
            self._cut(index, ego)
            before_ns = None if self._before is None else self._before[1].stamp_ns
            recorded = self._routes.begun(before_ns, ego.stamp_ns)
            outcome, seen = (
                (None, None) if recorded is not None else self._judge(index, ego, frame)
            )
            if outcome is None:
                seen = self._begin(index, ego, frame, recorded)
            control = self._log.control(index)
            action = action_of(control, self._config.safety) if control is not None else None
            self._before = (index, ego, action)
            if seen is None:
                self.counts["outside_episodes"] += 1
                continue
            yield Step(seen, frame, picture, control, action, outcome)
            if outcome is not None and outcome.ended:
                self._episode = None

    def _matched(self) -> Iterator[tuple[int, list[NDArray[np.uint8]]]]:
        """The frames of the bag, by time: the row in the log, and the cameras' pictures."""
        newest = -1
        topics = self._images
        waiting: dict[int, dict[str, NDArray[np.uint8]]] = {}  # by row, not complete yet
        for item in self._bag.messages(*topics):
            if item.topic == self._topics.image:
                self.counts["images"] += 1
                self._progress.step()
            try:
                index = self._log.index_of(self._log.time_ns(item))
                if index is None or index <= newest:
                    continue
                there = waiting.setdefault(index, {})
                there[item.topic] = _pixels(item.message)
            except ImageError as error:
                self._bag.leave_out(item, str(error))
            except (AttributeError, TypeError) as error:  # a bag may define a type as it likes
                self._bag.leave_out(item, f"its fields are not those of the type: {error}")
            else:
                if len(there) < len(topics):
                    while len(waiting) > PICTURES_KEPT:
                        del waiting[next(iter(waiting))]
                    continue
                newest = index
                waiting = {row: rest for row, rest in waiting.items() if row > newest}
                self.counts["frames"] += 1
                yield index, [there[topic] for topic in topics]

    def _cut(self, index: int, ego: EgoState) -> None:
        """End the episode where the drive was interrupted: a gap, or a car that was moved."""
        if self._before is None:
            return
        before, ego_before, _ = self._before
        gone_ns = ego.stamp_ns - ego_before.stamp_ns
        reason = ""
        if gone_ns > GAP_NS:
            reason = "gap"
            self.gaps_ns.append((ego_before.stamp_ns, ego.stamp_ns))
        else:
            self.counts["dropped"] += max(round(gone_ns / self._period_ns) - 1, 0)
            if np.searchsorted(self._jumps, index, "right") > np.searchsorted(
                self._jumps, before, "right"
            ):
                reason = "teleport"
        if reason and self._episode is not None:
            self.counts[reason] += 1
            self._episode = None

    def _judge(
        self, index: int, ego: EgoState, frame: Picture
    ) -> tuple[Outcome | None, Situation | None]:
        """What the step that led here came to, and what is seen now; None where there is none."""
        if self._episode is None or self._before is None:
            return None, None
        _, before, action = self._before
        collided = self._log.collided(before.stamp_ns, ego.stamp_ns)
        outcome = self._episode.step(
            ego,
            action if action is not None else np.zeros(ACTION_DIM, np.float32),
            collided=collided,
            users=self._log.users_at(ego.stamp_ns),
            lights=self._log.lights_at(index),
        )
        if outcome.ended:
            self.counts[outcome.reason] += 1
        if collided:
            self._not_before_ns = ego.stamp_ns + AFTER_COLLISION_NS
        return outcome, self._perception.go_on(self._episode, frame, ego)

    def _begin(
        self, index: int, ego: EgoState, frame: Picture, recorded: Route | None
    ) -> Situation | None:
        """Begin an episode at a frame, if there is a route from there; what the driver sees."""
        self._episode = None
        if self._routes:
            route = recorded
        elif ego.stamp_ns >= self._not_before_ns:
            route = self._section.route_from(index)
        else:
            route = None
        if route is None:
            return None
        road_map = self._log.road_map if self._config.regulations else None
        episode = Episode(
            self.counts["episodes"],
            route,
            ego,
            self._judging,
            regulations=None if road_map is None else Regulations(road_map, route),
            lights=self._log.lights_at(index),
        )
        if not episode.on_its_way:
            return None
        self.counts["episodes"] += 1
        self._episode = episode
        return self._perception.begin(episode, frame, ego)


def _images(bag: Bag, first: str, view: ViewConfig) -> tuple[str, ...]:
    """The topics of all cameras of a view, the first one's first.

    Raises:
        BagError: the bag lacks one.
    """
    if not view.beside:
        return (first,)
    front, *beside = (f"/{mount.id}/" for mount in view.cameras)
    names = (first, *(first.replace(front, other) for other in beside))
    for name, mount in zip(names, view.cameras, strict=True):
        if f"/{mount.id}/" not in name or name not in bag.topics:
            raise BagError(
                f"bag {bag.path}: no pictures of {mount.id}, which driving.view.cameras has;"
                f" expected them beside {first}"
            )
    return names


def _pixels(message: Any) -> NDArray[np.uint8]:
    return pixels(message) if hasattr(message, "encoding") else compressed_pixels(message)


class _Section:
    """A part of a drive without interruption; its route is found when it is first asked for."""

    def __init__(self, log: DriveLog, jumps: NDArray[np.int64]) -> None:
        self._log = log
        gaps = np.flatnonzero(np.diff(log.stamps_ns) > GAP_NS) + 1
        self._ends = np.append(np.union1d(gaps, jumps), len(log.stamps_ns))
        self._end = 0
        self._route: Route | None = None
        self._s_m = 0.0
        self._row = 0

    def route_from(self, row: int) -> Route | None:
        """The rest of the route from a row of the log on; rows must rise from call to call."""
        if row >= self._end:
            self._end = int(self._ends[np.searchsorted(self._ends, row, side="right")])
            self._route = driven_route(self._log.states[row : self._end, :2], self._log.road_map)
            self._row, self._s_m = row, 0.0
        if self._route is None:
            return None
        for passed in range(self._row, row + 1):
            self._s_m = self._route.place(self._log.ego(passed).pose, self._s_m).s_m
        self._row = row
        return self._route.rest(self._s_m)


def _jumps(log: DriveLog) -> NDArray[np.bool_]:
    """For each row but the last, whether the car was moved, not driven, to the next one."""
    seconds = np.diff(log.stamps_ns) * 1e-9
    speed_mps = np.hypot(log.states[:, 4], log.states[:, 5])
    moved_m = np.hypot(*np.diff(log.states[:, :2], axis=0).T)
    fastest_mps = np.maximum(speed_mps[:-1], speed_mps[1:])
    jumps: NDArray[np.bool_] = moved_m > furthest_m(fastest_mps, seconds)
    return jumps
