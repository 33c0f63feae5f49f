# SPDX-License-Identifier: Apache-2.0
"""A training run: its steps, owed updates, due checkpoints, and the state that these hold."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from td3_driver.agent.config import AgentConfig
from td3_driver.agent.policy import ActorPolicy
from td3_driver.checkpoints.checkpoint import LATEST
from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.roles import Command, Report
from td3_driver.driving.safety import ACTION_LAYOUT
from td3_driver.driving.types import Control, EgoState, Lights
from td3_driver.driving.view import Picture
from td3_driver.learner.client import LearnerClient, Then
from td3_driver.learner.messages import Event, Load, Loaded, Log, Refused, Save, Saved, Trained
from td3_driver.learner.reach import Reach
from td3_driver.learner.weights import SharedWeights
from td3_driver.online.actor import OnlineActor
from td3_driver.online.run_folder import RunFolder
from td3_driver.online.update_debt import UpdateDebt
from td3_driver.replay.buffer import Replay

# Limits, in real time, of the updates that wait at the learner, and of those still owed when it is
# too slow: after a pause it must not make up for lost time in one burst.
REALTIME_OUTSTANDING = 2
REALTIME_DEBT = 4.0  # steps' worth of updates
# `latest.pth` is written this often, so that a killed process loses little.
AUTOSAVE_STEPS = 250
_RUN_KEYS = {"update_debt", "driver", "exploration"}


def _nothing(event: Event) -> None:
    """Ignore the answer to a request."""


@dataclass(frozen=True)
class SessionConfig:
    """Settings of a run's session.

    Attributes:
        steps: environment steps in total, resumed ones included; 0: no end.
        save_freq: steps between checkpoints; 0: only at the end.
        checkpoint_dir: folder of the checkpoints; without learning, of the one that was loaded.
        reach: the files that requests may name.
        run: the run's claim on its folder; None: nothing is written.
        lockstep: act only when the weights contain every update asked for, so that runs repeat.
        learning: make updates and checkpoints; else the agent drives unchanged.
        saves: make checkpoints; else the learner does, unasked.
        episodes: number of episodes after which the run ends; 0: no end.
        save_replay: save the replay with each checkpoint (but for the frequent `latest.pth`).
        settings: the resolved configuration, kept in every checkpoint.
        meaning: the meaning of the agent's observations and actions, kept in every checkpoint.
    """

    steps: int
    save_freq: int
    checkpoint_dir: Path
    reach: Reach
    run: RunFolder | None
    lockstep: bool
    learning: bool = True
    saves: bool = True
    episodes: int = 0
    save_replay: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    meaning: Mapping[str, Any] = field(default_factory=dict)


class Session:
    """Drives, stores transitions, and asks the learner for due updates and checkpoints.

    Attributes:
        unsaved: why the last save that was due has not come about (yet); empty: it has.
    """

    def __init__(
        self,
        config: SessionConfig,
        agent: AgentConfig,
        driver: Driver,
        actor: OnlineActor,
        policy: ActorPolicy,
        replay: Replay,
        learner: LearnerClient,
        weights: SharedWeights,
    ) -> None:
        self.env_steps = 0
        self.updating = True  # ask for updates; may be switched while driving
        self.last_checkpoint: Path | None = None
        self.saved_s: float | None = None  # time.monotonic, s
        self.unsaved = ""
        self._config = config
        self._driver = driver
        self._actor = actor
        self._policy = policy  # the actor's weights
        self._replay = replay
        self._learner = learner
        self._weights = weights
        self._weights_version = -1
        self._new_versions: deque[int] = deque()  # of the weights that answers told of
        # A frame waits for its command whose updates are asked for already, and what is to be
        # saved once it has it.
        self._ahead = False
        self._held: list[tuple[Path, int | None, Then]] = []
        self._loading = 0  # files that are asked for
        self._fleet_steps = 0  # of all worlds that the learner learns from, if there are others
        self._episodes_ended = 0
        # A fleet's learner gets every step, and knows itself when learning starts.
        owing = agent if config.saves else replace(agent, learning_starts=0)
        limit = REALTIME_DEBT * max(agent.updates_per_step, 1.0)
        self._debt = UpdateDebt(owing, replay, math.inf if config.lockstep else limit)

    @property
    def finished(self) -> bool:
        """All steps are driven; only the learner's last answers are missing."""
        steps, episodes = self._config.steps, self._config.episodes
        return 0 < steps <= self.env_steps or 0 < episodes <= self._episodes_ended

    @property
    def episodes(self) -> int:
        """The number of episodes after which the run ends; 0: no end."""
        return self._config.episodes

    @property
    def learning(self) -> bool:
        """The run changes the agent."""
        return self._config.learning

    @property
    def may_decide(self) -> bool:
        """The weights to act with are here, or will not come any more."""
        learner = self._learner
        here = learner.outstanding <= self._ahead
        return here or not self._config.lockstep or not learner.reachable

    @property
    def saves_wait(self) -> bool:
        """What is to be saved waits for the command of the frame last observed."""
        return bool(self._held) and self._learner.reachable

    def interrupt(self) -> None:
        """Note that a frame was missed; see `Driver.interrupt`."""
        self.let_go()
        self._driver.interrupt()

    def explore(self, scale: float) -> None:
        """Multiply the exploration noise from now on."""
        self._actor.noise_scale = scale

    def observe(
        self,
        pixels: Picture,
        ego: EgoState,
        human: Control | None,
        users: RoadUsers,
        lights: Lights,
        beside: Sequence[Picture] = (),
    ) -> Report:
        """Take in one frame, save what is due, ask for the updates owed; see `Driver.observe`.

        They are made while the command is decided and the world goes on to the next frame: in
        lock-step, whatever the machine's load, a command comes from the weights after the updates
        of the frame before. The learner gets its next request while it works on the last one.
        """
        self.let_go()
        report = self._driver.observe(pixels, ego, human, users, lights, beside)
        if report.outcome is not None:
            self.env_steps += 1
            self._actor.env_steps = max(self.env_steps, self._fleet_steps)
            if self.learning and self.updating:
                self._debt.step()
        if report.ended is not None:
            self._episodes_ended += 1
            self._log_episode(report.ended)
        if report.outcome is not None and self.learning:
            self._save_if_due()
        # A restored debt falls due with the last frame that is driven again.
        if self.learning and self.updating and not (self.finished or self._driver.redriving):
            self._ask_for_updates()
        return report

    def decide(self) -> Command:
        """Return the command for the frame last observed."""
        command = self._driver.decide()
        self.let_go()
        return command

    def let_go(self) -> None:
        """Wait no longer with what was to know the command of the frame last observed."""
        self._ahead = False
        self._take_new_weights()
        held, self._held = self._held, []
        for path, rows, then in held:
            self._save(path, rows, then)

    def save(self, path: Path | None = None, then: Then = _nothing) -> None:
        """Ask for a checkpoint, by default `td3_<step>.pth`; `then` gets `Saved` or `Refused`."""
        if not self.learning:
            then(Refused("mode evaluate changes nothing, and saves nothing"))
            return
        if not self._config.saves:
            then(Refused("the fleet's learner saves what it learns from all its worlds"))
            return
        path = path or self._config.checkpoint_dir / f"td3_{self.env_steps}.pth"
        rows = self._replay.rows_written if self._config.save_replay else None
        self._save(path, rows, then)

    def save_latest(self) -> None:
        """Ask for `latest.pth`, without the replay; nothing where the learner saves unasked."""
        if not self._config.saves:
            return
        self._save(self._config.checkpoint_dir / LATEST, None, self._due())

    def _save(self, path: Path, rows: int | None, then: Then) -> None:
        if self._ahead and self._learner.reachable:
            # The file would have the updates, but not the command from before them.
            self._held.append((path, rows, then))
            return
        episodes = self._driver.episodes
        self._learner.ask(Save(path, self.env_steps, episodes, self._run_state(), rows), then)

    def _due(self) -> Then:
        """Return a callback for the answer to a due save, which no user asked for."""
        self.unsaved = "the learner has not answered"

        def answered(event: Event) -> None:
            self.unsaved = event.reason if isinstance(event, Refused) else ""

        return answered

    def load(
        self,
        path: Path | None = None,
        then: Then = _nothing,
        *,
        replay: bool = False,
        anywhere: bool = False,
    ) -> None:
        """Ask to load a checkpoint (default: the newest valid one in the folder).

        `then` is called with `Loaded` or `Refused`; a refusal changes nothing. With `replay` the
        replay is filled too; only before anything is driven. The state is the file's, settings
        remain. With `anywhere` the path may lead anywhere: whoever started the run gave it.
        """

        def answered(event: Event) -> None:
            self._loading -= 1
            then(event)

        self.let_go()  # what is to be saved is of the agent before
        self._loading += 1
        self._learner.ask(Load(path, replay, anywhere), answered)

    def trained(self, event: Trained) -> None:
        """Act with the weights of updates that are done, once they are due."""
        self._fleet_steps = event.env_steps
        self._new_versions.append(event.version)
        self._take_new_weights()

    def _take_new_weights(self) -> None:
        """Act with the weights of all updates but those asked for with a frame that waits."""
        unanswered = self._learner.outstanding
        early = self._ahead and unanswered == 0
        due = None
        while len(self._new_versions) > early:
            due = self._new_versions.popleft()
        if due is None:
            return
        # A learner that is a request ahead has published one version more at most, unless it loads
        # a file besides; a fleet's, any number.
        exact = self._config.lockstep and self._config.saves and unanswered <= 1
        flat = self._weights.read_exactly(due) if exact and not self._loading else None
        if flat is None:
            self._take_newest_weights()
        else:
            self._act_with(due, flat)

    def _take_newest_weights(self) -> None:
        read = self._weights.read(self._weights_version)
        if read is not None:
            self._act_with(*read)

    def _act_with(self, version: int, flat: NDArray[np.float32]) -> None:
        self._weights_version = version
        self._policy.load_flat(flat)

    def saved(self, event: Saved) -> None:
        """Note that a checkpoint was written."""
        self.last_checkpoint, self.saved_s = event.path, time.monotonic()

    def take_over(self, event: Loaded) -> None:
        """Continue from the checkpoint that the learner has loaded."""
        self._new_versions.clear()
        self._take_newest_weights()
        if event.path is None:  # the learner's first event: a new agent
            return
        self.env_steps = event.env_steps
        self._actor.env_steps = event.env_steps
        if not self.learning:  # an evaluated agent begins with routes of its own
            self._driver.abandon_episode()
        # A converted file, or one of a user's own training loop, has no state of the driving side.
        elif event.run.keys() >= _RUN_KEYS:
            self._debt.owed = float(event.run["update_debt"])
            open_episode = event.replay and event.run["driver"]["actions"] is not None
            # A world in real time is not reproducible.
            redrive = self._config.lockstep
            self._driver.restore(
                event.run["driver"], redrive=redrive, recorded=redrive and open_episode
            )
            if redrive and open_episode:
                self._replay.reopen()
            self._actor.restore(event.run["exploration"])
        else:
            self._driver.abandon_episode()

    def _ask_for_updates(self) -> None:
        count, lockstep = self._debt.whole, self._config.lockstep
        if not lockstep and self._learner.outstanding >= REALTIME_OUTSTANDING:
            return
        if count:
            self._debt.pay(count)
            # With a fixed number of rows a run repeats itself; in real time newer rows may be
            # sampled, too.
            rows = self._replay.rows_written if lockstep else None
            self._ahead = lockstep
            self._learner.train(count, rows)

    def _save_if_due(self) -> None:
        every = self._config.save_freq
        if not self._config.saves:
            return
        if self.finished or (every > 0 and self.env_steps % every == 0):
            self.save(then=self._due())
        elif self.env_steps % AUTOSAVE_STEPS == 0:
            self.save_latest()

    def _run_state(self) -> dict[str, Any]:
        return {
            "update_debt": self._debt.owed,
            "driver": self._driver.state(),
            "exploration": self._actor.state(),
            "settings": self._config.settings,
            "meaning": self._config.meaning,
        }

    def _log_episode(self, ended: EpisodeSummary) -> None:
        newest = self._replay.newest_actions(self._replay.episode_steps)
        executed = zip(ACTION_LAYOUT, newest.T, strict=True)
        histograms = {f"action/{name}": values for name, values in executed if values.size}
        self._learner.log(Log(self.env_steps, episode_scalars(ended), histograms))


def episode_scalars(ended: EpisodeSummary) -> dict[str, float]:
    """Return an ended episode's numbers by their names in TensorBoard."""
    scalars = {
        "episode/return": ended.total_reward,
        "episode/completion": ended.completion,
        "episode/steps": float(ended.steps),
        "episode/mean_speed_mps": ended.mean_speed_mps,
        "episode/lateral_rmse_m": ended.lateral_rmse_m,
        "episode/success": float(ended.success),
        "episode/interventions": float(ended.interventions),
    }
    return scalars | {f"reward/{name}": value for name, value in ended.terms.items()}
