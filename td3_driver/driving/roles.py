# SPDX-License-Identifier: Apache-2.0
"""The parts around the driver: its configuration, policy, store, and answers. See `driver.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from td3_driver.driving.controllers import InformedPursuit
from td3_driver.driving.episode import EpisodeConfig, EpisodeSummary, Outcome
from td3_driver.driving.observation import Observation, Perception, Situation, Vector
from td3_driver.driving.reward import Action
from td3_driver.driving.safety import SafetyConfig
from td3_driver.driving.spaces import Spaces, spaces
from td3_driver.driving.types import Control, Pose
from td3_driver.driving.view import Picture, ViewConfig

# With the values at which they change nothing: a list of the usual camera alone does not, either.
_YOUNGER_OF_VIEW: Mapping[str, Sequence[object]] = {
    "size_px": [ViewConfig.size_px],
    "colour": [ViewConfig.colour],
    "cameras": [[], [{"id": "rgb_front"}]],
}


@dataclass(frozen=True)
class DrivingConfig:
    """Settings of driving and judging.

    Attributes:
        view: the part of the camera's picture that the agent sees, its size and its colour.
        end_to_end: the vector tells the car's own motion and the next turn, and all else must be
            seen in images; see `observation.vector_observation`.
        regulations: traffic lights, stop signs and speed limits count in the reward, running a
            red light or a stop sign ends an episode, and the vector tells what they ask.
        privileged_critic: the critic is told what the reward depends on and the policy is not;
            see `observation.privileged_observation`.
        advised: it is told, too, what a driver would do who knows the way and who is ahead
            (`controllers.InformedPursuit`), and the policy is drawn to that; see the agent's
            `imitation_weight`.
    """

    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    end_to_end: bool = False
    regulations: bool = False
    privileged_critic: bool = False
    advised: bool = False

    @property
    def spaces(self) -> Spaces:
        """The observations and actions of an agent that drives with these settings."""
        return spaces(self.view, **self._told, advised=self.advised)

    @property
    def perception(self) -> Perception:
        """What makes the observations of an agent that drives with these settings."""
        adviser = InformedPursuit(self.episode.reward, self.safety) if self.advised else None
        return Perception(**self._told, adviser=adviser)

    def to_mapping(self) -> dict[str, Any]:
        """The settings as plain data, as files have them.

        What is younger than the first files is left out at its default: so it changes none of
        them, and versions that do not know it can read them.
        """
        settings = asdict(self)
        settings["view"]["cameras"] = [mount.to_mapping() for mount in self.view.cameras]
        for name, usual in _YOUNGER_OF_VIEW.items():
            if settings["view"][name] in usual:
                del settings["view"][name]
        return settings

    @property
    def _told(self) -> dict[str, bool]:
        return {
            "end_to_end": self.end_to_end,
            "regulations": self.regulations,
            "privileged": self.privileged_critic,
        }


class Policy(Protocol):
    """Decides actions."""

    def begin_episode(self) -> None:
        """Reset for a new episode."""

    def act(self, situation: Situation) -> Action:
        """Return the wanted action (2,): steer (+1 right), throttle/brake, each in [-1, 1]."""


class TransitionStore(Protocol):
    """Keeps transitions; see `replay.buffer.Replay`."""

    def begin(self, frame: Picture, vector: Vector) -> None:
        """Store an episode's first observation."""

    def add(
        self,
        action: Action,
        reward: float,
        next_frame: Picture,
        next_vector: Vector,
        terminated: bool,
        truncated: bool,
        intervention: bool = False,
    ) -> None:
        """Store one executed step and its result; `intervention`: a human drove it."""


@dataclass(frozen=True)
class Report:
    """The result of one frame.

    Attributes:
        outcome: of the step that ended with the frame, in an episode.
        ended: the episode that ended with it.
        warning: what went wrong, in one line; "" if nothing.
        seen: what was seen, in an episode and at its end.
    """

    outcome: Outcome | None = None
    ended: EpisodeSummary | None = None
    warning: str = ""
    seen: Observation | None = None


@dataclass(frozen=True)
class Command:
    """The answer to one frame: always a control; in a reset also messages that move the car."""

    control: Control
    place: Pose | None = None
    halt: bool = False
