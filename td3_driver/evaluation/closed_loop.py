# SPDX-License-Identifier: Apache-2.0
"""Driving a policy in the embedded world, greedily, without ROS and without learning."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from td3_driver.driving.driver import Command, Driver, Report
from td3_driver.driving.episode import EpisodeSummary
from td3_driver.driving.observation import grey_frame
from td3_driver.driving.types import FULL_BRAKE, EgoState
from td3_driver.world.simulation import Simulation


@dataclass(frozen=True)
class Frame:
    """One frame of a drive: what the car was, what it brought, and the answer to it."""

    ego: EgoState
    report: Report
    command: Command


def drive(driver: Driver, world: Simulation) -> Iterator[Frame]:
    """Drive for ever, one frame at a time, as world_node and driver_node do over topics."""
    driver.set_map(world.road_map)
    command = Command(FULL_BRAKE)
    while True:
        if command.place is not None:
            world.reset_pose(command.place)
        if command.halt:
            world.set_target_velocity(0.0)
        tick = world.step(command.control)
        if tick.collisions:
            driver.collided(tick.stamp_ns)
        report = driver.observe(grey_frame(tick.image), tick.ego)
        command = driver.decide()
        yield Frame(tick.ego, report, command)


def episodes(driver: Driver, world: Simulation) -> Iterator[EpisodeSummary]:
    """The summaries of the episodes of `drive`."""
    for frame in drive(driver, world):
        if frame.report.ended is not None:
            yield frame.report.ended
