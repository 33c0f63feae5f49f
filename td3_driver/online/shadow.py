# SPDX-License-Identifier: Apache-2.0
"""A policy that watches another drive and says, frame by frame, what it would do.

It sees what it would see driving. Where routes come with the recording, an episode begins with
each and ends as in driving; else it follows the lanes ahead, straight on at junctions.
"""

from __future__ import annotations

import math

import numpy as np

from td3_driver.driving.continuity import GAP_NS, furthest_m
from td3_driver.driving.driver import DrivingConfig, Policy, Situation
from td3_driver.driving.episode import Episode
from td3_driver.driving.map_matching import Lanes
from td3_driver.driving.observation import (
    Frame,
    FrameStack,
    Observation,
    grey_frame,
    vector_observation,
)
from td3_driver.driving.reward import Action
from td3_driver.driving.road_map import RoadMap
from td3_driver.driving.route import Route
from td3_driver.driving.safety import safe_action
from td3_driver.driving.types import EgoState

REMEMBERED = 20  # frames that may still get their other half


class Errors:
    """Mean distances between proposed and driven actions of the same frames.

    Attributes:
        count: frames of which both are known.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums = np.zeros(2)
        self._proposed: dict[int, Action] = {}
        self._driven: dict[int, Action] = {}

    def proposed(self, time_ns: int, action: Action) -> None:
        """What the policy would do in the frame of that stamp."""
        self._put(self._proposed, time_ns, action)

    def driven(self, time_ns: int, action: Action) -> None:
        """What was commanded; with stamp 0, as a person may send it, for the newest frame."""
        self._put(self._driven, time_ns or next(reversed(self._proposed), 0), action)

    def values(self) -> dict[str, float]:
        """As in a replay's metrics.json; empty while nothing is known."""
        if not self.count:
            return {}
        steer, drive = (self._sums / self.count).tolist()
        return {"steer_mae": steer, "throttle_brake_mae": drive}

    def _put(self, half: dict[int, Action], time_ns: int, action: Action) -> None:
        half[time_ns] = action
        if time_ns in self._proposed and time_ns in self._driven:
            self._sums += np.abs(self._proposed.pop(time_ns) - self._driven.pop(time_ns))
            self.count += 1
        while len(half) > REMEMBERED:
            del half[next(iter(half))]


class Shadow:
    """See the module.

    Args:
        policy: proposes.
        config: ends of episodes, limits.

    Attributes:
        routes_come: routes are recorded; episodes begin with them alone.
        episodes: begun so far.
        time_jumps: how often time went back, or on by more than a gap.
    """

    def __init__(self, policy: Policy, config: DrivingConfig) -> None:
        self.routes_come = False
        self.episodes = self.time_jumps = 0
        self._policy, self._config = policy, config
        self._lanes: Lanes | None = None
        self._route: tuple[int, Route] | None = None  # recorded, and the stamp that it begins at
        self._stack = FrameStack()
        self._episode: Episode | None = None
        self._begun_ns = 0  # stamp of the episode's first frame
        self._before: tuple[Frame, EgoState] | None = None

    def set_map(self, road_map: RoadMap) -> None:
        """The roads from now on."""
        self._lanes = Lanes(road_map)

    def see(self, pixels: Frame, ego: EgoState) -> Action | None:
        """The action for this frame; None where there is no route to follow.

        Args:
            pixels: the camera's picture, see `grey_frame`.
            ego: the car at the same stamp.
        """
        frame = grey_frame(pixels, self._config.view)
        if self._before is not None and self._interrupted(self._before[1], ego):
            self._episode = None
        self._before = frame, ego
        if self._route is not None and self._route[0] == ego.stamp_ns:
            return self._begin(self._route[1])
        if self._episode is None:
            return self._begin(self._ahead(ego))
        outcome = self._episode.step(ego, np.zeros(2, np.float32), collided=False)
        if outcome.ended:
            self._episode = None
            return None
        self._stack.push(frame)
        return self._propose(self._episode, ego)

    def follow(self, stamp_ns: int, route: Route) -> Action | None:
        """A recorded route; the first action along it if its first frame was seen already.

        Topics have no order among each other: it may come before that frame or after it. In a
        bag's second round the first round's route has begun the episode already.
        """
        self._route = stamp_ns, route
        if self._before is None or self._before[1].stamp_ns != stamp_ns:
            return None
        begun = self._episode if self._begun_ns == stamp_ns else None
        if begun is not None and np.array_equal(begun.route.points_m, route.points_m):
            return None
        return self._begin(route)

    def _begin(self, route: Route | None) -> Action | None:
        if route is None or self._before is None:
            return None
        frame, ego = self._before
        self._episode = Episode(self.episodes, route, ego, self._config.episode)
        self._begun_ns = ego.stamp_ns
        self.episodes += 1
        self._policy.begin_episode()
        self._stack.reset(frame)
        return self._propose(self._episode, ego)

    def _ahead(self, ego: EgoState) -> Route | None:
        if self.routes_come or self._lanes is None:
            return None
        return self._lanes.ahead(ego.pose, self._config.episode.route_length_m)

    def _propose(self, episode: Episode, ego: EgoState) -> Action:
        vector = vector_observation(
            ego, episode.route, episode.place, end_to_end=self._config.end_to_end
        )
        observation = Observation(self._stack.stacked(), vector)
        situation = Situation(observation, ego, episode.route, episode.place)
        return safe_action(self._policy.act(situation))

    def _interrupted(self, before: EgoState, now: EgoState) -> bool:
        gone_ns = now.stamp_ns - before.stamp_ns
        if not 0 < gone_ns <= GAP_NS:
            self.time_jumps += 1
            return True
        moved_m = math.hypot(now.pose.x_m - before.pose.x_m, now.pose.y_m - before.pose.y_m)
        fastest_mps = max(abs(before.speed_mps), abs(now.speed_mps))
        return moved_m > furthest_m(fastest_mps, gone_ns * 1e-9)
