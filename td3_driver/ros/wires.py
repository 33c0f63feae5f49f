# SPDX-License-Identifier: Apache-2.0
"""Publishers, subscriptions and timers that a node makes together and frees together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile

# By default DDS drops requests beyond ten that wait, and who asked would never hear of it.
_SERVICE = QoSProfile(depth=200)


class Wires:
    """Makes ROS entities on a node and destroys them all in `cut`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._cuts: list[Callable[[], object]] = []

    def publish(self, kind: type, topic: str, qos: QoSProfile) -> Publisher:
        """A publisher."""
        made = self.node.create_publisher(kind, topic, qos)
        self._cuts.append(lambda: self.node.destroy_publisher(made))
        return made

    def listen(
        self, kind: type, topic: str, callback: Callable[[Any], None], qos: QoSProfile
    ) -> None:
        """A subscription. rclpy serves them in the order in which they are made."""
        made = self.node.create_subscription(kind, topic, callback, qos)
        self._cuts.append(lambda: self.node.destroy_subscription(made))

    def serve(
        self, kind: type, name: str, callback: Callable[[Any, Any], Any], group: CallbackGroup
    ) -> None:
        """A service."""
        made = self.node.create_service(
            kind, name, callback, qos_profile=_SERVICE, callback_group=group
        )
        self._cuts.append(lambda: self.node.destroy_service(made))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """A timer, of wall time."""
        # The node's own clock stands still with use_sim_time where nobody publishes /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        made = self.node.create_timer(period_s, callback, clock=steady)
        self._cuts.append(lambda: self.node.destroy_timer(made))

    def alarm(self, callback: Callable[[], None]) -> Callable[[float], None]:
        """What sets a timer of wall time, which calls once, so many seconds after it was set."""

        def ring() -> None:
            made.cancel()
            callback()

        def set_it(after_s: float) -> None:
            made.timer_period_ns = int(after_s * 1e9)
            made.reset()

        steady = Clock(clock_type=ClockType.STEADY_TIME)
        made = self.node.create_timer(3600.0, ring, clock=steady)
        made.cancel()
        self._cuts.append(lambda: self.node.destroy_timer(made))
        return set_it

    def bell(self, callback: Callable[[], None]) -> GuardCondition:
        """What another thread may `trigger` to have `callback` called."""
        made = self.node.create_guard_condition(callback)
        self._cuts.append(lambda: self.node.destroy_guard_condition(made))
        return made

    def cut(self) -> None:
        """Destroy what was made, newest first."""
        while self._cuts:
            self._cuts.pop()()
