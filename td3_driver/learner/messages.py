# SPDX-License-Identifier: Apache-2.0
"""What the driving process and the learner process say to each other, in order."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Train:
    """Make `count` updates from the replay's first `rows` rows; None: from all there are."""

    count: int
    rows: int | None


@dataclass(frozen=True)
class Save:
    """Write a checkpoint; if in the run's folder, also move `latest.pth` to it.

    `path` is within the learner's `Reach`; names without a folder are of files in the run's.
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
    """Go back to a checkpoint; no path means the newest valid one in the run's folder.

    `anywhere`: who started the run named the path; else it must be within the learner's `Reach`.
    `replay`: fill the replay too, if it was saved; nobody may write to it meanwhile.
    """

    path: Path | None
    replay: bool
    anywhere: bool = False


@dataclass(frozen=True)
class Log:
    """Numbers for TensorBoard, and what to make histograms of."""

    step: int
    scalars: dict[str, float]
    histograms: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True)
class Stop:
    """End the process after everything asked for before."""


@dataclass(frozen=True)
class Trained:
    """The updates of one `Train` are done and the weights of version `version` published.

    `discarded` counts the updates so far that were not finite and changed nothing; with `halted`
    there were too many in a row, and no more are made until a checkpoint is loaded.
    """

    total_it: int
    version: int
    losses: dict[str, float] = field(default_factory=dict)
    discarded: int = 0
    halted: bool = False


@dataclass(frozen=True)
class Saved:
    """A checkpoint stands on disk."""

    path: Path
    env_steps: int


@dataclass(frozen=True)
class Loaded:
    """The agent's state is the checkpoint's; `run` is the driving side's share of it.

    `replay` says that the replay was filled, `lost` in one sentence what could not be given back,
    `changed` which of the file's settings apply no longer: settings are the run's.
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
        """Which settings apply, in words."""
        if not self.changed:
            return "settings as saved"
        return f"settings are this run's: {', '.join(self.changed)}"


@dataclass(frozen=True)
class Refused:
    """A `Save` or `Load` could not be done; nothing has changed. One line says why."""

    reason: str


@dataclass(frozen=True)
class Lost:
    """The learner process has ended without being asked to, or says why it is about to."""

    reason: str


Request = Train | Save | Load | Log | Stop
Event = Trained | Saved | Loaded | Refused | Lost
