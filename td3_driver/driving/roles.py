# SPDX-License-Identifier: Apache-2.0
"""What a driver is given, what it works with, and what it answers. See `driver.py`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from td3_driver.driving.episode import EpisodeConfig, EpisodeSummary, Outcome
from td3_driver.driving.observation import Picture, Situation, Vector, ViewConfig
from td3_driver.driving.reward import Action
from td3_driver.driving.safety import SafetyConfig
from td3_driver.driving.spaces import Spaces, spaces
from td3_driver.driving.types import Control, Pose


@dataclass(frozen=True)
class DrivingConfig:
    """How the car is driven and judged.

    Attributes:
        view: the part of the camera's picture that is looked at.
        end_to_end: the agent is told its speed and the next turn, and must see all else; see
            `observation.vector_observation`.
    """

    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    end_to_end: bool = False

    @property
    def spaces(self) -> Spaces:
        """What an agent that drives so sees and does."""
        return spaces(end_to_end=self.end_to_end)


class Policy(Protocol):
    """Whatever decides."""

    def begin_episode(self) -> None:
        """A new episode starts; forget what belongs to the last."""

    def act(self, situation: Situation) -> Action:
        """The wanted action (2,): steer (+1 right), throttle/brake, each in [-1, 1]."""


class TransitionStore(Protocol):
    """What keeps transitions; see `replay.buffer.Replay`."""

    def begin(self, frame: Picture, vector: Vector) -> None:
        """An episode's first observation."""

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
        """One executed step and what it led to; `intervention`: a human's, not the policy's."""


@dataclass(frozen=True)
class Report:
    """What one frame brought: a stored step's outcome, and an episode that ended with it."""

    outcome: Outcome | None = None
    ended: EpisodeSummary | None = None
    warning: str = ""


@dataclass(frozen=True)
class Command:
    """The answer to one frame: always a control; in a reset also what moves the car."""

    control: Control
    place: Pose | None = None
    halt: bool = False
