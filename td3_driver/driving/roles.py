# SPDX-License-Identifier: Apache-2.0
"""The parts around the driver: its configuration, policy, store, and answers. See `driver.py`."""

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
    """Settings of driving and judging.

    Attributes:
        view: the part of the camera's picture that the agent sees.
        end_to_end: the vector has only speed and the next turn, and all else must be seen in
            images; see `observation.vector_observation`.
    """

    episode: EpisodeConfig = field(default_factory=EpisodeConfig)
    safety: SafetyConfig = field(default_factory=SafetyConfig)
    view: ViewConfig = field(default_factory=ViewConfig)
    end_to_end: bool = False

    @property
    def spaces(self) -> Spaces:
        """The observations and actions of an agent that drives with these settings."""
        return spaces(end_to_end=self.end_to_end)


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
    """The result of one frame: a stored step's outcome, and the episode that ended with it."""

    outcome: Outcome | None = None
    ended: EpisodeSummary | None = None
    warning: str = ""


@dataclass(frozen=True)
class Command:
    """The answer to one frame: always a control; in a reset also messages that move the car."""

    control: Control
    place: Pose | None = None
    halt: bool = False
