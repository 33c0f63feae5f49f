# SPDX-License-Identifier: Apache-2.0
"""The parameters of `driver_node`, declared here and nowhere else."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from rclpy.logging import get_logging_directory

from td3_driver.configuration import load_configuration
from td3_driver.driving.judging.rules import RULES, STRICT
from td3_driver.driving.messages.synchronisation import MODES, TOLERANCE_S, Sync
from td3_driver.driving.routes.course_routes import CourseRoutes
from td3_driver.driving.routes.route_files import FileRoutes, read_route_file
from td3_driver.learner.reach import Reach, ReachError
from td3_driver.measures import standard
from td3_driver.measures.measuring import judges
from td3_driver.online.folder import prepare_folder
from td3_driver.online.meaning import of_policy
from td3_driver.online.run import RunConfig
from td3_driver.online.run_folder import RUNS, Wording, claim, new_folder, record
from td3_driver.online.session import SessionConfig
from td3_driver.replay.log import last_digest
from td3_driver.ros import names
from td3_driver.ros.parameters import parameter


@dataclass(frozen=True)
class DriverParameters:
    """Parameters of `driver_node`; see each one's description."""

    role_name: str = parameter("ego_vehicle", "CARLA role name of the car, part of every topic.")
    camera: str = parameter(
        "rgb_front",
        "Id of the front camera, part of its topics; where driving.view.cameras lists several, "
        "the first of them.",
    )
    control_id: str = parameter(
        "control", "Id of the car's actor.pseudo.control, which applies set_transform."
    )
    mode: str = parameter(
        "train",
        "train: explore, learn, write checkpoints; evaluate: drive greedily with the agent of "
        "`resume`, unchanged; replay: watch a recording and publish `~/proposed_control` alone; "
        "observe: measure whoever drives the car, and write that into `out`.",
        choices=("train", "evaluate", "replay", "observe"),
    )
    preset: str = parameter("default", "Preset of networks, learning and reward.")
    config_file: str = parameter("", "YAML file laid over the preset; empty: none.", path=True)
    blind: bool = parameter(False, "Black pictures: the twin that shows what pictures are worth.")
    autostart: bool = parameter(
        True, "Configure and activate at once; else a lifecycle manager does."
    )
    learning: bool = parameter(
        True, "Make updates; off, the agent drives and remembers, but stays.", read_only=False
    )
    exploration: float = parameter(
        1.0, "Factor of the exploration noise; 0: none.", low=0.0, high=10.0, read_only=False
    )
    stepping: str = parameter(
        "lockstep",
        "lockstep: the world waits for each command, and acting waits for all updates of the "
        "frame before; realtime: acting never waits.",
        choices=("lockstep", "realtime"),
    )
    sync: str = parameter(
        "auto",
        "How an image gets its odometry. exact: of the same stamp; nearest: the nearest in time; "
        "interpolate: between the one before and the one after, for which it waits; auto: exact, "
        "and interpolate once it shows that stamps are their own.",
        choices=("auto", *MODES),
    )
    sync_tolerance_s: float = parameter(
        TOLERANCE_S,
        "How far in time the nearest odometry, or each neighbour, may be from the image, s; an "
        "image without gets none, and silence_timeout_s counts.",
        low=0.001,
        high=10.0,
    )
    steps: int = parameter(0, "Steps in total, resumed ones included; 0: no end.", low=0)
    episodes: int = parameter(0, "End after so many episodes; 0: no end.", low=0)
    save_freq: int = parameter(1000, "Steps between checkpoints; 0: at the end only.", low=0)
    save_replay: bool = parameter(
        False, "Checkpoints take the replay with them, as td3_<step>.replay."
    )
    keep_last: int = parameter(0, "Numbered checkpoints to keep; 0: all.", low=0)
    keep_every: int = parameter(
        0, "Of those beyond keep_last, keep the ones at multiples of so many steps.", low=0
    )
    checkpoint_dir: str = parameter(
        "",
        "Folder of the run: checkpoints, TensorBoard, run.yaml. Empty: that of `resume`, else "
        "a new one, runs/<when>_<place>_<preset>_s<seed>.",
        path=True,
    )
    overwrite: bool = parameter(
        False, "Delete another run that checkpoint_dir holds; else it is refused.", at_start=True
    )
    place: str = parameter("ros", "Town or map, for the name of a new folder.")
    checkpoint_roots: str = parameter(
        "",
        "Folders, separated by ':', in which checkpoint_path may lie besides checkpoint_dir, and "
        "all paths that are set while the node runs.",
        at_start=True,
        path=True,
    )
    checkpoint_path: str = parameter(
        "",
        "File of /save_checkpoint and /load_checkpoint, named .pth, in checkpoint_dir or below "
        "checkpoint_roots; empty: a new td3_<step>.pth when saving, the newest valid one when "
        "loading.",
        read_only=False,
    )
    resume: str = parameter("", "Checkpoint to go on from; empty: begin anew.", path=True)
    prefill: str = parameter(
        "",
        "Replay file of demonstrations (td3_driver prefill, demonstrate) to learn from too; "
        "empty: none.",
        path=True,
    )
    prefill_share: float = parameter(
        0.5, "Share of demonstrations in each batch.", low=0.01, high=0.99
    )
    routes: str = parameter(
        "",
        "Route file of the CARLA leaderboard's, 1.0 or 2.x, whose routes on the map are driven: "
        "at random in mode train, in order in mode evaluate; empty: random routes.",
        path=True,
    )
    out: str = parameter(
        "",
        "Modes evaluate and observe: folder for metrics.json and report.html, as of `td3_driver "
        "evaluate`, whose routes and limits count then. Empty: results are only logged.",
        path=True,
    )
    rules: str = parameter(
        STRICT.name, "With `out`: by which rules drives are judged.", choices=tuple(RULES)
    )
    seed: int = parameter(0, "Seed of networks, noise, sampling and routes.", low=0)
    device: str = parameter("cpu", "Where the learner computes.", choices=("cpu", "cuda"))
    # Two threads are 1.6 times as fast on an idle two-core machine, and twenty times as slow
    # when another process needs a core: OpenMP's threads spin while they wait for each other.
    learner_threads: int = parameter(
        1,
        "Threads of the learner's arithmetic; runs repeat only with the same number.",
        low=1,
        high=256,
    )
    answer_within_s: float = parameter(
        0.8,
        "In lockstep, wait no longer than this for the learner before answering a frame, s. The "
        "bridge waits 1 s for a command; a later one counts for the wrong frame.",
        low=0.01,
        high=3600.0,
    )
    on_loss: str = parameter(
        "exit",
        "When the world or the learner is lost: brake and exit with code 1; brake and wait; or, "
        "without a learner, drive on with the last weights (without a world: brake and wait).",
        choices=("exit", "wait", "drive"),
    )
    learner_timeout_s: float = parameter(
        30.0,
        "A learner that owes an answer for so long counts as lost, s; more than a load takes.",
        low=0.1,
        high=3600.0,
    )
    control_period_s: float = parameter(
        0.05,
        "Time from frame to frame, s: in realtime a command that takes longer is late; with `out` "
        "drives are measured by it.",
        low=0.001,
        high=10.0,
    )
    silence_timeout_s: float = parameter(
        0.5,
        "In realtime, brake when no frame came for so long, s, or for two periods of the camera; "
        "in lockstep a world without frames stands still, and answer_within_s counts for odometry "
        "without its image.",
        low=0.01,
        high=3600.0,
    )
    startup_timeout_s: float = parameter(
        60.0, "Wait so long for the first frame, s; 0: for ever.", low=0.0
    )
    world_timeout_s: float = parameter(
        2.0, "Without a frame for so long the world counts as lost, s.", low=0.1, high=3600.0
    )


def synchronisation(given: DriverParameters) -> Sync:
    """Return how images are paired with odometry."""
    mode = next((mode for mode in MODES if mode == given.sync), None)
    return Sync(mode, given.sync_tolerance_s)


PATHS = ("checkpoint_dir", "resume", "prefill", "config_file", "routes", "out")
_WORDS = Wording("checkpoint_dir:=", "resume:=", "overwrite:=true")


def check_paths(given: DriverParameters, started: DriverParameters) -> None:
    """Check that a path set at run time stays within the allowed folders.

    Args:
        given: the present parameters.
        started: the parameters at the node's start.

    Raises:
        ValueError: a path was set while the node runs, and leads outside `checkpoint_roots` and
            the folder of the run.
    """
    reach = reach_of(started, Path(started.checkpoint_dir or RUNS).resolve())
    for name in PATHS:
        value = getattr(given, name)
        if value and value != getattr(started, name):
            try:
                reach.of(Path(value).absolute())
            except ReachError as error:
                raise ValueError(f"parameter {name}: {error}") from error


def reach_of(given: DriverParameters, folder: Path) -> Reach:
    """Return the files that requests may name in a run in this folder."""
    roots = (Path(root).resolve() for root in given.checkpoint_roots.split(":") if root)
    return Reach(folder, tuple(roots))


def run_config(given: DriverParameters) -> RunConfig:
    """Convert parameters to the configuration of a run.

    Raises:
        ValueError, OSError: they cannot be followed; one line says why.
    """
    configuration = load_configuration(given.preset, given.config_file, blind=given.blind)
    topics = names.EgoTopics(given.role_name, given.camera, given.control_id)
    topics.seen_by(configuration.driving.view)  # checks that both name the same camera
    resume = Path(given.resume).resolve() if given.resume else None
    if resume is not None and not resume.is_file():
        raise FileNotFoundError(f"resume {resume}: no such file")
    prefill = Path(given.prefill).resolve() if given.prefill else None
    if prefill is not None and not prefill.is_file():
        raise FileNotFoundError(f"prefill {prefill}: no such file")
    learning = given.mode == "train"
    file = FileRoutes(read_route_file(given.routes), not learning) if given.routes else None
    routes: FileRoutes | CourseRoutes | None = file
    judged_by, make_judge = None, None
    if given.out:
        if given.mode != "evaluate":
            raise ValueError(f"parameter out: {given.out}; only mode evaluate has results")
        prepare_folder(Path(given.out), "parameter out:")
        length_m, step_s = configuration.driving.episode.route_length_m, given.control_period_s
        routes = CourseRoutes(given.seed, length_m, file)
        judged_by = standard.limits(length_m, step_s, standard.SPEED_LIMIT_MPS)
        if file is not None:
            judged_by = standard.RouteLimits(step_s=step_s)
        make_judge = judges(RULES[given.rules])
    if resume is None and not learning:
        raise ValueError("parameter resume: empty; mode evaluate needs the checkpoint to drive")
    folder = _folder(given, resume)
    run = claim(folder, resume, _WORDS, overwrite=given.overwrite) if learning else None
    if run is not None:
        about = {"parameters": asdict(given), "configuration": configuration.to_mapping()}
        record(run, about | {"ros_log": _ros_log()})
    lockstep = given.stepping == "lockstep"
    return RunConfig(
        configuration=configuration,
        session=SessionConfig(
            steps=given.steps,
            save_freq=given.save_freq,
            checkpoint_dir=folder,
            run=run,
            reach=reach_of(given, folder),
            lockstep=lockstep,
            learning=learning,
            episodes=given.episodes,
            save_replay=given.save_replay,
            settings={
                "preset": given.preset,
                "config": given.config_file,
                "seed": given.seed,
                "stepping": given.stepping,
                **({} if prefill is None else _about(prefill, given.prefill_share)),
                **({} if file is None else {"routes": Path(given.routes).name}),
                **configuration.to_mapping(),
            },
            meaning=of_policy(configuration.driving),
        ),
        resume=resume,
        seed=given.seed,
        device=given.device,
        learner_threads=given.learner_threads,
        keep_last=given.keep_last,
        keep_every=given.keep_every,
        prefill=prefill,
        prefill_share=given.prefill_share,
        routes=routes,
        judged_by=judged_by,
        make_judge=make_judge,
    )


def _ros_log() -> str:
    """Return the log file of this process's ROS, or at least its folder."""
    folder = Path(get_logging_directory())
    return str(max(folder.glob(f"*_{os.getpid()}_*.log"), default=folder))


def _folder(given: DriverParameters, resume: Path | None) -> Path:
    if given.checkpoint_dir:
        return Path(given.checkpoint_dir).resolve()
    if resume is not None:
        return resume.parent
    return new_folder(given.place, given.preset, given.seed)


def _about(prefill: Path, share: float) -> dict[str, object]:
    """Describe demonstrations for checkpoints; their file's last digest covers all of it."""
    return {"prefill": {"file": prefill.name, "sha256": last_digest(prefill), "share": share}}
