# SPDX-License-Identifier: Apache-2.0
"""Who else in a ROS domain plays a part of which there can be only one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

# Within that long a node hears of those that were there before it, and they of it: mostly at once,
# else with Fast DDS' announcements each 3 s. So long it is the one that came last.
NEWCOMER_S = 5.0
# What counts of the time between two looks: a process that the machine lets wait hears nothing.
_LOOK_S = 0.5
_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # a publisher is heard of before its node
_NO_NODE = "_CREATED_BY_BARE_DDS_APP_"


def name_of(end: TopicEndpointInfo) -> str:
    """The node of a publisher or subscriber: its full name, or what is known of it instead."""
    if end.node_name == _UNKNOWN:
        return "a node of unknown name"
    if end.node_name == _NO_NODE:
        return "a program that is no ROS node"
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


class Company:
    """Looks for others that publish what one node alone should.

    Args:
        node: ours.
        role: what such nodes are, for messages: "driver", "world".
        topic: what they publish.
    """

    def __init__(self, node: Node, role: str, topic: str) -> None:
        self._node, self._role, self._topic = node, role, topic
        self._looked_s = self._known_s = time.monotonic()  # known: when all of them had names
        self._listened_s = 0.0

    @property
    def newcomer(self) -> bool:
        """Others were here before: if there is one too many, it is us."""
        return self._listened_s < NEWCOMER_S

    def others(self) -> list[str]:
        """Those beside our node, each with its role, if there are too many; else nobody."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        many = self._node.count_publishers(self._topic) > 1
        publishers = self._node.get_publishers_info_by_topic(self._topic) if many else []
        if all(end.node_name != _UNKNOWN for end in publishers):
            self._known_s = now_s
        elif now_s - self._known_s < NEWCOMER_S:  # a later look will tell
            return []
        self._listened_s += min(passed_s, _LOOK_S)
        if not many:
            return []
        names = [name_of(end) for end in publishers]
        if (own := self._node.get_fully_qualified_name()) in names:
            names.remove(own)
        return [f"{self._role} {name}" for name in sorted(names)]


def refusal(others: Sequence[str]) -> str:
    """What to say where we would be one too many, and what can be done."""
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    return (
        f"ROS domain {domain} is taken by {', '.join(others)}; end that first, or set "
        "ROS_DOMAIN_ID to another number (td3_driver train: --domain auto)"
    )
