# SPDX-License-Identifier: Apache-2.0
"""One tick of the loop between world and driver, without the topics of the nodes."""

from __future__ import annotations

import math
from types import SimpleNamespace

from td3_driver.driving.driver import Driver
from td3_driver.driving.judging.infractions import Impact
from td3_driver.driving.messages.decoding import pose_of
from td3_driver.driving.messages.encoding import set_pose
from td3_driver.driving.reset import PLACE_ABOVE_GROUND_M
from td3_driver.driving.road_users import RoadUsers
from td3_driver.driving.roles import Command, Report
from td3_driver.driving.types import Pose
from td3_driver.world.simulation import Simulation, Tick
from td3_driver.world.traffic.others import are_pedestrians


def advance(world: Simulation, driver: Driver, command: Command) -> tuple[Tick, Report]:
    """Apply the driver's command in the world, and let the driver observe the new tick."""
    if command.place is not None:
        world.reset_pose(_as_sent(command.place))
    if command.halt:
        world.set_target_velocity(0.0)
    tick = world.step(command.control)
    for collision in tick.collisions:
        impulse_ns = math.hypot(*collision.impulse)
        driver.collided(tick.stamp_ns, Impact(collision.other_actor_id, impulse_ns))
    report = driver.observe(
        tick.image,
        tick.ego,
        users=road_users(tick),
        lights=tick.lights,
        beside=[taken() for taken in tick.beside],
    )
    return tick, report


def road_users(tick: Tick) -> RoadUsers:
    """The other road users, as `/carla/<role>/objects` has them."""
    others = tick.others
    return RoadUsers(
        others.poses,
        others.sizes_m[:, :2],
        others.velocities_mps,
        others.yaw_rates_radps,
        others.actor_ids,
        are_pedestrians(others.actor_ids),
    )


def _as_sent(place: Pose) -> Pose:
    """A pose as it arrives over a topic: as a quaternion its yaw loses the last bit."""
    message = SimpleNamespace(position=SimpleNamespace(), orientation=SimpleNamespace())
    set_pose(message, place, above_m=PLACE_ABOVE_GROUND_M)
    return pose_of(message)
