# SPDX-License-Identifier: Apache-2.0
"""All road users as the CARLA bridge reports them, in a derived_object_msgs/ObjectArray.

As its `object_sensor.py` and `traffic_participant.py` do: map frame, the twist not turned into the
body frame, boxes, classified with certainty. A vehicle's pose is on the ground below its middle,
a pedestrian's in its middle, as CARLA's actors have them.

It is written as bytes, for topics and bags alike: filled field by field, twenty of them take
rclpy six times as long.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.driving.messages.encoding import quaternion
from td3_driver.driving.messages.object_arrays import OBJECT, write
from td3_driver.world.bodies.vehicle import HEIGHT_M, LENGTH_M, WIDTH_M
from td3_driver.world.simulation import Tick
from td3_driver.world.traffic.others import are_pedestrians

_PEDESTRIAN, _CAR = 4, 6  # of derived_object_msgs/Object
_CERTAIN = 255
_BOX = 1  # of shape_msgs/SolidPrimitive

_Table = npt.NDArray[np.void]


def objects_of(tick: Tick, ego_id: int | None) -> bytes:
    """All road users, the car first and with this id; without an id it is left out."""
    first = int(ego_id is not None)
    everybody = np.zeros(first + len(tick.others.actor_ids), OBJECT)
    _fill_others(tick, everybody[first:])
    if ego_id is not None:
        _fill_ego(tick, ego_id, everybody[:1])
    everybody["object_classified"] = True
    everybody["classification_certainty"] = _CERTAIN
    everybody["classification_age"] = tick.frame
    everybody["shape_type"] = _BOX
    return write(tick.stamp_ns, everybody)


def _fill_others(tick: Tick, table: _Table) -> None:
    bodies = tick.others
    walking = are_pedestrians(bodies.actor_ids)
    ground = np.array(tick.others_ground, np.float64).reshape(-1, 2)
    # Pedestrians stand upright.
    pitches = np.where(walking, 0.0, ground[:, 1]).tolist()
    table["id"] = bodies.actor_ids
    table["classification"] = np.where(walking, _PEDESTRIAN, _CAR)
    table["position"][:, :2] = bodies.poses[:, :2]
    table["position"][:, 2] = ground[:, 0] + np.where(walking, bodies.sizes_m[:, 2] / 2.0, 0.0)
    turned = [*map(quaternion, bodies.poses[:, 2].tolist(), pitches)]
    table["orientation"] = np.array(turned, np.float64).reshape(-1, 4)
    table["dimensions"] = bodies.sizes_m
    table["linear"][:, :2] = bodies.velocities_mps
    table["angular"][:, 2] = bodies.yaw_rates_radps
    table["acceleration"][:, :2] = bodies.accelerations_mps2


def _fill_ego(tick: Tick, ego_id: int, table: _Table) -> None:
    pose = tick.ego.pose
    cos, sin = math.cos(pose.yaw_rad), math.sin(pose.yaw_rad)
    forward_mps, left_mps = tick.ego.speed_mps, tick.ego.lateral_speed_mps
    table["id"], table["classification"] = ego_id, _CAR
    table["position"] = pose.x_m, pose.y_m, pose.z_m
    table["orientation"] = quaternion(pose.yaw_rad, tick.pitch_rad)
    table["dimensions"] = LENGTH_M, WIDTH_M, HEIGHT_M
    table["linear"][:, 0] = cos * forward_mps - sin * left_mps
    table["linear"][:, 1] = sin * forward_mps + cos * left_mps
    table["angular"][:, 2] = tick.ego.yaw_rate_radps
    table["acceleration"] = tick.acceleration_map
