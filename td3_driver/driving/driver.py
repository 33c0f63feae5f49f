# SPDX-License-Identifier: Apache-2.0
"""Drives one car, frame by frame: resets, episodes, and exactly one command per frame.

Independent of ROS and torch: a policy decides, a store keeps the transitions.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from td3_driver.driving.episode import Episode, EpisodeConfig, Outcome
from td3_driver.driving.judging.infractions import UNKNOWN, Impact, Moment
from td3_driver.driving.judging.judge import Judge
from td3_driver.driving.observation import Situation
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reset import Reset, ResetRequest
from td3_driver.driving.reward import Action
from td3_driver.driving.road_users import NOBODY, RoadUsers
from td3_driver.driving.roles import (
    Command,
    DrivingConfig,
    Policy,
    Report,
    TransitionStore,
)
from td3_driver.driving.routes.regulations import Regulations
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.driving.routes.route import Route
from td3_driver.driving.routes.routing import RandomRoutes, RouteSource
from td3_driver.driving.safety import (
    FULL_BRAKE_ACTION,
    action_of,
    control_of,
    safe_action,
)
from td3_driver.driving.types import FULL_BRAKE, NO_LIGHTS, Control, EgoState, Lights
from td3_driver.driving.view import Picture, frame_of

_COLLISIONS_KEPT = 100
MakeJudge = Callable[[RoadMap, Route, Moment], Judge]


class Driver:
    """Drives one car frame by frame; see the module.

    Args:
        config: episodes, rewards, limits.
        policy: decides actions.
        store: keeps transitions, or None.
        seed: seed of the routes.
        routes: where the routes come from; None: random ones for training, of the length and from
            the number of choices that the conditions of an episode say.
        judged_by: when episodes end, instead of `config`, which still sets the rewards; running
            a red light or a stop sign then ends none.
        make_judge: makes the judge of an episode from the map, its route and its first moment;
            None: nobody looks for infractions.
    """

    def __init__(
        self,
        config: DrivingConfig,
        policy: Policy,
        store: TransitionStore | None,
        seed: int,
        *,
        routes: RouteSource | None = None,
        judged_by: EpisodeConfig | None = None,
        make_judge: MakeJudge | None = None,
    ) -> None:
        self._make_judge = make_judge
        self.rng = np.random.default_rng(seed)
        self._limits = limits = judged_by or config.episode
        self._routes = routes or RandomRoutes(
            limits.route_length_m, Purpose.TRAINING, limits.route_choices
        )
        self._running_ends = judged_by is None
        self.episodes = 0
        self.refused_actions = 0  # actions of the policy that were not finite
        self.episode: Episode | None = None
        self.begun_ns = 0  # stamp of the episode's first frame
        self._config = config
        self._policy = policy
        self._store = store
        self._road_map: RoadMap | None = None
        self._reset: Reset | None = None
        self._request = ResetRequest()
        self._route: Route | None = None
        self._rng_before_route = self.rng.bit_generator.state
        self._actions: list[list[float]] = []  # of this episode
        self._redrive: deque[list[float]] | None = None
        self._redecide: Action | None = None  # a restored action whose step is not stored yet
        self._decided = False  # the frame last observed
        self._recorded = False
        self._situation: Situation | None = None
        self._perception = config.perception
        self._action: Action = FULL_BRAKE_ACTION
        self._human: Control | None = None  # control of a human who drives instead of the policy
        self._interrupted = False
        # Since the last frame, with their stamps; while nobody drives they are not read.
        self._collisions: deque[tuple[int, Impact]] = deque(maxlen=_COLLISIONS_KEPT)

    @property
    def route(self) -> Route | None:
        """The route being driven, or to whose start the car is being moved."""
        return self._route

    @property
    def redriving(self) -> bool:
        """A restored episode is not yet where it was saved."""
        return self._redrive is not None

    def set_map(self, road_map: RoadMap) -> None:
        """Drive on this map from the next episode on."""
        if self._road_map is not None:  # the first map keeps what `restore` prepared
            self.abandon_episode()
        self._road_map = road_map

    def abandon_episode(self) -> None:
        """Drop the running episode, if any, and go to a new start."""
        self.episode = None
        self._situation = None
        self._reset = None
        self._redrive = self._redecide = None
        self._actions = []
        self._interrupted = False

    def interrupt(self) -> None:
        """Note that a frame was missed or not answered as decided, so that its step is unknown.

        The step is not stored; the episode continues at the next frame, if the car is still on its
        way.
        """
        self._situation = None
        self._redecide = None
        if self._redrive is not None:
            self.abandon_episode()
        self._interrupted = self.episode is not None

    def state(self) -> dict[str, Any]:
        """Return the run's state, in plain Python types; see `restore`."""
        begun = self.episode is not None or self._redrive is not None
        drawn = begun or self._reset is not None
        ahead = [] if self._redecide is None else [self._redecide.tolist()]
        state = {
            "episodes": self.episodes,
            "routes_rng": self._rng_before_route if drawn else self.rng.bit_generator.state,
            "actions": [*self._actions, *(self._redrive or ()), *ahead] if begun else None,
        }
        if ahead or (self._redrive is None and self._decided):
            # The last action is of the frame last observed: its step is not stored yet.
            state["decided"] = True
        return state

    def restore(self, state: dict[str, Any], *, redrive: bool, recorded: bool) -> None:
        """Continue from a saved state, also from the middle of an episode.

        The car's full state cannot be set through the bridge's topics. Where the world repeats
        itself, the episode is driven again from its start with the same actions, which leads to
        the same state; those steps are neither stored nor counted.

        Args:
            state: a result of `state`.
            redrive: drive an unfinished episode again; else start its route anew.
            recorded: the store holds that episode's transitions so far. An action that was decided
                for the last of its frames is decided again, and its step stored.
        """
        self.abandon_episode()
        self.episodes = state["episodes"]
        self.rng.bit_generator.state = self._rng_before_route = state["routes_rng"]
        if redrive and state["actions"] is not None:
            self._redrive = deque(state["actions"])
            if state.get("decided"):
                self._redecide = np.array(self._redrive.pop(), np.float32)
        self._recorded = recorded

    def collided(self, stamp_ns: int, impact: Impact = UNKNOWN) -> None:
        """Note a collision, reported with the stamp of its frame, ns."""
        self._collisions.append((stamp_ns, impact))

    def observe(
        self,
        pixels: Picture,
        ego: EgoState,
        human: Control | None = None,
        users: RoadUsers = NOBODY,
        lights: Lights = NO_LIGHTS,
        beside: Sequence[Picture] = (),
    ) -> Report:
        """Take in a frame: judge the step that led to it, or continue with the reset.

        Args:
            pixels: the camera's picture, see `frame_of`.
            ego: the car at the same stamp.
            human: while a human drives, the control that the car executed up to this frame. The
                step is stored with it; the car is not moved to a new start meanwhile.
            users: other road users at the same stamp.
            lights: what the map's traffic lights show at the same stamp.
            beside: the other cameras' pictures, see `frame_of`.
        """
        self._request, self._decided = ResetRequest(), False
        drivers = [control for control in (self._human, human) if control is not None]
        intervention = bool(drivers)
        self._human = human
        if any(control.reverse for control in drivers):  # no action of ours
            self.interrupt()
        if human is not None:
            if self.episode is None:
                return Report()
            if self._actions:
                self._action = action_of(human, self._config.safety)
                self._actions[-1] = self._action.tolist()
        if self._road_map is None:
            return Report()
        frame = frame_of(pixels, self._config.view, beside)
        now = Moment(ego, users, lights, self._impacts())
        if self.episode is not None:
            if self._interrupted:
                return self._pick_up(self.episode, frame, now)
            return self._judge(self.episode, frame, now, intervention)
        return self._go_on_with_reset(self._road_map, frame, now)

    def decide(self) -> Command:
        """Return the command for the frame last observed. Call it once per frame."""
        if self._situation is None:
            return Command(FULL_BRAKE, self._request.place, self._request.halt)
        if self._human is not None:  # so that the car keeps its motion when the human lets go
            self._action, self._redecide = action_of(self._human, self._config.safety), None
            control = self._human
        else:
            self._action = self._decide(self._situation)
            control = control_of(self._action, self._config.safety)
        self._actions.append(self._action.tolist())
        self._decided = True
        return Command(control)

    def _decide(self, situation: Situation) -> Action:
        if self._redrive:
            return np.array(self._redrive.popleft(), np.float32)
        if self._redrive is None and self._redecide is not None:
            again, self._redecide = self._redecide, None
            return again
        wanted = self._policy.act(situation)
        self.refused_actions += not np.all(np.isfinite(wanted))
        return safe_action(wanted)

    def _pick_up(self, episode: Episode, frame: Picture, now: Moment) -> Report:
        """Continue an interrupted episode where the car is now."""
        self._interrupted = False
        ego, collided = now.ego, bool(now.impacts)
        if episode.judge is not None and episode.driven_to(ego):
            # What is measured has happened, whatever the command was.
            return self._judge(episode, frame, now, intervention=False)
        if not episode.pick_up(ego, collided=collided, lights=now.lights):
            self.abandon_episode()
            return Report(warning="the car left its way unseen; starting a new episode")
        self._begin_recording(frame, self._perception.begin(episode, frame, ego))
        return Report()

    def _begin_recording(self, frame: Picture, seen: Situation) -> None:
        """Store an episode's first observation and let the policy decide on it."""
        if self._store is not None:
            self._store.begin(frame, seen.observation.stored)
        self._situation = seen

    def _impacts(self) -> tuple[Impact, ...]:
        """The collisions of this episode that were reported since the last call."""
        found = tuple(impact for stamp, impact in self._collisions if stamp > self.begun_ns)
        self._collisions.clear()
        return found

    def _judge(self, episode: Episode, frame: Picture, now: Moment, intervention: bool) -> Report:
        outcome = episode.step(
            now.ego,
            self._action,
            collided=bool(now.impacts),
            intervention=intervention,
            users=now.users,
            lights=now.lights,
            impacts=now.impacts,
        )
        seen = self._perception.go_on(episode, frame, now.ego)
        if self._redrive is not None:
            return self._judge_again(frame, seen, outcome)
        # For learning, time stands still while the car waits: a red light lasts so long that no
        # discount reaches beyond it, and would fill the store with one picture.
        if self._store is not None and (outcome.ended or not outcome.waited):
            ends, told = (outcome.terminated, outcome.truncated), seen.observation.stored
            self._store.add(self._action, outcome.reward, frame, told, *ends, intervention)
        if outcome.ended:
            self.abandon_episode()
            return Report(outcome, episode.summary(outcome.reason), seen=seen.observation)
        self._situation = seen
        return Report(outcome, seen=seen.observation)

    def _judge_again(self, frame: Picture, seen: Situation, outcome: Outcome) -> Report:
        """Redrive a step of a resumed episode that was judged and stored before the save."""
        if outcome.ended:
            self.abandon_episode()
            return Report(warning="the resumed episode went another way; starting a new one")
        self._resumed(frame, seen)
        return Report()

    def _resumed(self, frame: Picture, seen: Situation) -> None:
        """Take in a redriven frame; after the last one the episode goes on as usual."""
        self._situation = seen
        if not self._redrive:
            self._redrive = None
            if not self._recorded:
                self._begin_recording(frame, seen)

    def _go_on_with_reset(self, road_map: RoadMap, frame: Picture, now: Moment) -> Report:
        if self._reset is None or self._route is None:
            self._rng_before_route = self.rng.bit_generator.state
            self._route = self._routes.draw(road_map, self.rng)
            self._reset = Reset(self._route.start)
        self._request = self._reset.step(now.ego)
        if self._request.failed:
            self._reset = None
            return Report(warning=f"the car did not reach {self._route.start}; trying another")
        if self._request.done:
            begun = self._begin(road_map, self._route, frame, now)
            return Report(seen=begun.observation)
        return Report()

    def _begin(self, road_map: RoadMap, route: Route, frame: Picture, now: Moment) -> Situation:
        resuming = self._redrive is not None
        if not resuming:
            self.episodes += 1
            self._policy.begin_episode()
        reward = self._config.episode.reward
        judge = self._make_judge and self._make_judge(road_map, route, now)
        rewarded = self._config.regulations
        counting = rewarded or (judge is not None and len(now.lights) > 0)
        episode = Episode(
            self.episodes - 1,
            route,
            now.ego,
            self._limits.for_route(route.length_m),
            reward,
            Regulations(road_map, route) if counting else None,
            now.lights,
            running_ends=self._running_ends,
            rewarded=rewarded,
            judge=judge,
        )
        self.episode = episode
        # Teleporting makes CARLA report collisions late, which belong to no episode.
        self.begun_ns = now.ego.stamp_ns
        self._collisions.clear()
        seen = self._perception.begin(episode, frame, now.ego)
        if resuming:
            self._resumed(frame, seen)
        else:
            self._begin_recording(frame, seen)
        return seen
