# SPDX-License-Identifier: Apache-2.0
"""Others in a domain have names, and those that have none yet are waited for."""

import pytest
import rclpy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from std_msgs.msg import Bool

from td3_driver.ros.company import NEWCOMER_S, Company, name_of


class Graph:
    """What a node sees of a topic; no real middleware withholds names at a test's wish."""

    def __init__(self, *names: str) -> None:
        self.ends = [
            TopicEndpointInfo(node_name=name, node_namespace="/a" if name[0] != "_" else name)
            for name in names
        ]

    def count_publishers(self, topic: str) -> int:
        return len(self.ends)

    def get_publishers_info_by_topic(self, topic: str) -> list[TopicEndpointInfo]:
        return self.ends

    def get_fully_qualified_name(self) -> str:
        return "/a/own"


def test_who_has_no_name_yet_is_waited_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr("td3_driver.ros.company.time.monotonic", lambda: now[0])
    graph = Graph("own", "_NODE_NAME_UNKNOWN_")
    looking = Company(graph, "driver", "/command")
    assert looking.others() == []
    now[0] = 0.9 * NEWCOMER_S
    assert looking.others() == []
    graph.ends = Graph("own", "other", "own").ends
    assert looking.others() == ["driver /a/other", "driver /a/own"]
    graph.ends = Graph("own", "_NODE_NAME_UNKNOWN_").ends
    now[0] += 0.9 * NEWCOMER_S
    assert looking.others() == []
    now[0] += 0.2 * NEWCOMER_S
    assert looking.others() == ["driver a node of unknown name"]


def test_who_could_not_look_is_a_newcomer_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that let it wait hid the others from it."""
    now = [0.0]
    monkeypatch.setattr("td3_driver.ros.company.time.monotonic", lambda: now[0])
    looking = Company(Graph("own"), "driver", "/command")
    now[0] = 2.0 * NEWCOMER_S
    assert looking.others() == []
    assert looking.newcomer
    for _ in range(100):
        now[0] += 0.1
        looking.others()
    assert not looking.newcomer


def test_a_program_without_ros_is_called_that() -> None:
    (end,) = Graph("_CREATED_BY_BARE_DDS_APP_").ends
    assert name_of(end) == "a program that is no ROS node"


def test_a_real_node_is_named() -> None:
    context = rclpy.Context()
    context.init(args=[])
    node = rclpy.create_node("other", namespace="/a", context=context)
    try:
        node.create_publisher(Bool, "/company", 1)
        (end,) = node.get_publishers_info_by_topic("/company")
        assert name_of(end) == "/a/other"
    finally:
        node.destroy_node()
        context.try_shutdown()
