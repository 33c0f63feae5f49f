# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Any

from rclpy.duration import Duration

class PublisherEventCallbacks:
    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None: ...

class Publisher:
    msg_type: Any
    topic: str
    def publish(self, msg: Any) -> None: ...
    def get_subscription_count(self) -> int: ...
    @property
    def topic_name(self) -> str: ...
    def destroy(self) -> None: ...
    def assert_liveliness(self) -> None: ...
    def wait_for_all_acked(self, timeout: Duration = ...) -> bool: ...
