# SPDX-License-Identifier: Apache-2.0
"""Detection of other nodes in a ROS domain in a role that only one may have."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from rclpy.node import Node
from rclpy.topic_endpoint_info import TopicEndpointInfo

# Time in which a node and those that were there before discover each other: mostly at once, else
# with Fast DDS's announcements each 3 s. Until then the node counts as the newcomer.
NEWCOMER_S = 5.0
# The most time that counts between two looks: a process that does not run hears nothing.
_LOOK_S = 0.5
_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # while a publisher is known, but not yet its node
_NO_NODE = "_CREATED_BY_BARE_DDS_APP_"


def name_of(end: TopicEndpointInfo) -> str:
    """Return the full name of a publisher's or subscriber's node, or a description without one."""
    if end.node_name == _UNKNOWN:
        return "a node of unknown name"
    if end.node_name == _NO_NODE:
        return "a program that is no ROS node"
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


class Company:
    """Finds other nodes that publish what only one node should.

    Args:
        node: our node.
        role: what such nodes are called in messages: "driver", "world".
        topic: the topic that they publish.
    """

    def __init__(self, node: Node, role: str, topic: str) -> None:
        self._node, self._role, self._topic = node, role, topic
        self._looked_s = self._known_s = time.monotonic()  # known_s: when all of them had names
        self._listened_s = 0.0

    @property
    def newcomer(self) -> bool:
        """Our node came last: if there is one too many, it is ours."""
        return self._listened_s < NEWCOMER_S

    def others(self) -> list[str]:
        """Return the other nodes, each with its role; empty if ours is alone."""
        now_s = time.monotonic()
        passed_s, self._looked_s = now_s - self._looked_s, now_s
        many = self._node.count_publishers(self._topic) > 1
        publishers = self._node.get_publishers_info_by_topic(self._topic) if many else []
        if all(end.node_name != _UNKNOWN for end in publishers):
            self._known_s = now_s
        elif now_s - self._known_s < NEWCOMER_S:  # a later look will know the names
            return []
        self._listened_s += min(passed_s, _LOOK_S)
        if not many:
            return []
        names = [name_of(end) for end in publishers]
        if (own := self._node.get_fully_qualified_name()) in names:
            names.remove(own)
        return [f"{self._role} {name}" for name in sorted(names)]


def refusal(others: Sequence[str]) -> str:
    """Return a message that names the other nodes, and what to do about them."""
    domain = os.environ.get("ROS_DOMAIN_ID", "0")
    return (
        f"ROS domain {domain} is taken by {', '.join(others)}; end that first, or set "
        "ROS_DOMAIN_ID to another number (td3_driver train: --domain auto)"
    )
