# SPDX-License-Identifier: Apache-2.0
from enum import IntEnum

from rclpy.duration import Duration

class HistoryPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    KEEP_LAST = 1
    KEEP_ALL = 2
    UNKNOWN = 3

class ReliabilityPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    RELIABLE = 1
    BEST_EFFORT = 2
    UNKNOWN = 3

class DurabilityPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    TRANSIENT_LOCAL = 1
    VOLATILE = 2
    UNKNOWN = 3

class LivelinessPolicy(IntEnum):
    SYSTEM_DEFAULT = 0
    AUTOMATIC = 1
    MANUAL_BY_TOPIC = 3
    UNKNOWN = 4

class InvalidQoSProfileException(Exception): ...

class QoSProfile:
    # **kwargs, of which it takes these; `history` or `depth` has to be given.
    def __init__(
        self,
        *,
        history: HistoryPolicy = ...,
        depth: int = ...,
        reliability: ReliabilityPolicy = ...,
        durability: DurabilityPolicy = ...,
        lifespan: Duration = ...,
        deadline: Duration = ...,
        liveliness: LivelinessPolicy = ...,
        liveliness_lease_duration: Duration = ...,
        avoid_ros_namespace_conventions: bool = ...,
    ) -> None: ...
    history: HistoryPolicy
    depth: int
    reliability: ReliabilityPolicy
    durability: DurabilityPolicy
    lifespan: Duration
    deadline: Duration
    liveliness: LivelinessPolicy
    liveliness_lease_duration: Duration
    avoid_ros_namespace_conventions: bool

qos_profile_system_default: QoSProfile
qos_profile_sensor_data: QoSProfile
qos_profile_services_default: QoSProfile
qos_profile_parameters: QoSProfile
qos_profile_parameter_events: QoSProfile

def qos_policy_name_from_kind(policy_kind: int) -> str: ...
