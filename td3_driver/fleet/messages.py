# SPDX-License-Identifier: Apache-2.0
"""What collectors and the learner tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from td3_driver.fleet.blocks import Block


@dataclass(frozen=True)
class Delivery:
    """What a collector has driven since its last one.

    Attributes:
        block: the rows that became complete.
        steps: environment steps driven.
        version: of the weights that it drove with, at the end.
        episodes: the numbers of those that ended meanwhile, see `session.episode_scalars`.
        dropped: rows that it could not hand on so far.
    """

    block: Block
    steps: int
    version: int
    episodes: tuple[dict[str, float], ...] = ()
    dropped: int = 0


@dataclass(frozen=True)
class Answer:
    """The learner's answer to a delivery, once it has learned from it.

    Attributes:
        env_steps: steps of the whole fleet.
        version: of the newest weights, the number of updates that made them.
        weights: those weights in a list, as `publish` handed them on: with Ray a reference, which
            is not followed before somebody asks for it.
        over: all steps are driven.
    """

    env_steps: int
    version: int
    weights: list[Any]
    over: bool


@dataclass(frozen=True)
class CollectorStatus:
    """What the learner knows of one collector.

    Attributes:
        steps: environment steps that it has delivered.
        age_updates: updates made since the weights that it last drove with: how stale they were.
        heard_s: time.monotonic of its last delivery, s; None: none yet.
        waits: it waits for the learner.
        last_return: of the episode that it ended last; None: none yet.
        dropped: rows that it could not hand on.
    """

    steps: int
    age_updates: int
    heard_s: float | None
    waits: bool
    last_return: float | None
    dropped: int = 0


@dataclass(frozen=True)
class Status:
    """The learner's state, for whoever watches the run.

    Attributes:
        env_steps: steps of the whole fleet, those of a resumed run included.
        updates: updates made.
        episodes: episodes ended.
        transitions: transitions in the replay so far, resumed ones included.
        now_s: time.monotonic at the learner, s.
        collectors: by number.
        unsaved: why the last save failed; empty: it did not.
        failed: why the learner learns no more; empty: it does.
        unhealthy: advice for each measure of the newest updates that is out of its range.
        resumed: what of a resumed run was lost, and which of its settings no longer apply.
    """

    env_steps: int
    updates: int
    episodes: int
    transitions: int
    now_s: float
    collectors: dict[int, CollectorStatus]
    unsaved: str = ""
    failed: str = ""
    unhealthy: Mapping[str, str] = field(default_factory=dict)
    resumed: tuple[str, ...] = ()
