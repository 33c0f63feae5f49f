# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Any

class SubscriptionEventCallbacks:
    def __init__(
        self,
        *,
        deadline: Callable[[Any], None] | None = None,
        incompatible_qos: Callable[[Any], None] | None = None,
        liveliness: Callable[[Any], None] | None = None,
        message_lost: Callable[[Any], None] | None = None,
        use_default_callbacks: bool = True,
    ) -> None: ...

class _Handle:  # of pybind11
    def __enter__(self) -> None: ...
    def __exit__(self, *exception: object) -> None: ...
    def take_message(
        self, pymsg_type: type[Any], raw: bool, /
    ) -> tuple[Any, dict[str, int]] | None: ...
    def get_topic_name(self) -> str: ...

class Subscription:
    msg_type: type[Any]
    topic: str
    callback: Callable[[Any], Any]
    raw: bool
    @property
    def handle(self) -> _Handle: ...
    @property
    def topic_name(self) -> str: ...
    def destroy(self) -> None: ...
