# SPDX-License-Identifier: Apache-2.0
"""The messages between the driving process and the learner process."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Train:
    """Make `count` updates from the replay's first `rows` rows; None: from all rows."""

    count: int
    rows: int | None


@dataclass(frozen=True)
class Save:
    """Write a checkpoint; if in the run's folder, also publish it as `latest.pth`.

    `path` must be within the learner's `Reach`; a name without a folder is in the run's folder.
    `run` is the driving side's state: counters and random generators, plain Python types.
    `rows` of the replay are saved beside it; None: the replay is not saved.
    """

    path: Path
    env_steps: int
    episodes: int
    run: dict[str, Any]
    rows: int | None = None


@dataclass(frozen=True)
class Load:
    """Load a checkpoint; without a path the newest valid one in the run's folder.

    `anywhere`: the path was given at the start of the run; else it must be within `Reach`.
    `replay`: fill the replay too, if it was saved; nobody may write to it meanwhile.
    """

    path: Path | None
    replay: bool
    anywhere: bool = False


@dataclass(frozen=True)
class Log:
    """Numbers and histograms for TensorBoard."""

    step: int
    scalars: dict[str, float]
    histograms: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """End the process after answering everything requested before."""


@dataclass(frozen=True)
class Trained:
    """The updates of one `Train` are done, and the weights of version `version` published.

    `discarded` counts the updates so far that were not finite and changed nothing; with `halted`
    there were too many in a row, and no more are made until a checkpoint is loaded. `env_steps`
    are those of a whole fleet; 0 where the driver's own count is all.
    """

    total_it: int
    version: int
    losses: dict[str, float] = field(default_factory=dict)
    discarded: int = 0
    halted: bool = False
    env_steps: int = 0


@dataclass(frozen=True)
class Saved:
    """A checkpoint was written."""

    path: Path
    env_steps: int


@dataclass(frozen=True)
class Loaded:
    """A checkpoint was loaded; `run` is the driving side's share of its state.

    `replay`: the replay was filled. `lost`: what could not be restored, in one sentence.
    `changed`: which of the file's settings no longer apply, as the run's settings do.
    """

    path: Path | None
    env_steps: int
    episodes: int
    total_it: int
    version: int
    run: dict[str, Any]
    replay: bool = False
    lost: str = ""
    changed: tuple[str, ...] = ()

    @property
    def settings(self) -> str:
        """A sentence that says which settings apply."""
        if not self.changed:
            return "settings as saved"
        return f"settings are this run's: {', '.join(self.changed)}"


@dataclass(frozen=True)
class Refused:
    """A `Save` or `Load` failed and changed nothing; one line says why."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """The learner process has ended unasked, or is ending for the reason it gives."""

    reason: str


Request = Train | Save | Load | Log | Stop
Event = Trained | Saved | Loaded | Refused | Lost
