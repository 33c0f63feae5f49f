# SPDX-License-Identifier: Apache-2.0
"""What differs between versions of rclpy, with this one's newer names hidden: as in Humble."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import rclpy
from rclpy.executors import await_or_execute
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool, Float32

from td3_driver.ros import names, versions
from td3_driver.ros.driver.driver_parameters import DriverParameters
from td3_driver.ros.parameters import declare
from td3_driver.ros.train import domains
from td3_driver.ros.wires import Wires

TALKS, MIXED = "/td3_driver_test/flags", "/td3_driver_test/numbers"


class ServingAsHumbleDoes(versions.HumbleExecutor):
    """rclpy 3.3 calls what `_take_subscription` gives with the callback; 7.1 calls it itself."""

    def _take_subscription(self, subscription: Any) -> Any:
        taken = super()._take_subscription(subscription)

        async def execute() -> None:
            if taken:  # as `_execute_subscription` of 3.3
                await await_or_execute(subscription.callback, taken)

        return execute


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    context = rclpy.Context()
    context.init(args=[])
    node = Node("versions", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.mark.parametrize("humble", [True, False], ids=["Humble", "this version"])
def test_callbacks_are_told_when_a_message_was_published(
    node: Node, monkeypatch: pytest.MonkeyPatch, humble: bool
) -> None:
    if humble and not versions.TELLS_MESSAGE_INFO:
        pytest.skip("this is Humble: the other case tests it")
    if humble:
        monkeypatch.setattr(versions, "TELLS_MESSAGE_INFO", False)
        monkeypatch.setattr(versions, "HumbleExecutor", ServingAsHumbleDoes)
    heard: list[tuple[bool, int, int]] = []
    plain: list[float] = []
    wires = Wires(node)
    executor = versions.new_executor(node.context)
    assert isinstance(executor, ServingAsHumbleDoes) == humble
    executor.add_node(node)

    def on_flag(message: Bool, info: dict[str, int]) -> None:
        heard.append((message.data, info[versions.SENT_NS], time.time_ns()))

    try:
        flags = wires.publish(Bool, TALKS, names.VOLATILE_10)
        numbers = wires.publish(Float32, MIXED, names.VOLATILE_10)
        wires.listen(Bool, TALKS, versions.with_info(on_flag), names.VOLATILE_10)
        wires.listen(Float32, MIXED, lambda message: plain.append(message.data), names.VOLATILE_10)
        give_up_s = time.monotonic() + 120.0
        while not (flags.get_subscription_count() and numbers.get_subscription_count()):
            assert time.monotonic() < give_up_s
        before_ns = time.time_ns()
        flags.publish(Bool(data=True))
        flags.publish(Bool(data=False))
        numbers.publish(Float32(data=0.5))
        after_ns = time.time_ns()
        time.sleep(0.1)  # they wait: that they are late has to show
        while len(heard) < 2 or not plain:
            assert time.monotonic() < give_up_s
            executor.spin_once(timeout_sec=0.1)
    finally:
        executor.shutdown()
        wires.cut()
    assert [flag for flag, _, _ in heard] == [True, False]
    assert plain == [0.5]
    for _, sent_ns, heard_ns in heard:
        assert before_ns <= sent_ns <= after_ns < heard_ns - 50_000_000


def test_changes_of_parameters_are_followed_without_humble_s_missing_callback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(Node, "add_post_set_parameters_callback", raising=False)
    monkeypatch.delattr(Node, "add_pre_set_parameters_callback", raising=False)
    context = rclpy.Context()
    context.init(args=[])
    node = Node("followed", context=context)
    changes: list[dict[str, Any]] = []
    try:
        declare(node, DriverParameters, lambda: "fixed", lambda given: changes.append(dict(given)))
        assert changes == []  # these are values to start with
        ok = node.set_parameters_atomically(
            [Parameter("learning", value=False), Parameter("exploration", value=0.5)]
        )
        assert ok.successful
        assert changes.pop() == {"learning": False, "exploration": 0.5}
        for refused in (
            [Parameter("exploration", value=-1.0)],  # range, type: rclpy's; choice, fixed: ours
            [Parameter("learning", value="no")],
            [Parameter("learning", value=True), Parameter("on_loss", value="sing")],
            [Parameter("learning", value=True), Parameter("seed", value=3)],
        ):
            assert not node.set_parameters_atomically(refused).successful
            assert changes == []
        assert node.get_parameter("learning").value is False
    finally:
        node.destroy_node()
        context.try_shutdown()


@pytest.mark.parametrize(
    ("distro", "wanted"),
    [
        ("", ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")),
        ("jazzy", ("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")),
        ("humble", ("ROS_LOCALHOST_ONLY", "1")),
    ],
)
def test_runs_stay_on_their_machine_by_the_variable_that_their_ros_knows(
    monkeypatch: pytest.MonkeyPatch, distro: str, wanted: tuple[str, str]
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distro)
    assert domains.this_machine_only() == wanted
