# SPDX-License-Identifier: Apache-2.0
"""A policy that watches another drive and proposes an action for each frame.

It gets the observations that it would get when driving. Where routes come with the recording, each
begins an episode, which ends as in driving; else it follows the lanes ahead, straight on at
junctions. Messages of different topics have no defined order, and a recording keeps the order of
arrival: a route may come before its first frame, or some frames after it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from td3_driver.driving.continuity import GAP_NS
from td3_driver.driving.episode import Episode
from td3_driver.driving.messages.synchronisation import driven
from td3_driver.driving.observation import Situation
from td3_driver.driving.reward import Action
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.roles import DrivingConfig, Policy
from td3_driver.driving.routes.map_matching import Lanes
from td3_driver.driving.routes.recorded_routes import RecordedRoutes
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.safety import ACTION_DIM, safe_action
from td3_driver.driving.types import NO_LIGHTS, EgoState, Lights
from td3_driver.driving.view import Picture, frame_of
from td3_driver.online.timing import Cadence

REMEMBERED = 20  # frames that are remembered, as their command or route may still come
COLLISIONS_REMEMBERED = 100  # a car that scrapes along a wall reports one each tick


class Errors:
    """Mean distances between proposed and driven actions of the same frames.

    Attributes:
        count: frames whose proposed and driven action are known.
    """

    def __init__(self) -> None:
        self.count = 0
        self._sums = np.zeros(ACTION_DIM)
        self._proposed: dict[int, Action] = {}
        self._driven: dict[int, Action] = {}

    def proposed(self, time_ns: int, action: Action) -> None:
        """Take in the action proposed for the frame with stamp `time_ns`, ns."""
        self._put(self._proposed, time_ns, action)

    def driven(self, time_ns: int, action: Action) -> None:
        """Take in the action driven in a frame, by its stamp in ns; 0 is the newest frame."""
        self._put(self._driven, time_ns or next(reversed(self._proposed), 0), action)

    def values(self) -> dict[str, float]:
        """Return the errors as a playback's metrics.json has them; empty while there are none."""
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


@dataclass
class _Seen:
    """A seen frame, and the action proposed for it, if any."""

    frame: Picture
    ego: EgoState
    users: RoadUsers
    lights: Lights
    proposed: bool = False


class Shadow:
    """Proposes an action for each frame of another's drive; see the module.

    Args:
        policy: proposes the actions.
        config: the ends of episodes, and limits.

    Attributes:
        episodes: number of episodes begun so far.
        outside_episodes: number of frames so far for which nothing was proposed.
        dropped_frames: number of missing frames, by the gaps between stamps.
        time_jumps: how often time went back, or forward by more than a gap.
    """

    def __init__(self, policy: Policy, config: DrivingConfig) -> None:
        self.episodes = self.outside_episodes = self.dropped_frames = self.time_jumps = 0
        self._policy, self._config = policy, config
        self._road_map: RoadMap | None = None
        self._lanes: Lanes | None = None
        self._routes_come = False
        self._routes = RecordedRoutes(REMEMBERED)
        self._new_routes: list[tuple[int, Route]] = []  # since the last frame
        self._collisions_ns: deque[int] = deque(maxlen=COLLISIONS_REMEMBERED)
        self._new_collisions_ns: list[int] = []
        # One more, so that the frame before each remembered one is known, too.
        self._seen: deque[_Seen] = deque(maxlen=REMEMBERED + 1)
        self._cadence = Cadence()
        self._perception = config.perception
        self._episode: Episode | None = None
        self._begun_ns = 0  # stamp of the episode's first frame

    def set_map(self, road_map: RoadMap) -> None:
        """Follow the roads of this map from now on."""
        self._road_map, self._lanes = road_map, None

    def see(
        self,
        pixels: Picture,
        ego: EgoState,
        users: RoadUsers = NOBODY,
        lights: Lights = NO_LIGHTS,
        beside: Sequence[Picture] = (),
        *,
        routes_come: bool = False,
    ) -> Action | None:
        """Return the action for this frame; None where there is no route to follow.

        Args:
            pixels: the camera's picture, see `frame_of`.
            ego: the car at the same stamp.
            users: other road users at the same stamp.
            lights: what the map's traffic lights show at the same stamp.
            beside: the other cameras' pictures, see `frame_of`.
            routes_come: routes are published: from now on until time jumps only they begin
                episodes, as a player's topics may end before all that it played is seen.
        """
        seen = _Seen(frame_of(pixels, self._config.view, beside), ego, users, lights)
        before = self._seen[-1] if self._seen else None
        self._cadence.picture(ego.stamp_ns)
        if before is not None and not _time_jumps(before.ego, ego):
            self.dropped_frames += self._cadence.missed(before.ego.stamp_ns, ego.stamp_ns)
        elif before is not None:
            self.time_jumps += 1
            self._routes_come = bool(self._new_routes)
            if ego.stamp_ns <= before.ego.stamp_ns:
                self._begin_anew()
        self._new_routes, self._new_collisions_ns = [], []
        self._routes_come |= routes_come
        self._seen.append(seen)
        action = self._advance(before, seen)
        self.outside_episodes += action is None
        return action

    def follow(self, stamp_ns: int, route: Route) -> list[tuple[int, Action]]:
        """Take in a recorded route; return the actions along it for frames that were seen already.

        Args:
            stamp_ns: stamp of its first frame.
            route: the route.

        Returns:
            Stamps in ns, ascending, and actions, which replace those proposed for these frames.
            Empty if the episode has begun with this route already: the topic is latched.
        """
        self._routes.add(stamp_ns, route)
        self._new_routes.append((stamp_ns, route))
        self._routes_come = True
        seen = list(self._seen)
        frames = list(zip([None, *seen], seen, strict=False))
        if len(seen) > REMEMBERED:
            del frames[0]
        begins = [i for i, frame in enumerate(frames) if self._route_of(*frame) is route]
        if not begins:
            return []
        frames = frames[begins[-1] :]
        begun = self._episode if self._begun_ns == frames[0][1].ego.stamp_ns else None
        if begun is not None and np.array_equal(begun.route.points_m, route.points_m):
            return []
        actions = []
        for before, now in frames:
            answered, action = now.proposed, self._advance(before, now)
            if action is not None:
                actions.append((now.ego.stamp_ns, action))
                self.outside_episodes -= not answered
        return actions

    def collided(self, stamp_ns: int) -> None:
        """Take in a collision by its frame's stamp, ns; it ends the episode."""
        self._collisions_ns.append(stamp_ns)
        self._new_collisions_ns.append(stamp_ns)
        if self._seen and self._begun_ns < stamp_ns <= self._seen[-1].ego.stamp_ns:
            self._episode = None  # the frame was seen already

    def _begin_anew(self) -> None:
        """Forget all routes and collisions: the recording was restarted, or is another one."""
        self._routes = RecordedRoutes(REMEMBERED)
        for stamp_ns, route in self._new_routes:
            self._routes.add(stamp_ns, route)
        self._collisions_ns.clear()
        self._collisions_ns.extend(self._new_collisions_ns)

    def _route_of(self, before: _Seen | None, now: _Seen) -> Route | None:
        goes_on = before is not None and before.ego.stamp_ns < now.ego.stamp_ns
        before_ns = before.ego.stamp_ns if before is not None and goes_on else None
        return self._routes.begun(before_ns, now.ego.stamp_ns)

    def _advance(self, before: _Seen | None, now: _Seen) -> Action | None:
        """Advance the episode by a frame and return the action for it."""
        action = self._judge(before, now)
        now.proposed = now.proposed or action is not None
        return action

    def _judge(self, before: _Seen | None, now: _Seen) -> Action | None:
        if before is not None and _interrupted(before.ego, now.ego):
            self._episode = None
        route = self._route_of(before, now)
        if route is not None:
            return self._begin(route, now)
        if self._episode is None or before is None:
            return self._begin(self._ahead(now.ego), now)
        since_ns, now_ns = before.ego.stamp_ns, now.ego.stamp_ns
        outcome = self._episode.step(
            now.ego,
            np.zeros(ACTION_DIM, np.float32),
            collided=any(since_ns < stamp_ns <= now_ns for stamp_ns in self._collisions_ns),
            users=now.users,
            lights=now.lights,
        )
        if outcome.ended:
            self._episode = None
            return None
        return self._propose(self._perception.go_on(self._episode, now.frame, now.ego))

    def _begin(self, route: Route | None, now: _Seen) -> Action | None:
        self._episode = None
        if route is None:
            return None
        road_map = self._road_map if self._config.regulations else None
        episode = Episode(
            self.episodes,
            route,
            now.ego,
            self._config.episode,
            regulations=None if road_map is None else Regulations(road_map, route),
            lights=now.lights,
        )
        if not episode.on_its_way:
            return None
        self._episode, self._begun_ns = episode, now.ego.stamp_ns
        self.episodes += 1
        self._policy.begin_episode()
        return self._propose(self._perception.begin(episode, now.frame, now.ego))

    def _ahead(self, ego: EgoState) -> Route | None:
        if self._routes_come or self._road_map is None:
            return None
        if self._lanes is None:
            self._lanes = Lanes(self._road_map)
        return self._lanes.ahead(ego.pose, self._config.episode.route_length_m)

    def _propose(self, seen: Situation) -> Action:
        return safe_action(self._policy.act(seen))


def _time_jumps(before: EgoState, now: EgoState) -> bool:
    return not 0 < now.stamp_ns - before.stamp_ns <= GAP_NS


def _interrupted(before: EgoState, now: EgoState) -> bool:
    return _time_jumps(before, now) or not driven(before, now)
