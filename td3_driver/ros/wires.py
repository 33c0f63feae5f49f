# SPDX-License-Identifier: Apache-2.0
"""The publishers, subscriptions and timers of a node, made and destroyed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.publisher import Publisher, PublisherEventCallbacks
from rclpy.qos import (
    DurabilityPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_policy_name_from_kind,
)
from rclpy.subscription import Subscription, SubscriptionEventCallbacks

# rclpy goes through the events of every endpoint in each wait, some five times a frame. A
# publisher needs none: where the two do not fit, its subscriber warns.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
# By default DDS drops requests when ten wait, and their callers never get an answer.
_SERVICE = QoSProfile(depth=200)
# Five seconds of a drive at 20 Hz: reading a town's map takes half a second.
_PLAYED_DEPTH = 100


class Wires:
    """Makes ROS entities on a node and destroys them all in `cut`."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._cuts: list[Callable[[], object]] = []

    def publish(self, kind: type, topic: str, qos: QoSProfile) -> Publisher:
        """Make a publisher."""
        made = self.node.create_publisher(kind, topic, qos, event_callbacks=NO_EVENTS)
        self._cuts.append(lambda: self.node.destroy_publisher(made))
        return made

    def listen(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile,
        *,
        raw: bool = False,
    ) -> Callable[[], object]:
        """Make a subscription; call the result to end it before `cut`.

        rclpy serves subscriptions in the order in which they are made. `raw`: the callback gets
        each message as the bytes that came.
        """
        made = self.node.create_subscription(kind, topic, callback, qos, raw=raw)
        self._cuts.append(lambda: self.node.destroy_subscription(made))
        return self._cuts[-1]

    def serve(
        self, kind: type, name: str, callback: Callable[[Any, Any], Any], group: CallbackGroup
    ) -> None:
        """Make a service."""
        made = self.node.create_service(
            kind, name, callback, qos_profile=_SERVICE, callback_group=group
        )
        self._cuts.append(lambda: self.node.destroy_service(made))

    def every(self, period_s: float, callback: Callable[[], None]) -> None:
        """Make a timer of wall time."""
        # With use_sim_time the node's own clock stands still if nobody publishes /clock.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        made = self.node.create_timer(period_s, callback, clock=steady)
        self._cuts.append(lambda: self.node.destroy_timer(made))

    def alarm(self, callback: Callable[[], None]) -> Callable[[float], None]:
        """Make a function that sets a one-shot timer: it calls back after that many seconds."""

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
        """Make a guard condition; another thread may `trigger` it to have `callback` called."""
        made = self.node.create_guard_condition(callback)
        self._cuts.append(lambda: self.node.destroy_guard_condition(made))
        return made

    def cut(self) -> None:
        """Destroy everything that was made, newest first."""
        while self._cuts:
            self._cuts.pop()()


class PlayedWires(Wires):
    """Wires to a recording that is played, whatever QoS it was recorded with.

    A subscription requests the wanted QoS, and less once a publisher offers less. It queues more
    messages than wanted, since a player does not wait for its subscribers.

    Args:
        node: the node that has them.
        depth: number of messages that a subscription queues.

    Attributes:
        lost: number of messages that never came or came too late, as DDS reports, including those
            sent before the subscription.
    """

    def __init__(self, node: Node, depth: int = _PLAYED_DEPTH) -> None:
        super().__init__(node)
        self.lost = 0
        self._depth = depth
        self._heard: dict[str, Subscription] = {}

    def listen(
        self,
        kind: type,
        topic: str,
        callback: Callable[..., None],
        qos: QoSProfile,
        *,
        raw: bool = False,
    ) -> Callable[[], object]:
        """Make a subscription as `Wires.listen` does."""

        def end() -> None:
            if (made := self._heard.pop(topic, None)) is not None:
                self.node.destroy_subscription(made)

        self._cuts.append(end)
        self._subscribe(kind, topic, callback, raw, qos.reliability, qos.durability)
        return end

    def _subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[..., None],
        raw: bool,
        reliability: ReliabilityPolicy,
        durability: DurabilityPolicy,
    ) -> None:
        def on_incompatible(event: Any) -> None:
            if self._heard.get(topic) is not made:  # two publishers were reported at once
                return
            self.node.destroy_subscription(made)
            policy = qos_policy_name_from_kind(event.last_policy_kind)
            less = (
                (reliability, DurabilityPolicy.VOLATILE)
                if policy == "DURABILITY"
                else (ReliabilityPolicy.BEST_EFFORT, durability)
            )
            self._subscribe(kind, topic, callback, raw, *less)

        def on_lost(event: Any) -> None:
            self.lost += event.total_count_change

        made = self._heard[topic] = self.node.create_subscription(
            kind,
            topic,
            callback,
            QoSProfile(depth=self._depth, reliability=reliability, durability=durability),
            raw=raw,
            event_callbacks=SubscriptionEventCallbacks(
                incompatible_qos=on_incompatible, message_lost=on_lost
            ),
        )
