# SPDX-License-Identifier: Apache-2.0
"""Who else in a ROS domain plays a part of which there can be only one."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from rclpy.node import Node

# Within that long a node hears of those that were there before it, and they of it: mostly at once,
# else with Fast DDS' announcements each 3 s. So long it is the one that came last.
NEWCOMER_S = 5.0
# What counts of the time between two looks: a process that the machine lets wait hears nothing.
_LOOK_S = 0.5
_UNKNOWN = "_NODE_NAME_UNKNOWN_"  # a publisher is heard of before its node


class Company:
    """Looks for others that publish what one node alone should.

    Args:
        node: ours.
        role: what such nodes are, for messages: "driver", "world".
        topic: what they publish.
    """

    def __init__(self, node: Node, role: str, topic: str) -> None:
        self._node, self._role, self._topic = node, role, topic
        self._looked_s = time.monotonic()
        self._listened_s = 0.0

    @property
    def newcomer(self) -> bool:
        """Others were here before: if there is one too many, it is us."""
        return self._listened_s < NEWCOMER_S

    def others(self) -> list[str]:
        """Those beside our node, each with its role, if there are too many; else nobody."""
        now_s = time.monotonic()
        self._listened_s += min(now_s - self._looked_s, _LOOK_S)
        self._looked_s = now_s
        if self._node.count_publishers(self._topic) < 2:
            return []
        names = [
            f"{info.node_namespace.rstrip('/')}/{info.node_name}"
            for info in self._node.get_publishers_info_by_topic(self._topic)
        ]
        if any(_UNKNOWN in name for name in names):  # the next look will tell
            return []
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
