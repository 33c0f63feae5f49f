# SPDX-License-Identifier: Apache-2.0
"""From CARLA's axes to the world's and back.

CARLA's are Unreal's, left-handed: x forward, y right, z up, yaw clockwise from above, pitch
positive upwards, roll clockwise seen from behind; degrees. The world's are ROS': y left, yaw
counter-clockwise, pitch positive downwards; radians.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from td3_driver.carla_server.structures import Rotation, Transform, Vector3D
from td3_driver.carla_server.wire import Pose6, Triple
from td3_driver.driving.types import Pose

_Matrix = npt.NDArray[np.float64]


def pose6(transform: Transform) -> Pose6:
    """x, y, z, pitch, yaw, roll."""
    at, turned = transform.location, transform.rotation
    return at.x, at.y, at.z, turned.pitch, turned.yaw, turned.roll


def transform_of(pose: Pose6) -> Transform:
    """The structure of calls."""
    return Transform(Vector3D(*pose[:3]), Rotation(*pose[3:]))


def world_pose(pose: Pose6) -> Pose:
    """The place of what stands upright on the ground."""
    return Pose(pose[0], -pose[1], -math.radians(pose[4]), pose[2])


def carla_pose(pose: Pose, pitch_rad: float = 0.0) -> Pose6:
    """A car's place; `pitch_rad` is positive where its nose is down."""
    return (
        pose.x_m,
        -pose.y_m,
        pose.z_m,
        -math.degrees(pitch_rad),
        -math.degrees(pose.yaw_rad),
        0.0,
    )


def carla_vector(vector: Triple) -> Triple:
    """A velocity, acceleration or impulse of the world's map frame."""
    return vector[0], -vector[1], vector[2]


def composed(parent: Pose6, relative: Pose6) -> Pose6:
    """The place in the map of what is attached at `relative` to a parent."""
    turned = rotation(parent)
    x, y, z = turned @ relative[:3] + parent[:3]
    both = turned @ rotation(relative)
    return (
        float(x),
        float(y),
        float(z),
        math.degrees(math.atan2(both[2, 0], math.hypot(both[2, 1], both[2, 2]))),
        math.degrees(math.atan2(both[1, 0], both[0, 0])),
        math.degrees(math.atan2(-both[2, 1], both[2, 2])),
    )


def rotation(pose: Pose6) -> _Matrix:
    """(3, 3) from an actor's axes to the map's, both CARLA's, as `carla.Transform` has it."""
    pitch, yaw, roll = (math.radians(angle) for angle in pose[3:])
    cp, sp = math.cos(pitch), math.sin(pitch)
    cy, sy = math.cos(yaw), math.sin(yaw)
    cr, sr = math.cos(roll), math.sin(roll)
    return np.array(
        [
            [cp * cy, cy * sp * sr - sy * cr, -cy * sp * cr - sy * sr],
            [cp * sy, sy * sp * sr + cy * cr, -sy * sp * cr + cy * sr],
            [sp, -cp * sr, cp * cr],
        ]
    )
