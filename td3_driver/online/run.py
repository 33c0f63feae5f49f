# SPDX-License-Identifier: Apache-2.0
"""Starting a run: shared memory, the learner process and the driver, put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from td3_driver.agent.exploration import Exploration
from td3_driver.agent.policy import ActorPolicy
from td3_driver.checkpoints.checkpoint import LATEST, CheckpointError
from td3_driver.configuration import Configuration
from td3_driver.driving.driver import Driver, MakeJudge
from td3_driver.driving.episode import EpisodeConfig
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.routes.course_routes import CourseRoutes
from td3_driver.driving.routes.route_files import FileRoutes
from td3_driver.driving.routes.routing import RandomRoutes, RouteSource
from td3_driver.learner import process as learner
from td3_driver.learner.client import LearnerClient, Serve
from td3_driver.learner.messages import Loaded
from td3_driver.learner.process import LearnerSpec
from td3_driver.learner.resume import RunSettings
from td3_driver.learner.weights import SharedWeights
from td3_driver.online.actor import OnlineActor
from td3_driver.online.meaning import of_experience, of_policy
from td3_driver.online.run_folder import TENSORBOARD
from td3_driver.online.session import Session, SessionConfig
from td3_driver.replay import file as replay_file
from td3_driver.replay.buffer import Replay

REALTIME_NICENESS = 10


@dataclass(frozen=True)
class RunConfig:
    """The settings that a run is started with.

    Attributes:
        configuration: settings of networks, learning and driving.
        session: settings of steps, checkpoints and lock-step.
        resume: checkpoint to continue from, or None.
        seed: seed of everything random; parts of the run derive their own from it.
        device: the learner's, "cpu" or "cuda". The policy acts on the CPU.
        learner_threads: threads that torch computes with in the learner.
        keep_last: numbered checkpoints to keep; 0: all.
        keep_every: older checkpoints are kept at multiples of this many steps; 0: none are.
        prefill: replay file of demonstrations to learn from beside the run's own transitions, or
            None.
        prefill_share: the demonstrations' share of each batch, in (0, 1).
        routes: the routes of a file or of an evaluation to drive; None: random ones.
        judged_by, make_judge: by what drives are judged, see `Driver`; None: the configuration.
        serve: what the learner's process does; the fleet's hands on what is driven, instead.
    """

    configuration: Configuration
    session: SessionConfig
    resume: Path | None
    seed: int
    device: str
    learner_threads: int
    keep_last: int
    keep_every: int
    prefill: Path | None = None
    prefill_share: float = 0.5
    routes: FileRoutes | CourseRoutes | None = None
    judged_by: EpisodeConfig | None = None
    make_judge: MakeJudge | None = None
    serve: Serve = learner.run

    def served_by(self, serve: Serve) -> RunConfig:
        """The run whose learner is elsewhere, and saves there what it learns from all."""
        return replace(self, serve=serve, session=replace(self.session, saves=False))


class Run:
    """A run's parts: the driver and its session, the learner, and the replay between them."""

    def __init__(self, config: RunConfig, on_event: Callable[[], None]) -> None:
        agent, driving = config.configuration.agent, config.configuration.driving
        meaning, spaces = of_experience(driving), driving.spaces
        state_dim = agent.cnn_features + spaces.vector_dim
        policy = ActorPolicy(state_dim, spaces.action_dim, 1.0, True, agent)
        self.replay = Replay(agent.replay_capacity, *spaces.row, meaning=meaning)
        self._config = config
        session = config.session
        weights = SharedWeights(policy.parameter_count)
        spec = LearnerSpec(
            settings=RunSettings(agent, of_policy(driving), config.session.settings),
            state_dim=state_dim,
            action_dim=spaces.action_dim,
            device=config.device,
            seed=config.seed,
            threads=config.learner_threads,
            log_dir=session.checkpoint_dir / TENSORBOARD if session.learning else None,
            keep_last=config.keep_last,
            keep_every=config.keep_every,
            replay=self.replay,
            weights=weights,
            reach=session.reach,
            run=session.run.name if session.run else "",
            # In lock-step driving waits for the learner; in real time it comes first.
            niceness=0 if config.session.lockstep else REALTIME_NICENESS,
            demonstrations=demonstrations(
                config.prefill, config.configuration, config.session.settings
            ),
            demonstration_share=config.prefill_share,
        )
        learning = config.session.learning
        noise = Exploration(agent, spaces.action_dim, config.seed + 1) if learning else None
        actor = OnlineActor(policy, noise)
        store = self.replay if learning else None
        routes: RouteSource | None = config.routes
        if routes is None and not learning:
            routes = RandomRoutes(driving.episode.route_length_m, Purpose.EVALUATION)
        self.driver = Driver(
            driving,
            actor,
            store,
            config.seed + 2,
            routes=routes,
            judged_by=config.judged_by,
            make_judge=config.make_judge,
        )
        self.learner = LearnerClient(spec, on_event, config.serve)
        self.session = Session(
            config.session,
            agent,
            self.driver,
            actor,
            policy,
            self.replay,
            self.learner,
            weights,
        )

    @property
    def learning_starts(self) -> int:
        """The number of transitions in the replay from which on the agent learns."""
        return self._config.configuration.agent.learning_starts

    def greeted(self, event: Loaded) -> bool:
        """Handle a `Loaded` of the learner; True once it is the state that the run starts from."""
        if event.path is not None:
            return True
        if self._config.resume is not None:
            learning = self.session.learning
            self.session.load(self._config.resume, replay=learning, anywhere=True)
            return False
        if self.session.learning and not (self._config.session.checkpoint_dir / LATEST).exists():
            self.session.save_latest()
        return True

    def measures(self) -> dict[str, object]:
        """The run's progress as numbers, for people and plots."""
        session = self.session
        losses = {name: round(value, 6) for name, value in self.learner.losses.items()}
        return {
            "env_steps": session.env_steps,
            "steps": self._config.session.steps,
            "episodes": self.driver.episodes,
            "updates": self.learner.total_it,
            "replay_fill": len(self.replay) / self.replay.capacity,
            "checkpoint": session.last_checkpoint or "",
            **losses,
        }


def demonstrations(
    path: Path | None, configuration: Configuration, settings: Mapping[str, Any]
) -> Replay | None:
    """Read a file of demonstrations that fits a run; None without a path.

    `settings`: what the run was started with, of which advice names preset and config.

    Raises:
        ValueError: it cannot be read, holds nothing, or its numbers mean something else.
    """
    if path is None:
        return None
    driving = configuration.driving
    try:
        replay = replay_file.load(path, *driving.spaces.row, of_experience(driving))
    except CheckpointError as error:
        options = [
            f" --{name} {settings[name]}" for name in ("preset", "config") if settings.get(name)
        ]
        command = f"td3_driver prefill BAG... --out {path}{''.join(options)}"
        raise ValueError(f"prefill {error}; one for this run is made by: {command}") from error
    if not replay.transitions:
        raise ValueError(f"prefill {path}: holds no transition")
    return replay
