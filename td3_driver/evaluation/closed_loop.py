# SPDX-License-Identifier: Apache-2.0
"""Drives a policy in the embedded world, without exploration noise, ROS or learning."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from td3_driver.driving.driver import Driver
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.observation import Situation
from td3_driver.driving.purpose import Purpose
from td3_driver.driving.reward import Action
from td3_driver.driving.roles import Command, DrivingConfig, Policy, Report
from td3_driver.driving.routes.route import RoutePlace
from td3_driver.driving.safety import safe_action
from td3_driver.driving.types import FULL_BRAKE, EgoState
from td3_driver.evaluation import standard
from td3_driver.evaluation.drive_recorder import DriveRecorder
from td3_driver.evaluation.metrics import Trace
from td3_driver.world.loop import advance
from td3_driver.world.scene import Collision
from td3_driver.world.simulation import Simulation, Tick
from td3_driver.world.traffic.others import are_pedestrians


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
    purpose: Purpose = Purpose.EVALUATION,
    speed_limit_mps: float = standard.SPEED_LIMIT_MPS,
) -> Trace:
    """Drive one route from standstill, from a place where training never starts.

    The limits of `standard` apply.

    Args:
        config: the observation, the actions and the reward.
        policy: the policy that drives.
        world: the world to drive in; its car may stand anywhere.
        length_m: wanted length of the route, m.
        seed: seed by which the route is drawn.
        recorder: records the drive, or None.
        watch: called with each frame of the episode, the first one too, or None.
        purpose: the purpose among whose starting places the route begins.
        speed_limit_mps: the speed to drive, and not to exceed, m/s.

    Raises:
        ValueError: the map has no such route.
    """
    step_s = world.config.fixed_delta_s
    limits = standard.limits(length_m, step_s, speed_limit_mps)
    noting = _Noting(policy)
    driver = Driver(config, noting, None, seed, purpose=purpose, judged_by=limits)
    frames = drive(driver, world)
    if recorder is not None:
        frames = recorded(frames, driver, recorder)
    frame = next(frame for frame in frames if driver.episode is not None)
    episode = driver.episode  # the driver forgets it with its last frame
    assert episode is not None
    states, ttc_s, rewards, terminated = [], [], [], False
    while True:
        states.append(_state(frame.ego, episode.place))
        ahead, speed_mps = episode.leader, frame.ego.speed_mps
        ttc_s.append(ahead.time_to_collision_s(speed_mps) if ahead else math.inf)
        if (outcome := frame.report.outcome) is not None:
            rewards.append(outcome.reward)
            terminated = outcome.terminated
        if watch is not None:
            watch(frame)
        if frame.report.ended is not None:
            break
        frame = next(frames)
    ended, columns = frame.report.ended, np.array(states)
    in_units = np.array([config.safety.max_steer / standard.STEER_UNIT, 1.0])
    return Trace(
        step_s=step_s,
        route_length_m=episode.route.length_m,
        speed_limit_mps=speed_limit_mps,
        reason=ended.reason,
        completion=ended.completion,
        struck=tuple(_kind(collision) for collision in frame.tick.collisions),
        route_m=episode.route.points_m,
        poses=columns[:, :3],
        s_m=columns[:, 3],
        lateral_m=columns[:, 4],
        speed_mps=columns[:, 5],
        actions=np.array(noting.actions, np.float64) * in_units,
        rewards=np.array(rewards),
        ttc_s=np.array(ttc_s),
        terminated=terminated,
    )


class _Noting:
    """Wraps a policy and keeps its actions in the current episode."""

    def __init__(self, policy: Policy) -> None:
        self.actions: list[Action] = []
        self._policy = policy

    def begin_episode(self) -> None:
        """A new episode starts."""
        self.actions.clear()
        self._policy.begin_episode()

    def act(self, situation: Situation) -> Action:
        """The policy's action, bounded to what the car executes."""
        self.actions.append(safe_action(self._policy.act(situation)))
        return self.actions[-1]


def _state(ego: EgoState, place: RoutePlace) -> tuple[float, ...]:
    pose = ego.pose
    return pose.x_m, pose.y_m, pose.yaw_rad, place.s_m, place.lateral_m, ego.speed_mps


def _kind(collision: Collision) -> str:
    """What a collision was with, a key of `COLLISION_FACTORS`."""
    if not collision.other_actor_id:
        return "static"
    (walks,) = are_pedestrians(np.array([collision.other_actor_id]))
    return "pedestrian" if walks else "vehicle"
