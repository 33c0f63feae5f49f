# SPDX-License-Identifier: Apache-2.0
"""Drives a policy in the embedded world, without exploration noise, ROS or learning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.judging.infractions import Kind
from td3_driver.driving.judging.rules import STRICT, Rules
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.roles import Command, DrivingConfig, Policy, Report
from td3_driver.driving.routes.routing import RandomRoutes, RouteSource
from td3_driver.driving.types import FULL_BRAKE, EgoState
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.measures import standard
from td3_driver.measures.measuring import Measuring, judges
from td3_driver.measures.metrics import Trace
from td3_driver.world.loop import advance
from td3_driver.world.simulation import Simulation, Tick

_OFF = "there are none in this world (--lights)"
_DARK = {Kind.RED_LIGHT: _OFF, Kind.STOP_SIGN: _OFF}


@dataclass(frozen=True)
class Frame:
    """One frame of a drive: the world's tick, what the driver reports of it, and its command."""

    tick: Tick
    report: Report
    command: Command

    @property
    def ego(self) -> EgoState:
        """The state of the car."""
        return self.tick.ego


def drive(driver: Driver, world: Simulation) -> Iterator[Frame]:
    """Drive for ever, one frame at a time, as world_node and driver_node do over topics."""
    driver.set_map(world.road_map)
    command = Command(FULL_BRAKE)
    while True:
        tick, report = advance(world, driver, command)
        command = driver.decide()
        yield Frame(tick, report, command)


def episodes(driver: Driver, world: Simulation) -> Iterator[EpisodeSummary]:
    """The summaries of the episodes of `drive`."""
    for frame in drive(driver, world):
        if frame.report.ended is not None:
            yield frame.report.ended


def recorded(frames: Iterator[Frame], driver: Driver, recorder: DriveRecorder) -> Iterator[Frame]:
    """The frames of `drive`, each recorded once it has its command."""
    episodes = driver.episodes
    for frame in frames:
        recorder.tick(frame.tick)
        if driver.episodes > episodes and driver.route is not None:
            episodes = driver.episodes
            recorder.route(frame.tick.stamp_ns, driver.route)
        recorder.command(frame.tick.stamp_ns, frame.command.control)
        yield frame


def drive_route(
    config: DrivingConfig,
    policy: Policy,
    world: Simulation,
    length_m: float,
    seed: int,
    recorder: DriveRecorder | None = None,
    watch: Callable[[Frame], None] | None = None,
    *,
    routes: RouteSource | None = None,
    speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
    rules: Rules = STRICT,
) -> Trace:
    """Drive one route from standstill.

    Args:
        config: the observation, the actions and the reward.
        policy: the policy that drives.
        world: the world to drive in; its car may stand anywhere.
        length_m: wanted length of the route, m, by which its time is limited.
        seed: seed by which the route is drawn.
        recorder: records the drive, or None.
        watch: called with each frame of the episode, the first one too, or None.
        routes: where the route comes from; None: a random one from where training never starts.
        speed_limit_mps: the speed to drive, and not to exceed, m/s.
        rules: which infractions there are, and what ends the drive; under `STRICT` the limits of
            `standard` do.

    Raises:
        ValueError: the map has no such route.
    """
    step_s = world.config.fixed_delta_s
    driver = Driver(
        config,
        policy,
        None,
        seed,
        routes=routes or RandomRoutes(length_m, Purpose.EVALUATION),
        judged_by=standard.limits(length_m, step_s, speed_limit_mps),
        make_judge=judges(
            rules, speed_limit_mps=speed_limit_mps, untold={} if world.config.lights else _DARK
        ),
    )
    frames = drive(driver, world)
    if recorder is not None:
        frames = recorded(frames, driver, recorder)
    frame = next(frame for frame in frames if driver.episode is not None)
    episode = driver.episode  # the driver forgets it with its last frame
    assert episode is not None
    measuring = Measuring(episode, frame.ego, step_s, speed_limit_mps)
    while True:
        if watch is not None:
            watch(frame)
        if frame.report.ended is not None:
            return measuring.trace()
        frame = next(frames)
        outcome = frame.report.outcome
        assert outcome is not None
        measuring.step(frame.ego, frame.tick.control, outcome)
