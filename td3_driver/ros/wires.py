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
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription, SubscriptionEventCallbacks

# By default DDS drops requests beyond ten that wait, and who asked would never hear of it.
_SERVICE = QoSProfile(depth=200)
# Five seconds of a drive at 20 Hz: a town's map takes half of one to be read.
_PLAYED_DEPTH = 100


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
    ) -> Callable[[], object]:
        """A subscription; the result ends it before `cut` does.

        rclpy serves them in the order in which they are made.
        """
        made = self.node.create_subscription(kind, topic, callback, qos)
        self._cuts.append(lambda: self.node.destroy_subscription(made))
        return self._cuts[-1]

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


class PlayedWires(Wires):
    """Wires to a recording that is played: with whatever quality of service it was recorded.

    A subscription asks for what it is to have, and for less once a publisher offers less. It keeps
    more messages than it is asked to, since a player does not wait for who listens.

    Attributes:
        lost: messages that came never or too late, as far as DDS tells, those that were sent
            before anyone listened too.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.lost = 0
        self._heard: dict[str, Subscription] = {}

    def listen(
        self, kind: type, topic: str, callback: Callable[..., None], qos: QoSProfile
    ) -> Callable[[], object]:
        """A subscription; the result ends it before `cut` does."""

        def end() -> None:
            if (made := self._heard.pop(topic, None)) is not None:
                self.node.destroy_subscription(made)

        self._cuts.append(end)
        self._subscribe(kind, topic, callback, qos.reliability, qos.durability)
        return end

    def _subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[..., None],
        reliability: ReliabilityPolicy,
        durability: DurabilityPolicy,
    ) -> None:
        def on_incompatible(event: Any) -> None:
            if self._heard.get(topic) is not made:  # told of two publishers at once
                return
            self.node.destroy_subscription(made)
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            less = (
                (reliability, DurabilityPolicy.VOLATILE)
                if policy == "DURABILITY"
                else (ReliabilityPolicy.BEST_EFFORT, durability)
            )
            self._subscribe(kind, topic, callback, *less)

        def on_lost(event: Any) -> None:
            self.lost += event.total_count_change

        made = self._heard[topic] = self.node.create_subscription(
            kind,
            topic,
            callback,
            QoSProfile(depth=_PLAYED_DEPTH, reliability=reliability, durability=durability),
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=on_incompatible, message_lost=on_lost
            ),
        )
