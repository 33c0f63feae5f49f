# SPDX-License-Identifier: Apache-2.0
from enum import IntEnum

from rclpy.qos import QoSProfile

class TopicEndpointTypeEnum(IntEnum):
    INVALID = 0
    PUBLISHER = 1
    SUBSCRIPTION = 2

class TopicEndpointInfo:
    @property
    def node_name(self) -> str: ...
    @property
    def node_namespace(self) -> str: ...
    @property
    def topic_type(self) -> str: ...
    @property
    def endpoint_type(self) -> TopicEndpointTypeEnum: ...
    @property
    def endpoint_gid(self) -> list[int]: ...
    @property
    def qos_profile(self) -> QoSProfile: ...
