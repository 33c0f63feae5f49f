# SPDX-License-Identifier: Apache-2.0
"""The publishers of `world_node`: the world's status, and what `publications` has of each tick."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from carla_msgs.msg import CarlaStatus
from rclpy.node import Node
from rclpy.publisher import Publisher

from td3_driver.bridge_twin.messages import TickMessages
from td3_driver.bridge_twin.objects_file import Car
from td3_driver.bridge_twin.publications import Publication, Publications
from td3_driver.driving.messages import topics
from td3_driver.driving.messages.topics import Topic, topic_of
from td3_driver.driving.routes.road_map import RoadMap
from td3_driver.ros import names
from td3_driver.ros.conversions import MESSAGES, class_of
from td3_driver.ros.wires import NO_EVENTS
from td3_driver.world.simulation import Tick, WorldConfig

# Made only while somebody listens.
_COSTLY = {topics.TYPES["objects"], topics.TYPES["tf"]}
# CARLA has counted frames since it was started, while its time begins with each town, so that a
# frame's number says nothing of its stamp.
FRAMES_BEFORE = 42


class BridgeTopics:
    """The publishers of the world, of one car, and of the sensors on it."""

    def __init__(
        self,
        node: Node,
        car: Car,
        config: WorldConfig,
        road_map: RoadMap,
        *,
        synchronous_mode: bool,
    ) -> None:
        self._state: CarlaStatus = TickMessages(MESSAGES, car.role_name, config).carla_status(
            0, synchronous_mode=synchronous_mode, running=True
        )
        status = topic_of(topics.STATUS)
        self._publications = Publications(MESSAGES, car, config, road_map)
        self._publishers = {
            topic: _publisher(node, topic) for topic in (status, *self._publications.topics)
        }
        self._status = self._publishers[status]

    def publish_once(self) -> None:
        """The latched messages, and the status before the first tick."""
        self._status.publish(self._state)
        self._publish(self._publications.once())

    def publish(self, tick: Tick, present: Collection[int]) -> None:
        """Everything of a tick, from the actors whose ids are `present`."""
        self._state.frame = FRAMES_BEFORE + tick.frame
        self._status.publish(self._state)
        self._publish(self._publications.of_tick(tick, present))

    def set_running(self, running: bool) -> None:
        """Publish the status if the world was paused, or goes on."""
        if self._state.synchronous_mode_running != running:
            self._state.synchronous_mode_running = running
            self._status.publish(self._state)

    def _publish(self, publications: Iterable[Publication]) -> None:
        for topic, make in publications:
            publisher = self._publishers[topic]
            costly = topic.type in _COSTLY or topic in self._publications.on_demand
            if not costly or publisher.get_subscription_count():
                publisher.publish(make())


def _publisher(node: Node, topic: Topic) -> Publisher:
    """Make a publisher; a latched message is kept only as long as its publisher exists."""
    deep = names.VOLATILE_600 if topic.name == topics.TF else names.VOLATILE_200
    quality = names.LATCHED_10 if topic.latched else deep
    return node.create_publisher(
        class_of(topic.type), topic.name, quality, event_callbacks=NO_EVENTS
    )
